//! MD5: dbt's test ids, shortened names and `local_md5` are made with it. Never for anything secret.

use md5::{Digest, Md5};

/// The digest in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
