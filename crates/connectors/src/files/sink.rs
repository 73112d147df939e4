//! Rows into files of a folder or a bucket, each visible only when it is whole, and each once.
//!
//! What belongs to the sink and not to its readers lies in `_headwater/<project>%2F<sink>/` beside the files:
//!
//! ```text
//! staged/0.part, ...   files of the transfer under way, under names that nobody reads
//! next.json            {"sends", "position", "is_whole", "files": [[staged, final], ...]}: all of them are whole
//! sent.json            {"sends", "position", "files": [...], "obsolete": [...]}: what is committed
//! ```
//!
//! A transfer is staged, then `next.json` says that it is whole, then each file gets its name, then `sent.json` moves on. A
//! life that ends before `next.json` leaves nothing visible; one that ends after it is finished by the next: a file that is
//! still staged gets its name, one that is not has it already. Names are made of the position, so no file is written over
//! but by itself. With `is_whole`, files of the set before go after `sent.json` names the new ones.

mod config;
mod encode;
mod partition;
mod place;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;

use arrow::array::RecordBatch;
use headwater_ingest::error::{Error, Result};
use headwater_project::{Failure, fault};
use object_store::path::Path;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use config::FilesTarget;

use crate::sink::{Identity, RowSink, Transfer, out_of_order};
use config::Layout;
use encode::FileEncoder;
use partition::{Partitioning, escaped};
use place::{Place, Upload};

/// Files that are written at the same time; of more folders than that, each gets several files.
const MOST_OPEN: usize = 16;

#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    sends: String,
    position: i64,
    /// The set that is committed, when each transfer is the whole of it.
    files: Vec<String>,
    /// Files of the set before, which may be there still.
    obsolete: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Next {
    sends: String,
    position: i64,
    is_whole: bool,
    /// Where each file is staged and what it is to be called.
    files: Vec<(String, String)>,
}

pub struct FilesSink {
    base: PathBuf,
    target: FilesTarget,
    identity: Identity,
    place: Option<Place>,
    sent: Option<Sent>,
    under_way: Option<UnderWay>,
}

/// A transfer whose files are being written.
struct UnderWay {
    transfer: Transfer,
    partitioning: Partitioning,
    open: Vec<OpenFile>,
    files: Vec<(String, String)>,
    /// Files of each folder so far.
    counts: HashMap<String, usize>,
}

struct OpenFile {
    folder: String,
    staged: String,
    encoder: FileEncoder,
    upload: Upload,
    bytes: u64,
}

impl FilesSink {
    /// Paths are relative to `base`.
    pub fn new(base: PathBuf, target: FilesTarget, identity: Identity) -> Self {
        Self { base, target, identity, place: None, sent: None, under_way: None }
    }

    /// Folder, and name of the one file in it, if there is one only.
    fn location(&self) -> (&str, Option<&str>) {
        if self.target.layout == Layout::Folder {
            return (&self.target.path, None);
        }
        match self.target.path.rsplit_once('/') {
            Some((folder, name)) => (folder, Some(name)),
            None => ("", Some(&self.target.path)),
        }
    }

    fn place(&self) -> Result<&Place> {
        self.place.as_ref().ok_or_else(out_of_order)
    }

    /// A path of our own.
    fn own(&self, name: &str) -> Result<Path> {
        path(&format!("_headwater/{}/{name}", escaped(&self.identity.id)))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let Some(bytes) = self.place()?.get(&self.own(name)?)? else { return Ok(None) };
        let damaged = |error: serde_json::Error| {
            Failure::user(format!("{} of {} cannot be read", self.own_folder(), self.target.path))
                .with_detail(format!("{name}: {error}."))
                .with_hint("Restore it; without it nobody knows how far the table was sent.")
        };
        Ok(Some(serde_json::from_slice(&bytes).map_err(damaged)?))
    }

    fn own_folder(&self) -> String {
        format!("_headwater/{}", escaped(&self.identity.id))
    }

