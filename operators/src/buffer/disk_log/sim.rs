//! A folder that can lose its power, fill up, and fail: what was not synced may be there, in part
//! or otherwise, or not be there at all.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use millstream_engine::random::Random;

use super::{CORRUPT, Folder};

#[derive(Clone, Debug, Default)]
pub(super) struct SimFolder(pub(super) Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(super) struct State {
    files: Vec<SimFile>,
    /// What a process sees, and what is on disk for sure.
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    /// How many more steps there are before the power fails.
    pub(super) steps_left: Option<u64>,
    pub(super) steps: u64,
    /// The most bytes that the disk has.
    pub(super) disk_bytes: Option<usize>,
    /// The most bytes that the log may take up, checked at every step.
    pub(super) bound: Option<usize>,
    /// The most that it has taken up.
    pub(super) peak: usize,
    pub(super) fail_sync: bool,
    /// What was done, to check orders.
    pub(super) done: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct SimFile {
    content: Vec<u8>,
    synced: Vec<u8>,
}

fn dead() -> io::Error {
    io::Error::other("the power has failed")
}

impl State {
    fn step(&mut self, what: String) -> io::Result<()> {
        self.steps += 1;
        match &mut self.steps_left {
            Some(0) => return Err(dead()),
            Some(left) => *left -= 1,
            None => {}
        }
        self.done.push(what);
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        let counted = self.names.iter().filter(|(name, _)| !name.ends_with(CORRUPT));
        counted.map(|(_, file)| self.files[*file].content.len()).sum()
    }

    fn check(&mut self) {
        self.peak = self.peak.max(self.bytes());
        if let Some(bound) = self.bound {
            assert!(self.bytes() <= bound, "{} bytes of {bound}", self.bytes());
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    pub(super) fn content(&mut self, name: &str) -> &mut Vec<u8> {
        let file = self.names[name];
        &mut self.files[file].content
    }

    pub(super) fn swap(&mut self, one: &str, other: &str) {
        let (a, b) = (self.names[one], self.names[other]);
        self.files.swap(a, b);
    }
}

impl SimFolder {
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Another folder with the same files, all of them on disk.
    pub(super) fn copy(&self) -> Self {
        self.with(|state| {
            let mut files = state.files.clone();
            for file in &mut files {
                file.synced = file.content.clone();
            }
            let names = state.names.clone();
            let synced_names = names.clone();
            let state = State { files, names, synced_names, ..State::default() };
            Self(Arc::new(Mutex::new(state)))
        })
    }

    /// What the disk holds when the power is back: everything synced, and of all else some of it.
    pub(super) fn after_crash(&self, random: &mut Random) -> Self {
        self.with(|state| {
            let mut names = BTreeMap::new();
            let mut all: Vec<_> = state.names.keys().chain(state.synced_names.keys()).collect();
            all.sort();
            all.dedup();
            for name in all {
                let (new, old) = (state.names.get(name), state.synced_names.get(name));
                let kept = if random.below(2) == 0 { new } else { old };
                if let Some(file) = kept {
                    names.insert(name.clone(), *file);
                }
            }
            let files = state.files.iter().map(|file| torn(file, random)).collect();
            let synced_names = names.clone();
            let state = State { files, names, synced_names, ..State::default() };
            Self(Arc::new(Mutex::new(state)))
        })
    }
}

fn torn(file: &SimFile, random: &mut Random) -> SimFile {
    let mut content = file.content.clone();
    let kept = file.synced.len().min(content.len());
    let unsynced = content.len() - kept;
    let cut = usize::try_from(random.below(unsynced as u64 + 1)).unwrap();
    if random.below(3) > 0 {
        content.truncate(kept + cut);
    }
    for byte in &mut content[kept..] {
        if random.below(40) == 0 {
            *byte = [0, 0xff, *byte ^ 1][usize::try_from(random.below(3)).unwrap()];
        }
    }
    SimFile { synced: content.clone(), content }
}

impl Folder for SimFolder {
    type File = usize;

    fn path(&self, name: &str) -> Arc<str> {
        Arc::from(format!("sim/{name}"))
    }

    fn files(&self) -> io::Result<Vec<(String, u64)>> {
        let length = |state: &State, file: usize| state.files[file].content.len() as u64;
        Ok(self.with(|state| {
            let names = state.names.iter();
            names.map(|(name, file)| (name.clone(), length(state, *file))).collect()
        }))
    }

    fn create(&self, name: &str) -> io::Result<usize> {
        self.with(|state| {
            state.step(format!("create {name}"))?;
            if state.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.files.push(SimFile::default());
            state.names.insert(name.to_owned(), state.files.len() - 1);
            Ok(state.files.len() - 1)
        })
    }

    fn open(&self, name: &str) -> io::Result<usize> {
        let file = self.with(|state| state.names.get(name).copied());
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn append(&self, file: &mut usize, bytes: &[u8]) -> io::Result<()> {
        self.with(|state| {
            let there = state.bytes();
            let room = state.disk_bytes.map_or(usize::MAX, |disk| disk.saturating_sub(there));
            let whole = state.step(format!("append {file}"));
            // A write that fails may have been done in part.
            let part = match (&whole, room < bytes.len()) {
                (Err(_), _) => bytes.len() / 2,
                (_, true) => room,
                _ => bytes.len(),
            };
            state.files[*file].content.extend(&bytes[..part]);
            state.check();
            whole?;
            if part < bytes.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        })
    }

    fn read(&self, file: &mut usize, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.with(|state| {
            let content = &state.files[*file].content;
            let from = content.len().min(usize::try_from(at).unwrap());
            let length = into.len().min(content.len() - from);
            into[..length].copy_from_slice(&content[from..from + length]);
            Ok(length)
        })
    }

    fn sync(&self, file: &mut usize) -> io::Result<()> {
        self.with(|state| {
            state.step(format!("sync {file}"))?;
            if state.fail_sync {
                return Err(io::Error::other("the disk is broken"));
            }
            let file = &mut state.files[*file];
            file.synced.clone_from(&file.content);
            Ok(())
        })
    }

    fn cut(&self, name: &str, length: u64) -> io::Result<()> {
        self.with(|state| {
            state.step(format!("cut {name}"))?;
            let file = state.names[name];
            let file = &mut state.files[file];
            file.content.truncate(usize::try_from(length).unwrap());
            file.synced.clone_from(&file.content);
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with(|state| {
            state.step(format!("rename {from} {to}"))?;
            let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.names.insert(to.to_owned(), file);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.with(|state| {
            state.step(format!("remove {name}"))?;
            state.names.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    fn sync_names(&self) -> io::Result<()> {
        self.with(|state| {
            state.step("sync names".to_owned())?;
            state.synced_names.clone_from(&state.names);
            Ok(())
        })
    }
}
