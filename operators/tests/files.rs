//! Files from end to end: what goes in comes out, and bad input gets an error that names the operator,
//! the file and the line; never a panic, a hang, or a result that looks complete and isn't.

#![cfg(feature = "files")]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, too, may fail by panicking"
)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use millstream_engine::source::SourceStatus;
use millstream_engine::source::{Position, Source, SourceBatch, SourceContext, SourceFactory};
use millstream_engine::time::VirtualClock;
use millstream_engine::{Error, Record};
use millstream_operators::file::{FileError, Place};
use millstream_operators::prelude::*;
use millstream_operators::sink::NotOneInstance;
use millstream_operators::source::{CsvRow, Line, LineError, RowError};
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// A folder with one file in it.
struct Fixture {
    folder: TempDir,
    path: PathBuf,
}

impl Fixture {
    fn new(name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        Self { folder, path }
    }

    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        Self { folder, path }
    }

    /// The names of all files in the folder.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes that hardly compress, in numbered lines.
fn many_lines(lines: u64) -> Vec<u8> {
    let numbered = (1..=lines).map(|n| {
        let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{n} {noise:x}\n")
    });
    numbered.collect::<String>().into_bytes()
}

async fn run_to_end<F>(factory: F) -> Result<Vec<<F::Source as Source>::Item>, Error>
where
    F: SourceFactory,
{
    let flow = Dataflow::new("test");
    let all = flow.source("read", factory).collect();
    Ok(flow.run().await?.take(all).unwrap())
}

/// What is handed over, batch by batch, each with the position behind it, and how it ends.
async fn batches<F>(
    factory: &F,
    limit: usize,
    position: Option<Position>,
) -> (
    Vec<(Vec<<F::Source as Source>::Item>, Position)>,
    Option<String>,
)
where
    F: SourceFactory,
{
    let mut source = factory.create(0).unwrap();
    let mut context = SourceContext::new(VirtualClock::new().clock());
    context.position = position;
    if let Err(error) = source.open(&context).await {
        return (Vec::new(), Some(error.to_string()));
    }
    let mut batches = Vec::new();
    loop {
        let mut batch = SourceBatch::new(limit);
        match source.next(&mut batch).await {
            Err(error) => return (batches, Some(error.to_string())),
            Ok(status) => {
                let (batch, position) = batch.into_parts();
                assert!(batch.records.len() <= limit);
                let values = batch.records.into_iter().map(|record| record.value);
                if let Some(position) = position {
                    batches.push((values.collect(), position));
                }
                if status == SourceStatus::End {
                    return (batches, None);
                }
            }
        }
    }
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text().unwrap()).collect()
}

fn file_error(error: &Error) -> &FileError {
    error.cause().unwrap().downcast_ref().unwrap()
}

// ---------------------------------------------------------------- lines

