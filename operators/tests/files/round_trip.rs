//! There and back: what the sinks write, the sources read.

use millstream_operators::prelude::*;
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

use super::{Fixture, Row, run_to_end};

fn block_on<R>(work: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
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
