//! What the console answers, and to whom.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use millstream_console::{Console, ConsoleError, ConsoleOptions};
use millstream_engine::runtime::Outcome;
use serde_json::Value;
use support::{anywhere, ask, console, get, job, soon};
use tokio::net::TcpStream;

#[tokio::test]
async fn health_and_readiness_follow_the_job() {
    let console = console().await;
    assert_eq!(get(&console, "/healthz").await.status, 200);
    let early = get(&console, "/readyz").await;
    assert_eq!((early.status, &*early.body), (503, "not ready: no job is watched yet\n"));

    let (feed, job) = job("follows");
    console.watch(job.observer()).unwrap();
    let running = get(&console, "/readyz").await;
    assert_eq!((running.status, &*running.body), (200, "ok\n"));

    drop(feed);
    soon("the end", job).await.unwrap();
    let ended = get(&console, "/readyz").await;
    assert_eq!(ended.status, 503);
    assert_eq!(ended.body, "not ready: follows is completed\n");
    assert_eq!(get(&console, "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_failed_job_is_bad_health_until_another_takes_over() {
    let console = console().await;
    let (feed, first) = job("fails");
    console.watch(first.observer()).unwrap();
    feed.send(13).await.unwrap();
    // Nobody awaits the handle, and still it is known.
    let mut observer = first.observer();
    soon("the end", observer.ended()).await;
    assert_eq!(observer.outcome(), Some(Outcome::Failed));
    let failed = get(&console, "/healthz").await;
    assert_eq!((failed.status, &*failed.body), (503, "failed: fails\n"));

    let (_other_feed, other) = job("another");
    console.watch(other.observer()).unwrap();
    assert_eq!(get(&console, "/healthz").await.status, 503);
    let (_feed, second) = job("fails");
    console.watch(second.observer()).unwrap();
    assert_eq!(get(&console, "/healthz").await.status, 200);
    assert_eq!(get(&console, "/readyz").await.status, 200);
    let graph = get(&console, "/graph").await.body;
    let graph: Value = serde_json::from_str(&graph).unwrap();
    assert_eq!(graph["jobs"][0]["state"], "failed");
    assert_eq!(graph["jobs"][0]["superseded"], true);
    drop((first, second));
}

#[tokio::test]
async fn a_dropped_job_was_aborted_and_is_not_ready() {
    let console = console().await;
    let (_feed, job) = job("dropped");
    let observer = job.observer();
    console.watch(job.observer()).unwrap();
    drop(job);
    assert_eq!(observer.outcome(), Some(Outcome::Aborted));
    assert_eq!(get(&console, "/healthz").await.status, 200);
    let body = get(&console, "/readyz").await.body;
    assert_eq!(body, "not ready: dropped is aborted\n");
}

#[tokio::test]
async fn the_graph_has_the_jobs_numbers() {
    let console = console().await;
    let (feed, job) = job("graphed");
    console.watch(job.observer()).unwrap();
    for number in 0..10 {
        feed.send(number).await.unwrap();
    }
    let read = async {
        loop {
            let answer = get(&console, "/graph").await;
            assert!(answer.head.contains("content-type: application/json"));
            let graph: Value = serde_json::from_str(&answer.body).unwrap();
            if graph["jobs"][0]["edges"][0]["received"] == 10 {
                return graph;
            }
        }
    };
    let graph = soon("all records", read).await;
    let shown = &graph["jobs"][0];
    assert_eq!(shown["pipeline"], "graphed");
    assert_eq!(shown["state"], "running");
    let view = job.graph();
    let names = |of: &str| -> Vec<String> {
        let list = shown[of].as_array().unwrap().iter();
        list.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let expected: Vec<_> = view.operators.iter().map(|one| one.name.clone()).collect();
    assert_eq!(names("operators"), expected);
    let expected: Vec<_> = view.stages.iter().map(|one| one.name.clone()).collect();
    assert_eq!(names("stages"), expected);
    let expected: Vec<_> = view.edges.iter().map(|one| one.name.clone()).collect();
    assert_eq!(names("edges"), expected);
    assert_eq!(shown["operators"][0]["role"], "source");
    assert_eq!(shown["operators"][0]["records_out"], 10);
    assert_eq!(shown["edges"][0]["sent"], 10);
    assert_eq!(shown["edges"][0]["distribution"], "rebalance");
    let ratios = ["busy_ratio", "idle_ratio", "blocked_ratio"];
    let total: f64 = ratios.map(|of| shown["stages"][0][of].as_f64().unwrap()).iter().sum();
    assert!((total - 1.0).abs() < 1e-9, "{total}");

    assert_eq!(get(&console, "/graph.dot").await.body, view.to_dot());
    assert_eq!(get(&console, "/graph.mmd").await.body, view.to_mermaid());
}

#[tokio::test]
async fn the_graph_has_the_shape_that_is_documented() {
    let console = console().await;
    let (_feed, job) = job("shaped");
    console.watch(job.observer()).unwrap();
    let documented = include_str!("../src/lib.rs").lines();
    let documented = documented.skip_while(|line| *line != "//! ```json").skip(1);
    let documented = documented.take_while(|line| *line != "//! ```");
    let documented: String = documented.map(|line| line.trim_start_matches("//!")).collect();
    let shown = get(&console, "/graph").await.body;
    let [documented, shown] = [&documented, &shown].map(|text| {
        let graph: Value = serde_json::from_str(text).unwrap();
        let job = graph.pointer("/jobs/0").unwrap().clone();
        let parts = ["", "/operators/0", "/stages/0", "/edges/0"];
        parts.map(|part| {
            let part = job.pointer(part).and_then(Value::as_object).unwrap();
            part.keys().cloned().collect::<Vec<_>>()
        })
    });
    assert_eq!(shown, documented);
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let console = console().await;
    for path in [
        "/",
        "/metrics/",
        "/metricsx",
        "//metrics",
        "/../etc/passwd",
        "/metrics/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2fetc%2fpasswd",
        "/%6detrics",
        "/graph.dot", // No job is watched.
        "/graph/0",
    ] {
        let answer = get(&console, path).await;
        assert_eq!((answer.status, &*answer.body), (404, "not found\n"), "{path}");
    }
    assert_eq!(get(&console, "/healthz?verbose=1").await.status, 200);
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let console = console().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        let line = format!("{method} /metrics");
        let headers = "Host: localhost\r\nContent-Length: 0\r\n";
        let answer = ask(console.local_addr(), &line, headers).await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("allow: get, head"), "{method}");
    }
    let head = ask(console.local_addr(), "HEAD /healthz", "Host: localhost\r\n").await;
    assert_eq!((head.status, &*head.body), (200, ""));
    assert!(head.head.contains("content-length: 3"));
}

#[tokio::test]
async fn every_answer_carries_the_safe_headers() {
    let console = console().await;
    for path in ["/metrics", "/healthz", "/readyz", "/graph", "/nothing"] {
        let answer = get(&console, path).await;
        for header in [
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "content-security-policy: default-src 'none'",
        ] {
            assert!(answer.head.contains(header), "{path}: {header}");
        }
        assert!(!answer.head.contains("access-control"), "{path}");
    }
}

#[tokio::test]
async fn a_page_that_rebinds_its_name_gets_nothing() {
    let console = console().await;
    let address = console.local_addr();
    for (headers, status) in [
        (format!("Host: {address}\r\n"), 200),
        ("Host: LocalHost:1\r\n".to_owned(), 200),
        ("Host: [::1]\r\n".to_owned(), 200),
        ("Host: evil.example\r\n".to_owned(), 421),
        (format!("Host: evil.example:{}\r\n", address.port()), 421),
        ("Host: localhost.evil.example\r\n".to_owned(), 421),
        (String::new(), 400),
        ("Host: localhost\r\nHost: evil.example\r\n".to_owned(), 400),
    ] {
        let answer = ask(address, "GET /healthz", &headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
    let line = "GET http://evil.example/healthz";
    assert_eq!(ask(address, line, "Host: localhost\r\n").await.status, 421);
}

#[tokio::test]
async fn strangers_are_kept_out_unless_asked_in() {
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let refused = Console::bind(everywhere).await.unwrap_err();
    assert!(matches!(refused, ConsoleError::NotLoopback { address } if address == everywhere));
    assert!(refused.to_string().contains("expose_without_authentication(true)"));

    let options = ConsoleOptions::default().expose_without_authentication(true);
    let exposed = Console::bind_with(everywhere, &options).await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], exposed.local_addr().port()));
    let answer = ask(address, "GET /healthz", "Host: metrics.example\r\n").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let console = console().await;
    let refused = Console::bind(console.local_addr()).await.unwrap_err();
    assert!(matches!(refused, ConsoleError::AddressInUse { .. }));
    assert!(refused.to_string().contains(&console.local_addr().to_string()));
}

