//! The messages of PostgreSQL's own output plug-in, protocol version 1: bytes in, values out, no state, no I/O.
//!
//! Around each message is one of the stream: `w` (data: where it begins in the log, where the server is, when) or `k` (the
//! server is alive: where it is, and whether it wants an answer). Anything malformed is refused; nothing is guessed.

use std::fmt;

/// What the stream carries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A message, and the place in the log of what it tells.
    Data {
        at: u64,
        message: &'a [u8],
    },
    KeepAlive {
        server_at: u64,
        wants_answer: bool,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    Begin {
        commit_lsn: u64,
        committed_at: i64,
        /// Number of the transaction, without its epoch.
        xid: u32,
    },
    Commit {
        commit_lsn: u64,
        end_lsn: u64,
    },
    Relation(Relation),
    Insert {
        relation: u32,
        new: Tuple<'a>,
    },
    Update {
        relation: u32,
        old: Option<Old<'a>>,
        new: Tuple<'a>,
    },
    Delete {
        relation: u32,
        old: Old<'a>,
    },
    Truncate {
        relations: Vec<u32>,
    },
    /// What somebody wrote into the log by `pg_logical_emit_message`.
    Message {
        prefix: String,
        content: &'a [u8],
    },
    /// Origins and types: nothing that changes a row.
    Other,
}

/// A table as it is from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// The rows before come whole: `is_key` says nothing.
    pub(crate) is_full: bool,
    pub(crate) columns: Vec<RelationColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RelationColumn {
    pub(crate) name: String,
    pub(crate) is_key: bool,
    pub(crate) type_oid: u32,
    pub(crate) modifier: i32,
}

/// The row before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Old<'a> {
    /// Only the columns of the replica identity are set.
    Key(Tuple<'a>),
    Full(Tuple<'a>),
}

pub(crate) type Tuple<'a> = Vec<Cell<'a>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    Null,
    /// A long value that did not change and was not sent.
    Unchanged,
    Text(&'a [u8]),
}

/// What is wrong with a message, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

type Parsed<T> = Result<T, Malformed>;

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Parsed<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed("a message that ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| Malformed("a message that ends early"))
    }

    fn byte(&mut self) -> Parsed<u8> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn u16(&mut self) -> Parsed<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Parsed<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Parsed<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn text(&mut self) -> Parsed<String> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Malformed("a name without its end"))?;
        let text = String::from_utf8(self.take(end)?.to_vec()).map_err(|_| Malformed("a name that is not UTF-8"))?;
        self.take(1)?;
        Ok(text)
    }

    fn tuple(&mut self) -> Parsed<Tuple<'a>> {
        let count = usize::from(self.u16()?);
        // A column takes a byte at least: a count beyond the rest is a lie.
        if count > self.0.len() {
            return Err(Malformed("a row with more columns than bytes"));
        }
        let mut cells = Vec::with_capacity(count);
        for _ in 0..count {
            cells.push(match self.byte()? {
                b'n' => Cell::Null,
                b'u' => Cell::Unchanged,
                b't' => {
                    let length = usize::try_from(self.u32()?).map_err(|_| Malformed("a value too long"))?;
                    Cell::Text(self.take(length)?)
                }
                _ => return Err(Malformed("a value of an unknown form")),
            });
        }
        Ok(cells)
    }

    fn end<T>(&self, value: T) -> Parsed<T> {
        if self.0.is_empty() { Ok(value) } else { Err(Malformed("a message with more than it should have")) }
    }
}

pub(crate) fn frame(bytes: &[u8]) -> Parsed<Frame<'_>> {
    let mut input = Input(bytes);
    match input.byte()? {
        b'w' => {
            let at = input.u64()?;
            input.take(16)?;
            Ok(Frame::Data { at, message: input.0 })
        }
        b'k' => {
            let server_at = input.u64()?;
            input.take(8)?;
            let wants_answer = input.byte()? == 1;
            input.end(Frame::KeepAlive { server_at, wants_answer })
        }
        _ => Err(Malformed("a frame of an unknown kind")),
    }
}