#[tokio::test]
async fn a5_every_kind_of_line_end_is_a_line() {
    let fixture = Fixture::new("a.txt", "\u{feff}one\r\ntwo\n\n\r\nfive\rstill five");
    let lines = run_to_end(source::Lines::open(&fixture.path))
        .await
        .unwrap();
    assert_eq!(texts(&lines), ["one", "two", "", "", "five\rstill five"]);
    let numbers: Vec<u64> = lines.iter().map(Line::number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert!(lines[0].file().ends_with("a.txt"));
    for bytes in ["", "\u{feff}"] {
        let empty = Fixture::new("empty.txt", bytes);
        let lines = run_to_end(source::Lines::open(&empty.path)).await.unwrap();
        assert!(lines.is_empty());
    }
}

#[tokio::test]
async fn a5_gzip_is_recognised_by_how_it_begins() {
    let mut members = gzip(b"one\ntw");
    members.extend(gzip(b"o\nthree"));
    let fixture = Fixture::new("packed.txt", members);
    let lines = run_to_end(source::Lines::open(&fixture.path))
        .await
        .unwrap();
    assert_eq!(texts(&lines), ["one", "two", "three"]);
    let plain = Fixture::new("plain.gz", "no gzip\n");
    let lines = run_to_end(source::Lines::open(&plain.path)).await.unwrap();
    assert_eq!(texts(&lines), ["no gzip"]);
}

#[tokio::test]
async fn a5_many_lines_come_whole_and_in_order() {
    let bytes = many_lines(50_000);
    for content in [bytes.clone(), gzip(&bytes)] {
        let fixture = Fixture::new("many", content);
        let lines = run_to_end(source::Lines::open(&fixture.path))
            .await
            .unwrap();
        let expected: Vec<&str> = str::from_utf8(&bytes).unwrap().lines().collect();
        assert_eq!(texts(&lines), expected);
    }
}

#[tokio::test]
async fn a5_reading_goes_on_from_every_position() {
    let bytes = many_lines(2_000);
    for content in [bytes.clone(), gzip(&bytes)] {
        let fixture = Fixture::new("many", content);
        let factory = source::Lines::open(&fixture.path);
        let (all, end) = batches(&factory, 300, None).await;
        assert_eq!((all.len(), end), (7, None));
        for (index, (_, position)) in all.iter().enumerate() {
            let (rest, end) = batches(&factory, 300, Some(position.clone())).await;
            assert_eq!(end, None);
            let values = |part: &[(Vec<Line>, Position)]| -> Vec<Line> {
                part.iter().flat_map(|(lines, _)| lines.clone()).collect()
            };
            assert_eq!(values(&rest), values(&all[index + 1..]));
        }
    }
}

#[tokio::test]
async fn a5_a_position_that_cannot_be_reached_is_an_error() {
    let long = Fixture::new("long", many_lines(100));
    let (all, _) = batches(&source::Lines::open(&long.path), 50, None).await;
    for content in [b"short\n".to_vec(), gzip(b"short\n")] {
        let short = Fixture::new("short", content);
        let factory = source::Lines::open(&short.path);
        let (_, error) = batches(&factory, 50, Some(all[0].1.clone())).await;
        assert!(error.unwrap().contains("where reading was to go on"));
        let (_, error) = batches(&factory, 50, Some(Position(vec![1, 2]))).await;
        assert!(error.unwrap().contains("not one of a file source"));
    }
}

#[tokio::test]
async fn bad_input_a_file_that_is_not_there() {
    let fixture = Fixture::empty();
    let missing = fixture.path.join("missing.csv");
    let flow = Dataflow::new("test");
    flow.source("read", source::Lines::open(&missing)).ignore();
    let lines = flow.run().await.unwrap_err();
    let csv = run_to_end(source::CsvRows::open(&missing))
        .await
        .unwrap_err();
    let json = run_to_end(source::JsonLines::<u8>::open(&missing))
        .await
        .unwrap_err();
    for error in [lines, csv, json] {
        assert_eq!(error.operator_name(), Some("read"));
        assert!(error.to_string().contains("missing.csv: "), "{error}");
        assert_eq!(file_error(&error).place(), Place::File);
    }
    let folder = run_to_end(source::Lines::open(fixture.folder.path())).await;
    assert!(
        file_error(&folder.unwrap_err())
            .cause()
            .is::<std::io::Error>()
    );
}

#[tokio::test]
async fn bad_input_a_file_cut_off_inside_a_gzip_block() {
    let whole = gzip(&many_lines(20_000));
    for kept in [
        1,
        2,
        9,
        15,
        100,
        whole.len() / 2,
        whole.len() - 8,
        whole.len() - 1,
    ] {
        let fixture = Fixture::new("cut.gz", &whole[..kept]);
        let (all, error) = batches(&source::Lines::open(&fixture.path), 100, None).await;
        let read: u64 = all.iter().map(|(lines, _)| lines.len() as u64).sum();
        let error = error.unwrap_or_else(|| panic!("{kept} bytes passed for a whole file"));
        assert!(error.contains("cut.gz"), "{error}");
        if kept > 1 {
            assert!(error.contains(&format!("line {}:", read + 1)), "{error}");
        }
        let error = run_to_end(source::CsvRows::open(&fixture.path))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("operator `read` failed: "),
            "{error}"
        );
    }
    let broken = {
        let mut bytes = whole.clone();
        let last = bytes.len() - 6;
        bytes[last] ^= 1;
        Fixture::new("broken.gz", bytes)
    };
    let error = run_to_end(source::Lines::open(&broken.path))
        .await
        .unwrap_err();
    assert_eq!(file_error(&error).place(), Place::Line(20_001));
    let empty = Fixture::new("empty.gz", "");
    run_to_end(source::Lines::open(&empty.path))
        .await
        .unwrap_err();
}

