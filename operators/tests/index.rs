//! The index in `README.md` has every word, with the file that it is in and a test that exists.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Methods that are no words: they build, run and show a graph, or are doors for words.
const PLUMBING: [&str; 23] = [
    "behind",
    "blueprint",
    "boxed",
    "consume",
    "flow",
    "forward",
    "from_parts",
    "graph",
    "headed",
    "into_parts",
    "named",
    "new",
    "parallelism",
    "route",
    "run",
    "run_with",
    "sink",
    "source",
    "start",
    "through",
    "validate",
    "via",
    "via_with",
];

/// A line of the table.
struct Row {
    contract: String,
    /// Each word, and the file it links to.
    words: Vec<(String, String)>,
    test: String,
}

fn rows(index: &str) -> Vec<Row> {
    let cells = |line: &str| -> Vec<String> {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let lines = index.lines().filter(|line| line.starts_with('|'));
    let lines = lines.filter(|line| line.contains("]("));
    let row = |line| {
        let [contract, words, _, test] = <[String; 4]>::try_from(cells(line)).unwrap();
        let links = words.split(", ").map(|link| {
            let (word, file) = link.split_once("](").expect("a word links to its file");
            let word = word.trim_matches(['[', '`']).to_owned();
            (word, file.trim_end_matches(')').to_owned())
        });
        Row { words: links.collect(), test: test.trim_matches('`').to_owned(), contract }
    };
    lines.map(row).collect()
}

/// Every Rust file below a folder of the crate, by its path in the crate, with its text.
fn files(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            found.extend(files(&path));
        } else if path.ends_with(".rs") {
            found.push((path, fs::read_to_string(entry.path()).unwrap()));
        }
    }
    found
}

/// The words that a file offers: public methods of the front, among the sources and sinks also
/// public functions and constructors, and among the aggregates these themselves.
fn words_of(path: &str, text: &str) -> Vec<String> {
    let everywhere =
        ["src/source/", "src/sink/", "src/hub/"].iter().any(|folder| path.starts_with(folder));
    let mut words = Vec::new();
    let mut owner = String::new();
    for (at, line) in text.match_indices('\n').map(|(at, _)| at + 1).map(|at| {
        let line = text[at..].lines().next().unwrap_or_default();
        (at, line)
    }) {
        if line.starts_with("#[cfg(test)]") {
            break;
        }
        if line.starts_with("impl") {
            owner = owner_of(line);
            let aggregate = aggregate_of(path, line).filter(|name| !words.contains(name));
            words.extend(aggregate);
        } else if line.starts_with('}') {
            owner.clear();
        }
        let code = line.trim_start().replace("const ", "").replace("async ", "");
        let Some(name) = code.strip_prefix("pub fn ") else {
            continue;
        };
        let name = name.split(['<', '(']).next().unwrap();
        let signature = text[at..].split('{').next().unwrap();
        let constructs = !signature.contains("self");
        match owner.as_str() {
            "DataStream" | "Dataflow" => words.push(name.to_owned()),
            "KeyedStream" => words.push(format!("KeyedStream::{name}")),
            "" if everywhere => words.push(name.to_owned()),
            _ if everywhere && constructs => words.push(format!("{owner}::{name}")),
            _ => {}
        }
    }
    words
}

/// The aggregate that an `impl` block is for, if it is for one.
fn aggregate_of(path: &str, line: &str) -> Option<String> {
    let among_them = path.starts_with("src/aggregate/") && owner_of(line) == "Aggregate";
    let (_, name) = line.split_once(" for ").filter(|_| among_them)?;
    let is_name = |letter: &char| letter.is_alphanumeric();
    Some(name.chars().take_while(is_name).collect())
}

/// The type that an `impl` block is for.
fn owner_of(line: &str) -> String {
    let mut depth = 0;
    let line = line.replace("->", "");
    let mut rest = line.trim_start_matches("impl");
    if rest.starts_with('<') {
        let end = rest.find(|letter| {
            depth += i32::from(letter == '<') - i32::from(letter == '>');
            depth == 0
        });
        rest = &rest[end.unwrap() + 1..];
    }
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    rest.trim_start().chars().take_while(|letter| is_name(*letter)).collect()
}

fn index() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let rows = rows(&fs::read_to_string(path).unwrap());
    assert!(rows.len() > 50, "the table has been read: {}", rows.len());
    rows
}

#[test]
fn words_are_found_where_they_are_offered() {
    let front =
        "//! Doc.\nimpl<T: Into<u8>> DataStream<T> {\n    pub fn a<U>(self) {}\n    fn b() {}\n}\n";
    let other =
        "impl Part {\n    pub const fn c() -> Self {}\n    pub fn d(self) {}\n}\npub fn e() {}\n";
    let keyed = "impl<T, K> KeyedStream<T, K> {\n    pub fn f(\n        self,\n    ) {}\n}\n";
    let value = "//! Doc.\nimpl<T> Aggregate<T> for Count {\n    pub fn g() {}\n}\nimpl Sum {}\n";
    assert_eq!(words_of("src/aggregate/x.rs", value), ["Count"]);
    let text =
        format!("{front}{other}{keyed}#[cfg(test)]\nmod tests {{\n    pub fn g() {{}}\n}}\n");
    assert_eq!(words_of("src/x.rs", &text), ["a", "KeyedStream::f"]);
    let expected = ["a", "Part::c", "e", "KeyedStream::f"];
    assert_eq!(words_of("src/sink/x.rs", &text), expected);
}