    /// How to begin anew under the same name.
    fn remedy(&self) -> String {
        format!("delete the folder {} in {}", self.own_folder(), self.target.path)
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec(value).map_err(|_| Error::Internal("a list of files is no JSON"))?;
        self.place()?.put(&self.own(name)?, bytes)
    }

    /// Gives the files of a transfer their names and moves the position; does what is left of it when some of it was done.
    fn publish(&mut self, next: Next) -> Result<()> {
        let place = self.place()?.clone();
        for (staged, last) in &next.files {
            let (from, to) = (path(staged)?, path(last)?);
            if place.exists(&from)? {
                place.rename(&from, &to)?;
            } else if !place.exists(&to)? {
                let failure = Failure::user(format!("{last} of {} is gone before it was committed", self.target.path));
                let remedy = format!("Delete next.json in {} to have its rows sent again.", self.own_folder());
                return Err(failure.with_hint(remedy).into());
            }
            fault::point("snk.mid_publish")?;
        }
        fault::point("snk.published_before_mark")?;
        let names: Vec<String> = next.files.into_iter().map(|(_, last)| last).collect();
        let before = self.sent.take().map(|sent| sent.files).unwrap_or_default();
        let (files, obsolete) = if next.is_whole {
            let obsolete = before.into_iter().filter(|file| !names.contains(file)).collect();
            (names, obsolete)
        } else {
            (before, Vec::new())
        };
        let sent = Sent { sends: next.sends, position: next.position, files, obsolete };
        self.write_json("sent.json", &sent)?;
        self.sent = Some(sent);
        place.delete(&self.own("next.json")?)?;
        fault::point("snk.marked_before_cleanup")?;
        self.clean_up()
    }

    /// Removes files of the set before, and what is staged.
    fn clean_up(&mut self) -> Result<()> {
        let place = self.place()?.clone();
        place.clear(&self.own("staged")?)?;
        let Some(mut sent) = self.sent.take() else { return Ok(()) };
        if !sent.obsolete.is_empty() {
            for file in std::mem::take(&mut sent.obsolete) {
                place.delete(&path(&file)?)?;
            }
            self.write_json("sent.json", &sent)?;
        }
        self.sent = Some(sent);
        Ok(())
    }

    /// Begins a file of a folder.
    fn open_file(&self, under_way: &mut UnderWay, folder: &str) -> Result<()> {
        if under_way.open.len() >= MOST_OPEN {
            let oldest = under_way.open.remove(0);
            self.end_file(under_way, oldest)?;
        }
        let number = under_way.files.len() + under_way.open.len();
        let staged = self.own(&format!("staged/{number}.part"))?;
        let encoder = FileEncoder::new(&self.target, &under_way.partitioning.schema)?;
        let upload = self.place()?.create(&staged)?;
        under_way.open.push(OpenFile {
            folder: folder.to_owned(),
            staged: staged.to_string(),
            encoder,
            upload,
            bytes: 0,
        });
        Ok(())
    }

    fn end_file(&self, under_way: &mut UnderWay, file: OpenFile) -> Result<()> {
        let OpenFile { folder, staged, encoder, mut upload, .. } = file;
        upload.put(encoder.finish()?)?;
        upload.finish()?;
        let count = under_way.counts.entry(folder.clone()).or_default();
        let name = self.file_name(under_way.transfer.position, *count);
        *count += 1;
        let last = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        under_way.files.push((staged, last));
        Ok(())
    }

    fn file_name(&self, position: i64, number: usize) -> String {
        if let (_, Some(name)) = self.location() {
            return name.to_owned();
        }
        let sink = self.identity.id.rsplit('/').next().unwrap_or_default();
        format!("{}-{position:020}-{number:05}.{}", escaped(sink), self.target.extension())
    }

