//! package-lock.yml.

use std::path::Path;

use headwater_project::Failure;
use headwater_project::tree::Tree;
use serde_json::Value;

use super::fetch::Fetched;
use super::spec::Spec;

pub(super) const FILE: &str = "package-lock.yml";

/// A lock that was read.
#[derive(Debug)]
pub(super) struct Lock {
    pub(super) hash: String,
    pub(super) packages: Vec<Spec>,
    names: Vec<(String, String)>,
}

impl Lock {
    /// The name of the package that was found for a wish.
    pub(super) fn name_of(&self, spec: &Spec) -> Option<String> {
        let key = spec.key();
        self.names.iter().find(|(known, _)| *known == key).map(|(_, name)| name.clone())
    }
}

pub(super) fn read(path: &Path) -> Result<Option<Lock>, Failure> {
    let Some(file) = super::yaml(path)? else { return Ok(None) };
    let mut lock = Lock { hash: String::new(), packages: Vec::new(), names: Vec::new() };
    lock.hash = file.get("sha1_hash").and_then(Tree::as_str).unwrap_or_default().to_owned();
    for item in file.get("packages").map(Tree::items).unwrap_or_default() {
        let spec = Spec::read(item)?;
        let name = item.get("name").and_then(Tree::as_str).unwrap_or_default().to_owned();
        lock.names.push((spec.key(), name));
        lock.packages.push(spec);
    }
    Ok(Some(lock))
}

pub(super) fn write(path: &Path, specs: &[Spec], found: &[Fetched]) -> Result<(), Failure> {
    let mut text = String::from("packages:\n");
    for package in found {
        let mut lines = entry(&package.spec);
        if !lines.iter().any(|(key, _)| *key == "name") {
            lines.push(("name", package.name.clone()));
        }
        lines.sort_unstable();
        for (index, (key, value)) in lines.iter().enumerate() {
            let lead = if index == 0 { "  - " } else { "    " };
            text.push_str(&format!("{lead}{key}: {}\n", scalar(value)));
        }
    }
    text.push_str(&format!("sha1_hash: {}\n", hash(specs)));
    std::fs::write(path, text).map_err(|error| super::written(path, &error))
}

fn entry(spec: &Spec) -> Vec<(&'static str, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match spec {
        Spec::Local { folder } => vec![("local", folder.clone())],
        Spec::Git { address, revision, subdirectory, .. } => {
            let mut lines = vec![("git", address.clone())];
            lines.extend(revision.as_ref().map(|revision| ("revision", text(revision))));
            lines.extend(subdirectory.clone().map(|inside| ("subdirectory", inside)));
            lines
        }
        Spec::Tarball { address, name, .. } => vec![("tarball", address.clone()), ("name", name.clone())],
        Spec::Hub { package, versions, .. } => vec![("package", package.clone()), ("version", versions.join(","))],
    }
}

/// Text that YAML could take for something else stands in quotes.
fn scalar(text: &str) -> String {
    let is_plain = text.chars().all(|each| each.is_ascii_alphanumeric() || "_-./:@".contains(each));
    let looks_otherwise = text.parse::<f64>().is_ok() || text.is_empty() || text.ends_with(':');
    if is_plain && !looks_otherwise { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// dbt's digest of what is asked for.
pub(super) fn hash(specs: &[Spec]) -> String {
    let mut texts: Vec<String> = specs.iter().map(|spec| python_json(&spec.hashed())).collect();
    texts.sort_unstable();
    sha1(texts.join("\n").as_bytes())
}

/// JSON as Python writes it, with sorted keys.
fn python_json(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(python_json).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            let pair = |key: &String| {
                let value = map.get(key).map(python_json).unwrap_or_default();
                format!("{}: {value}", Value::from(key.as_str()))
            };
            format!("{{{}}}", keys.into_iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// SHA-1 in lower-case hexadecimal. Nothing rests on it but telling one list of packages from another.
fn sha1(bytes: &[u8]) -> String {
    let mut state: [u32; 5] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    let mut message = bytes.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
    for block in message.chunks_exact(64) {
        let mut words: Vec<u32> =
            block.chunks_exact(4).map(|word| word.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte))).collect();
        for at in 16..80 {
            let word = |back: usize| words.get(at - back).copied().unwrap_or_default();
            words.push((word(3) ^ word(8) ^ word(14) ^ word(16)).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (mixed, constant) = match at {
                0..20 => ((b & c) | (!b & d), 0x5A82_7999),
                20..40 => (b ^ c ^ d, 0x6ED9_EBA1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC_u32),
                _ => (b ^ c ^ d, 0xCA62_C1D6),
            };
            let next = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
            (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    state.iter().map(|word| format!("{word:08x}")).collect()
}

#[cfg(test)]
mod tests {
    use headwater_project::{FileId, tree};

    use super::*;

    #[test]
    fn the_digest_is_that_of_dbt() {
        let (tree, _) = tree::parse(FileId(0), "{git: u, warn-unpinned: false}");
        assert_eq!(hash(&[Spec::read(&tree).unwrap()]), "c669fd650481e360a5746f1772889f64d8075ffd");
        assert_eq!(sha1(b""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(sha1(&[b'a'; 200]), "e61cfffe0d9195a525fc6cf06ca2d77119c24a40");
    }
}
