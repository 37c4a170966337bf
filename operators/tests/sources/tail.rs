//! Files that grow, are renamed, cut and replaced while they are read, and folders of files.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_engine::source::{
    Position, Source as _, SourceBatch, SourceContext, SourceFactory, SourceStatus,
};
use millstream_engine::testing::{SinkProbe, probe_sink};
use millstream_engine::time::{Clock, VirtualClock};
use millstream_operators::prelude::*;
use tempfile::TempDir;

use crate::MINUTE;

struct Log {
    _folder: TempDir,
    path: PathBuf,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        Self { _folder: folder, path }
    }

    fn sibling(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    fn append(&self, text: &str) {
        append(&self.path, text);
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn text(line: source::Line) -> String {
    String::from_utf8(line.into_bytes()).unwrap()
}

async fn expect(probe: &SinkProbe<String>, lines: &[&str]) {
    probe.expect(lines.iter().map(|line| (*line).to_owned())).await;
}

/// A job that follows a file, with a poll interval of one second of paused time.
fn follow(log: &Log) -> (millstream_engine::runtime::JobHandle, SinkProbe<String>) {
    let (probe, sink) = probe_sink();
    let flow = Dataflow::new("tail");
    let tail = source::file_tail(&log.path).with_poll_interval(Duration::from_secs(1));
    flow.source("log", tail).map(text).sink("probe", sink);
    (flow.start().unwrap(), probe)
}

#[tokio::test(start_paused = true)]
async fn a8_a_file_that_grows_is_followed() {
    let log = Log::new();
    let (job, probe) = follow(&log);
    probe.expect_no_record(Duration::from_secs(3)).await;
    log.append("one\ntwo\nthr");
    expect(&probe, &["one", "two"]).await;
    probe.expect_no_record(Duration::from_secs(3)).await;
    log.append("ee\r\n");
    expect(&probe, &["three"]).await;
    let many: String = (0..50_000).map(|n| format!("{n}\n")).collect();
    log.append(&many);
    probe.expect((0..50_000).map(|n| n.to_string())).await;
    job.abort();
    job.await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a8_rotation_loses_no_tail_of_the_old_file() {
    let log = Log::new();
    log.append("1\n");
    let (job, probe) = follow(&log);
    expect(&probe, &["1"]).await;
    // The writer holds on to the file that was renamed, while the new one is there and empty.
    let old = log.sibling("app.log.1");
    log.append("2\n");
    fs::rename(&log.path, &old).unwrap();
    File::create(&log.path).unwrap();
    append(&old, "3\n4");
    expect(&probe, &["2", "3"]).await;
    probe.expect_no_record(Duration::from_secs(5)).await;
    append(&old, "4\n5");
    expect(&probe, &["44"]).await;
    append(&old, "5\nno end");
    log.append("6\n");
    expect(&probe, &["55", "no end", "6"]).await;
    log.append("7\n");
    expect(&probe, &["7"]).await;
    // Once more, at once.
    fs::rename(&log.path, log.sibling("app.log.2")).unwrap();
    probe.expect_no_record(Duration::from_secs(5)).await;
    log.append("8\n");
    expect(&probe, &["8"]).await;
    job.abort();
    job.await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a8_a_file_that_is_cut_is_read_from_its_beginning() {
    let log = Log::new();
    log.append("one\ntwo\nhalf");
    let (job, probe) = follow(&log);
    expect(&probe, &["one", "two"]).await;
    probe.expect_no_record(Duration::from_secs(3)).await;
    fs::copy(&log.path, log.sibling("app.log.1")).unwrap();
    OpenOptions::new().write(true).open(&log.path).unwrap().set_len(0).unwrap();
    log.append("new\n");
    expect(&probe, &["half", "new"]).await;
    log.append("more\n");
    expect(&probe, &["more"]).await;
    job.abort();
    job.await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a8_a_drain_hands_over_the_whole_lines_that_are_there() {
    let log = Log::new();
    let (probe, sink) = probe_sink();
    let flow = Dataflow::new("tail");
    let tail = source::file_tail(&log.path).with_poll_interval(Duration::from_secs(3600));
    flow.source("log", tail).map(text).sink("probe", sink);
    log.append("0\n");
    let job = flow.start().unwrap();
    expect(&probe, &["0"]).await;
    let lines: String = (1..2000).map(|n| format!("{n}\n")).collect();
    log.append(&lines);
    log.append("half");
    probe.request(usize::MAX);
    let report = job.drain(MINUTE).await.unwrap();
    assert_eq!(report.records_read(), 2000);
    assert_eq!(report.records_written(), 2000);
}

#[tokio::test(start_paused = true)]
async fn a8_a_folder_in_place_of_the_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let flow = Dataflow::new("tail");
    flow.source("log", source::file_tail(folder.path())).ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("log"));
    assert!(error.to_string().contains(&*folder.path().to_string_lossy()), "{error}");
}

/// Reads what is there with a new source, from a position, and says where it got to.
async fn read(tail: &source::Tail, position: Option<Position>, room: usize) -> (String, Position) {
    let mut context = SourceContext::new(VirtualClock::new().clock());
    context.position.clone_from(&position);
    let mut source = tail.create(0).unwrap();
    source.open(&context).await.unwrap();
    let mut batch = SourceBatch::new(room);
    // It hands over what is there, and does not wait for more.
    source.drain(&mut batch).await.unwrap();
    let (batch, reached) = batch.into_parts();
    let lines = batch.records.into_iter().map(|record| text(record.value));
    (lines.collect::<Vec<_>>().join(" "), reached.or(position).unwrap())
}

#[tokio::test]
async fn a8_reading_goes_on_from_every_position() {
    let log = Log::new();
    log.append("a\nbb\r\n\nccc\nhalf");
    let tail = source::file_tail(&log.path);
    let (first, start) = read(&tail, None, 1).await;
    assert_eq!(first, "a");
    let (second, position) = read(&tail, Some(start.clone()), 2).await;
    assert_eq!(second, "bb ");
    let (third, position) = read(&tail, Some(position), 9).await;
    assert_eq!(third, "ccc");
    log.append(" and whole\n");
    let (fourth, position) = read(&tail, Some(position.clone()), 9).await;
    assert_eq!(fourth, "half and whole", "a position is the beginning of a line");

    // The file was renamed while nobody read, and another has its name.
    log.append("tail\n");
    fs::rename(&log.path, log.sibling("app.log.1")).unwrap();
    log.append("new\n");
    let (fifth, position) = read(&tail, Some(position), 9).await;
    assert_eq!(fifth, "tail new", "the old one first, to its end");
    log.append("newer\n");
    let (sixth, position) = read(&tail, Some(position), 9).await;
    assert_eq!(sixth, "newer");

    // It was cut while nobody read.
    OpenOptions::new().write(true).open(&log.path).unwrap().set_len(0).unwrap();
    log.append("x\n");
    assert_eq!(read(&tail, Some(position), 9).await.0, "x");

    // It is gone.
    fs::remove_file(log.sibling("app.log.1")).unwrap();
    let mut context = SourceContext::new(Clock::system());
    context.position = Some(start.clone());
    let mut source = tail.create(0).unwrap();
    source.open(&context).await.unwrap();
    let error = source.next(&mut SourceBatch::new(1)).await.unwrap_err().to_string();
    assert!(error.ends_with("the file that was read up to byte 2 is no longer in its folder"));
    assert_eq!(read(&tail.or_start_anew(), Some(start), 9).await.0, "x");

    context.position = Some(Position(vec![1, 2, 3]));
    let tail = source::file_tail(&log.path);
    tail.create(0).unwrap().open(&context).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a8_a_finished_file_is_read_to_its_end() {
    let log = Log::new();
    log.append("one\ntwo");
    let flow = Dataflow::new("lines");
    let all = flow.source("log", source::file_lines(&log.path)).map(text).collect();
    let expected = vec!["one".to_owned(), "two".to_owned()];
    assert_eq!(flow.run().await.unwrap().take(all), Some(expected));
}

#[tokio::test(start_paused = true)]
async fn a7_new_files_of_a_folder_are_read_as_they_appear() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let hidden = folder.path().join(format!(".{name}.part"));
        fs::write(&hidden, text).unwrap();
        fs::rename(&hidden, folder.path().join(name)).unwrap();
    };
    put("1.log", "a\nb\n");
    put("notes.txt", "not meant\n");
    fs::create_dir(folder.path().join("2.log")).unwrap();
    fs::write(folder.path().join(".3.log"), "hidden\n").unwrap();
    let (probe, sink) = probe_sink();
    let flow = Dataflow::new("folder");
    let files = source::Files::in_folder(folder.path()).with_ending(".log");
    flow.source("files", files).map(text).sink("probe", sink);
    let job = flow.start().unwrap();
    expect(&probe, &["a", "b"]).await;
    probe.expect_no_record(Duration::from_secs(5)).await;
    put("4.log", "c\nd");
    expect(&probe, &["c", "d"]).await;
    put("0.log", "e");
    expect(&probe, &["e"]).await;
    job.drain(MINUTE).await.unwrap();
}

#[tokio::test]
async fn a7_a_further_run_reads_no_file_twice() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["1", "2", "3"] {
        let lines: String = (0..20).map(|n| format!("{name}.{n}\n")).collect();
        fs::write(folder.path().join(name), lines).unwrap();
    }
    let files = source::Files::in_folder(folder.path()).only_those_there().with_concurrency(2);
    let mut position = None;
    let mut read = Vec::new();
    loop {
        let mut context = SourceContext::new(Clock::system());
        context.position = position;
        let mut source = files.create(0).unwrap();
        source.open(&context).await.unwrap();
        let mut status = SourceStatus::More;
        for _ in 0..3 {
            let mut batch = SourceBatch::new(5);
            status = source.next(&mut batch).await.unwrap();
            let (batch, reached) = batch.into_parts();
            read.extend(batch.records.into_iter().map(|record| text(record.value)));
            context.position = reached.or(context.position);
            if status == SourceStatus::End {
                break;
            }
        }
        if status == SourceStatus::End {
            break;
        }
        position = context.position;
    }
    assert_eq!(read.len(), 60);
    for name in ["1", "2", "3"] {
        let of: Vec<_> = read.iter().filter(|line| line.starts_with(name)).collect();
        assert!(of.iter().enumerate().all(|(n, line)| **line == format!("{name}.{n}")), "{of:?}");
    }
}

#[tokio::test]
async fn a7_a_folder_that_is_missing_is_an_error_with_its_name() {
    let flow = Dataflow::new("folder");
    flow.source("files", source::Files::in_folder("no such folder")).ignore();
    let error = flow.run().await.unwrap_err();
    assert!(error.to_string().starts_with("operator `files` failed: no such folder: "), "{error}");
}