#[tokio::test]
async fn bad_input_a_line_of_a_hundred_megabytes() {
    let fixture = Fixture::new("long.txt", "");
    let mut file = File::create(&fixture.path).unwrap();
    file.write_all(b"first\n").unwrap();
    for _ in 0..100 {
        file.write_all(&vec![b'x'; 1024 * 1024]).unwrap();
    }
    file.write_all(b"\nlast").unwrap();
    let before = peak_memory();
    let lines = run_to_end(source::Lines::open(&fixture.path))
        .await
        .unwrap();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1].bytes().len(), 1024 * 1024);
    assert!(lines[1].is_truncated());
    assert!(
        lines[1]
            .text()
            .unwrap_err()
            .to_string()
            .contains(", line 2: ")
    );
    assert_eq!(lines[2].text().unwrap(), "last");
    let error = run_to_end(source::JsonLines::<u8>::open(&fixture.path))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("long.txt, line 1: "), "{error}");
    let error = run_to_end(source::CsvRows::open(&fixture.path))
        .await
        .unwrap_err();
    assert_eq!(file_error(&error).place(), Place::Line(2));
    assert!(
        error.to_string().contains("longer than 1048576 bytes"),
        "{error}"
    );
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        assert!(
            after - before < 50_000,
            "{before} kB before, {after} kB after"
        );
    }
}

/// The most memory that this process has had resident, in kB, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[tokio::test]
async fn a5_a_line_is_cut_right_above_the_limit() {
    let fixture = Fixture::new("a.txt", "1234\r\n12345\r\n1234\n12345\n123456\n1234");
    let factory = source::Lines::open(&fixture.path).with_line_limit(4);
    let lines = run_to_end(factory).await.unwrap();
    let cut: Vec<bool> = lines.iter().map(Line::is_truncated).collect();
    assert_eq!(cut, [false, true, false, true, true, false]);
    assert!(lines.iter().all(|line| line.bytes() == b"1234"));
}

#[tokio::test]
async fn bad_input_invalid_utf8() {
    let fixture = Fixture::new("text.txt", b"good\nb\xffd\nalso good\n");
    let lines = run_to_end(source::Lines::open(&fixture.path))
        .await
        .unwrap();
    assert_eq!(lines[2].text().unwrap(), "also good");
    let error: LineError = lines[1].text().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("text.txt, line 2: invalid utf-8"),
        "{error}"
    );
    let fixture = Fixture::new("rows.csv", b"name,n\nb\xffd,1\ngood,2\n");
    let rows = run_to_end(source::CsvRows::open(&fixture.path))
        .await
        .unwrap();
    let error: RowError = rows[0].decode::<(String, u8)>().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("rows.csv, line 2, column `name`: "),
        "{error}"
    );
    assert_eq!(
        rows[1].decode::<(String, u8)>().unwrap(),
        ("good".to_owned(), 2)
    );
}

#[tokio::test]
async fn bad_input_a_row_that_does_not_parse() {
    let fixture = Fixture::new("data.jsonl", "1\n\n2\n{\n3\n");
    let error = run_to_end(source::JsonLines::<u8>::open(&fixture.path))
        .await
        .unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("operator `read` failed: "), "{message}");
    assert!(message.contains("data.jsonl, line 4: "), "{message}");
    assert_eq!(error.report().unwrap().records_read(), 2);
    assert_eq!(
        error
            .cause()
            .unwrap()
            .downcast_ref::<LineError>()
            .unwrap()
            .line(),
        4
    );

    let fixture = Fixture::new("data.csv", "a,n\n\n\nx,1\n\"two\nlines\",2\ny,three\n");
    let error = run_to_end(source::Csv::<(String, u8)>::open(&fixture.path))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("data.csv, line 7, column `n`: invalid digit"),
        "{error}"
    );
    assert_eq!(error.report().unwrap().records_read(), 2);
    assert_eq!(
        error
            .cause()
            .unwrap()
            .downcast_ref::<RowError>()
            .unwrap()
            .line(),
        7
    );
}

