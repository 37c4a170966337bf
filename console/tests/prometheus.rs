//! Prometheus itself reads the metrics. Each test is skipped where the program that it needs is not
//! installed; Debian's package `prometheus` has both.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a test that was skipped says so")]

mod support;

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use millstream_engine::OperatorError;
use millstream_engine::runtime::{JobHandle, JobOptions};
use millstream_engine::source::{Source, SourceBatch, SourceStatus};
use millstream_engine::time::{Clock, Timestamp};
use millstream_operators::Dataflow;
use serde_json::Value;
use support::{anywhere, console, exchange, get, soon};

/// A record every ten milliseconds, for as long as it is asked.
#[derive(Clone)]
struct Ticking(Clock);

impl Source for Ticking {
    type Item = ();

    async fn next(&mut self, batch: &mut SourceBatch<()>) -> Result<SourceStatus, OperatorError> {
        self.0.sleep(Duration::from_millis(10)).await;
        batch.push(());
        batch.watermark(Timestamp::from_millis(1_700_000_000_000));
        Ok(SourceStatus::More)
    }
}

fn ticking(pipeline: &str) -> JobHandle {
    let flow = Dataflow::new(pipeline);
    flow.source("ticks", Ticking(Clock::system()))
        .map(|tick| tick)
        .parallel(2)
        .filter(|()| true)
        .ignore();
    let options = JobOptions::default()
        .with_operator_counts(true)
        .with_publish_every(Some(Duration::from_millis(100)));
    flow.start_with(&options).unwrap()
}

fn is_installed(program: &str) -> bool {
    let version = Command::new(program).arg("--version").output();
    let found = version.is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

#[tokio::test]
async fn promtool_has_nothing_to_say() {
    if !is_installed("promtool") {
        return;
    }
    let console = console().await;
    let job = ticking("checked");
    console.watch(job.observer()).unwrap();
    let published = async {
        loop {
            let text = get(&console, "/metrics").await.body;
            if text.contains("watermark_timestamp") {
                return text;
            }
        }
    };
    let text = soon("the first numbers", published).await;
    soon("the end", job.drain(Duration::from_secs(5))).await.unwrap();

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(said, "", "about\n{text}");
    assert!(output.status.success());
}

/// A Prometheus that is stopped with its test.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Prometheus {
    /// Scrapes `target` every second and answers queries at `address`.
    fn start(target: SocketAddr, address: SocketAddr, folder: &std::path::Path) -> Self {
        let config = folder.join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: millstream\n    \
             static_configs: [{{targets: ['{target}']}}]\n"
        );
        fs::write(&config, text).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

/// The values of an instant query; none while Prometheus starts.
async fn query(address: SocketAddr, query: &str) -> Vec<f64> {
    let letters = query.bytes().map(|byte| format!("%{byte:02x}"));
    let letters: String = letters.collect();
    if tokio::net::TcpStream::connect(address).await.is_err() {
        return Vec::new();
    }
    let request = format!("GET /api/v1/query?query={letters} HTTP/1.0\r\n\r\n");
    let answer = exchange(address, request.as_bytes()).await;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let Ok(body) = serde_json::from_str::<Value>(body) else {
        return Vec::new();
    };
    let series = body.pointer("/data/result").and_then(Value::as_array);
    let value = |one: &Value| one.pointer("/value/1")?.as_str()?.parse().ok();
    series.into_iter().flatten().filter_map(value).collect()
}

/// Asks until the answer is as it should be.
async fn until(address: SocketAddr, asked: &str, good: impl Fn(&[f64]) -> bool) {
    let clock = Clock::system();
    let found = async {
        loop {
            let values = query(address, asked).await;
            if good(&values) {
                println!("{asked} = {values:?}");
                return;
            }
            clock.sleep(Duration::from_millis(200)).await;
        }
    };
    soon(asked, found).await;
}

#[tokio::test]
async fn prometheus_reads_rates() {
    if !is_installed("prometheus") {
        return;
    }
    let console = console().await;
    let job = ticking("scraped");
    console.watch(job.observer()).unwrap();
    let free = TcpListener::bind(anywhere()).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let folder = tempfile::tempdir().unwrap();
    let _prometheus = Prometheus::start(console.local_addr(), address, folder.path());

    // A hundred a second at most, and fewer where the machine is busy. Until the whole range is
    // covered by scrapes Prometheus answers with less.
    let per_second = |values: &[f64]| matches!(values, [rate] if (1.0..=110.0).contains(rate));
    let records = "millstream_operator_records_in_total{pipeline='scraped',operator='ticks'}";
    until(address, &format!("rate({records}[5s])"), per_second).await;
    let sent = "sum by (pipeline) (rate(millstream_edge_records_total{pipeline='scraped'}[5s]))";
    until(address, sent, per_second).await;
    let of_time = |stage: &str| {
        let spent = ["busy", "idle", "backpressured"];
        let spent = spent.map(|what| format!("rate(millstream_stage_{what}_seconds{stage}[5s])"));
        spent.join(" + ")
    };
    // Busy, idle and blocked together are all the time of the one instance.
    let all = |values: &[f64]| matches!(values, [share] if (0.5..1.5).contains(share));
    until(address, &of_time("{pipeline='scraped',stage=~'ticks.*'}"), all).await;
    let is_one = |values: &[f64]| values == [1.0];
    until(address, "up{job='millstream'}", is_one).await;
    until(address, "sum(millstream_pipeline_state{pipeline='scraped'})", is_one).await;
    let running = "millstream_pipeline_state{pipeline='scraped',state='running'}";
    until(address, running, is_one).await;
    // Our labels don't collide with those of the scrape.
    until(address, "count({__name__=~'millstream_.+',exported_job!=''}) or vector(0)", |values| {
        values == [0.0]
    })
    .await;

    soon("the end", job.drain(Duration::from_secs(5))).await.unwrap();
    let drained = "millstream_pipeline_state{pipeline='scraped',state='drained'}";
    until(address, drained, is_one).await;
}
