//! The house rules that neither the compiler nor clippy can hold, checked over every text file of
//! the workspace.
//!
//! Each check is a function from a file to its faults. Its test first plants small offences and
//! asks for the very lines to be found, so that no check can pass by finding nothing; then it asks
//! the whole workspace. What a check reads as code has comments and literals masked: a comment may
//! speak of what the code must not do.

use std::fs;
use std::path::Path;

const CODE_LINES_MAX: usize = 500;
const LINE_WIDTH_MAX: usize = 100;
const ARCHITECTURE_LINES_MAX: usize = 200;

/// Where a crate may not look: a folder, and a crate that nothing in it names.
const FORBIDDEN: [(&str, &str); 4] = [
    ("engine/src/", "millstream_operators"),
    ("engine/src/", "millstream_console"),
    ("operators/src/", "millstream_console"),
    ("console/src/", "millstream_operators"),
];

/// The modules of the engine that may know which runtime it runs on.
const SEAMS: [&str; 4] = ["runtime", "edge", "testing", "time"];

/// The types on whose methods a pipeline is said.
const FRONT: [&str; 3] = ["DataStream", "KeyedStream", "Dataflow"];

/// The folders of the operators crate in which every public function is a word of its own.
const WORD_FOLDERS: [&str; 3] =
    ["operators/src/source/", "operators/src/sink/", "operators/src/hub/"];

/// Paths of one machine. They are spelled in two parts, or this file would be at fault itself.
const LOCAL_PATHS: [&str; 2] = [concat!("/wo", "rk/"), concat!("/tmp/", "bash_jobs")];

#[test]
fn a_file_says_what_it_is() {
    let planted = ["src/a.rs 1: use b;\n", "src/b.rs: //! What b is.\n"];
    enforce(&planted, |file, _| {
        let broken = file.is_rust() && !file.text.starts_with("//!");
        fault_if(broken, "begins without `//!`: say what the file is")
    });
}

#[test]
fn lines_are_clean() {
    let wide = format!("//! {}\n", "x".repeat(LINE_WIDTH_MAX));
    let planted = [
        "a.rs 1 2: let a = 1; \n\tlet b = 2;\n",
        "b.md 2: clean\ntrailing \n",
        &format!("wide.rs 1: {wide}"),
        &format!("wide.md: {wide}"),
        &format!("link.rs: {}", wide.replace("xx", "https://x")),
    ];
    enforce(&planted, |file, _| {
        let blank_end = |line: &str| line.trim_end() != line;
        let tab = |line: &str| line.contains('\t');
        let wide = |line: &str| !line.contains("://") && line.chars().count() > LINE_WIDTH_MAX;
        let mut faults = faults_where(&file.text, blank_end, "ends in white space: remove it");
        faults.extend(faults_where(&file.text, tab, "holds a tab: use spaces"));
        faults.extend(faults_where(file.rust(), wide, "is too wide: break it"));
        faults
    });
}

#[test]
fn every_source_file_is_compiled() {
    let planted = [
        "a/src/lib.rs: //! mod lost;\npub(crate) mod one; // why\nmod two;\n",
        "a/src/one.rs: mod inner;\n",
        "a/src/one/inner.rs: ",
        "a/src/two/mod.rs: mod deep;\n",
        "a/src/two/deep.rs: ",
        "a/src/two/lost.rs 1: ",
        "a/src/inner.rs 1: ",
        "a/src/lost/mod.rs 1: ",
        "a/src/bin/tool.rs: ",
        "a/tests/free.rs: ",
        "src/lost.rs 1: ",
    ];
    enforce(&planted, declared_by_parent);
}

