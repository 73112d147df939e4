//! Where files are: a folder, or a store of objects.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use headwater_ingest::error::Result;

use super::discover::{self, Found, LeftOut};
use super::fingerprint::Fingerprint;
use super::objects::Store;
use super::pattern::Pattern;

/// Where files are.
#[derive(Debug)]
pub enum Place {
    /// A folder, resolved.
    Folder(PathBuf),
    Store(Store),
}

/// A file that is about to be read.
pub(crate) struct Opened {
    pub(crate) input: Box<dyn Read + Send>,
    /// The same, where it can also be read from anywhere.
    pub(crate) file: Option<File>,
    pub(crate) fingerprint: Fingerprint,
}

impl Place {
    /// Every file that matches, by path; and what was left out although it matches, with the reason.
    pub(crate) fn list(&self, patterns: &[Pattern]) -> Result<(Vec<Found>, Vec<LeftOut>)> {
        match self {
            Self::Folder(root) => discover::list(root, patterns),
            Self::Store(store) => store.list(patterns),
        }
    }

    /// Whether files may still be in the making when they are found.
    pub(crate) fn has_unfinished(&self) -> bool {
        matches!(self, Self::Folder(_))
    }

    /// Nothing when it is no longer what was listed.
    pub(crate) fn open(&self, found: &Found) -> io::Result<Option<Opened>> {
        match self {
            Self::Folder(root) => {
                let mut file = discover::open(root, &found.path)?;
                if !discover::unchanged(&file, found)? {
                    return Ok(None);
                }
                let fingerprint = Fingerprint::of(&mut file, found.size, found.modified)?;
                Ok(Some(Opened { input: Box::new(file.try_clone()?), file: Some(file), fingerprint }))
            }
            Self::Store(store) => {
                let input = store.read(found)?;
                Ok(input.map(|input| Opened { input, file: None, fingerprint: Fingerprint::of_object(found) }))
            }
        }
    }

    /// How a file would be recognised later.
    pub(crate) fn fingerprint(&self, found: &Found) -> io::Result<Fingerprint> {
        match self {
            Self::Folder(root) => Fingerprint::of(&mut discover::open(root, &found.path)?, found.size, found.modified),
            Self::Store(_) => Ok(Fingerprint::of_object(found)),
        }
    }
}
