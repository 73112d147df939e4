//! Whether a request comes from whom the source trusts.

use std::time::Duration;

use headwater_project::Timestamp;

use super::config::PushConfig;
use crate::keyed_hash::{hmac, same};

/// How far a signed time may be off.
const WINDOW: Duration = Duration::from_secs(300);

/// What a request proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is from whom the source trusts.
    Good,
    /// It is not, with the reason.
    Bad(&'static str),
    /// The source asks for none of its own.
    NotAsked,
}

/// Checks the token alone, before there is a body.
pub fn prove_token(config: &PushConfig, header: &dyn Fn(&str) -> Option<String>) -> Proof {
    let Some(token) = &config.token else { return Proof::NotAsked };
    let sent = header("authorization").unwrap_or_default();
    let sent = sent.strip_prefix("Bearer ").unwrap_or_default();
    if token.is_empty() || !same(sent.as_bytes(), token.reveal().as_bytes()) {
        return Proof::Bad("the token is missing or wrong");
    }
    Proof::Good
}

/// Checks token and signature; whichever the source asks for must be right, both when it asks for both.
pub fn prove(config: &PushConfig, header: &dyn Fn(&str) -> Option<String>, body: &[u8], now: Timestamp) -> Proof {
    match prove_token(config, header) {
        Proof::NotAsked if config.signature.is_none() => return Proof::NotAsked,
        Proof::Bad(reason) => return Proof::Bad(reason),
        Proof::NotAsked | Proof::Good => {}
    }
    let Some(signature) = &config.signature else { return Proof::Good };
    let Some(sent) = header(&signature.header) else { return Proof::Bad("the signature is missing") };
    let key = signature.secret.reveal().as_bytes();
    if key.is_empty() {
        return Proof::Bad("the source's secret is empty");
    }
    let expected = match &signature.timestamp_header {
        None => hmac(key, &[body]),
        Some(name) => {
            let Some(time) = header(name) else { return Proof::Bad("the time of the request is missing") };
            let seconds = time.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1_000_000));
            let Some(at) = seconds.map(Timestamp) else { return Proof::Bad("the time of the request is no number") };
            if now.since(at) > WINDOW || at.since(now) > WINDOW {
                return Proof::Bad("the time of the request is too far from now");
            }
            hmac(key, &[time.as_bytes(), b".", body])
        }
    };
    let expected: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
    let sent = sent.rsplit_once('=').map_or(sent.as_str(), |(_, hex)| hex).to_ascii_lowercase();
    if same(sent.as_bytes(), expected.as_bytes()) { Proof::Good } else { Proof::Bad("the signature is wrong") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &str, headers: &[(&str, &str)], body: &str, expected: Proof) {
        let config: PushConfig = serde_json::from_str(config).unwrap();
        let find = |name: &str| {
            headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| (*value).to_owned())
        };
        let now = Timestamp(1_700_000_000_000_000);
        assert_eq!(prove(&config, &find, body.as_bytes(), now), expected, "{headers:?}");
    }

    #[test]
    fn a_token_must_be_the_sources() {
        check("{}", &[], "", Proof::NotAsked);
        let config = r#"{"token": "secret"}"#;
        check(config, &[("Authorization", "Bearer secret")], "", Proof::Good);
        for wrong in ["Bearer secre", "Bearer ", "secret", "Bearer secret2", ""] {
            check(config, &[("Authorization", wrong)], "", Proof::Bad("the token is missing or wrong"));
        }
        check(r#"{"token": ""}"#, &[("Authorization", "Bearer ")], "", Proof::Bad("the token is missing or wrong"));
    }

    #[test]
    fn a_signature_must_be_of_this_body() {
        let config = r#"{"signature": {"secret": "Jefe"}}"#;
        let right = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let body = "what do ya want for nothing?";
        check(config, &[("x-hub-signature-256", right)], body, Proof::Good);
        check(config, &[("x-hub-signature-256", &right.to_uppercase())], body, Proof::Good);
        check(config, &[("x-hub-signature-256", right)], "other", Proof::Bad("the signature is wrong"));
        check(config, &[], body, Proof::Bad("the signature is missing"));
    }

    #[test]
    fn a_signed_time_must_be_near() {
        let config = r#"{"signature": {"secret": "k", "timestamp_header": "T"}}"#;
        let signed = |time: &str| {
            hmac(b"k", &[time.as_bytes(), b".", b"x"]).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        for (time, expected) in [
            ("1700000000", Proof::Good),
            ("1700000299", Proof::Good),
            ("1699999600", Proof::Bad("the time of the request is too far from now")),
            ("1700000400", Proof::Bad("the time of the request is too far from now")),
            ("soon", Proof::Bad("the time of the request is no number")),
        ] {
            check(config, &[("X-Hub-Signature-256", &signed(time)), ("t", time)], "x", expected);
        }
    }
}
