//! Passwords as Argon2id, with 19 MiB and two passes: what makes trying many of them dear.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use headwater_project::{Entropy, Failure};
use serde::{Deserialize, Serialize};

use super::accounts::{hexadecimal, random_hex};

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
/// More than any file of ours asks for.
const MAX_MEMORY_KIB: u32 = 1 << 20;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PasswordHash {
    salt: String,
    hash: String,
    memory_kib: u32,
    passes: u32,
}

pub(super) fn hash(password: &str, entropy: &dyn Entropy) -> Result<PasswordHash, Failure> {
    let salt = random_hex(entropy);
    let hash = digest(password, &salt, MEMORY_KIB, PASSES)?;
    Ok(PasswordHash { salt, hash, memory_kib: MEMORY_KIB, passes: PASSES })
}

/// Without a hash the work is done all the same and the answer is no.
pub(super) fn is_right(password: &str, hash: Option<&PasswordHash>) -> Result<bool, Failure> {
    let Some(known) = hash else {
        digest(password, "0000000000000000", MEMORY_KIB, PASSES)?;
        return Ok(false);
    };
    let found = digest(password, &known.salt, known.memory_kib.min(MAX_MEMORY_KIB), known.passes)?;
    Ok(is_equal(found.as_bytes(), known.hash.as_bytes()))
}

fn digest(password: &str, salt: &str, memory_kib: u32, passes: u32) -> Result<String, Failure> {
    let failed = |error: argon2::Error| Failure::internal("a password cannot be hashed").with_detail(error.to_string());
    let params = Params::new(memory_kib, passes, 1, Some(32)).map_err(failed)?;
    let mut memory = vec![Block::default(); params.block_count()];
    let mut out = [0; 32];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon
        .hash_password_into_with_memory(password.as_bytes(), salt.as_bytes(), &mut out, &mut memory)
        .map_err(failed)?;
    Ok(hexadecimal(&out))
}

/// Takes the same time wherever the first difference is.
fn is_equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
}
