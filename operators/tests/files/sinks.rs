//! The file sinks: whole files or none, and what can go wrong on the way.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use millstream_engine::Record;
use millstream_engine::time::VirtualClock;
use millstream_operators::file::Place;
use millstream_operators::prelude::*;
use millstream_operators::sink::NotOneInstance;

use super::{Fixture, Row, file_error};

#[tokio::test]
async fn n1_a_file_appears_when_it_is_whole() {
    let fixture = Fixture::new("out", "old");
    let (handle, queue) = source::queue(8);
    let flow = Dataflow::new("test");
    flow.source("in", queue).sink("out", sink::LinesFile::create(&fixture.path));
    let job = flow.start().unwrap();
    assert!(handle.offer("new").is_accepted());
    while fixture.names().len() == 1 {
        tokio::task::yield_now().await;
    }
    let names = fixture.names();
    assert!(names.iter().any(|name| name.starts_with(".out.part-")), "{names:?}");
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
    assert!(message.contains("/dev/full, record 1: No space left"), "{message}");
    let few = Dataflow::new("test");
    few.source("in", source::once(1)).sink("out", sink::CsvFile::create("/dev/full"));
    few.run().await.unwrap_err();
    assert!(!fs::metadata("/dev/full").unwrap().is_file());
}

#[tokio::test]
async fn bad_input_a_folder_that_is_not_there() {
    let fixture = Fixture::empty();
    let path = fixture.path.join("missing").join("out.csv");
    let flow = Dataflow::new("test");
    flow.source("in", source::once(1)).sink("out", sink::CsvFile::create(&path));
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
    assert!(error.to_string().contains("call `.gather()` before the sink"), "{error}");
    let flow = Dataflow::new("test");
    numbers(&flow).gather().sink("out", sink::LinesFile::create(&fixture.path));
    flow.run().await.unwrap();
    assert_eq!(fs::read_to_string(&fixture.path).unwrap().lines().count(), 10);
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
async fn n1_a_link_and_permissions_stay_when_a_file_is_replaced() {
    let fixture = Fixture::new("real", "old");
    let link = fixture.folder.path().join("link");
    std::os::unix::fs::symlink(&fixture.path, &link).unwrap();
    let mut permissions = fs::metadata(&link).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&link, permissions).unwrap();
    let flow = Dataflow::new("test");
    flow.source("in", source::once("new")).sink("out", sink::LinesFile::create(&link));
    flow.run().await.unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::metadata(&link).unwrap().permissions().readonly());
    assert_eq!(fs::read_to_string(&fixture.path).unwrap(), "new\n");
}

#[tokio::test]
async fn n1_the_header_comes_from_the_fields() {
    let row = Row { id: 1, name: "a".into(), ratio: None, flag: true };
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
    check(one, |file| file.with_header(["x"; 4]), "x,x,x,x\n1,a,,true\n").await;
    check(vec![], |file| file, "").await;
    check(vec![], |file| file.with_header(["x", "y"]), "x,y\n").await;
}

#[cfg(unix)]
#[test]
fn n1_a_reader_that_goes_away_is_enough() {
    // The sinks for the standard output write the same way as to a pipe that has a name.
    let fixture = Fixture::empty();
    let made = std::process::Command::new("mkfifo").arg(&fixture.path).status();
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
            File::open(&fixture.path).unwrap().read_exact(&mut first).unwrap();
            assert_eq!(&first, b"0\n1\n");
        });
        runtime.block_on(flow.run()).unwrap()
    });
    assert_eq!(report.outcome(), millstream_engine::runtime::Outcome::Completed);
}
