//! Records that were set aside, read once more: what fits by now becomes rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use headwater_project::{Classify, Failure};
use tokio::task::JoinSet;

use crate::codec::Decoder;
use crate::error::{Error, Result};
use crate::pipeline::Pipeline;
use crate::pipeline::metrics::Counts;
use crate::pipeline::shaping::{self, Shape, Shaping};
use crate::position::Positions;
use crate::record::RecordBuffer;
use crate::sink::{Commit, Origin};

/// Records of one partition or file, as they came.
#[derive(Debug)]
pub struct SetAside {
    pub records: RecordBuffer,
    /// Names of the fields, when the records do not say them.
    pub header: Arc<[String]>,
    pub origin: Origin,
}

/// What became of one [`SetAside`]: places of its records, ascending. Those that are in neither still do not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    pub taken: Vec<usize>,
    /// Rows were made of them, which the project does not want.
    pub left_out: Vec<usize>,
}

/// Records with what became of them.
pub type Reread = (SetAside, Replayed);

/// Rows of one [`SetAside`], on their way.
struct Read {
    schema: SchemaRef,
    records: Option<SchemaRef>,
    rows: RecordBatch,
}

impl Pipeline {
    /// Takes the table over before anything of its quarantine is read: what a death between their commits left there is no
    /// record of the table's, and goes.
    pub async fn take_over(&mut self) -> Result<(), Failure> {
        self.sink.open().await.map(drop)
    }

    /// Reads records again and commits their rows with `position`, which says which replay this was. The note of the
    /// commit is made from what became of them, for whoever finds the replay half done. Nothing else may run this
    /// pipeline meanwhile: the table is taken over. Gives the records back with what became of them.
    pub async fn replay(
        &mut self,
        batches: Vec<SetAside>,
        position: Positions,
        note: fn(&[Reread], &Positions) -> String,
    ) -> Result<Vec<Reread>, Failure> {
        self.sink.open().await?;
        let table = self.sink.schema();
        let Some(source) = &self.source else {
            return Err(Failure::internal("the source of a pipeline is gone"));
        };
        let decoder = match self.shape(&**source, table.as_ref()).map_err(|error| error.failure())? {
            Shape::Decoded(decoder) => decoder,
            Shape::Typed(_) => {
                return Err(Failure::user("records of this source cannot be read again from the quarantine")
                    .with_detail("They came as rows with types of their own, of which only a text was kept.")
                    .with_hint("Mend what kept them out and take them from their source again."));
            }
        };
        let shaping = self.transform.clone().map(Shaping::new);
        // Reading is work for a thread that may block: a transform plans its expressions there.
        let mut threads = JoinSet::new();
        threads.spawn_blocking(move || read(decoder, shaping, batches));
        let Some(Ok(read)) = threads.join_next().await else {
            return Err(Failure::internal("the reading thread of a replay panicked"));
        };
        let (replayed, reads) = read.map_err(|error| error.failure())?;
        let mut known = table;
        let mut counts = Counts::default();
        for Read { schema, records, rows } in reads {
            self.follow(&schema, &mut known).await?;
            if let Some(records) = records.filter(|records| self.sink.records().as_ref() != Some(records)) {
                self.sink.remember(records).await?;
            }
            counts.rows += rows.num_rows() as u64;
            if rows.num_rows() > 0 {
                self.sink.write(rows).await?;
            }
        }
        counts.left_out = replayed.iter().map(|(_, one)| one.left_out.len() as u64).sum();
        let info = vec![note(&replayed, &position)];
        let Counts { rows, left_out, .. } = counts;
        self.sink.commit(Commit { positions: position, info, rows, left_out, ..Commit::default() }).await?;
        Ok(replayed)
    }
}

fn read(
    mut decoder: Decoder,
    mut shaping: Option<Shaping>,
    batches: Vec<SetAside>,
) -> Result<(Vec<Reread>, Vec<Read>)> {
    let (mut replayed, mut reads) = (Vec::with_capacity(batches.len()), Vec::with_capacity(batches.len()));
    for batch in batches {
        let SetAside { records, header, origin } = &batch;
        let made = shaping::make(&mut decoder, shaping.as_mut(), records, header, origin)?;
        let schema = shaping::table_schema(&decoder, shaping.as_mut())?
            .ok_or(Error::Internal("a decoder has no schema after a batch"))?;
        replayed.push((batch, Replayed { taken: made.taken(), left_out: made.left_out() }));
        reads.push(Read { schema, records: made.records, rows: made.rows });
    }
    Ok((replayed, reads))
}
