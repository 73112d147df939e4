//! A file from an address, whole.

use std::time::Duration;

use reqwest::Client;

/// Bytes of one file.
const MAX_BODY: usize = 256 << 20;
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(60);

/// What is at an address that needs no credentials; it may lead to other servers. An error says what happened.
pub async fn download(address: &str) -> Result<Vec<u8>, String> {
    let client = Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(ANSWER)
        .user_agent(concat!("headwater/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())?;
    let failed = |error: reqwest::Error| super::client::chain(&error);
    let mut answer = client.get(address).send().await.map_err(failed)?.error_for_status().map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(format!("the file is larger than {MAX_BODY} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
