//! Lines out of an `AsyncRead`.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use millstream_engine::source::{AlreadyRead, SourceFactory as _, SourceStatus};
use millstream_engine::testing::probe_sink;
use millstream_operators::prelude::*;
use tokio::io::{AsyncRead, ReadBuf};

use crate::{MINUTE, now, settle, small_batches};

/// What comes over the wire, a piece a read.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<State>>, Arc<AtomicUsize>);

#[derive(Default)]
struct State {
    pieces: VecDeque<io::Result<Vec<u8>>>,
    closed: bool,
    waker: Option<Waker>,
}

impl Wire {
    fn send(&self, piece: io::Result<&str>) {
        let mut state = self.0.lock().unwrap();
        state.pieces.push_back(piece.map(|text| text.as_bytes().to_vec()));
        state.waker.take().into_iter().for_each(Waker::wake);
    }

    fn close(&self) {
        let mut state = self.0.lock().unwrap();
        state.closed = true;
        state.waker.take().into_iter().for_each(Waker::wake);
    }
}

struct Reader(Wire);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.1.fetch_add(1, SeqCst);
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.0.lock().unwrap();
        match state.pieces.pop_front() {
            Some(Ok(piece)) => {
                buf.put_slice(&piece);
                Poll::Ready(Ok(()))
            }
            Some(Err(error)) => Poll::Ready(Err(error)),
            None if state.closed => Poll::Ready(Ok(())),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn text(line: source::Line) -> String {
    String::from_utf8(line.into_bytes()).unwrap()
}

#[tokio::test]
async fn a2_lines_of_a_reader_are_handed_over_as_they_come() {
    let wire = Wire::default();
    let flow = Dataflow::new("wire");
    let (probe, sink) = probe_sink();
    flow.source("wire", source::read_lines(Reader(wire.clone()))).map(text).sink("probe", sink);
    let job = flow.start().unwrap();
    wire.send(Ok("one\ntw"));
    probe.expect(["one".to_owned()]).await;
    wire.send(Ok("o\r\n\nth"));
    probe.expect(["two".to_owned(), String::new()]).await;
    wire.send(Ok("ree"));
    settle().await;
    probe.request(1);
    assert_eq!(probe.waiting(), 0, "it has no end yet");
    wire.close();
    probe.expect(["three".to_owned()]).await;
    probe.expect_end().await;
    job.await.unwrap();
    assert!(flow.run().await.unwrap_err().cause().unwrap().is::<AlreadyRead>());
}

#[tokio::test]
async fn a2_a_reader_is_read_no_further_than_there_is_room_for() {
    let wire = Wire::default();
    for n in 0..1000 {
        wire.send(Ok(&format!("{n}\n")));
    }
    let flow = Dataflow::new("wire");
    let (probe, sink) = probe_sink();
    flow.source("wire", source::read_lines(Reader(wire.clone()))).map(text).sink("probe", sink);
    let job = flow.start_with(&small_batches()).unwrap();
    probe.expect(["0".to_owned()]).await;
    settle().await;
    let read = 1000 - wire.0.lock().unwrap().pieces.len();
    assert!(read < 16, "{read}");
    assert_eq!(wire.1.load(SeqCst), 0);
    drop(job);
    settle().await;
    assert_eq!(wire.1.load(SeqCst), 1, "dropping the job drops the reader");
}

#[tokio::test]
async fn a2_an_error_of_the_reader_comes_behind_its_lines_with_their_number() {
    let wire = Wire::default();
    wire.send(Ok("one\ntwo\nthr"));
    wire.send(Err(io::Error::other("cable pulled")));
    let flow = Dataflow::new("wire");
    flow.source("wire", source::read_lines(Reader(wire))).ignore();
    let error = flow.run().await.unwrap_err();
    let expected = "operator `wire` failed: the reader, line 3: cable pulled";
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.report().unwrap().records_read(), 2);
}

#[tokio::test]
async fn a2_bad_text_and_long_lines_are_told_where_they_are_used() {
    let bytes: &[u8] = b"good\nb\xffd\n0123456789\nlast";
    let flow = Dataflow::new("wire");
    let lines = flow.source("wire", source::read_lines(bytes).with_line_limit(5));
    let (dead, letters) = flow.dead_letters("bad lines");
    let good = lines.try_map(OnError::dead_letter(&dead), |line| line.text().map(str::to_owned));
    let good = good.collect();
    let bad = letters.map(|letter| letter.error.to_string()).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(good), Some(vec!["good".to_owned(), "last".to_owned()]));
    let expected = vec![
        "the reader, line 2: invalid utf-8 sequence of 1 bytes from index 1".to_owned(),
        "the reader, line 3: the line is longer than 5 bytes".to_owned(),
    ];
    assert_eq!(report.take(bad), Some(expected));
}

#[tokio::test]
async fn a2_a_drain_hands_over_the_whole_lines_that_were_read() {
    let wire = Wire::default();
    wire.send(Ok("1\n2\n3\n4\n5\n6\n7\n8\n9\nhalf"));
    let (probe, sink) = probe_sink();
    let flow = Dataflow::new("wire");
    flow.source("wire", source::read_lines(Reader(wire))).map(text).sink("probe", sink);
    let job = flow.start_with(&small_batches()).unwrap();
    settle().await;
    let draining = job.drain(MINUTE);
    let taking = async {
        probe.request(usize::MAX);
        let mut lines = Vec::new();
        while let Some(line) = probe.next().await {
            lines.push(line.value);
        }
        lines
    };
    let (report, lines) = tokio::join!(draining, taking);
    report.unwrap();
    assert_eq!(lines.concat(), "123456789");
}

#[test]
fn a2_a_wait_that_is_given_up_loses_no_bytes() {
    let wire = Wire::default();
    let mut source = source::read_lines(Reader(wire.clone())).create(0).unwrap();
    let mut read = Vec::new();
    for letter in "ab\ncd\n\ne".chars() {
        wire.send(Ok(&letter.to_string()));
        read.extend(now(&mut source, 4).into_iter().flat_map(|(lines, _)| lines).map(text));
    }
    wire.close();
    let (lines, status) = now(&mut source, 4).unwrap();
    read.extend(lines.into_iter().map(text));
    assert_eq!((read.join("|"), status), ("ab|cd||e".to_owned(), SourceStatus::End));
}
