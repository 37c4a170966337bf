//! What `README.md` and `examples/README.md` say is so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use millstream::prelude::*;
use millstream::runtime::Output;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// What stands in the first fenced block of a language.
fn block<'a>(page: &'a str, language: &str) -> &'a str {
    let (_, behind) = page.split_once(&format!("```{language}\n")).unwrap();
    behind.split_once("```").unwrap().0
}

/// The graph of the program in the README; that it is the same one is checked below.
fn words() -> (Dataflow, Output<Vec<(&'static str, u64)>>) {
    let flow = Dataflow::new("words");
    let counts = flow
        .source("lines", source::from_iter(["the mill turns", "the stream runs"]))
        .flat_map_iter(|line| line.split(' '))
        .key_by(|word| *word)
        .parallel(2)
        .count()
        .collect();
    (flow, counts)
}

/// The text from the graph's name to its sink, without its layout.
fn statement(program: &str) -> String {
    let (_, from_name) = program.split_once("Dataflow::new(\"words\")").unwrap();
    let (graph, _) = from_name.split_once(".collect()").unwrap();
    let graph: String = graph.split_whitespace().collect();
    graph.replace(",)", ")")
}

#[test]
fn the_picture_is_that_of_the_program() {
    let page = read("README.md");
    let here = read("tests/readme.rs");
    assert_eq!(statement(block(&page, "rust")), statement(&here));
    let (flow, _) = words();
    assert_eq!(block(&page, "mermaid"), flow.graph().unwrap().to_mermaid());
}

#[test]
fn every_word_in_the_table_is_in_the_index() {
    let (page, index) = (read("README.md"), read("operators/README.md"));
    let (_, section) = page.split_once("## What one can say").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let words: Vec<&str> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    assert!(words.len() > 60, "{words:?}");
    for word in words {
        let forms = [format!("[`{word}`]"), format!("[`{word}::"), format!("::{word}`]")];
        assert!(forms.iter().any(|form| index.contains(form.as_str())), "`{word}`");
    }
}

#[tokio::test]
async fn the_program_prints_what_it_says() {
    let page = read("README.md");
    let (_, said) = block(&page, "rust").split_once("println!").unwrap();
    let said = said.lines().nth(1).unwrap().trim();
    let (flow, counts) = words();
    let mut counts = flow.run().await.unwrap().take(counts).unwrap_or_default();
    counts.sort_unstable();
    assert_eq!(said, format!("// {counts:?}"));
}

#[test]
fn every_link_leads_somewhere() {
    for (folder, page) in [("", "README.md"), ("examples/", "examples/README.md")] {
        for link in read(page).split("](").skip(1) {
            let target = link.split(')').next().unwrap();
            if !target.contains("://") {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target);
                assert!(path.exists(), "{page} links to {target}");
            }
        }
    }
}