fn declared_by_parent(file: &File, all: &[File]) -> Faults {
    let inside_src = file.path.starts_with("src/") || file.path.contains("/src/");
    let roots = ["src/lib.rs", "src/main.rs"];
    let is_root = roots.iter().any(|root| file.path.ends_with(root));
    if !file.is_rust() || !inside_src || is_root || file.path.contains("src/bin/") {
        return Vec::new();
    }
    let module = file.path.trim_end_matches(".rs").trim_end_matches("/mod");
    let (folder, name) = module.rsplit_once('/').expect("the path has `src/` in it");
    let parents = if folder == "src" || folder.ends_with("/src") {
        ["lib.rs", "main.rs"].map(|root| format!("{folder}/{root}"))
    } else {
        [".rs", "/mod.rs"].map(|ending| format!("{folder}{ending}"))
    };
    let declares = |line: &str| {
        let (line, mut backwards) = (line.trim_end(), words(line).rev());
        line.ends_with(';') && backwards.next() == Some(name) && backwards.next() == Some("mod")
    };
    let mut parent_files = all.iter().filter(|other| parents.contains(&other.path));
    let declared = parent_files.any(|parent| parent.code.lines().any(declares));
    let parents = parents.join(" or ");
    let what = format!("is compiled by nobody: delete it, or add `mod {name};` to {parents}");
    fault_if(!declared, &what)
}

#[test]
fn dependencies_point_one_way() {
    let planted = [
        "engine/src/a.rs 2: //! Not millstream.\nuse millstream_operators::Map;\n",
        "operators/src/a.rs: //! use millstream_operators::Map;\n",
        "operators/src/b.rs 1: use millstream_console::Console;\n",
        "console/src/a.rs 2: //! ```\n//! use millstream_operators::Map;\n",
    ];
    // Comments count: the docs' examples are compiled, so what they use is a dependency too.
    enforce(&planted, |file, _| {
        let mut faults = Vec::new();
        for (folder, stranger) in FORBIDDEN {
            let bound = file.path.starts_with(folder);
            let broken = |line: &str| bound && words(line).any(|word| word == stranger);
            let what = format!("names `{stranger}`: move what needs it to a crate above");
            faults.extend(faults_where(&file.text, broken, &what));
        }
        faults
    });
}

#[test]
fn only_the_seams_know_tokio() {
    let planted = [
        "engine/src/batch.rs 2: //! No tokio here.\nuse tokio::sync::mpsc;\n",
        "engine/src/state/map.rs 1: let stop = tokio_util::sync::CancellationToken::new();\n",
        "engine/src/edge/bounded.rs: use tokio::sync::mpsc;\n",
        "engine/src/time.rs: use tokio::time::Instant;\n",
        "operators/src/map_async.rs: use tokio::time::Instant;\n",
    ];
    enforce(&planted, |file, _| {
        let inner = file.path.strip_prefix("engine/src/");
        let module = inner.and_then(|inner| words(inner).next());
        let bound = module.is_some_and(|module| !SEAMS.contains(&module));
        let is_tokio = |word: &str| ["tokio", "tokio_util"].contains(&word);
        let broken = |line: &str| bound && words(line).any(is_tokio);
        let what = format!("names tokio: put what needs it into one of the modules {SEAMS:?}");
        faults_where(&file.code, broken, &what)
    });
}

#[test]
fn nothing_is_unsafe() {
    let text = "#![forbid(unsafe_code)] // no unsafe\nlet b = \"\nunsafe\"; unsafe { c() }\n";
    enforce(&[&format!("a.rs 3: {text}")], |file, _| {
        let broken = |line: &str| words(line).any(|word| word == "unsafe");
        faults_where(&file.code, broken, "is unsafe: write it in safe Rust")
    });
}

#[test]
fn no_test_is_ignored() {
    let text = "// #[ignore]\n#[test]\n#[ignore = \"slow\"]\nfn a() { ignore(); }\n";
    enforce(&[&format!("a.rs 3: {text}")], |file, _| {
        let broken = |line: &str| line.contains("#[") && words(line).any(|word| word == "ignore");
        faults_where(&file.code, broken, "ignores a test: mend or delete it")
    });
}

#[test]
fn the_facade_only_names_others() {
    let module = "#[cfg(c)]\npub mod d {\n    pub use e;\n}\n";
    let good = format!("//! Doc.\n#![doc = \"x\"]\npub use a::{{\n    b,\n}};\n{module}");
    let elsewhere = "a/src/lib.rs: fn a() {}\n";
    enforce(&[&format!("src/lib.rs: {good}"), elsewhere], only_reexports);
    for bad in ["pub fn f() {}\n", "pub mod f;\n", "use f::g;\n"] {
        enforce(&[&format!("src/lib.rs 10: {good}{bad}")], only_reexports);
    }
}