pub(crate) fn event(bytes: &[u8]) -> Parsed<Event<'_>> {
    let mut input = Input(bytes);
    let event = match input.byte()? {
        b'B' => {
            let (commit_lsn, committed_at) = (input.u64()?, input.u64()?.cast_signed());
            Event::Begin { commit_lsn, committed_at, xid: input.u32()? }
        }
        b'C' => {
            input.take(1)?;
            let (commit_lsn, end_lsn) = (input.u64()?, input.u64()?);
            input.take(8)?;
            Event::Commit { commit_lsn, end_lsn }
        }
        b'R' => Event::Relation(relation(&mut input)?),
        b'I' => {
            let relation = input.u32()?;
            expect(&mut input, b'N')?;
            Event::Insert { relation, new: input.tuple()? }
        }
        b'U' => {
            let relation = input.u32()?;
            let old = match input.byte()? {
                b'K' => Some(Old::Key(input.tuple()?)),
                b'O' => Some(Old::Full(input.tuple()?)),
                b'N' => None,
                _ => return Err(Malformed("an update of an unknown form")),
            };
            if old.is_some() {
                expect(&mut input, b'N')?;
            }
            Event::Update { relation, old, new: input.tuple()? }
        }
        b'D' => {
            let relation = input.u32()?;
            let old = match input.byte()? {
                b'K' => Old::Key(input.tuple()?),
                b'O' => Old::Full(input.tuple()?),
                _ => return Err(Malformed("a delete of an unknown form")),
            };
            Event::Delete { relation, old }
        }
        b'T' => truncate(&mut input)?,
        b'M' => {
            input.take(9)?;
            let (prefix, length) = (input.text()?, input.u32()?);
            let length = usize::try_from(length).map_err(|_| Malformed("a value too long"))?;
            Event::Message { prefix, content: input.take(length)? }
        }
        b'O' | b'Y' => return Ok(Event::Other),
        _ => return Err(Malformed("a message of an unknown kind")),
    };
    input.end(event)
}

fn expect(input: &mut Input<'_>, mark: u8) -> Parsed<()> {
    if input.byte()? == mark { Ok(()) } else { Err(Malformed("a row without its mark")) }
}

fn relation(input: &mut Input<'_>) -> Parsed<Relation> {
    let (oid, schema, name) = (input.u32()?, input.text()?, input.text()?);
    let is_full = input.byte()? == b'f';
    let count = input.u16()?;
    let mut columns = Vec::new();
    for _ in 0..count {
        let is_key = input.byte()? & 1 == 1;
        let name = input.text()?;
        columns.push(RelationColumn { name, is_key, type_oid: input.u32()?, modifier: input.u32()?.cast_signed() });
    }
    Ok(Relation { oid, schema, name, is_full, columns })
}

fn truncate<'a>(input: &mut Input<'_>) -> Parsed<Event<'a>> {
    let count = input.u32()?;
    input.take(1)?;
    let mut relations = Vec::new();
    for _ in 0..count {
        relations.push(input.u32()?);
    }
    Ok(Event::Truncate { relations })
}