// ---------------------------------------------------------------- CSV

fn shown(rows: &[CsvRow]) -> Vec<(u64, Vec<String>)> {
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let row = |row: &CsvRow| (row.line(), row.fields().iter().map(text).collect());
    rows.iter().map(row).collect()
}

#[tokio::test]
async fn a5_rows_know_the_line_they_begin_on() {
    for end in ["\n", "\r\n"] {
        let text =
            "\u{feff}a,b\n\n1,\"x\ny\"\n\n\n2,\"\"\"q\"\"\"\n3\n4,5,6\n7,8".replace('\n', end);
        let fixture = Fixture::new("rows.csv", text);
        let rows = run_to_end(source::CsvRows::open(&fixture.path))
            .await
            .unwrap();
        let field = format!("x{end}y");
        let expected: Vec<(u64, Vec<&str>)> = vec![
            (3, vec!["1", &field]),
            (7, vec!["2", "\"q\""]),
            (8, vec!["3"]),
            (9, vec!["4", "5", "6"]),
            (10, vec!["7", "8"]),
        ];
        let expected: Vec<(u64, Vec<String>)> = expected
            .into_iter()
            .map(|(line, fields)| (line, fields.into_iter().map(str::to_owned).collect()))
            .collect();
        assert_eq!(shown(&rows), expected);
        assert_eq!(rows[0].headers().iter().collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(rows[0].get("a"), Some("1"));
        assert_eq!((rows[2].get("b"), rows[0].get("c")), (None, None));
        rows[2].decode::<(u8, u8)>().unwrap_err();
    }
}

#[tokio::test]
async fn a5_an_open_quote_fails_within_bounds() {
    let mut text = "a,b\n1,2\n3,\"open\n".to_owned();
    let short = Fixture::new("short.csv", &text);
    let error = run_to_end(source::CsvRows::open(&short.path))
        .await
        .unwrap_err();
    assert_eq!(file_error(&error).place(), Place::Line(3));
    assert!(
        error.to_string().contains("ends inside a quoted field"),
        "{error}"
    );
    text.push_str(&"4,5\n".repeat(100_000));
    let long = Fixture::new("long.csv", &text);
    let factory = source::CsvRows::open(&long.path).with_row_limit(1000);
    let error = run_to_end(factory).await.unwrap_err();
    assert_eq!(file_error(&error).place(), Place::Line(3));
    assert!(
        error.to_string().contains("longer than 1000 bytes"),
        "{error}"
    );
    let commas = Fixture::new("commas.csv", ",".repeat(100_000));
    let factory = source::CsvRows::open(&commas.path).with_row_limit(1000);
    run_to_end(factory).await.unwrap_err();
    for closed in ["a\n\"x\"", "a\n\"x\"\n", "a\n", "\"a\"", "", "\n\n"] {
        let fixture = Fixture::new("closed.csv", closed);
        run_to_end(source::CsvRows::open(&fixture.path))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a5_rows_go_on_from_every_position() {
    let rows = (0..1000).map(|n| format!("{n},\"line\r\nbreak {n}\"\r\n"));
    let text = format!("n,text\r\n{}", rows.collect::<String>());
    for content in [text.clone().into_bytes(), gzip(text.as_bytes())] {
        let fixture = Fixture::new("rows.csv", content);
        let factory = source::CsvRows::open(&fixture.path);
        let (all, end) = batches(&factory, 170, None).await;
        assert_eq!((all.len(), end), (6, None));
        for (index, (_, position)) in all.iter().enumerate() {
            let (rest, end) = batches(&factory, 170, Some(position.clone())).await;
            assert_eq!(end, None);
            let values = |part: &[(Vec<CsvRow>, Position)]| {
                let rows: Vec<CsvRow> = part.iter().flat_map(|(rows, _)| rows.clone()).collect();
                assert!(rows.iter().all(|row| row.get("n").is_some()));
                shown(&rows)
            };
            assert_eq!(values(&rest), values(&all[index + 1..]));
        }
    }
}

// ---------------------------------------------------------------- sinks

#[tokio::test]
async fn n1_a_file_appears_when_it_is_whole() {
    let fixture = Fixture::new("out", "old");
    let (handle, queue) = source::queue(8);
    let flow = Dataflow::new("test");
    flow.source("in", queue)
        .sink("out", sink::LinesFile::create(&fixture.path));
    let job = flow.start().unwrap();
    assert!(handle.offer("new").is_accepted());
    while fixture.names().len() == 1 {
        tokio::task::yield_now().await;
    }
    let names = fixture.names();
    assert!(
        names.iter().any(|name| name.starts_with(".out.part-")),
        "{names:?}"
    );
    assert_eq!(fs::read_to_string(&fixture.path).unwrap(), "old");
    handle.close();
    job.await.unwrap();
    assert_eq!(fs::read_to_string(&fixture.path).unwrap(), "new\n");
    assert_eq!(fixture.names(), ["out"]);
}

#[tokio::test]
async fn n1_a_failed_job_leaves_no_file() {
    for _ in 0..2 {
        let fixture = Fixture::empty();
        let flow = Dataflow::new("test");
        let items = futures_util::stream::iter((0..10_000).map(Ok).chain([Err(torn())]));
        flow.source("in", source::try_from_stream(items))
            .sink("out", sink::JsonLinesFile::create(&fixture.path));
        flow.run().await.unwrap_err();
        assert_eq!(fixture.names(), Vec::<String>::new());
    }
}

fn torn() -> std::io::Error {
    std::io::Error::other("torn")
}

#[tokio::test]
async fn n1_an_aborted_job_leaves_no_file() {
    let fixture = Fixture::empty();
    let flow = Dataflow::new("test");
    flow.source("in", source::from_iter(0_u64..))
        .sink("out", sink::LinesFile::create(&fixture.path));
    let job = flow.start().unwrap();
    while job.metrics().operators[1].records_out.unwrap_or(0) == 0 {
        tokio::task::yield_now().await;
    }
    job.abort();
    job.await.unwrap_err();
    // A write that was under way takes the part with it, on its own thread.
    while !fixture.names().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn bad_input_a_full_disk_at_the_sink() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let flow = Dataflow::new("test");
    flow.source("in", source::from_iter(0..100_000))
        .sink("out", sink::LinesFile::create("/dev/full"));
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("out"));
    let message = error.to_string();
    assert!(
        message.contains("/dev/full, record 1: No space left"),
        "{message}"
    );
    let few = Dataflow::new("test");
    few.source("in", source::once(1))
        .sink("out", sink::CsvFile::create("/dev/full"));
    few.run().await.unwrap_err();
    assert!(!fs::metadata("/dev/full").unwrap().is_file());
}

#[tokio::test]
async fn bad_input_a_folder_that_is_not_there() {
    let fixture = Fixture::empty();
    let path = fixture.path.join("missing").join("out.csv");
    let flow = Dataflow::new("test");
    flow.source("in", source::once(1))
        .sink("out", sink::CsvFile::create(&path));
    let error = flow.run().await.unwrap_err();
    assert!(error.to_string().contains("out.csv: "), "{error}");
    assert_eq!(file_error(&error).place(), Place::File);
}

#[tokio::test]
async fn n1_a_record_that_cannot_be_written_is_named() {
    let fixture = Fixture::empty();
    let flow = Dataflow::new("test");
    flow.source("in", source::from_iter([vec![1, 2], vec![3, 4], vec![5]]))
        .sink("out", sink::CsvFile::create(&fixture.path));
    let error = flow.run().await.unwrap_err();
    assert_eq!(file_error(&error).place(), Place::Record(3));
    assert_eq!(fixture.names(), Vec::<String>::new());
}

#[tokio::test]
async fn n1_instances_do_not_fight_for_a_file() {
    let fixture = Fixture::empty();
    let numbers = |flow: &Dataflow| flow.source("in", source::from_iter(0..10)).parallel(2);
    let flow = Dataflow::new("test");
    numbers(&flow).sink("out", sink::LinesFile::create(&fixture.path));
    let error = flow.run().await.unwrap_err();
    assert!(error.cause().unwrap().is::<NotOneInstance>(), "{error}");
    assert!(
        error
            .to_string()
            .contains("call `.gather()` before the sink"),
        "{error}"
    );
    let flow = Dataflow::new("test");
    numbers(&flow)
        .gather()
        .sink("out", sink::LinesFile::create(&fixture.path));
    flow.run().await.unwrap();
    assert_eq!(
        fs::read_to_string(&fixture.path).unwrap().lines().count(),
        10
    );
}

#[tokio::test]
async fn n6_a_commit_can_be_repeated_and_a_lost_part_is_an_error() {
    use millstream_engine::sink::{Sink, SinkContext, SinkFactory};
    let fixture = Fixture::empty();
    let factory = sink::LinesFile::create(&fixture.path);
    let context = SinkContext::new(VirtualClock::new().clock());
    let mut first = factory.create(0).unwrap();
    first.open(&context).await.unwrap();
    first.write(&mut vec![Record::new(7)]).await.unwrap();
    let committable = first.prepare().await.unwrap();
    drop(first);
    let mut second = factory.create(0).unwrap();
    second.open(&context).await.unwrap();
    second.commit(committable.clone()).await.unwrap();
    second.commit(committable.clone()).await.unwrap();
    assert_eq!(fs::read_to_string(&fixture.path).unwrap(), "7\n");
    fs::remove_file(&fixture.path).unwrap();
    second.commit(committable).await.unwrap_err();
}

#[cfg(unix)]
#[tokio::test]
async fn n1_a_link_stays_and_what_it_leads_to_is_replaced() {
    let fixture = Fixture::new("real", "old");
    let link = fixture.folder.path().join("link");
    std::os::unix::fs::symlink(&fixture.path, &link).unwrap();
    let flow = Dataflow::new("test");
    flow.source("in", source::once("new"))
        .sink("out", sink::LinesFile::create(&link));
    flow.run().await.unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&fixture.path).unwrap(), "new\n");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    id: i64,
    name: String,
    ratio: Option<f32>,
    flag: bool,
}

