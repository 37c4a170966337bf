//! What the tests share: a job that does as it is told, and HTTP over a bare socket.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use millstream_console::{Console, ConsoleOptions};
use millstream_engine::OperatorError;
use millstream_engine::runtime::JobHandle;
use millstream_engine::source::{OneShot, Source, SourceBatch, SourceStatus};
use millstream_operators::Dataflow;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Any free port on loopback.
pub(crate) fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A console with the default limits.
pub(crate) async fn console() -> Console {
    Console::bind(anywhere()).await.unwrap()
}

/// A console whose limit on heads is short enough to wait for.
pub(crate) async fn hasty() -> Console {
    let options = ConsoleOptions::default().with_head_timeout(Duration::from_millis(250));
    Console::bind_with(anywhere(), &options).await.unwrap()
}

/// A source of what is sent to it.
pub(crate) struct Feed(mpsc::Receiver<u64>);

impl Source for Feed {
    type Item = u64;

    async fn next(&mut self, batch: &mut SourceBatch<u64>) -> Result<SourceStatus, OperatorError> {
        let Some(number) = self.0.recv().await else {
            return Ok(SourceStatus::End);
        };
        batch.push(number);
        Ok(SourceStatus::More)
    }
}

/// A job of two stages that runs until its feed is dropped, and fails at the number 13.
pub(crate) fn job(pipeline: &str) -> (mpsc::Sender<u64>, JobHandle) {
    let (feed, numbers) = mpsc::channel(16);
    let flow = Dataflow::new(pipeline);
    flow.source("numbers", OneShot::new(Feed(numbers)))
        .map(|n: u64| {
            assert_ne!(n, 13, "thirteen");
            n
        })
        .parallel(2)
        .ignore();
    (feed, flow.start().unwrap())
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole answer");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }
}

/// Fails the test rather than waiting for ever.
#[allow(clippy::disallowed_methods, reason = "real sockets keep real time")]
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    let waited = tokio::time::timeout(Duration::from_secs(20), future).await;
    waited.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// Everything that comes until the other side closes, however it does.
pub(crate) async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is an end, too.
    while let Ok(1..) = soon("an answer", stream.read_buf(&mut text)).await {}
    String::from_utf8(text).unwrap()
}

/// Sends bytes, and takes what comes back until the connection closes.
pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The other side may have refused before it has read it all.
    stream.write_all(request).await.ok();
    read_all(&mut stream).await
}

/// Asks once, with a request line and further headers.
pub(crate) async fn ask(address: SocketAddr, line: &str, headers: &str) -> Answer {
    let request = format!("{line} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    Answer::parse(&exchange(address, request.as_bytes()).await)
}

pub(crate) async fn get(console: &Console, path: &str) -> Answer {
    ask(console.local_addr(), &format!("GET {path}"), "Host: localhost\r\n").await
}
