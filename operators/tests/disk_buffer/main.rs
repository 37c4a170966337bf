//! Records that wait on disk, on whole jobs: order, room, bounds, errors, and every way of ending.

#![cfg(feature = "files")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use millstream_engine::ErrorKind;
use millstream_engine::metrics::{DropReason, OperatorMetrics};
use millstream_engine::testing::{probe_sink, probe_source};
use millstream_operators::buffer::disk_buffer::DiskBuffer;
use millstream_operators::prelude::*;
use tempfile::TempDir;

mod again;

/// Waits for something that happens on another thread.
async fn until(mut is: impl FnMut() -> bool) {
    while !is() {
        // The other thread may want this very core.
        std::thread::yield_now();
        tokio::task::yield_now().await;
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn buffer(folder: &TempDir) -> DiskBuffer {
    DiskBuffer::open(folder.path())
}

/// The files of an instance whose names end so.
fn files(folder: &TempDir, instance: usize, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder.path().join(instance.to_string())) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    paths.sort();
    paths
}

/// How many bytes the files of an instance have, but those that were set aside.
fn bytes(folder: &TempDir) -> u64 {
    let kept = files(folder, 0, "").into_iter();
    let kept = kept.filter(|path| path.extension().is_none_or(|ending| ending != "corrupt"));
    // One may be taken away at this very moment.
    kept.filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.len()).sum()
}

/// How many records of four digits the segments of an instance have in them.
fn written(folder: &TempDir) -> u64 {
    let lengths = files(folder, 0, ".log").into_iter();
    let lengths = lengths.filter_map(|path| fs::metadata(path).ok());
    lengths.map(|metadata| metadata.len().saturating_sub(32) / bytes_of(1)).sum()
}

fn operator(report: &JobReport, name: &str) -> OperatorMetrics {
    let mut operators = report.metrics().operators.iter();
    operators.find(|one| one.name == name).unwrap().clone()
}

fn counting() -> JobOptions {
    JobOptions::default().with_operator_counts(true)
}

/// How many bytes records of four digits take up.
const fn bytes_of(records: u64) -> u64 {
    records * (25 + 4)
}

/// Small batches, so that little is in flight.
fn small() -> JobOptions {
    JobOptions::default().with_batch_records(1).with_edge_capacity(1)
}

/// Lets `numbers` be written, and aborts the job before anything of it is known to have been read.
async fn abandon(folder: &TempDir, buffer: DiskBuffer, numbers: std::ops::Range<u64>) {
    let flow = Dataflow::new("abandoned");
    let (_sink, end) = probe_sink();
    let count = numbers.end - numbers.start;
    let buffer = buffer.with_sync_every(Duration::from_secs(3600));
    flow.source("numbers", source::from_iter(numbers)).disk_buffer(buffer).sink("stuck", end);
    let job = flow.start_with(&small()).unwrap();
    until(|| written(folder) == count).await;
    job.abort();
    job.await.unwrap_err();
}

/// What comes out when nothing new goes in.
async fn left(buffer: DiskBuffer) -> (Vec<u64>, JobReport) {
    let flow = Dataflow::new("next");
    let all = flow.source("nothing", source::empty()).disk_buffer(buffer).collect();
    let report = flow.run_with(counting()).await.unwrap();
    (report.take(all).unwrap(), report)
}

#[tokio::test]
async fn d8_everything_comes_out_in_order_whatever_the_batches() {
    for batch in [1, 7, 64, 1024] {
        let (folder, flow) = (folder(), Dataflow::new("through"));
        let buffer = buffer(&folder).with_max_bytes(8192).with_sync_every(Duration::ZERO);
        let numbers = flow.source("numbers", source::from_iter(0..2000_u64));
        let all = numbers.disk_buffer(buffer).collect();
        let options = counting().with_batch_records(batch);
        let report = flow.run_with(options).await.unwrap();
        assert_eq!(report.take(all), Some((0..2000).collect()), "{batch}");
        let counts = operator(&report, "disk_buffer");
        assert_eq!((counts.records_in, counts.records_out), (Some(2000), Some(2000)));
        assert_eq!((counts.filtered, counts.added, counts.errors), (0, 0, 0));
        assert_eq!(files(&folder, 0, ".log").len(), 0, "all of it was read");
    }
}

#[tokio::test]
async fn d8_event_times_and_watermarks_keep_their_places() {
    for memory in [0, 1, 100] {
        let (folder, flow) = (folder(), Dataflow::new("times"));
        let (source, factory) = probe_source::<u64>();
        let (sink, end) = probe_sink();
        let stream = flow.source("in", factory);
        stream.overflow_to_disk(memory, buffer(&folder)).sink("out", end);
        let job = flow.start().unwrap();
        for n in 0..20_u64 {
            source.send(Record::at(n, Timestamp::from_millis(n.cast_signed()))).await;
            source.watermark(Timestamp::from_millis(n.cast_signed())).await;
        }
        source.end().await;
        for n in 0..20_u64 {
            let record = sink.next().await.unwrap();
            assert_eq!(record, Record::at(n, Timestamp::from_millis(n.cast_signed())));
        }
        sink.expect_end().await;
        let report = job.await.unwrap();
        let watermark = report.metrics().stages[1].watermark;
        assert_eq!(watermark, Some(Timestamp::from_millis(19)), "{memory}");
    }
}

