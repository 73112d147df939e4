//! Whether a project's folder is on a network file system.
//!
//! The state is a database whose readers share memory, and one process at a time is held to by a lock on a file. Neither can be
//! relied on where another machine has the files: two processes would write, and each would believe that it is alone.

use std::path::{Path, PathBuf};

use headwater_project::Failure;

/// Set to anything, it lets a project run wherever its folder is.
const ALLOWED: &str = "HEADWATER_ALLOW_NETWORK_FILE_SYSTEM";

const NETWORK: &[&str] = &[
    "afs",
    "ceph",
    "cifs",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "lustre",
    "nfs",
    "nfs4",
    "smb3",
];

/// An error when the folder is on a file system of another machine, unless that is wanted. Systems that do not list their mounts
/// are not asked.
pub(crate) fn require_local(folder: &Path) -> Result<(), Failure> {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return Ok(()) };
    // Before the first start there is only what it will be in.
    let folder = folder.ancestors().find_map(|folder| folder.canonicalize().ok()).unwrap_or_default();
    match kind_of(&mounts, &folder) {
        Some(kind) if NETWORK.contains(&kind) && std::env::var_os(ALLOWED).is_none() => {
            Err(Failure::user(format!("the project is on a network file system ({kind})"))
                .with_detail(format!("{}: locks do not hold there, and a process could not tell that another one runs.", folder.display()))
                .with_hint(format!("Keep the project on a local disk; its lake may be anywhere. {ALLOWED}=1 runs it all the same, at your own risk.")))
        }
        _ => Ok(()),
    }
}

/// The file system of the innermost mount with the folder in it, from lines as `/proc/self/mountinfo` has them.
fn kind_of<'a>(mounts: &'a str, folder: &Path) -> Option<&'a str> {
    let holding = mounts.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let place = unescaped(place.split(' ').nth(4)?);
        folder.starts_with(&place).then(|| (place.components().count(), kind.split(' ').next()))
    });
    // Of several at one place the last covers the others.
    holding.max_by_key(|(depth, _)| *depth)?.1
}

/// A path in which blanks and the like stand as `\` and three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                path.push(char::from(byte));
                path.push_str(part.get(3..).unwrap_or_default());
            }
            None => {
                path.push('\\');
                path.push_str(part);
            }
        }
    }
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /home rw - nfs4 files:/home rw,vers=4.2
31 30 0:41 / /home/ada/local rw - tmpfs tmpfs rw
32 22 0:42 / /mnt/team\\040share rw master:3 - cifs //server/share rw
33 22 0:43 / /data rw - nfs files:/data rw
34 22 254:1 / /data rw - ext4 /dev/vdb rw
";

    #[test]
    fn the_innermost_mount_says_what_a_folder_is_on() {
        let check =
            |folder: &str, expected: Option<&str>| assert_eq!(kind_of(MOUNTS, Path::new(folder)), expected, "{folder}");
        check("/srv/project", Some("ext4"));
        check("/home/ada/project", Some("nfs4"));
        check("/homestead", Some("ext4"));
        check("/home/ada/local/project", Some("tmpfs"));
        check("/mnt/team share/project", Some("cifs"));
        check("/data/project", Some("ext4"));
        assert_eq!(kind_of("no mounts", Path::new("/")), None);
    }
}