#[test]
fn every_word_is_in_the_index() {
    let listed: BTreeSet<_> = index().into_iter().flat_map(|row| row.words).collect();
    let listed: BTreeSet<_> = listed.into_iter().filter(|(_, file)| !is_outside(file)).collect();
    let mut offered = BTreeSet::new();
    for (path, text) in files("src") {
        let words = words_of(&path, &text).into_iter();
        let words = words.filter(|word| !PLUMBING.contains(&word.as_str()));
        let words = words.filter(|word| !word.starts_with("KeyedStream::via_keyed"));
        // A stream's is a word, and the dataflow's is how it is run.
        let words = words.filter(|word| word != "start_with" || path != "src/dataflow.rs");
        offered.extend(words.map(|word| (word, path.clone())));
    }
    let missing: Vec<_> = offered.difference(&listed).collect();
    assert!(missing.is_empty(), "not in the index: {missing:?}");
    // Words that are said in a word, as windows and triggers are, are listed all the same.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_declared = |(word, file): &(String, String)| {
        declares(&fs::read_to_string(root.join(file)).unwrap_or_default(), word)
    };
    let unknown: Vec<_> = listed.difference(&offered).filter(|row| !is_declared(row)).collect();
    assert!(unknown.is_empty(), "not in the file linked: {unknown:?}");
}

#[test]
fn every_word_has_a_test_of_its_contract() {
    let mut sources = Vec::new();
    for folder in ["src", "tests", "../engine/src", "../engine/tests", "../console/tests"] {
        sources.extend(files(folder));
    }
    for row in index() {
        let beginning = format!("{}_", row.contract.to_lowercase());
        assert!(row.test.starts_with(&beginning), "{}: {}", row.contract, row.test);
        let declared = format!("fn {}(", row.test);
        let exists = sources.iter().any(|(_, text)| text.contains(&declared));
        assert!(exists, "there is no test {}", row.test);
    }
}

/// Whether a word is of another crate: a type or method of the engine, not said on a stream.
fn is_outside(file: &str) -> bool {
    file.starts_with("../")
}

/// Whether a file declares what a word names: `name`, or `Type::name`.
fn declares(text: &str, word: &str) -> bool {
    let (owner, name) = word.rsplit_once("::").map_or((None, word), |(o, n)| (Some(o), n));
    let is_end = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    let has = |declaration: String| {
        text.match_indices(&declaration).any(|(at, found)| is_end(&text[at + found.len()..]))
    };
    let kinds: &[&str] = match owner {
        Some(_) => &["pub fn", "pub const fn", "pub async fn"],
        None => &["pub fn", "pub const fn", "pub struct", "pub enum", "pub trait"],
    };
    let named = kinds.iter().any(|kind| has(format!("{kind} {name}")));
    let owned = |line: &str| line.starts_with("impl") && owner == Some(&*owner_of(line));
    named && (owner.is_none() || text.lines().any(owned))
}

#[test]
fn words_of_other_crates_are_declared_where_the_link_says() {
    let text = "impl<T> Probe<T> {\n    pub fn ask_twice(&self) {}\n}\npub struct Probe;\n";
    for (word, declared) in
        [("Probe", true), ("Probe::ask_twice", true), ("Probe::ask", false), ("Other", false)]
    {
        assert_eq!(declares(text, word), declared, "{word}");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = 0;
    for (word, file) in index().into_iter().flat_map(|row| row.words) {
        if is_outside(&file) {
            let text = fs::read_to_string(root.join(&file)).unwrap_or_default();
            assert!(declares(&text, &word), "there is no `{word}` in {file}");
            found += 1;
        }
    }
    assert!(found > 20, "{found}");
}

/// Every contract of these groups that is a must or expected, and of N the sinks that are no part
/// of checkpoints.
const CONTRACTS: [(&str, usize); 14] = [
    ("A", 8),
    ("B", 12),
    ("C", 11),
    ("D", 8),
    ("E", 8),
    ("F", 7),
    ("G", 10),
    ("H", 10),
    ("I", 10),
    ("J", 8),
    ("K", 6),
    ("L", 6),
    ("M", 8),
    ("N", 2),
];

#[test]
fn every_contract_has_a_row() {
    let listed: BTreeSet<_> = index().into_iter().map(|row| row.contract).collect();
    let ids = CONTRACTS
        .iter()
        .flat_map(|(group, count)| (1..=*count).map(move |number| format!("{group}{number}")));
    let ids: BTreeSet<_> = ids.collect();
    let missing: Vec<_> = ids.difference(&listed).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
}

/// X13 is about acknowledgements, which there are none of.
#[test]
fn every_rule_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let (index, tests) = (read("README.md"), read("tests/cross_cutting.rs"));
    for number in (1..=15).filter(|number| *number != 13) {
        let beginning = format!("| X{number} |");
        let row = index.lines().find(|line| line.starts_with(&beginning)).unwrap();
        let test = row.split('`').rfind(|part| part.starts_with('x')).unwrap();
        assert!(test.starts_with(&format!("x{number}_")), "{row}");
        assert!(tests.contains(&format!("fn {test}(")), "there is no test {test}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("README.md")).unwrap();
    for link in text.split("](").skip(1) {
        let path = link.split(')').next().unwrap();
        assert!(root.join(path).exists(), "{path}");
    }
}