fn only_reexports(file: &File, _: &[File]) -> Faults {
    let facade = file.path == "src/lib.rs";
    let mut rest = if facade { file.code.trim() } else { "" };
    while !rest.is_empty() {
        let Some(after) = after_reexport(rest) else {
            let line = 1 + file.code.lines().count() - rest.lines().count();
            return vec![(line, "is no re-export: move it to its crate".into())];
        };
        rest = after.trim_start();
    }
    Vec::new()
}

/// What follows an attribute, a `pub use`, or the opening or end of a module written in place.
fn after_reexport(code: &str) -> Option<&str> {
    if code.starts_with('#') {
        let mut depth = 0;
        let closing = code.find(|letter| {
            depth += i32::from(letter == '[') - i32::from(letter == ']');
            letter == ']' && depth == 0
        });
        closing.map(|at| code.split_at(at + 1).1)
    } else if code.starts_with("pub use ") {
        code.split_once(';').map(|(_, after)| after)
    } else if let Some(module) = code.strip_prefix("pub mod ") {
        let (name, after) = module.split_once('{')?;
        (!name.contains(';')).then_some(after)
    } else {
        code.strip_prefix('}')
    }
}

#[test]
fn files_stay_small() {
    let code = "let a = 1;\n// why\n\n".repeat(CODE_LINES_MAX);
    let tests = "#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
    let page = "a line\n".repeat(ARCHITECTURE_LINES_MAX);
    let planted = [
        &*format!("fits.rs: {code}{tests}"),
        &format!("large.rs 1: {code}let one = 2;\n{tests}"),
        &format!("tests_first.rs 1: {tests}{code}"),
        &format!("ARCHITECTURE.md 1: {page}one more\n"),
        &format!("a/ARCHITECTURE.md: {page}"),
    ];
    enforce(&planted, |file, _| {
        let (lines, max) = match file.path.as_str() {
            "ARCHITECTURE.md" => (file.text.lines().count(), ARCHITECTURE_LINES_MAX),
            _ => (code_lines(file), CODE_LINES_MAX),
        };
        let what = format!("has {lines} lines, more than {max}: split it or shorten it");
        fault_if(lines > max, &what)
    });
}

/// Lines neither blank nor comment, without the unit tests that end the file.
fn code_lines(file: &File) -> usize {
    let is_code = |line: &&str| !line.trim().is_empty();
    let lines: Vec<&str> = file.code.lines().filter(is_code).collect();
    let tests = lines.windows(2).position(|pair| match pair {
        [before, module] => before.starts_with("#[cfg(") && module.starts_with("mod tests {"),
        _ => false,
    });
    // The next brace in the first column ends the tests: only then may nothing follow it.
    let closes = |line: &&str| line.starts_with('}');
    let end = |start| lines.iter().skip(start).position(closes);
    let trailing = tests.filter(|&start| end(start) == Some(lines.len() - start - 1));
    trailing.unwrap_or(lines.len())
}

#[test]
fn nothing_names_one_machine() {
    for local in LOCAL_PATHS {
        let page = format!("a.md 2: See\n{local}x.\n");
        enforce(&[&page, &format!(".ci/run 1: cd {local}\n")], |file, _| {
            let broken = |line: &str| LOCAL_PATHS.iter().any(|local| line.contains(local));
            faults_where(&file.text, broken, "names one machine: use a relative path")
        });
    }
}

