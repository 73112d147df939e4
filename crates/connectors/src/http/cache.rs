//! Answers that are kept on disk.
//!
//! ```text
//! <folder>/last.json          the last look that is in the lake: its position, and what its one answer is known by
//! <folder>/<hash>.answer      an answer: its head as one line of JSON, then its body
//! ```
//!
//! Addresses may hold keys, so that only their SHA-256 is written. What cannot be read or written is as if it were not there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_project::Timestamp;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::client::{Answer, Keeping, Validators};

/// Bytes of one answer that is kept, and of all of a source.
const BOUNDS: Bounds = Bounds { answer: 32 << 20, total: 256 << 20 };

/// The look that the lake has, if it was one answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastLook {
    pub(super) position: i64,
    pub(super) address: String,
    pub(super) validators: Validators,
}

/// The head of an answer as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    /// Microseconds since 1970.
    checked_at: i64,
    must_check: bool,
    validators: Validators,
    link: Option<String>,
    content_type: String,
}

/// An answer that was kept.
pub(super) struct Kept {
    pub(super) answer: Answer,
    /// Whether it need not be asked about.
    pub(super) is_fresh: bool,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    answer: usize,
    total: u64,
}

pub(super) struct ResponseCache {
    folder: PathBuf,
    /// How long an answer is good without being asked about; nothing is kept without it.
    keep: Option<Duration>,
    bounds: Bounds,
}

/// What an address is called.
pub(super) fn address(url: &Url) -> String {
    let digest = Sha256::digest(url.as_str());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl ResponseCache {
    pub(super) fn new(folder: PathBuf, keep: Option<Duration>) -> Self {
        Self { folder, keep, bounds: BOUNDS }
    }

    pub(super) fn last_look(&self) -> Option<LastLook> {
        serde_json::from_slice(&fs::read(self.folder.join("last.json")).ok()?).ok()
    }

    pub(super) fn keep_last_look(&self, look: &LastLook) {
        let text = serde_json::to_vec(look).unwrap_or_default();
        self.told(self.write("last.json", &[&text]));
    }

    fn name(url: &Url) -> String {
        format!("{}.answer", address(url))
    }

    pub(super) fn find(&self, url: &Url, now: Timestamp) -> Option<Kept> {
        let keep = self.keep?;
        let stored = fs::read(self.folder.join(Self::name(url))).ok()?;
        let end = stored.iter().position(|byte| *byte == b'\n')?;
        let (head, body) = stored.split_at_checked(end)?;
        let head: Head = serde_json::from_slice(head).ok()?;
        let checked_at = Timestamp(head.checked_at);
        let is_fresh = !head.must_check && checked_at <= now && now.since(checked_at) < keep;
        let answer = Answer {
            status: 200,
            content_type: head.content_type,
            link: head.link,
            validators: head.validators,
            keeping: if head.must_check { Keeping::Checked } else { Keeping::Allowed },
            body: body.get(1..)?.to_vec(),
            ..Answer::default()
        };
        Some(Kept { answer, is_fresh })
    }

    /// Keeps an answer as it is now, if it may be kept.
    pub(super) fn keep(&self, url: &Url, answer: &Answer, now: Timestamp) {
        if self.keep.is_none() {
            return;
        }
        if answer.keeping == Keeping::Forbidden || answer.body.len() > self.bounds.answer {
            // What was kept before is no longer what there is.
            drop(fs::remove_file(self.folder.join(Self::name(url))));
            return;
        }
        let head = Head {
            checked_at: now.as_micros(),
            must_check: answer.keeping == Keeping::Checked,
            validators: answer.validators.clone(),
            link: answer.link.clone(),
            content_type: answer.content_type.clone(),
        };
        let head = serde_json::to_vec(&head).unwrap_or_default();
        let name = Self::name(url);
        let written = self.write(&name, &[&head, b"\n", &answer.body]).and_then(|()| self.make_room(&name));
        self.told(written);
    }

    fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let draft = self.folder.join(format!("{name}.new"));
        fs::write(&draft, parts.concat())?;
        fs::rename(&draft, self.folder.join(name))
    }

    /// Forgets the answers that were written longest ago, until the rest fits; the newest stays.
    fn make_room(&self, newest: &str) -> io::Result<()> {
        let newest = self.folder.join(newest);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "answer") {
                let held = fs::metadata(&path)?;
                found.push((held.modified()?, held.len(), path));
            }
        }
        found.sort();
        let mut total: u64 = found.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in found {
            if total > self.bounds.total && path != newest {
                fs::remove_file(path)?;
                total -= bytes;
            }
        }
        Ok(())
    }

    fn told(&self, written: io::Result<()>) {
        if let Err(error) = written {
            tracing::warn!(folder = %Path::display(&self.folder), %error, "an answer is not kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(path: &str) -> Url {
        Url::parse(&format!("http://h/{path}?key=canary")).unwrap()
    }

    fn answer(body: &[u8], keeping: Keeping) -> Answer {
        let validators = Validators { etag: Some(String::from("\"1\"")), last_modified: None };
        Answer { status: 200, body: body.to_vec(), keeping, validators, ..Answer::default() }
    }

    #[test]
    fn an_answer_is_kept_as_long_as_it_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ResponseCache::new(folder.path().to_owned(), Some(Duration::from_secs(60)));
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let found =
            |path: &str, now: i64| cache.find(&url(path), at(now)).map(|kept| (kept.answer.body, kept.is_fresh));
        cache.keep(&url("a"), &answer(b"{\n}", Keeping::Allowed), at(100));
        assert_eq!(found("a", 159), Some((b"{\n}".to_vec(), true)));
        assert_eq!(found("a", 160), Some((b"{\n}".to_vec(), false)));
        // A clock that went back says nothing about an answer's age.
        assert_eq!(found("a", 99), Some((b"{\n}".to_vec(), false)));
        assert_eq!(found("b", 100), None);
        cache.keep(&url("c"), &answer(b"{}", Keeping::Checked), at(100));
        assert_eq!(found("c", 100), Some((b"{}".to_vec(), false)));
        cache.keep(&url("a"), &answer(b"{}", Keeping::Forbidden), at(100));
        assert_eq!(found("a", 100), None);
        let stored: Vec<u8> =
            fs::read_dir(folder.path()).unwrap().flat_map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
        assert!(!String::from_utf8_lossy(&stored).contains("canary"));
    }

    #[test]
    fn the_oldest_answers_go_when_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = ResponseCache::new(folder.path().to_owned(), Some(Duration::from_secs(60)));
        cache.bounds = Bounds { answer: 1_000, total: 5_000 };
        let large = answer(&[b' '; 1_000], Keeping::Allowed);
        for number in 0..10 {
            cache.keep(&url(&number.to_string()), &large, Timestamp(1));
        }
        let total: u64 =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert!(total <= 5_000, "{total}");
        assert!(cache.find(&url("9"), Timestamp(1)).is_some());
        let over = answer(&[b' '; 1_001], Keeping::Allowed);
        cache.keep(&url("9"), &over, Timestamp(1));
        assert!(cache.find(&url("9"), Timestamp(1)).is_none());
    }

    #[test]
    fn the_last_look_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ResponseCache::new(folder.path().join("not/there"), None);
        assert_eq!(cache.last_look(), None);
        let look = LastLook { position: 7, address: address(&url("a")), validators: Validators::default() };
        cache.keep_last_look(&look);
        assert_eq!(cache.last_look(), Some(look));
    }
}