#[tokio::test]
async fn d8_a_stuck_consumer_holds_up_nobody_while_there_is_room() {
    let (folder, flow) = (folder(), Dataflow::new("stuck"));
    let (sink, end) = probe_sink();
    let pulled = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&pulled);
    let numbers = source::from_iter(1000..6000_u64);
    let numbers = flow.source("numbers", numbers).inspect(move |_| {
        count.fetch_add(1, SeqCst);
    });
    numbers.disk_buffer(buffer(&folder)).sink("out", end);
    let job = flow.start().unwrap();
    until(|| pulled.load(SeqCst) == 5000 && written(&folder) >= 5000).await;
    assert!(bytes(&folder) < bytes_of(5000) + 200);
    sink.expect(1000..6000).await;
    sink.expect_end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn d8_a_full_buffer_backpressures_and_never_has_more_than_it_may() {
    for max in [4096, 10_000] {
        let (folder, flow) = (folder(), Dataflow::new("full"));
        let (sink, end) = probe_sink();
        let pulled = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&pulled);
        let numbers = flow.source("numbers", source::from_iter(1000..2000_u64));
        let numbers = numbers.inspect(move |_| {
            count.fetch_add(1, SeqCst);
        });
        numbers.disk_buffer(buffer(&folder).with_max_bytes(max)).sink("out", end);
        let options = JobOptions::default().with_batch_records(10).with_edge_capacity(10);
        let bound = flow.blueprint().view(&options).unwrap().records_in_flight_max as u64;
        let job = flow.start_with(&options).unwrap();
        for start in [1000, 1500] {
            // Nobody moves any more.
            until(|| bytes(&folder) > max / 2).await;
            for _ in 0..2000 {
                tokio::task::yield_now().await;
            }
            let now = bytes(&folder);
            assert!(now <= max, "{now} of {max}");
            let ahead = pulled.load(SeqCst) - (start - 1000);
            assert!(ahead <= max / bytes_of(1) + bound, "{ahead} ahead, {bound} in memory");
            sink.expect(start..start + 500).await;
        }
        sink.expect_end().await;
        job.await.unwrap();
    }
}

#[tokio::test]
async fn d8_what_comes_while_it_is_full_can_be_dropped_and_is_counted() {
    let (folder, flow) = (folder(), Dataflow::new("drops"));
    let (sink, end) = probe_sink();
    let (source, factory) = probe_source::<u64>();
    let buffer = buffer(&folder).with_max_bytes(4096).drop_newest();
    flow.source("numbers", factory).disk_buffer(buffer).sink("out", end);
    let options = counting().with_batch_records(4).with_edge_capacity(4);
    let job = flow.start_with(&options).unwrap();
    for n in 1000..2000 {
        source.send(n).await;
    }
    source.end().await;
    let skipped = || {
        let metrics = job.metrics();
        metrics
            .operators
            .iter()
            .find(|one| one.name == "disk_buffer")
            .unwrap()
            .dropped
            .of(DropReason::Overflow)
    };
    until(|| skipped() > 800).await;
    let mut kept = Vec::new();
    while let Some(record) = sink.next().await {
        kept.push(record.value);
    }
    assert!(kept.is_sorted() && kept[..100] == (1000..1100).collect::<Vec<_>>(), "the oldest");
    let report = job.await.unwrap();
    let counts = operator(&report, "disk_buffer");
    assert_eq!(counts.dropped.of(DropReason::Overflow) + kept.len() as u64, 1000);
    assert_eq!((counts.filtered, counts.added), (counts.dropped.of(DropReason::Overflow), 0));
}

#[tokio::test]
async fn d8_an_error_of_the_disk_names_the_operator_and_the_path() {
    let folder = folder();
    let path = folder.path().join("file");
    fs::write(&path, "no folder").unwrap();
    let flow = Dataflow::new("error");
    let numbers = flow.source("numbers", source::from_iter(0..10_u64));
    numbers.disk_buffer(DiskBuffer::open(&path)).named("keep").ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("keep"));
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert_eq!(operator(error.report().unwrap(), "keep").errors, 1);
}

