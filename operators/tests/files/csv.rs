//! CSV: rows, the lines they begin on, and quotes that nobody closes.

use millstream_engine::source::Position;
use millstream_operators::file::Place;
use millstream_operators::prelude::*;
use millstream_operators::source::CsvRow;

use super::{Fixture, batches, file_error, gzip, run_to_end};

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
        let rows = run_to_end(source::CsvRows::open(&fixture.path)).await.unwrap();
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
    let error = run_to_end(source::CsvRows::open(&short.path)).await.unwrap_err();
    assert_eq!(file_error(&error).place(), Place::Line(3));
    assert!(error.to_string().contains("ends inside a quoted field"), "{error}");
    text.push_str(&"4,5\n".repeat(100_000));
    let long = Fixture::new("long.csv", &text);
    let factory = source::CsvRows::open(&long.path).with_row_limit(1000);
    let error = run_to_end(factory).await.unwrap_err();
    assert_eq!(file_error(&error).place(), Place::Line(3));
    assert!(error.to_string().contains("longer than 1000 bytes"), "{error}");
    let commas = Fixture::new("commas.csv", ",".repeat(100_000));
    let factory = source::CsvRows::open(&commas.path).with_row_limit(1000);
    run_to_end(factory).await.unwrap_err();
    for closed in ["a\n\"x\"", "a\n\"x\"\n", "a\n", "\"a\"", "", "\n\n"] {
        let fixture = Fixture::new("closed.csv", closed);
        run_to_end(source::CsvRows::open(&fixture.path)).await.unwrap();
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
