//! Files from end to end: what goes in comes out, and bad input gets an error that names the
//! operator, the file and the line; never a panic, a hang, or a result that looks complete and
//! isn't.

#![cfg(feature = "files")]
#![allow(clippy::unwrap_used, reason = "helpers of tests, too, may fail by panicking")]

mod csv;
mod lines;
mod round_trip;
mod sinks;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use millstream_engine::Error;
use millstream_engine::source::SourceStatus;
use millstream_engine::source::{Position, Source, SourceBatch, SourceContext, SourceFactory};
use millstream_engine::time::VirtualClock;
use millstream_operators::file::FileError;
use millstream_operators::prelude::*;
use millstream_operators::source::Line;
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
) -> (Vec<(Vec<<F::Source as Source>::Item>, Position)>, Option<String>)
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

/// A row of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    id: i64,
    name: String,
    ratio: Option<f32>,
    flag: bool,
}