/// What is told to the server: everything before `flushed` is safe with us, and whether it shall say where it is.
pub(crate) fn status_update(flushed: u64, now_micros_since_2000: i64, asks: bool) -> [u8; 34] {
    let mut message = [0_u8; 34];
    message[0] = b'r';
    for place in [1, 9, 17] {
        message[place..place + 8].copy_from_slice(&flushed.to_be_bytes());
    }
    message[25..33].copy_from_slice(&now_micros_since_2000.to_be_bytes());
    message[33] = asks.into();
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes as text: letters for themselves, `\0` and `<hex>` for others.
    fn bytes(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    const OID: &[u8] = &[0, 0, 64, 1];

    #[test]
    fn each_message_is_read() {
        let begin = bytes(&[b"B", &[0, 0, 0, 0, 0, 0, 1, 2], &[0, 0, 0, 0, 0, 0, 0, 9], &[0, 0, 2, 0]]);
        assert_eq!(event(&begin), Ok(Event::Begin { commit_lsn: 0x102, committed_at: 9, xid: 512 }));
        let message = bytes(&[b"M\x01", &[0; 8], b"mark\0", &[0, 0, 0, 3], b"low"]);
        assert_eq!(event(&message), Ok(Event::Message { prefix: String::from("mark"), content: b"low" }));
        let commit = bytes(&[b"C\0", &[0, 0, 0, 0, 0, 0, 1, 2], &[0, 0, 0, 0, 0, 0, 1, 8], &[0; 8]]);
        assert_eq!(event(&commit), Ok(Event::Commit { commit_lsn: 0x102, end_lsn: 0x108 }));
        let column = RelationColumn { name: String::from("id"), is_key: true, type_oid: 23, modifier: -1 };
        let expected = Relation {
            oid: 16_385,
            schema: String::from("public"),
            name: String::from("t"),
            is_full: false,
            columns: vec![column],
        };
        let message = bytes(&[b"R", OID, b"public\0t\0d", &[0, 1, 1], b"id\0", &[0, 0, 0, 23], &[0xff; 4]]);
        assert_eq!(event(&message), Ok(Event::Relation(expected)));
        let insert = bytes(&[b"I", OID, b"N", &[0, 3], b"t", &[0, 0, 0, 2], b"42", b"nu"]);
        let new = vec![Cell::Text(b"42"), Cell::Null, Cell::Unchanged];
        assert_eq!(event(&insert), Ok(Event::Insert { relation: 16_385, new }));
        let one = [&[0, 1][..], b"t", &[0, 0, 0, 1], b"1"].concat();
        let update = bytes(&[b"U", OID, b"K", &one, b"N", &one]);
        let tuple = || vec![Cell::Text(b"1")];
        let old = Some(Old::Key(tuple()));
        assert_eq!(event(&update), Ok(Event::Update { relation: 16_385, old, new: tuple() }));
        let update = bytes(&[b"U", OID, b"N", &one]);
        assert_eq!(event(&update), Ok(Event::Update { relation: 16_385, old: None, new: tuple() }));
        let delete = bytes(&[b"D", OID, b"O", &one]);
        assert_eq!(event(&delete), Ok(Event::Delete { relation: 16_385, old: Old::Full(tuple()) }));
        let truncate = bytes(&[b"T", &[0, 0, 0, 2, 1], OID, &[0, 0, 64, 2]]);
        assert_eq!(event(&truncate), Ok(Event::Truncate { relations: vec![16_385, 16_386] }));
        let alive = bytes(&[b"k", &[0, 0, 0, 0, 0, 0, 0, 7], &[0; 8], &[1]]);
        assert_eq!(frame(&alive), Ok(Frame::KeepAlive { server_at: 7, wants_answer: true }));
        let data = bytes(&[b"w", &[0, 0, 0, 0, 0, 0, 1, 2], &[9; 16], b"xyz"]);
        assert_eq!(frame(&data), Ok(Frame::Data { at: 0x102, message: b"xyz" }));
    }

    #[test]
    fn a_message_cut_anywhere_is_refused() {
        let one = [&[0, 1][..], b"t", &[0, 0, 0, 1], b"1"].concat();
        let whole = [
            bytes(&[b"R", OID, b"public\0t\0d", &[0, 1, 1], b"id\0", &[0, 0, 0, 23], &[0xff; 4]]),
            bytes(&[b"U", OID, b"K", &one, b"N", &one]),
            bytes(&[b"T", &[0, 0, 0, 2, 1], OID, OID]),
            bytes(&[b"M\x01", &[0; 8], b"mark\0", &[0, 0, 0, 3], b"low"]),
        ];
        for message in whole {
            assert!(event(&message).is_ok());
            for length in 0..message.len() {
                assert!(event(&message[..length]).is_err(), "{length} bytes of {message:?}");
            }
            let longer = [&message[..], b"x"].concat();
            assert!(event(&longer).is_err(), "{message:?} and one byte more");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_096, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_do_harm(kind in prop::sample::select(&b"BCRIUDTOYMx"[..]), rest in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut message = vec![kind];
            message.extend(&rest);
            drop(event(&message));
            drop(frame(&rest));
        }
    }
}