#[tokio::test]
async fn n1_the_header_comes_from_the_fields() {
    let row = Row {
        id: 1,
        name: "a".into(),
        ratio: None,
        flag: true,
    };
    let check = async |rows: Vec<Row>, configure: fn(_) -> sink::CsvFile<Row>, expected: &str| {
        let fixture = Fixture::empty();
        let flow = Dataflow::new("test");
        let file = configure(sink::CsvFile::create(&fixture.path));
        flow.source("in", source::from_iter(rows)).sink("out", file);
        flow.run().await.unwrap();
        assert_eq!(fs::read_to_string(&fixture.path).unwrap(), expected);
    };
    let one = vec![row];
    check(one.clone(), |file| file, "id,name,ratio,flag\n1,a,,true\n").await;
    check(one.clone(), |file| file.without_header(), "1,a,,true\n").await;
    check(
        one,
        |file| file.with_header(["x"; 4]),
        "x,x,x,x\n1,a,,true\n",
    )
    .await;
    check(vec![], |file| file, "").await;
    check(vec![], |file| file.with_header(["x", "y"]), "x,y\n").await;
}

#[cfg(unix)]
#[test]
fn n1_a_reader_that_goes_away_is_enough() {
    // The sinks for the standard output write the same way as to a pipe that has a name.
    let fixture = Fixture::empty();
    let made = std::process::Command::new("mkfifo")
        .arg(&fixture.path)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let flow = Dataflow::new("test");
    flow.source("in", source::from_iter(0_u64..))
        .sink("out", sink::LinesFile::create(&fixture.path));
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut first = [0; 4];
            File::open(&fixture.path)
                .unwrap()
                .read_exact(&mut first)
                .unwrap();
            assert_eq!(&first, b"0\n1\n");
        });
        runtime.block_on(flow.run()).unwrap()
    });
    assert_eq!(
        report.outcome(),
        millstream_engine::runtime::Outcome::Completed
    );
}

