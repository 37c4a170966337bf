//! What a client can't do to the console.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use millstream_console::{Console, ConsoleOptions};
use support::{anywhere, ask, console, exchange, get, hasty, read_all, soon};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let console = hasty().await;
    let mut slow = TcpStream::connect(console.local_addr()).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: local").await.unwrap();
    assert_eq!(read_all(&mut slow).await, "");
    assert_eq!(get(&console, "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_kept_connection_may_not_idle() {
    let console = hasty().await;
    let mut kept = TcpStream::connect(console.local_addr()).await.unwrap();
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let all = read_all(&mut kept).await;
    assert!(all.starts_with("HTTP/1.1 200 OK") && all.ends_with("\r\n\r\nok\n"), "{all}");
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let console = console().await;
    let padding = "x".repeat(9 * 1024);
    let headers = format!("Host: localhost\r\nPadding: {padding}\r\n");
    assert_eq!(ask(console.local_addr(), "GET /healthz", &headers).await.status, 431);
    let many = "A: b\r\n".repeat(1000);
    let headers = format!("Host: localhost\r\n{many}");
    assert_eq!(ask(console.local_addr(), "GET /healthz", &headers).await.status, 431);
}

#[tokio::test]
async fn a_body_is_not_read() {
    let console = console().await;
    let headers = "Host: localhost\r\nContent-Length: 1000000000\r\n";
    let address = console.local_addr();
    assert_eq!(ask(address, "GET /healthz", headers).await.status, 413);
    assert_eq!(ask(address, "POST /healthz", headers).await.status, 413);
    let headers = "Host: localhost\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(ask(address, "POST /healthz", headers).await.status, 405);
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let console = console().await;
    for noise in [
        &b"\xff\xfe /metrics HTTP/1.1\r\n\r\n"[..],
        b"GET /\xff HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let answer = exchange(console.local_addr(), noise).await;
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    assert_eq!(get(&console, "/healthz").await.status, 200);
}

#[tokio::test]
async fn requests_may_be_pipelined() {
    let console = hasty().await;
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50);
    let all = exchange(console.local_addr(), request.as_bytes()).await;
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 50);
}

#[tokio::test]
async fn idle_connections_keep_nobody_out_for_long() {
    let console = hasty().await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(console.local_addr()).await.unwrap());
    }
    assert_eq!(get(&console, "/healthz").await.status, 200);
}

#[tokio::test]
async fn no_more_connections_are_served_than_allowed() {
    let options = ConsoleOptions::default()
        .with_head_timeout(Duration::from_millis(250))
        .with_connections_max(1);
    let console = Console::bind_with(anywhere(), &options).await.unwrap();
    let mut idle = std::net::TcpStream::connect(console.local_addr()).unwrap();
    idle.set_nonblocking(true).unwrap();
    assert_eq!(get(&console, "/healthz").await.status, 200);
    // The idle one had to go first.
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
}

/// A client that asks ahead and reads nothing costs one answer, and is cut off.
#[tokio::test]
async fn answers_do_not_pile_up() {
    let rendered = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&rendered);
    let options = ConsoleOptions::default()
        .with_head_timeout(Duration::from_millis(50))
        .with_request_timeout(Duration::from_millis(500))
        .with_metrics_text(move || {
            counted.fetch_add(1, SeqCst);
            // More than the system buffers for both sides.
            "# filler\n".repeat(2 << 20)
        });
    let console = Console::bind_with(anywhere(), &options).await.unwrap();
    let mut greedy = TcpStream::connect(console.local_addr()).await.unwrap();
    let requests = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    greedy.write_all(requests.as_bytes()).await.unwrap();
    // Writing fails once the other side has closed.
    soon("the cut", async { while greedy.write_all(b"\r\n").await.is_ok() {} }).await;
    let rendered = rendered.load(SeqCst);
    assert!((1..=2).contains(&rendered), "{rendered} answers in memory");
}

/// An answer without a body would not hold back the next one.
#[tokio::test]
async fn only_one_head_is_asked_for_at_a_time() {
    let console = console().await;
    let request = "HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50);
    let mut stream = TcpStream::connect(console.local_addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let all = read_all(&mut stream).await;
    assert!(all.matches("HTTP/1.1 200 OK").count() <= 1, "{all}");
}