#[tokio::test]
async fn dropping_it_stops_serving() {
    for ordered in [false, true] {
        let console = console().await;
        let address = console.local_addr();
        let mut open = TcpStream::connect(address).await.unwrap();
        assert_eq!(get(&console, "/healthz").await.status, 200);
        if ordered {
            console.shutdown().await;
        } else {
            drop(console);
        }
        assert_eq!(support::read_all(&mut open).await, "");
        soon("a refusal", async { while TcpStream::connect(address).await.is_ok() {} }).await;
    }
}

#[tokio::test]
async fn ended_jobs_make_room_for_new_ones() {
    let options = ConsoleOptions::default().with_jobs_max(2);
    let console = Console::bind_with(anywhere(), &options).await.unwrap();
    let (feed, ends) = job("ends");
    let (_feed, stays) = job("stays");
    let (_more_feed, more) = job("more");
    console.watch(ends.observer()).unwrap();
    console.watch(stays.observer()).unwrap();
    let refused = console.watch(more.observer()).unwrap_err();
    assert!(matches!(refused, ConsoleError::TooManyJobs { max: 2 }));
    drop(feed);
    soon("the end", ends).await.unwrap();
    console.watch(more.observer()).unwrap();
    let graph: Value = serde_json::from_str(&get(&console, "/graph").await.body).unwrap();
    let jobs = graph["jobs"].as_array().unwrap();
    let shown: Vec<_> = jobs.iter().map(|job| &job["pipeline"]).collect();
    assert_eq!(shown, ["stays", "more"]);
}

#[tokio::test]
async fn a_program_may_bring_its_own_recorder() {
    let options = ConsoleOptions::default()
        .with_metrics_text(|| "own 1".to_owned())
        .with_request_timeout(Duration::from_secs(5));
    let console = Console::bind_with(anywhere(), &options).await.unwrap();
    let body = get(&console, "/metrics").await.body;
    assert!(body.starts_with("own 1\n# HELP millstream_build_info "), "{body}");
    assert!(!body.contains("millstream_pipeline_state"), "{body}");
}
