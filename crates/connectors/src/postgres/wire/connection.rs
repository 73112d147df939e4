//! One session with a server.

use std::io::{self, Read, Write};
use std::time::Duration;

use headwater_project::Entropy;
use headwater_project::config::TlsMode;

use crate::postgres::Target;
use crate::postgres::error::{PgError, Result};
use crate::postgres::wire::scram::{Scram, md5_answer};
use crate::postgres::wire::stream::{self, Stream};

/// A row of COPY or of the stream may be as large as the server allows a value to be; more is no row.
const MAX_MESSAGE: usize = 1 << 30;
const READ_CHUNK: usize = 256 << 10;
const LARGE_BUFFER: usize = 8 << 20;
/// No server is silent for so long while a statement runs and sends rows.
const SILENCE: Duration = Duration::from_secs(600);

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Statements,
    Replication,
}

/// What a statement gave, as text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

impl Rows {
    /// A value of the first row; `None` for NULL and when there is no row.
    pub(crate) fn first(&self, column: usize) -> Option<&str> {
        self.rows.first()?.get(column)?.as_deref()
    }
}

pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// What of the buffer was read from the server and not consumed yet.
    start: usize,
    end: usize,
    timeout: Option<Duration>,
}

/// A message within the buffer; valid until the next is received.
#[derive(Clone, Copy)]
struct Message {
    kind: u8,
    start: usize,
    end: usize,
}

impl Connection {
    pub(crate) fn open(target: &Target, purpose: Purpose, entropy: &dyn Entropy) -> Result<Self> {
        let config = &target.config;
        let stream: Box<dyn Stream> = if config.host.starts_with('/') {
            stream::socket_file(&config.host, config.port)?
        } else {
            let plain = stream::tcp(&config.host, config.port)?;
            match target.tls() {
                TlsMode::Off => Box::new(plain),
                TlsMode::Verify => stream::tls(plain, &config.host, target.ca_file.as_deref())?,
            }
        };
        let mut connection = Self { stream, buffer: vec![0; READ_CHUNK], start: 0, end: 0, timeout: None };
        connection.set_timeout(Some(SILENCE))?;
        connection.log_in(target, purpose, entropy)?;
        Ok(connection)
    }

    fn log_in(&mut self, target: &Target, purpose: Purpose, entropy: &dyn Entropy) -> Result<()> {
        let config = &target.config;
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        let mut settings = vec![
            ("user", config.user.as_str()),
            ("database", config.database.as_str()),
            ("application_name", "headwater"),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"),
            ("IntervalStyle", "postgres"),
            ("TimeZone", "UTC"),
            ("extra_float_digits", "3"),
        ];
        if purpose == Purpose::Replication {
            settings.push(("replication", "database"));
        }
        for (name, value) in settings {
            for text in [name, value] {
                body.extend_from_slice(text.as_bytes());
                body.push(0);
            }
        }
        body.push(0);
        let mut framed = u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        framed.extend(body);
        self.send_raw(&framed)?;
        self.authenticate(target, entropy)?;
        loop {
            let message = self.receive()?;
            match message.kind {
                b'Z' => return Ok(()),
                b'S' | b'K' | b'N' => {}
                _ => return Err(PgError::Protocol("an unknown message after the login")),
            }
        }
    }

    fn authenticate(&mut self, target: &Target, entropy: &dyn Entropy) -> Result<()> {
        let password = target.config.password.as_ref().filter(|password| !password.is_empty());
        let password = || password.map(|password| password.reveal().to_owned()).ok_or(PgError::NoPassword);
        let mut scram = None;
        loop {
            let message = self.receive()?;
            if message.kind == b'N' {
                continue;
            }
            let body = self.body(message);
            let (code, rest) = body.split_at_checked(4).ok_or(PgError::Protocol("a short request to log in"))?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            match (message.kind, u32::from_be_bytes(code.try_into().unwrap_or_default())) {
                (b'R', 0) => return Ok(()),
                (b'R', 3) => self.send_text(b'p', &password()?)?,
                (b'R', 5) => {
                    let answer = md5_answer(&target.config.user, &password()?, rest);
                    self.send_text(b'p', &answer)?;
                }
                (b'R', 10) => {
                    if !rest.split(|byte| *byte == 0).any(|name| name == b"SCRAM-SHA-256") {
                        return Err(PgError::UnsupportedAuthentication(text(rest).replace('\0', " ")));
                    }
                    let nonce = format!("{:016x}{:016x}", entropy.next_u64(), entropy.next_u64());
                    let begun = scram.insert(Scram::new(&password()?, nonce));
                    let first = begun.first();
                    let mut answer = b"SCRAM-SHA-256\0".to_vec();
                    answer.extend(u32::try_from(first.len()).unwrap_or_default().to_be_bytes());
                    answer.extend(first.as_bytes());
                    self.send(b'p', &answer)?;
                }
                (b'R', 11) => {
                    let challenge = text(rest);
                    let begun = scram.as_mut().ok_or(PgError::Protocol("a challenge nobody asked for"))?;
                    let answer = begun.answer(&challenge).map_err(PgError::Authentication)?;
                    self.send(b'p', answer.as_bytes())?;
                }
                (b'R', 12) => {
                    let last = text(rest);
                    let begun = scram.as_ref().ok_or(PgError::Protocol("a proof nobody asked for"))?;
                    begun.verify(&last).map_err(PgError::Authentication)?;
                }
                (b'R', other) => return Err(PgError::UnsupportedAuthentication(other.to_string())),
                _ => return Err(PgError::Protocol("no request to log in")),
            }
        }
    }