#[test]
fn every_operator_has_an_example() {
    let bare = "//! Bare.\n//! ```text\n//! a -> b\n//! ```\nlet a = \"```\";\n";
    let shown = "//! Shown.\n/// ```\n/// assert!(true);\n/// ```\n";
    let word = "impl<T: Send> DataStream<T> {\n    pub fn word(self) {}\n}\n";
    let helper =
        "impl<T> DataStream<T> {\n    fn a() {}\n}\nimpl B {\n    pub const fn c() {}\n}\n";
    let planted = [
        &*format!("operators/src/bare.rs 1: {bare}{word}"),
        &format!("operators/src/shown.rs: {shown}{word}"),
        &format!("operators/src/helper.rs: {bare}{helper}"),
        &format!(
            "operators/src/window/bare.rs 1: {bare}impl Dataflow {{\n    pub fn d() {{}}\n}}\n"
        ),
        &format!("operators/src/sink/bare.rs 1: {bare}{helper}"),
        &format!("operators/src/sink/helper.rs: {bare}pub(super) fn e() {{}}\n// pub fn\n"),
        &format!("engine/src/bare.rs: {bare}{word}"),
    ];
    enforce(&planted, example_shown);
}

fn example_shown(file: &File, _: &[File]) -> Faults {
    let docs = file.text.lines().filter_map(|line| {
        let line = line.trim_start();
        line.strip_prefix("///").or(line.strip_prefix("//!"))
    });
    let fences = docs.filter_map(|doc| doc.trim_start().strip_prefix("```"));
    // Every second fence closes a block, and says nothing about its language.
    let mut languages = fences.step_by(2);
    let shown = languages.any(|language| matches!(language, "" | "rust" | "no_run"));
    let what = "has no example: show the method at work in a ``` block of its doc comment";
    fault_if(offers_a_word(file) && !shown, what)
}

/// Whether a pipeline's author can call something that is in this file.
fn offers_a_word(file: &File) -> bool {
    let everywhere = WORD_FOLDERS.iter().any(|folder| file.path.starts_with(folder));
    let mut in_front = false;
    file.path.starts_with("operators/src/")
        && file.code.lines().any(|line| {
            if line.starts_with("impl") {
                in_front = words(line).any(|word| FRONT.contains(&word));
            }
            let public = line.trim_start().starts_with("pub ");
            public && (in_front || everywhere) && words(line).any(|word| word == "fn")
        })
}

/// Line numbers, each with what is wrong there and what to do about it.
type Faults = Vec<(usize, String)>;

fn fault_if(broken: bool, what: &str) -> Faults {
    broken.then(|| (1, what.into())).into_iter().collect()
}

fn faults_where(text: &str, broken: impl Fn(&str) -> bool, what: &str) -> Faults {
    let numbered = (1..).zip(text.lines());
    let found = numbered.filter(|(_, line)| broken(line));
    found.map(|(number, _)| (number, what.into())).collect()
}

/// Proves on planted files that the check finds what it should, then holds the workspace to it.
/// A planted file is written `path lines-at-fault: text`.
fn enforce(planted: &[&str], check: fn(&File, &[File]) -> Faults) {
    let (mut files, mut expected) = (Vec::new(), Vec::new());
    for file in planted {
        let parts = file.split_once(": ");
        let (head, text) = parts.expect("a planted file has a path and a text");
        let mut head = head.split(' ');
        let path = head.next().unwrap_or_default();
        expected.extend(head.map(|line| format!("{path}:{line}")));
        files.push(File::new(path, text));
    }
    let found: Vec<String> = run(&files, check).into_iter().map(|(at, _)| at).collect();
    assert_eq!(found, expected, "the check does not find what was planted");

    let faults = run(&workspace(), check);
    let list = faults.iter().map(|(at, what)| format!("\n{at} {what}"));
    let list: String = list.collect();
    assert!(list.is_empty(), "the workspace is untidy:{list}");
}

fn run(files: &[File], check: fn(&File, &[File]) -> Faults) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    for file in files {
        let found = check(file, files).into_iter();
        faults.extend(found.map(|(line, what)| (format!("{}:{line}", file.path), what)));
    }
    faults
}

