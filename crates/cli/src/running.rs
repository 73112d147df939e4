//! Asking the process that runs the project: one request over its HTTP API, on the same machine.

pub(crate) mod answer;

use std::time::Duration;

use headwater_app::RunningProcess;
use headwater_project::{Failure, Kind};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A process of this machine that has not answered by then does not run, or is not to be waited for.
const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(60);

/// As [`ask`], of the process that announced itself, if any did.
pub(crate) async fn ask_running(
    process: Option<&RunningProcess>,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Option<Value>, Failure> {
    match process {
        Some(process) => ask(process, method, path, body).await,
        None => Ok(None),
    }
}

/// Sends one request. Nothing when nobody answers there, or somebody who is not the process that was announced.
pub(crate) async fn ask(
    process: &RunningProcess,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Option<Value>, Failure> {
    let Ok(Ok(stream)) = tokio::time::timeout(CONNECT, TcpStream::connect(process.address)).await else {
        return Ok(None);
    };
    let answered = tokio::time::timeout(ANSWER, exchange(stream, process, method, path, body)).await;
    let answer = match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(silent(process, &error.to_string())),
        Err(_) => return Err(silent(process, "It took too long.")),
    };
    match parts(&answer) {
        // Our token is not known there: the file is of a process that ended.
        None | Some((401, _)) => Ok(None),
        Some((200..300, json)) => Ok(Some(json)),
        Some((_, json)) => Err(refusal(&json)),
    }
}

/// HTTP/1.0: the answer ends with the connection, and is not in pieces.
async fn exchange(
    mut stream: TcpStream,
    process: &RunningProcess,
    method: &str,
    path: &str,
    body: &Value,
) -> std::io::Result<Vec<u8>> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (address, token, length) = (process.address, &process.token, body.len());
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nX-Headwater: 1\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Status and body, of what looks like an answer of the API.
fn parts(answer: &[u8]) -> Option<(u16, Value)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, rest) = answer.split_at_checked(end)?;
    let status = std::str::from_utf8(head).ok()?.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, serde_json::from_slice(rest.get(4..)?).ok()?))
}

fn silent(process: &RunningProcess, detail: &str) -> Failure {
    let message = format!("the process at {} does not answer", process.address);
    Failure::new(Kind::External { retry_after: None }, message).with_detail(detail)
}

/// What the process said, as if it had been met here.
fn refusal(body: &Value) -> Failure {
    let text = |key: &str| body.pointer(&format!("/error/{key}")).and_then(Value::as_str);
    let kind = match text("kind") {
        Some("conflict") => Kind::Conflict,
        Some("external") => Kind::External { retry_after: None },
        Some("exhausted") => Kind::Exhausted,
        Some("internal") => Kind::Internal,
        _ => Kind::User,
    };
    let mut failure = Failure::new(kind, text("message").unwrap_or("the running process refused").to_owned());
    failure.detail = text("detail").map(str::to_owned);
    failure.hint = text("hint").map(str::to_owned);
    failure
}