#[cfg(unix)]
#[test]
fn a5_a_pipe_is_read_as_it_comes_and_holds_up_nobody() {
    let fixture = Fixture::empty();
    let made = std::process::Command::new("mkfifo")
        .arg(&fixture.path)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let flow = Dataflow::new("test");
    let (sender, mut lines) = tokio::sync::mpsc::channel(1);
    flow.source("in", source::Lines::open(&fixture.path))
        .sink("out", sink::channel(sender));
    std::thread::scope(|scope| {
        let (done, wait) = std::sync::mpsc::sync_channel::<()>(0);
        let path = &fixture.path;
        scope.spawn(move || {
            let mut pipe = File::options().write(true).open(path).unwrap();
            pipe.write_all(b"one\nhal").unwrap();
            wait.recv().unwrap_err();
        });
        runtime.block_on(async {
            let job = flow.start().unwrap();
            // It comes although the pipe stays open, and the next line is not whole.
            let line: Line = lines.recv().await.unwrap();
            assert_eq!(line.text().unwrap(), "one");
            job.abort();
            job.await.unwrap_err();
        });
        // Nothing that is still blocked in the pipe keeps the runtime from shutting down.
        drop(runtime);
        drop(done);
    });
}

// ---------------------------------------------------------------- there and back

fn block_on<R>(work: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn n1_rows_survive_csv_and_json(
        fields in proptest::collection::vec((any::<i64>(), ".*", any::<bool>()), 1..50),
        ratios in proptest::collection::vec(proptest::option::of(-1e6_f32..1e6), 50),
        batch in 1_usize..64,
    ) {
        let rows: Vec<Row> = fields
            .into_iter()
            .zip(ratios)
            .map(|((id, name, flag), ratio)| Row { id, name, ratio, flag })
            .collect();
        let fixture = Fixture::empty();
        let json = fixture.folder.path().join("out.jsonl");
        let (read_csv, read_json) = block_on(async {
            let options = || JobOptions::default().with_batch_records(batch);
            let flow = Dataflow::new("csv");
            flow.source("rows", source::from_iter(rows.clone()))
                .sink("csv", sink::CsvFile::create(&fixture.path));
            flow.run_with(options()).await.unwrap();
            let flow = Dataflow::new("json");
            flow.source("rows", source::from_iter(rows.clone()))
                .sink("json", sink::JsonLinesFile::create(&json));
            flow.run_with(options()).await.unwrap();
            let csv = run_to_end(source::Csv::<Row>::open(&fixture.path)).await.unwrap();
            let json = run_to_end(source::JsonLines::<Row>::open(&json)).await.unwrap();
            (csv, json)
        });
        prop_assert_eq!(&read_csv, &rows);
        prop_assert_eq!(&read_json, &rows);
    }

    #[test]
    fn a5_no_bytes_make_a_source_panic_or_hang(
        bytes in proptest::collection::vec(
            proptest::sample::select(b"a,\"\r\n\xff\x1f\x8b1 {".to_vec()), 0..80),
        limit in 1_usize..20,
    ) {
        let fixture = Fixture::new("any", &bytes);
        block_on(async {
            let lines = source::Lines::open(&fixture.path).with_line_limit(limit);
            let _ended = run_to_end(lines).await;
            let rows = source::CsvRows::open(&fixture.path).with_row_limit(limit);
            let _ended = run_to_end(rows).await;
            let _ended = run_to_end(source::JsonLines::<u8>::open(&fixture.path)).await;
        });
    }
}
