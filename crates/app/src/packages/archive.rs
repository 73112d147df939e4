//! Tar archives packed with gzip, as addresses of packages give them.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;

const BLOCK: usize = 512;
/// Bytes of all files of one package.
const MAX_BYTES: u64 = 512 << 20;

/// Puts the files of an archive into a folder. An error says what is wrong with the archive.
pub(super) fn unpack(packed: &[u8], into: &Path) -> Result<(), String> {
    let mut archive = GzDecoder::new(packed).take(MAX_BYTES + 1);
    let mut long_name: Option<String> = None;
    let mut read = 0_u64;
    loop {
        let mut header = [0_u8; BLOCK];
        if !fill(&mut archive, &mut header)? || header.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let size = octal(header.get(124..136).unwrap_or_default())?;
        read += size;
        if read > MAX_BYTES {
            return Err(format!("it holds more than {MAX_BYTES} bytes"));
        }
        let content = content(&mut archive, size)?;
        let name = long_name.take().unwrap_or_else(|| name(&header));
        match header.get(156).copied().unwrap_or_default() {
            b'0' | 0 => write(into, &name, &content)?,
            b'5' => {}
            // The next entry's name, when it is longer than a header holds: GNU's way and that of POSIX.
            b'L' => long_name = Some(text(&content)),
            b'x' => long_name = path_record(&content),
            b'g' => {}
            // Links could lead anywhere.
            _ => {}
        }
    }
}

fn fill(archive: &mut impl Read, buffer: &mut [u8]) -> Result<bool, String> {
    let mut filled = 0;
    while filled < buffer.len() {
        match archive.read(buffer.get_mut(filled..).unwrap_or_default()) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(String::from("it ends too early")),
            Ok(count) => filled += count,
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(true)
}

/// An entry's bytes; archives are padded to whole blocks.
fn content(archive: &mut impl Read, size: u64) -> Result<Vec<u8>, String> {
    let size = usize::try_from(size).map_err(|_| String::from("an entry is too large"))?;
    let mut content = vec![0; size.div_ceil(BLOCK) * BLOCK];
    if !content.is_empty() && !fill(archive, &mut content)? {
        return Err(String::from("it ends too early"));
    }
    content.truncate(size);
    Ok(content)
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn octal(field: &[u8]) -> Result<u64, String> {
    let digits = text(field);
    let digits = digits.trim();
    if digits.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(digits, 8).map_err(|_| String::from("it is no tar archive"))
}

/// The name in a header, with the part that POSIX puts before it.
fn name(header: &[u8; BLOCK]) -> String {
    let part = |from: usize, to: usize| text(header.get(from..to).unwrap_or_default());
    let is_posix = header.get(257..262) == Some(b"ustar");
    match part(345, 500) {
        prefix if is_posix && !prefix.is_empty() => format!("{prefix}/{}", part(0, 100)),
        _ => part(0, 100),
    }
}

/// `path` among records of the form `<length> <key>=<value>\n`.
fn path_record(content: &[u8]) -> Option<String> {
    let records = String::from_utf8_lossy(content).into_owned();
    let record = |line: &str| line.split_once(' ')?.1.strip_prefix("path=").map(str::to_owned);
    records.lines().find_map(record)
}

/// Files stay below their folder.
fn write(into: &Path, name: &str, content: &[u8]) -> Result<(), String> {
    let path = Path::new(name);
    let parts: Option<PathBuf> = path
        .components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| if let Component::Normal(part) = part { Some(part) } else { None })
        .collect();
    let Some(parts) = parts else { return Err(format!("it has an entry outside of itself: {name}")) };
    let place = into.join(parts);
    let failed = |error: std::io::Error| format!("{}: {error}", place.display());
    if let Some(folder) = place.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(&place, content).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut header = vec![0_u8; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = kind;
        header.extend_from_slice(content);
        header.resize(header.len().div_ceil(BLOCK) * BLOCK, 0);
        header
    }

    fn unpacked(entries: &[Vec<u8>]) -> Result<Vec<(String, String)>, String> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&entries.concat()).unwrap();
        packed.write_all(&[0; 2 * BLOCK]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        unpack(&packed.finish().unwrap(), folder.path())?;
        let mut files = Vec::new();
        let mut waiting = vec![folder.path().to_path_buf()];
        while let Some(next) = waiting.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    let name = path.strip_prefix(folder.path()).unwrap().display().to_string();
                    files.push((name, std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
        files.sort();
        Ok(files)
    }

    #[test]
    fn files_come_out_as_they_went_in() {
        let long = format!("{}/b.sql", "d".repeat(120));
        let record = format!("{} path=posix/c.sql\n", 20);
        let files = unpacked(&[
            entry("pkg/", b'5', b""),
            entry("pkg/a.sql", b'0', b"select 1"),
            entry("././@LongLink", b'L', long.as_bytes()),
            entry("short", b'0', &[b'x'; 700]),
            entry("pax", b'x', record.as_bytes()),
            entry("short", b'0', b"c"),
            entry("link", b'2', b""),
        ]);
        let expected =
            [(long, "x".repeat(700)), ("pkg/a.sql".into(), "select 1".into()), ("posix/c.sql".into(), "c".into())];
        assert_eq!(files, Ok(expected.to_vec()));
    }

    #[test]
    fn nothing_is_written_outside_of_the_folder() {
        for name in ["../evil", "/evil", "a/../../evil"] {
            assert_eq!(unpacked(&[entry(name, b'0', b"x")]), Err(format!("it has an entry outside of itself: {name}")));
        }
    }
}