    fn write_rows(&self, under_way: &mut UnderWay, folder: &str, rows: &RecordBatch) -> Result<()> {
        if !under_way.open.iter().any(|file| file.folder == folder) {
            self.open_file(under_way, folder)?;
        }
        let Some(index) = under_way.open.iter().position(|file| file.folder == folder) else { return Ok(()) };
        let Some(file) = under_way.open.get_mut(index) else { return Ok(()) };
        let bytes = file.encoder.write(rows)?;
        file.bytes += bytes.len() as u64;
        if !bytes.is_empty() {
            file.upload.put(bytes)?;
        }
        if file.bytes >= self.target.max_file.0 && self.target.layout == Layout::Folder {
            let file = under_way.open.remove(index);
            self.end_file(under_way, file)?;
        }
        Ok(())
    }

    fn begun(&mut self) -> Result<UnderWay> {
        self.under_way.take().ok_or_else(out_of_order)
    }
}

/// A path as it is, nothing of it encoded again.
fn path(text: &str) -> Result<Path> {
    Path::parse(text)
        .map_err(|error| Failure::user(format!("`{text}` is no path")).with_detail(error.to_string()).into())
}

impl RowSink for FilesSink {
    fn resume(&mut self) -> Result<Option<i64>> {
        self.under_way = None;
        let (folder, _) = self.location();
        self.place = Some(Place::open(folder, &self.base, self.target.credentials.as_ref())?);
        self.sent = self.read("sent.json")?;
        let next: Option<Next> = self.read("next.json")?;
        let remedy = self.remedy();
        for recorded in self.sent.iter().map(|sent| &sent.sends).chain(next.iter().map(|next| &next.sends)) {
            self.identity.require_same(recorded, &remedy)?;
        }
        let reached = self.sent.as_ref().map(|sent| sent.position);
        match next {
            Some(next) if Some(next.position) != reached => self.publish(next)?,
            Some(_) => {
                self.place()?.delete(&self.own("next.json")?)?;
                self.clean_up()?;
            }
            None => self.clean_up()?,
        }
        Ok(self.sent.as_ref().map(|sent| sent.position))
    }

    fn reached(&mut self) -> Result<Option<i64>> {
        let (folder, _) = self.location();
        let Some(place) = Place::find(folder, &self.base, self.target.credentials.as_ref())? else { return Ok(None) };
        self.place = Some(place);
        let Some(sent) = self.read::<Sent>("sent.json")? else { return Ok(None) };
        self.identity.require_same(&sent.sends, &self.remedy())?;
        Ok(Some(sent.position))
    }

    fn begin(&mut self, transfer: &Transfer) -> Result<()> {
        let partitioning = Partitioning::new(&transfer.schema, &self.target.partition_by.0)?;
        self.under_way = Some(UnderWay {
            transfer: transfer.clone(),
            partitioning,
            open: Vec::new(),
            files: Vec::new(),
            counts: HashMap::new(),
        });
        Ok(())
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut under_way = self.begun()?;
        for (folder, rows) in under_way.partitioning.split(rows)? {
            self.write_rows(&mut under_way, &folder, &rows)?;
        }
        self.under_way = Some(under_way);
        Ok(fault::point("snk.mid_write")?)
    }

    fn commit(&mut self) -> Result<()> {
        let mut under_way = self.begun()?;
        // One file that is to be there is there, also when it has no rows.
        if self.target.layout == Layout::File && under_way.open.is_empty() {
            self.open_file(&mut under_way, "")?;
        }
        for file in std::mem::take(&mut under_way.open) {
            self.end_file(&mut under_way, file)?;
        }
        fault::point("snk.files_staged")?;
        let next = Next {
            sends: self.identity.sends.clone(),
            position: under_way.transfer.position,
            is_whole: under_way.transfer.is_whole,
            files: under_way.files,
        };
        self.write_json("next.json", &next)?;
        fault::point("snk.plan_written")?;
        self.publish(next)
    }

    fn abandon(&mut self) -> Result<()> {
        if let Some(under_way) = self.under_way.take() {
            under_way.open.into_iter().for_each(|file| file.upload.abort());
        }
        self.clean_up()
    }
}
