//! What every source must do, as one function that a test of each source calls.

use std::collections::BTreeMap;

use crate::position::Positions;
use crate::record::RecordBuffer;
use crate::sink::Origin;
use crate::source::{Next, ReadLimits, Source};

/// Payloads by origin (`topic/partition`, or the path of a file), in order.
pub type Expected = BTreeMap<String, Vec<Vec<u8>>>;

/// Where a commit may end, and what is committed then.
#[derive(Clone, Default)]
struct Boundary {
    positions: Positions,
    info: Vec<String>,
    taken: Expected,
}

/// Reads a source that ends, from the start and from every boundary, and returns what it does wrong first. `open` makes a
/// new source over the same data each time, given what the commits so far were to remember.
pub fn check(open: &mut dyn FnMut(&[String]) -> Box<dyn Source>, expected: &Expected) -> Result<(), String> {
    let limits = ReadLimits { max_bytes: 64 };
    let mut boundaries = vec![Boundary::default()];
    let everything = read(&mut *open(&[]), &Positions::default(), limits, Some(&mut boundaries))?;
    same(&everything, expected, "from the start")?;
    let again = read(&mut *open(&[]), &Positions::default(), limits, None)?;
    same(&again, expected, "from the start again, with nothing committed")?;
    let mut reused = open(&[]);
    read(&mut *reused, &Positions::default(), limits, None)?;
    for Boundary { positions, info, taken } in &boundaries {
        for source in [&mut *open(info), &mut *reused] {
            let mut all = taken.clone();
            for (origin, mut payloads) in read(source, positions, limits, None)? {
                all.entry(origin).or_default().append(&mut payloads);
            }
            same(&all, expected, &format!("resumed at {positions:?}"))?;
        }
    }
    acknowledge(&mut *open(&[]), &boundaries)
}

fn read(
    source: &mut dyn Source,
    from: &Positions,
    limits: ReadLimits,
    mut boundaries: Option<&mut Vec<Boundary>>,
) -> Result<Expected, String> {
    source.resume(from).map_err(|error| format!("resume fails: {error}"))?;
    let (mut found, mut positions) = (Expected::new(), from.clone());
    let mut info = Vec::new();
    let mut idle = 0;
    loop {
        match source
            .next_batch(&limits, RecordBuffer::default())
            .map_err(|error| format!("next_batch fails: {error}"))?
        {
            Next::End => return Ok(found),
            Next::Idle if idle > 1_000 => return Err("the source neither yields records nor ends".to_owned()),
            Next::Idle => idle += 1,
            Next::Rows(_) => return Err("the source yields rows, which have no payloads to compare".to_owned()),
            Next::Batch(batch) => {
                let payloads = batch.records.iter().map(|record| record.payload.to_vec());
                found.entry(name(&batch.origin)).or_default().extend(payloads);
                positions.advance(&batch.positions);
                info.extend(batch.info);
                if let Some(boundaries) = boundaries.as_mut().filter(|_| batch.boundary) {
                    boundaries.push(Boundary {
                        positions: positions.clone(),
                        info: info.clone(),
                        taken: found.clone(),
                    });
                }
            }
        }
    }
}

fn name(origin: &Origin) -> String {
    match origin {
        Origin::Log { topic, partition } => format!("{topic}/{partition}"),
        Origin::File { path } => path.to_string(),
    }
}

fn same(found: &Expected, expected: &Expected, when: &str) -> Result<(), String> {
    for (origin, payloads) in expected {
        let read = found.get(origin).map_or(&[][..], Vec::as_slice);
        if read != payloads {
            return Err(format!(
                "{when}: {} records of {origin} were read, {} expected, or another order",
                read.len(),
                payloads.len()
            ));
        }
    }
    let other = found.iter().find(|(origin, payloads)| !payloads.is_empty() && !expected.contains_key(*origin));
    other.map_or(Ok(()), |(origin, _)| Err(format!("{when}: records of {origin} were not expected")))
}

fn acknowledge(source: &mut dyn Source, boundaries: &[Boundary]) -> Result<(), String> {
    source.resume(&Positions::default()).map_err(|error| format!("resume fails: {error}"))?;
    for Boundary { positions, .. } in boundaries {
        source.committed(positions).map_err(|error| format!("committed fails: {error}"))?;
    }
    Ok(())
}