    /// Runs statements that give few rows and reads them all.
    pub(crate) fn query(&mut self, sql: &str) -> Result<Rows> {
        self.send_text(b'Q', sql)?;
        self.until_ready()
    }

    /// What the server says until it waits for the next statement.
    fn until_ready(&mut self) -> Result<Rows> {
        let (mut rows, mut failure) = (Rows::default(), None);
        loop {
            let message = match self.receive() {
                Err(error @ PgError::Server { .. }) => {
                    failure.get_or_insert(error);
                    continue;
                }
                message => message?,
            };
            match message.kind {
                b'D' => rows.rows.push(text_row(self.body(message))?),
                b'Z' => return failure.map_or(Ok(rows), Err),
                b'T' | b'C' | b'I' | b'N' | b'S' => {}
                _ => return Err(PgError::Protocol("an unknown message after a statement")),
            }
        }
    }

    /// Begins `COPY ... TO STDOUT`; [`Connection::copied`] gives what comes.
    pub(crate) fn copy_out(&mut self, sql: &str) -> Result<()> {
        self.begin_copy(sql, b'H')
    }

    /// The next piece of a COPY; `None` at its end.
    pub(crate) fn copied(&mut self) -> Result<Option<&[u8]>> {
        loop {
            let message = self.receive()?;
            match message.kind {
                b'd' => return Ok(Some(self.body(message))),
                b'Z' => return Ok(None),
                b'c' | b'C' | b'N' | b'S' => {}
                _ => return Err(PgError::Protocol("an unknown message within a copy")),
            }
        }
    }

    /// Begins `COPY ... FROM STDIN`: data follows by [`Connection::send_copy_data`], its end by [`Connection::end_copy_in`].
    pub(crate) fn copy_in(&mut self, sql: &str) -> Result<()> {
        self.begin_copy(sql, b'G')
    }

    /// Ends what [`Connection::copy_in`] began, and waits until the server has taken all of it.
    pub(crate) fn end_copy_in(&mut self) -> Result<()> {
        self.send(b'c', &[])?;
        self.until_ready().map(drop)
    }

    /// Begins to stream changes; [`Connection::streamed`] gives what comes.
    pub(crate) fn start_replication(&mut self, command: &str) -> Result<()> {
        self.begin_copy(command, b'W')
    }

    fn begin_copy(&mut self, sql: &str, answer: u8) -> Result<()> {
        self.send_text(b'Q', sql)?;
        loop {
            match self.receive()?.kind {
                kind if kind == answer => return Ok(()),
                b'N' | b'S' => {}
                _ => return Err(PgError::Protocol("no copy where one was asked for")),
            }
        }
    }

    /// The next piece of a stream, waiting for it `timeout` at most: `None` when nothing came.
    pub(crate) fn streamed(&mut self, timeout: Duration) -> Result<Option<&[u8]>> {
        self.set_timeout(Some(timeout.max(Duration::from_millis(1))))?;
        loop {
            let Some(message) = self.receive_within()? else { return Ok(None) };
            match message.kind {
                b'd' => return Ok(Some(self.body(message))),
                b'c' | b'Z' => return Err(PgError::Closed),
                b'N' | b'S' | b'C' => {}
                _ => return Err(PgError::Protocol("an unknown message within a stream")),
            }
        }
    }

    /// Whether a whole message waits in memory.
    pub(crate) fn has_buffered(&self) -> bool {
        self.buffered().is_some()
    }

    pub(crate) fn send_copy_data(&mut self, bytes: &[u8]) -> Result<()> {
        self.send(b'd', bytes)
    }