#[tokio::test]
async fn d8_a_record_that_can_never_fit_is_an_error_or_dropped() {
    for drops in [false, true] {
        let (folder, flow) = (folder(), Dataflow::new("large"));
        let texts = ["small".to_owned(), "x".repeat(5000), "last".to_owned()];
        let buffer = buffer(&folder).with_max_bytes(4096);
        let buffer = if drops { buffer.drop_newest() } else { buffer };
        let all = flow.source("texts", source::from_iter(texts)).disk_buffer(buffer).collect();
        let ran = flow.run().await;
        if drops {
            assert_eq!(ran.unwrap().take(all).unwrap(), ["small", "last"]);
        } else {
            let error = ran.unwrap_err().to_string();
            assert!(error.contains("5002 bytes does not fit"), "{error}");
        }
    }
}

#[derive(serde::Deserialize)]
struct Bad;

impl serde::Serialize for Bad {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("can't be written")
    }
}

#[tokio::test]
async fn d8_a_panic_while_a_value_is_written_names_the_operator() {
    let (folder, flow) = (folder(), Dataflow::new("panic"));
    flow.source("bad", source::from_iter([()])).map(|()| Bad).disk_buffer(buffer(&folder)).ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Panic("can't be written".to_owned()));
    assert_eq!(error.operator_name(), Some("disk_buffer"));
}

#[tokio::test]
async fn d8_a_drain_reads_everything_and_an_abort_leaves_it() {
    let (folder, flow) = (folder(), Dataflow::new("drain"));
    let (source, factory) = probe_source::<u64>();
    let all = flow.source("in", factory).disk_buffer(buffer(&folder)).collect();
    let job = flow.start().unwrap();
    for n in 0..500 {
        source.send(n).await;
    }
    source.asked().await;
    let report = job.drain(Duration::from_secs(60)).await.unwrap();
    assert_eq!(report.take(all), Some((0..500).collect()));
    assert_eq!(files(&folder, 0, ".log").len(), 0);
}

#[tokio::test]
async fn d8_a_barrier_waits_until_what_is_before_it_has_been_read() {
    let (folder, flow) = (folder(), Dataflow::new("barrier"));
    let (source, factory) = probe_source::<u64>();
    let (sink, end) = probe_sink();
    flow.source("in", factory).disk_buffer(buffer(&folder)).sink("out", end);
    let job = flow.start().unwrap();
    source.send(1).await;
    source.barrier(millstream_engine::batch::Barrier(1)).await;
    source.send(2).await;
    source.idle().await;
    source.send(3).await;
    source.end().await;
    sink.expect([1, 2, 3]).await;
    sink.expect_end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn d8_overflow_uses_the_disk_only_when_memory_is_full_and_keeps_the_order() {
    let (folder, flow) = (folder(), Dataflow::new("overflow"));
    let (source, factory) = probe_source::<u64>();
    let (sink, end) = probe_sink();
    flow.source("in", factory).overflow_to_disk(100, buffer(&folder)).sink("out", end);
    let options = JobOptions::default().with_batch_records(1).with_edge_capacity(1);
    let job = flow.start_with(&options).unwrap();
    for n in 1000..1090 {
        source.send(n).await;
    }
    source.asked().await;
    assert_eq!(files(&folder, 0, ".log").len(), 0, "memory is enough");
    for n in 1090..1600 {
        source.send(n).await;
    }
    until(|| bytes(&folder) > bytes_of(400)).await;
    sink.expect(1000..1600).await;
    // What is on disk has been read, so memory is used again.
    source.asked().await;
    let before = bytes(&folder);
    for n in 1600..1680 {
        source.send(n).await;
    }
    source.asked().await;
    let after = bytes(&folder);
    assert!(after <= before + bytes_of(20), "{before} {after}");
    sink.expect(1600..1680).await;
    source.end().await;
    sink.expect_end().await;
    job.await.unwrap();
    assert_eq!(files(&folder, 0, ".log").len(), 0);
}

#[tokio::test]
async fn d8_what_waits_in_memory_is_within_the_bound_that_the_graph_states() {
    for memory in [0, 30] {
        let folder = folder();
        let (flow, pulled) = (Dataflow::new("bound"), Arc::new(AtomicU64::new(0)));
        let count = Arc::clone(&pulled);
        let (sink, end) = probe_sink();
        let numbers = flow.source("numbers", source::from_iter(1000_u64..));
        let numbers = numbers.inspect(move |_| {
            count.fetch_add(1, SeqCst);
        });
        let limited = buffer(&folder).with_max_bytes(65_536);
        numbers.overflow_to_disk(memory, limited).sink("stuck", end);
        let options = JobOptions::default().with_batch_records(4).with_edge_capacity(4);
        let bound = flow.blueprint().view(&options).unwrap().records_in_flight_max;
        let job = flow.start_with(&options).unwrap();
        until(|| bytes(&folder) > 65_536 - 300).await;
        // Less than a segment: no room comes of it, however often it is looked for.
        for _ in 0..200 {
            sink.next().await.unwrap();
        }
        for _ in 0..2000 {
            tokio::task::yield_now().await;
        }
        let in_memory = pulled.load(SeqCst) - written(&folder);
        assert!(in_memory <= bound as u64, "{in_memory} of {bound}");
        drop(job);
    }
}
