//! What `examples/README.md` says of the examples: that it speaks of all of them and of no other,
//! that its commands run them, and that the words it names are words, and are used.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The first examples, in the order in which they are read: each shows one system in a file that
/// can be read in five minutes, and takes the same options.
const FIRST: [&str; 10] = [
    "sensors",
    "producer_consumer",
    "channel_chat",
    "timeouts",
    "task_farm",
    "scrape",
    "gateway",
    "rate_limited_api",
    "log_metrics",
    "live_dashboard",
];
const FIRST_LINES_MAX: usize = 150;

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(ROOT).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An example, as it lies in its folder.
struct Example {
    name: String,
    /// Its file with `main`.
    main: PathBuf,
    /// All of its code but the tests.
    code: String,
}

fn examples() -> Vec<Example> {
    let folder = Path::new(ROOT).join("examples");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_stem().unwrap().to_string_lossy().into_owned();
        let (main, files) = if entry.join("main.rs").exists() {
            (entry.join("main.rs"), code_in(&entry))
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            (entry.clone(), vec![entry])
        } else {
            continue;
        };
        let code = files.iter().map(read).collect();
        found.push(Example { name, main, code });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The files of code in a folder and those below it, but the tests.
fn code_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        } else if path.is_dir() {
            found.extend(code_in(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
    found
}

/// What the README says of an example.
struct Section {
    name: String,
    /// The file that its title leads to.
    link: String,
    text: String,
    words: Vec<String>,
}

/// The sections of the README: each begins with ``## [`name`](file)``.
fn sections(text: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    for part in text.split("\n## ").skip(1) {
        let (title, text) = part.split_once('\n').unwrap();
        let titled = title.strip_prefix("[`").and_then(|title| title.split_once("`]("));
        let (name, link) = titled.unwrap_or_else(|| panic!("no example is named by `## {title}`"));
        let bullets = text.split("\n- ").map(|bullet| bullet.trim_end());
        let said = bullets.filter_map(|bullet| bullet.strip_prefix("Words: "));
        let words = said.flat_map(code_spans).collect();
        let link = link.trim_end_matches(')').to_owned();
        sections.push(Section { name: name.to_owned(), link, text: text.to_owned(), words });
    }
    sections
}

/// What stands between backticks.
fn code_spans(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The parts of a path, such as `Watermarks::idle_after`, and whatever else is between letters.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
}

#[test]
fn the_readme_is_read_as_it_is_meant() {
    let text = "# Examples\n\n## [`a`](a/main.rs)\n\nA.\n\n- Words: `map`, windows (`Tumbling`,\n  \
                `late_to`).\n- Try `--b`.\n\n## [`b`](b.rs)\n\nNo words.\n";
    let sections = sections(text);
    let said: Vec<_> = sections.iter().map(|one| (one.name.as_str(), one.link.as_str())).collect();
    assert_eq!(said, [("a", "a/main.rs"), ("b", "b.rs")]);
    assert_eq!(sections[0].words, ["map", "Tumbling", "late_to"]);
    assert!(sections[1].words.is_empty());
}

#[test]
fn every_example_is_in_the_readme_and_none_that_is_not_there() {
    let examples: BTreeSet<_> = examples().into_iter().map(|example| example.name).collect();
    let sections = sections(&read("examples/README.md"));
    let told: BTreeSet<_> = sections.iter().map(|section| section.name.clone()).collect();
    assert_eq!(told, examples);
    assert_eq!(sections.len(), told.len(), "one of them is told of twice");
    let manifest = read("Cargo.toml");
    let declared = manifest.split("[[example]]\nname = \"").skip(1);
    for name in declared.map(|rest| rest.split('"').next().unwrap()) {
        assert!(examples.contains(name), "Cargo.toml declares `{name}`, which is not there");
    }
    let first: Vec<_> = FIRST.into_iter().filter(|name| examples.contains(*name)).collect();
    let order: Vec<_> = sections.iter().map(|section| section.name.as_str()).collect();
    assert_eq!(order[..first.len()], first, "the order in which they are read");
}

#[test]
fn each_section_has_the_command_and_leads_to_the_file() {
    for section in sections(&read("examples/README.md")) {
        let name = &section.name;
        assert!(Path::new(ROOT).join("examples").join(&section.link).exists(), "{}", section.link);
        let command = format!("```sh\ncargo run --release --example {name}");
        assert!(section.text.contains(&command), "the section of `{name}` lacks its command");
        for line in section.text.lines().filter(|line| line.contains("--example ")) {
            let named = line.split("--example ").nth(1).unwrap();
            assert_eq!(names(named).next(), Some(name.as_str()), "in the section of `{name}`");
        }
    }
}

#[test]
fn the_words_are_words_and_are_used() {
    let index = read("operators/README.md");
    let index: BTreeSet<_> = code_spans(&index)
        .iter()
        .flat_map(|span| names(span).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let examples = examples();
    for section in sections(&read("examples/README.md")) {
        let example = examples.iter().find(|example| example.name == section.name).unwrap();
        let used: BTreeSet<_> = names(&example.code).collect();
        assert!(!section.words.is_empty(), "`{}` uses no words", section.name);
        for word in &section.words {
            let named = |one: &str| index.contains(one) && used.contains(one);
            let known = names(word).all(named);
            assert!(known, "`{word}` is no word, or `{}` does not use it", section.name);
        }
    }
}

#[test]
fn the_first_examples_can_be_read_in_five_minutes() {
    let examples = examples();
    for example in examples.iter().filter(|example| FIRST.contains(&example.name.as_str())) {
        let (name, main) = (&example.name, read(&example.main));
        let lines = main.lines().count();
        assert!(lines <= FIRST_LINES_MAX, "`{name}` has {lines} lines");
        let opening: Vec<_> = main.lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(!opening.is_empty(), "`{name}` does not say what it is");
        assert!(opening.contains(&"//! ```text"), "`{name}` has no picture of its graph");
        let picture = opening.iter().any(|line| line.contains("─▶"));
        assert!(picture, "`{name}` has no picture of its graph");
        assert!(main.contains("mod tests;"), "`{name}` has no tests");
        assert!(!main.contains("#[path"), "`{name}` takes code from elsewhere");
    }
}

#[test]
fn the_first_examples_take_the_same_options() {
    let examples = examples();
    for example in examples.iter().filter(|example| FIRST.contains(&example.name.as_str())) {
        let (name, main) = (&example.name, read(&example.main));
        let (_, options) = main.split_once("#[derive(Parser)]\nstruct Options {").unwrap();
        let (options, program) = options.split_once("\n}").unwrap();
        for option in ["    graph: bool,", "    metrics: Option<SocketAddr>,"] {
            assert!(options.lines().any(|line| line == option), "`{name}` lacks `{option}`");
        }
        for used in ["if options.graph {", ".to_mermaid()", "options.metrics {", ".watch("] {
            assert!(program.contains(used), "`{name}` has an option but no `{used}`");
        }
    }
}
