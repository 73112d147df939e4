//! A web service of the tests' own, and a clock that goes on by being looked at.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headwater_project::{Clock, Entropy, Timestamp};

/// A millisecond passes with each look.
#[derive(Debug, Default)]
pub(super) struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

impl Entropy for Ticking {
    fn next_u64(&self) -> u64 {
        0
    }
}

/// Answers the heads of requests with status, further headers (each with its line end) and body; hangs up at status zero.
/// Gives its address, and the heads it has heard.
pub(super) fn service(
    answer: impl Fn(&str) -> (u16, String, String) + Send + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let (mut connection, mut head) = (connection.unwrap(), Vec::new());
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).unwrap_or(0) > 0 {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let (status, headers, body) = answer(&head);
            heard.lock().unwrap().push(head);
            if status > 0 {
                let length = body.len();
                let text = format!(
                    "HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                connection.write_all(text.as_bytes()).unwrap();
            }
        }
    });
    (address, asked)
}
