//! Proving a password without sending it: SCRAM-SHA-256 (RFC 5802, RFC 7677), and the older MD5 answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest, Sha256};

use crate::keyed_hash::hmac;

/// More rounds than any server asks for; beyond it a hostile server would only burn our processor.
const MAX_ITERATIONS: u32 = 1_000_000;

fn salted(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut previous = hmac(password, &[salt, &1_u32.to_be_bytes()]);
    let mut result = previous;
    for _ in 1..iterations {
        previous = hmac(password, &[&previous]);
        result.iter_mut().zip(previous).for_each(|(one, other)| *one ^= other);
    }
    result
}

/// One conversation that proves a password and checks that the server knows it too.
pub(crate) struct Scram {
    password: Vec<u8>,
    nonce: String,
    expected: Option<[u8; 32]>,
}

impl Scram {
    pub(crate) fn new(password: &str, nonce: String) -> Self {
        Self { password: password.as_bytes().to_vec(), nonce, expected: None }
    }

    pub(crate) fn first(&self) -> String {
        format!("n,,{}", self.first_bare())
    }

    /// PostgreSQL takes the user from the start of the connection, not from here.
    fn first_bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// The answer to the server's challenge.
    pub(crate) fn answer(&mut self, challenge: &str) -> Result<String, &'static str> {
        let (nonce, salt, iterations) = parsed(challenge)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the server did not continue our nonce");
        }
        let salt = STANDARD.decode(salt).map_err(|_| "the salt is not base64")?;
        let salted = salted(&self.password, &salt, iterations);
        let without_proof = format!("c=biws,r={nonce}");
        let conversation = format!("{},{challenge},{without_proof}", self.first_bare());
        let client_key = hmac(&salted, &[b"Client Key"]);
        let signature = hmac(&Sha256::digest(client_key), &[conversation.as_bytes()]);
        let mut proof = client_key;
        proof.iter_mut().zip(signature).for_each(|(one, other)| *one ^= other);
        self.expected = Some(hmac(&hmac(&salted, &[b"Server Key"]), &[conversation.as_bytes()]));
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }

    /// Whether the server knows the password too.
    pub(crate) fn verify(&self, last: &str) -> Result<(), &'static str> {
        let given = last.strip_prefix("v=").and_then(|text| STANDARD.decode(text.trim_end()).ok());
        match (given, self.expected) {
            (Some(given), Some(expected)) if given == expected => Ok(()),
            _ => Err("the server could not prove that it knows the password"),
        }
    }
}

fn parsed(challenge: &str) -> Result<(&str, &str, u32), &'static str> {
    let part = |prefix: &str| challenge.split(',').find_map(|part| part.strip_prefix(prefix));
    let nonce = part("r=").ok_or("the challenge has no nonce")?;
    let salt = part("s=").ok_or("the challenge has no salt")?;
    let iterations = part("i=").and_then(|text| text.parse().ok()).ok_or("the challenge has no iteration count")?;
    if !(1..=MAX_ITERATIONS).contains(&iterations) {
        return Err("the challenge asks for an absurd number of rounds");
    }
    Ok((nonce, salt, iterations))
}

/// The answer of servers that still use MD5.
pub(crate) fn md5_answer(user: &str, password: &str, salt: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let inner = hex(&Md5::new().chain_update(password).chain_update(user).finalize());
    format!("md5{}", hex(&Md5::new().chain_update(inner).chain_update(salt).finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The conversation of RFC 7677, section 3, but for the user's name.
    #[test]
    fn the_key_derivation_is_that_of_the_standard() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let salted = salted(b"pencil", &salt, 4096);
        let conversation = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = hmac(&hmac(&salted, &[b"Server Key"]), &[conversation.as_bytes()]);
        assert_eq!(STANDARD.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn a_server_that_starts_another_conversation_is_refused() {
        let mut scram = Scram::new("pencil", String::from("abc"));
        for challenge in
            ["r=other,s=AAAA,i=4096", "r=abc,s=AAAA,i=4096", "r=abcd,s=AAAA,i=0", "s=AAAA,i=1", "r=abcd,i=1"]
        {
            assert!(scram.answer(challenge).is_err(), "{challenge}");
        }
        assert!(scram.verify("v=AAAA").is_err());
    }

    #[test]
    fn the_md5_answer_is_that_of_the_server() {
        assert_eq!(
            md5_answer("md5_user", "password", &[0x2a, 0x3d, 0x8f, 0xe0]),
            "md562af4dd09bbb41884907a838a3233294"
        );
    }
}