/// Every text file we write, by its path from the workspace's root.
fn workspace() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    collect(&root, "", &mut files);
    for package in ["", "engine/", "operators/", "console/"] {
        let known = format!("{package}src/lib.rs");
        let met = files.iter().any(|file| file.path == known);
        assert!(met, "the walk has missed {known}");
    }
    files
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace can be read") {
        let place = entry.expect("a folder of the workspace can be read").path();
        let name = place.file_name().and_then(|name| name.to_str());
        let name = name.expect("our file names are UTF-8");
        let path = format!("{prefix}{name}");
        // Build output marks itself with a tag; of what is hidden only two folders are ours.
        let is_output = place.join("CACHEDIR.TAG").exists();
        let is_hidden = name.starts_with('.') && ![".ci", ".cargo"].contains(&name);
        let endings = [".rs", ".md", ".toml", ".sh"];
        let is_text = prefix == ".ci/" || endings.iter().any(|ending| name.ends_with(ending));
        if place.is_dir() && !place.is_symlink() && !is_output && !is_hidden {
            collect(&place, &format!("{path}/"), files);
        } else if place.is_file() && is_text {
            let text = fs::read_to_string(&place).expect("our text files are UTF-8");
            files.push(File::new(&path, &text));
        }
    }
}

/// A text file: as it stands and, for Rust, as `code_only` leaves it.
struct File {
    path: String,
    text: String,
    code: String,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        let (path, text, code) = (path.to_owned(), text.to_owned(), String::new());
        let mut file = Self { path, text, code };
        file.code = code_only(file.rust());
        file
    }

    /// The text if it is Rust, comments and all.
    fn rust(&self) -> &str {
        if self.is_rust() { &self.text } else { "" }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

fn words(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    let words = text.split(|letter| !is_of_word(letter));
    words.filter(|word| !word.is_empty())
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[test]
fn comments_and_literals_are_not_code() {
    let check = |text: &str, code: &str| assert_eq!(code_only(text).replace(' ', ""), code);
    check("a // b\nc /* d\n */ e /// f", "a\nc\ne");
    check("a(\"\nb\n\")", "a(\n\n)");
    check(r#"a("b \" // c", 'd', '\'', '"', "\\")e"#, "a(,,,,)e");
    check(r##"a(r#"b" c"#, br"d\", 'e)"##, "a(,,'e)");
    check(r#"r a::<'b>(var"c", d)"#, "ra::<'b>(var,d)");
}

/// The text with blanks for its comments and literals, line by line as it was.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        // Within a word, an `r` or a `b` opens no literal.
        let inside_word = is_of_word(letter) && code.ends_with(is_of_word);
        let length = if inside_word { 0 } else { hidden(rest) };
        if length == 0 {
            code.push(letter);
        }
        let (part, after) = rest.split_at(length.max(letter.len_utf8()));
        let masked = part.chars().take(length);
        code.extend(masked.map(|letter| if letter == '\n' { letter } else { ' ' }));
        rest = after;
    }
    code
}

/// The length of the comment or literal that the text begins with.
fn hidden(text: &str) -> usize {
    let raw = text.trim_start_matches(['b', 'c']).strip_prefix('r');
    let quoted = raw.unwrap_or_default().trim_start_matches('#');
    let mut inside = text.chars().skip(1);
    let is_character = inside.next() == Some('\\') || inside.next() == Some('\'');
    let (opening, closing, escapes) = if text.starts_with("//") {
        (2, "\n".into(), false)
    } else if text.starts_with("/*") {
        (2, "*/".into(), false)
    } else if text.starts_with('"') {
        (1, "\"".into(), true)
    } else if quoted.starts_with('"') {
        let hashes = raw.map_or(0, str::len) - quoted.len();
        let opening = text.len() - quoted.len() + 1;
        (opening, format!("\"{}", "#".repeat(hashes)), false)
    } else if text.starts_with('\'') && is_character {
        (1, "'".to_owned(), true)
    } else {
        return 0;
    };
    let mut rest = text.as_bytes().split_at(opening).1;
    while !rest.is_empty() && !rest.starts_with(closing.as_bytes()) {
        let step = 1 + usize::from(escapes && rest.starts_with(b"\\"));
        rest = rest.split_at(step.min(rest.len())).1;
    }
    text.len() - rest.len().saturating_sub(closing.len())
}
