//! Lines: how they are told apart, where reading goes on, and bad ones.

use std::fs::{self, File};
use std::io::Write as _;

use millstream_engine::source::Position;
use millstream_operators::file::Place;
use millstream_operators::prelude::*;
use millstream_operators::source::{Line, LineError, RowError};

use super::{Fixture, batches, file_error, gzip, many_lines, run_to_end, texts};

#[tokio::test]
async fn a5_every_kind_of_line_end_is_a_line() {
    let fixture = Fixture::new("a.txt", "\u{feff}one\r\ntwo\n\n\r\nfive\rstill five");
    let lines = run_to_end(source::Lines::open(&fixture.path)).await.unwrap();
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
    let lines = run_to_end(source::Lines::open(&fixture.path)).await.unwrap();
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
        let lines = run_to_end(source::Lines::open(&fixture.path)).await.unwrap();
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
    let csv = run_to_end(source::CsvRows::open(&missing)).await.unwrap_err();
    let json = run_to_end(source::JsonLines::<u8>::open(&missing)).await.unwrap_err();
    for error in [lines, csv, json] {
        assert_eq!(error.operator_name(), Some("read"));
        assert!(error.to_string().contains("missing.csv: "), "{error}");
        assert_eq!(file_error(&error).place(), Place::File);
    }
    let folder = run_to_end(source::Lines::open(fixture.folder.path())).await;
    assert!(file_error(&folder.unwrap_err()).cause().is::<std::io::Error>());
}

#[tokio::test]
async fn bad_input_a_file_cut_off_inside_a_gzip_block() {
    let whole = gzip(&many_lines(20_000));
    for kept in [1, 2, 9, 15, 100, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
        let fixture = Fixture::new("cut.gz", &whole[..kept]);
        let (all, error) = batches(&source::Lines::open(&fixture.path), 100, None).await;
        let read: u64 = all.iter().map(|(lines, _)| lines.len() as u64).sum();
        let error = error.unwrap_or_else(|| panic!("{kept} bytes passed for a whole file"));
        assert!(error.contains("cut.gz"), "{error}");
        if kept > 1 {
            assert!(error.contains(&format!("line {}:", read + 1)), "{error}");
        }
        let error = run_to_end(source::CsvRows::open(&fixture.path)).await.unwrap_err();
        assert!(error.to_string().contains("operator `read` failed: "), "{error}");
    }
    let broken = {
        let mut bytes = whole.clone();
        let last = bytes.len() - 6;
        bytes[last] ^= 1;
        Fixture::new("broken.gz", bytes)
    };
    let error = run_to_end(source::Lines::open(&broken.path)).await.unwrap_err();
    assert_eq!(file_error(&error).place(), Place::Line(20_001));
    let empty = Fixture::new("empty.gz", "");
    run_to_end(source::Lines::open(&empty.path)).await.unwrap_err();
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
    let lines = run_to_end(source::Lines::open(&fixture.path)).await.unwrap();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1].bytes().len(), 1024 * 1024);
    assert!(lines[1].is_truncated());
    assert!(lines[1].text().unwrap_err().to_string().contains(", line 2: "));
    assert_eq!(lines[2].text().unwrap(), "last");
    let error = run_to_end(source::JsonLines::<u8>::open(&fixture.path)).await.unwrap_err();
    assert!(error.to_string().contains("long.txt, line 1: "), "{error}");
    let error = run_to_end(source::CsvRows::open(&fixture.path)).await.unwrap_err();
    assert_eq!(file_error(&error).place(), Place::Line(2));
    assert!(error.to_string().contains("longer than 1048576 bytes"), "{error}");
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        assert!(after - before < 50_000, "{before} kB before, {after} kB after");
    }
}

/// The most memory that this process has had resident, in kB, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
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
    let lines = run_to_end(source::Lines::open(&fixture.path)).await.unwrap();
    assert_eq!(lines[2].text().unwrap(), "also good");
    let error: LineError = lines[1].text().unwrap_err();
    assert!(error.to_string().contains("text.txt, line 2: invalid utf-8"), "{error}");
    let fixture = Fixture::new("rows.csv", b"name,n\nb\xffd,1\ngood,2\n");
    let rows = run_to_end(source::CsvRows::open(&fixture.path)).await.unwrap();
    let error: RowError = rows[0].decode::<(String, u8)>().unwrap_err();
    assert!(error.to_string().contains("rows.csv, line 2, column `name`: "), "{error}");
    assert_eq!(rows[1].decode::<(String, u8)>().unwrap(), ("good".to_owned(), 2));
}

#[tokio::test]
async fn bad_input_a_row_that_does_not_parse() {
    let fixture = Fixture::new("data.jsonl", "1\n\n2\n{\n3\n");
    let error = run_to_end(source::JsonLines::<u8>::open(&fixture.path)).await.unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("operator `read` failed: "), "{message}");
    assert!(message.contains("data.jsonl, line 4: "), "{message}");
    assert_eq!(error.report().unwrap().records_read(), 2);
    assert_eq!(error.cause().unwrap().downcast_ref::<LineError>().unwrap().line(), 4);

    let fixture = Fixture::new("data.csv", "a,n\n\n\nx,1\n\"two\nlines\",2\ny,three\n");
    let error = run_to_end(source::Csv::<(String, u8)>::open(&fixture.path)).await.unwrap_err();
    assert!(error.to_string().contains("data.csv, line 7, column `n`: invalid digit"), "{error}");
    assert_eq!(error.report().unwrap().records_read(), 2);
    assert_eq!(error.cause().unwrap().downcast_ref::<RowError>().unwrap().line(), 7);
}

#[tokio::test]
async fn a5_a_bad_line_is_met_again() {
    let fixture = Fixture::new("data.jsonl", "1\n\n2\nx\n3\n");
    let factory = source::JsonLines::<u8>::open(&fixture.path);
    let (read, error) = batches(&factory, 8, None).await;
    assert_eq!(read[0].0, [1, 2]);
    let again = Some(read[0].1.clone());
    assert_eq!(batches(&factory, 8, again).await, (vec![], error));
}

#[cfg(unix)]
#[test]
fn a5_a_pipe_is_read_as_it_comes_and_holds_up_nobody() {
    let fixture = Fixture::empty();
    let made = std::process::Command::new("mkfifo").arg(&fixture.path).status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let flow = Dataflow::new("test");
    let (sender, mut lines) = tokio::sync::mpsc::channel(1);
    flow.source("in", source::Lines::open(&fixture.path)).sink("out", sink::channel(sender));
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