    fn send_text(&mut self, kind: u8, text: &str) -> Result<()> {
        if text.contains('\0') {
            return Err(PgError::Protocol("text with a zero byte"));
        }
        let mut body = text.as_bytes().to_vec();
        body.push(0);
        self.send(kind, &body)
    }

    fn send(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        let mut framed = Vec::with_capacity(body.len() + 5);
        framed.push(kind);
        framed.extend(u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes());
        framed.extend_from_slice(body);
        self.send_raw(&framed)
    }

    fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
        sent.map_err(|source| PgError::io("write to the server", source))
    }

    /// Bounds the wait for the server's next words.
    pub(crate) fn set_timeout(&mut self, timeout: Option<Duration>) -> Result<()> {
        if self.timeout != timeout {
            self.stream.set_read_timeout(timeout).map_err(|source| PgError::io("set a timeout", source))?;
            self.timeout = timeout;
        }
        Ok(())
    }

    fn body(&self, message: Message) -> &[u8] {
        self.buffer.get(message.start..message.end).unwrap_or_default()
    }

    fn receive(&mut self) -> Result<Message> {
        let silent = || io::Error::new(io::ErrorKind::TimedOut, "the server is silent");
        self.receive_within()?.ok_or_else(|| PgError::io("read from the server", silent()))
    }

    /// The next message; `None` when the timeout passed first. What came of a message by then is kept.
    fn receive_within(&mut self) -> Result<Option<Message>> {
        loop {
            if let Some((kind, length)) = self.buffered() {
                let message = Message { kind, start: self.start + 5, end: self.start + 1 + length };
                self.start = message.end;
                if kind == b'E' {
                    return Err(server_error(self.body(message)));
                }
                return Ok(Some(message));
            }
            self.make_room()?;
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.stream.read(free) {
                Ok(0) => return Err(PgError::Closed),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(source) => return Err(PgError::io("read from the server", source)),
            }
        }
    }

    /// Kind and length of the first message, if it is whole.
    fn buffered(&self) -> Option<(u8, usize)> {
        let (kind, length) = self.announced()?;
        (self.end - self.start > length).then_some((kind, length))
    }

    fn announced(&self) -> Option<(u8, usize)> {
        let waiting = self.buffer.get(self.start..self.end)?;
        let length: [u8; 4] = waiting.get(1..5)?.try_into().ok()?;
        Some((*waiting.first()?, u32::from_be_bytes(length) as usize))
    }

    /// Moves what waits to the front and makes the buffer large enough for its message.
    fn make_room(&mut self) -> Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let Some((_, length)) = self.announced() else { return Ok(()) };
        if !(4..=MAX_MESSAGE).contains(&length) {
            return Err(PgError::TooLarge { bytes: length, limit: MAX_MESSAGE });
        }
        if self.buffer.len() < length + 1 {
            self.buffer.resize(length + 1, 0);
        } else if self.buffer.len() > LARGE_BUFFER && length < READ_CHUNK && self.end < READ_CHUNK {
            // One huge row must not cost its memory for ever.
            self.buffer.truncate(READ_CHUNK);
            self.buffer.shrink_to_fit();
        }
        Ok(())
    }
}

fn text_row(body: &[u8]) -> Result<Vec<Option<String>>> {
    let short = PgError::Protocol("a row that ends early");
    let Some((count, mut rest)) = body.split_at_checked(2) else { return Err(short) };
    let count = u16::from_be_bytes(count.try_into().unwrap_or_default());
    let mut row = Vec::with_capacity(count.into());
    for _ in 0..count {
        let Some((length, after)) = rest.split_at_checked(4) else { return Err(short) };
        let length = i32::from_be_bytes(length.try_into().unwrap_or_default());
        let Ok(length) = usize::try_from(length) else {
            row.push(None);
            rest = after;
            continue;
        };
        let Some((value, after)) = after.split_at_checked(length) else { return Err(short) };
        row.push(Some(String::from_utf8_lossy(value).into_owned()));
        rest = after;
    }
    Ok(row)
}

fn server_error(body: &[u8]) -> PgError {
    let mut fields = std::collections::BTreeMap::new();
    for field in body.split(|byte| *byte == 0) {
        if let Some((kind, text)) = field.split_first() {
            fields.insert(*kind, String::from_utf8_lossy(text).into_owned());
        }
    }
    PgError::Server {
        code: fields.remove(&b'C').unwrap_or_default(),
        message: fields.remove(&b'M').unwrap_or_default(),
        // The context of a COPY names row and column.
        detail: fields.remove(&b'D').or_else(|| fields.remove(&b'W').filter(|context| context.starts_with("COPY "))),
        hint: fields.remove(&b'H'),
    }
}
