//! A crate of a user's, which depends on Millstream by its path and is built for the occasion.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A crate in a folder of its own below the build's output. What it depends on is built once.
pub(crate) struct Scratch {
    folder: PathBuf,
    flags: &'static str,
}

impl Scratch {
    /// With this program, and these flags for the compiler. Crates with other flags share nothing.
    pub(crate) fn new(name: &str, flags: &'static str, program: &str) -> Result<Self, String> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let manifest = format!(
            "[package]\nname = \"scratch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
             [dependencies]\nmillstream = {{ path = {root:?}, default-features = false }}\n\
             cpu-time = \"1\"\n\
             tokio = {{ version = \"1\", features = [\"macros\", \"rt\"] }}\n\n[workspace]\n"
        );
        let write = || {
            fs::create_dir_all(folder.join("src"))?;
            fs::write(folder.join("Cargo.toml"), manifest)?;
            fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))
        };
        write().map_err(|error| format!("{}: {error}", folder.display()))?;
        let scratch = Self { folder, flags };
        scratch.write("main.rs", program)?;
        Ok(scratch)
    }

    /// Writes a file of its code.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.folder.join("src").join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Builds it, as its author would, and says how long that took.
    #[allow(clippy::disallowed_methods, reason = "a bench measures")]
    pub(crate) fn build(&self) -> Result<Duration, String> {
        let start = Instant::now();
        self.cargo(&["build", "--release", "--quiet"])?;
        Ok(start.elapsed())
    }

    /// Runs what was built, and gives what it prints.
    pub(crate) fn run(&self, argument: &str) -> Result<String, String> {
        self.cargo(&["run", "--release", "--quiet", "--", argument])
    }

    fn cargo(&self, arguments: &[&str]) -> Result<String, String> {
        let flags = self.flags.replace(|letter: char| !letter.is_alphanumeric(), "-");
        let target = self.folder.with_file_name(format!("target{flags}"));
        let output = Command::new("cargo")
            .args(arguments)
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", target)
            .env("RUSTFLAGS", self.flags)
            .output()
            .map_err(|error| error.to_string())?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
    }

    /// As when its author has saved it once more.
    pub(crate) fn touch(&self) -> Result<(), String> {
        let path = self.folder.join("src/main.rs");
        let touched = fs::read(&path).and_then(|text| fs::write(&path, text));
        touched.map_err(|error| format!("{}: {error}", path.display()))
    }
}
