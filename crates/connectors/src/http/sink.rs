//! Rows to a web service, each at least once, in requests that a receiver can tell apart.
//!
//! Requests are cut the same way each time: a transfer is one commit of the table, its rows come in an order of their own,
//! and a request has the next so many of them. Its `Idempotency-Key` is made of the position, the numbers of its rows and a
//! digest of sink and body. So a request that is repeated, because its answer was lost or because what this process noted was,
//! has the key it had before, and one with other rows has another.

mod config;
mod delivery;
mod progress;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::json::LineDelimitedWriter;
use headwater_ingest::error::Result;
use headwater_project::config::HttpConnection;
use headwater_project::fault;
use sha2::{Digest, Sha256};

pub use config::HttpTarget;

use crate::sink::{Identity, Promise, RowSink, Surroundings, Transfer, out_of_order};
use config::Body;
use delivery::Delivery;
use progress::Progress;

pub struct HttpSink {
    connection: HttpConnection,
    target: HttpTarget,
    identity: Identity,
    /// File with how far the service was sent the rows.
    path: PathBuf,
    surroundings: Surroundings,
    open: Option<(Progress, Delivery)>,
    under_way: Option<UnderWay>,
}

/// Rows that wait until a request is full.
struct UnderWay {
    position: i64,
    /// Number, within the transfer, of the first row that waits.
    first: u64,
    rows: Vec<Vec<u8>>,
    bytes: usize,
}

impl HttpSink {
    /// `path` is where the sink keeps how far it got.
    pub fn new(
        connection: HttpConnection,
        target: HttpTarget,
        identity: Identity,
        path: &Path,
        surroundings: Surroundings,
    ) -> Self {
        Self { connection, target, identity, path: path.to_owned(), surroundings, open: None, under_way: None }
    }

    /// Sends what waits as one request, unless it was answered in an earlier life.
    fn send(&mut self, under_way: &mut UnderWay) -> Result<()> {
        let rows = std::mem::take(&mut under_way.rows);
        let next = under_way.first + rows.len() as u64;
        let body = joined(&rows, self.target.body);
        let digest = Sha256::new()
            .chain_update(self.identity.id.as_bytes())
            .chain_update([0])
            .chain_update(self.identity.sends.as_bytes())
            .chain_update([0])
            .chain_update(&body)
            .finalize();
        let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let key = format!("{}-{}-{}-{digest}", under_way.position, under_way.first, next - 1);
        (under_way.first, under_way.bytes) = (next, 0);
        let (progress, delivery) = self.open.as_mut().ok_or_else(out_of_order)?;
        if progress.has(&key) {
            return Ok(());
        }
        delivery.deliver(&key, &body)?;
        fault::point("snk.sent_before_note")?;
        progress.note(&key)
    }
}

fn joined(rows: &[Vec<u8>], body: Body) -> Vec<u8> {
    match body {
        Body::Array => [b"[".as_slice(), &rows.join(&b','), b"]"].concat(),
        Body::Lines => rows.iter().flat_map(|row| [row.as_slice(), b"\n"]).collect::<Vec<_>>().concat(),
        Body::Object => rows.concat(),
    }
}

impl RowSink for HttpSink {
    fn resume(&mut self) -> Result<Option<i64>> {
        self.under_way = None;
        let progress = Progress::open(&self.path, &self.identity)?;
        let delivery = Delivery::new(&self.connection, &self.target, &self.identity, self.surroundings.clone())?;
        let position = progress.position;
        self.open = Some((progress, delivery));
        Ok(position)
    }

    fn reached(&mut self) -> Result<Option<i64>> {
        Ok(Progress::read(&self.path, &self.identity)?.and_then(|progress| progress.position))
    }

    fn promise(&self) -> Promise {
        Promise::AtLeastOnce
    }

    fn is_by_commit(&self) -> bool {
        true
    }

    fn begin(&mut self, transfer: &Transfer) -> Result<()> {
        self.under_way = Some(UnderWay { position: transfer.position, first: 0, rows: Vec::new(), bytes: 0 });
        Ok(())
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut under_way = self.under_way.take().ok_or_else(out_of_order)?;
        let mut writer = LineDelimitedWriter::new(Vec::new());
        writer.write(rows)?;
        writer.finish()?;
        let most = usize::try_from(self.target.max_body.0).unwrap_or(usize::MAX);
        for line in writer.into_inner().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if !under_way.rows.is_empty() && under_way.bytes + line.len() > most {
                self.send(&mut under_way)?;
            }
            under_way.bytes += line.len() + 1;
            under_way.rows.push(line.to_vec());
            if under_way.rows.len() >= self.target.rows() {
                self.send(&mut under_way)?;
            }
        }
        self.under_way = Some(under_way);
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let mut under_way = self.under_way.take().ok_or_else(out_of_order)?;
        if !under_way.rows.is_empty() {
            self.send(&mut under_way)?;
        }
        fault::point("snk.noted_before_commit")?;
        let (progress, _) = self.open.as_mut().ok_or_else(out_of_order)?;
        progress.reach(Some(under_way.position))
    }

    /// What was sent cannot be taken back; it is noted, and not sent again.
    fn abandon(&mut self) -> Result<()> {
        self.under_way = None;
        Ok(())
    }
}
