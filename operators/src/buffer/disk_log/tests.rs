//! The log against a model that knows what was promised, through crashes, faults and damage.

use std::fmt;

use millstream_engine::random::Random;

use super::sim::SimFolder;
use super::*;

const MAX: u64 = 4096;

fn open(folder: &SimFolder) -> Log<SimFolder> {
    Log::open(folder.clone(), MAX).unwrap()
}

fn append(log: &mut Log<SimFolder>, value: u64) -> Result<Appended, FileError> {
    // Of different lengths, and with its own content, so that no two can be mistaken.
    let payload = value.to_string().repeat(1 + usize::try_from(value % 7).unwrap());
    log.append(Kind::Record, value.cast_signed(), payload.as_bytes())
}

fn read(log: &mut Log<SimFolder>, limit: usize) -> Result<Vec<u64>, FileError> {
    let mut values = Vec::new();
    log.read(limit, |kind, _, time, payload| {
        if kind == Kind::Record {
            let value = time.cast_unsigned();
            let expected = value.to_string().repeat(1 + usize::try_from(value % 7).unwrap());
            assert_eq!(payload, expected.as_bytes());
            values.push(value);
        }
        Ok::<_, fmt::Error>(())
    })?;
    Ok(values)
}

/// Reads to the end, and says so if there is none.
fn read_all(log: &mut Log<SimFolder>) -> Vec<u64> {
    let mut all = Vec::new();
    for _ in 0..10_000 {
        if !log.unread() {
            return all;
        }
        all.extend(read(log, 7).unwrap());
    }
    panic!("reading does not come to an end");
}

/// What was promised so far.
#[derive(Debug, Default)]
struct Model {
    /// Values that were appended and never found to be gone, by sequence number.
    values: Vec<u64>,
    next_value: u64,
    synced: usize,
    read: usize,
    acked: usize,
    acked_for_sure: usize,
}

/// Some steps of a life, until one of them fails.
fn live(log: &mut Log<SimFolder>, model: &mut Model, random: &mut Random) -> Result<(), FileError> {
    for _ in 0..60 {
        match random.below(10) {
            0..4 => {
                for _ in 0..=random.below(8) {
                    let done = append(log, model.next_value)?;
                    if done != Appended::Done {
                        break;
                    }
                    model.values.push(model.next_value);
                    model.next_value += 1;
                }
                if random.below(4) == 0 {
                    log.append(Kind::Watermark, 5, b"")?;
                }
            }
            4..7 => {
                let values = read(log, usize::try_from(1 + random.below(12)).unwrap())?;
                let expected = &model.values[model.read..model.read + values.len()];
                assert_eq!(values, expected);
                model.read += values.len();
                assert_eq!(log.position(), model.read as u64);
            }
            7 => {
                let acked =
                    model.acked as u64 + random.below((model.read - model.acked) as u64 + 1);
                log.acknowledge(acked);
                model.acked = usize::try_from(acked).unwrap();
            }
            8 => log.flush()?,
            _ => {
                log.sync()?;
                (model.synced, model.acked_for_sure) = (model.values.len(), model.acked);
            }
        }
    }
    Ok(())
}

/// The next life: everything promised is there, in order, and nothing else.
fn revive(folder: &SimFolder, model: &mut Model) -> Log<SimFolder> {
    let mut log = open(&folder.copy());
    let start = usize::try_from(log.position()).unwrap();
    assert!(start <= model.acked, "{start} {model:?}");
    assert!(start >= model.acked_for_sure, "{start} {model:?}");
    let left = read_all(&mut log);
    let end = start + left.len();
    assert!(end >= model.synced && end <= model.values.len(), "{end} {model:?}");
    assert_eq!(left, &model.values[start..end]);
    let losses = log.take_losses();
    assert_eq!((losses.earlier, losses.own), (0, 0), "{model:?}");
    model.values.truncate(end);
    // What has been found there now is on disk, and read again from where the ledger says.
    (model.synced, model.read) = (model.synced.min(end), start);
    (model.acked, model.acked_for_sure) = (start, start);
    open(folder)
}

#[test]
fn d8_every_crash_keeps_what_was_synced_in_order_and_nothing_half_written() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let (mut folder, mut model) = (SimFolder::default(), Model::default());
        for life in 0..6 {
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                // The power may also fail while the log is being opened.
                folder.with(|state| state.steps_left = Some(random.below(3)));
                drop(Log::open(folder.clone(), MAX));
                folder = folder.after_crash(&mut random);
                let mut log = revive(&folder, &mut model);
                let budget = random.below(60);
                folder.with(|state| {
                    (state.bound, state.steps) = (Some(4096), 0);
                    state.steps_left = Some(budget);
                });
                live(&mut log, &mut model, &mut random).err();
                folder = folder.after_crash(&mut random);
            }));
            assert!(ran.is_ok(), "seed {seed}, life {life}");
        }
    }
}

/// A log of several segments, all of it synced, from which nothing has been read.
fn filled() -> (SimFolder, Vec<u64>) {
    let folder = SimFolder::default();
    let mut log = open(&folder);
    let values: Vec<_> = (0..40).collect();
    for value in &values {
        assert_eq!(append(&mut log, *value).unwrap(), Appended::Done);
    }
    log.sync().unwrap();
    assert!(folder.with(|state| state.names().len()) > 3, "several segments and a ledger");
    (folder, values)
}

/// Reads what is left in a damaged log: in order, what is missing is counted, and what could not be
/// parsed is still there when all the rest has gone.
fn survives(folder: &SimFolder, values: &[u64], ledger: bool, what: &str) {
    let mut log = open(folder);
    let left = read_all(&mut log);
    let mut rest = values.iter();
    assert!(left.iter().all(|value| rest.any(|other| other == value)), "{what}: {left:?}");
    let losses = log.take_losses();
    let missing = (values.len() - left.len()) as u64;
    if !ledger {
        assert_eq!(losses.earlier, missing, "{what}");
    }
    assert!(missing == 0 || losses.damages > 0 || ledger, "{what}");
    // It goes on, and what comes now is not lost behind a hole.
    for value in 100..110 {
        assert_eq!(append(&mut log, value).unwrap(), Appended::Done, "{what}");
    }
    assert_eq!(read_all(&mut log), (100..110).collect::<Vec<_>>(), "{what}");
    log.acknowledge(u64::MAX);
    log.seal().unwrap();
    log.sync().unwrap();
    assert!(log.is_empty(), "{what}");
    let kept = folder.with(|state| state.names().iter().any(|name| name.ends_with(CORRUPT)));
    assert_eq!(kept, losses.damages > 0, "{what}: {losses:?}");
}

#[test]
fn d8_no_flipped_byte_stops_it_or_is_taken_for_a_record() {
    let (folder, values) = filled();
    for name in folder.with(|state| state.names()) {
        let length = folder.with(|state| state.content(&name).len());
        for at in 0..length {
            let folder = folder.copy();
            folder.with(|state| state.content(&name)[at] ^= 0x55);
            survives(&folder, &values, name == "ledger", &format!("{name} at {at}"));
        }
    }
}

#[test]
fn d8_no_cut_file_stops_it() {
    let (folder, values) = filled();
    for name in folder.with(|state| state.names()) {
        let length = folder.with(|state| state.content(&name).len());
        for end in 0..length {
            let folder = folder.copy();
            folder.with(|state| state.content(&name).truncate(end));
            let mut log = open(&folder);
            let left = read_all(&mut log);
            let missing = (values.len() - left.len()) as u64;
            assert_eq!(log.take_losses().earlier, missing, "{name} at {end}");
        }
    }
}

#[test]
fn d8_no_swapped_zeroed_or_missing_file_stops_it() {
    let (folder, values) = filled();
    let names = folder.with(|state| state.names());
    for name in &names {
        let zeroed = folder.copy();
        zeroed.with(|state| state.content(name).fill(0));
        survives(&zeroed, &values, name == "ledger", &format!("zeroed {name}"));
        let missing = folder.copy();
        missing.remove(name).unwrap();
        let mut log = open(&missing);
        let left = read_all(&mut log);
        assert_eq!(log.take_losses().earlier, (values.len() - left.len()) as u64, "{name}");
        for other in names.iter().filter(|other| *other != name) {
            let swapped = folder.copy();
            swapped.with(|state| state.swap(name, other));
            let ledger = name == "ledger" || other == "ledger";
            survives(&swapped, &values, ledger, &format!("{name} and {other}"));
        }
    }
}

#[test]
fn d8_damage_in_a_segment_costs_the_rest_of_it_and_is_counted_exactly() {
    let (folder, values) = filled();
    let second = folder.with(|state| state.names()[1].clone());
    folder.with(|state| {
        let content = state.content(&second);
        let middle = content.len() / 2;
        content[middle] ^= 1;
    });
    let mut log = open(&folder);
    let left = read_all(&mut log);
    let losses = log.take_losses();
    assert_eq!(losses.damages, 1);
    assert_eq!(losses.earlier, (values.len() - left.len()) as u64);
    let of_segment = log.segments[1].end - log.segments[1].first;
    assert!((1..of_segment).contains(&losses.earlier), "{losses:?} of {of_segment}");
    // What was whole in it comes again until it is acknowledged, and only then is it set aside.
    drop(log);
    let mut log = open(&folder);
    assert_eq!(read_all(&mut log), left);
    log.acknowledge(u64::MAX);
    log.seal().unwrap();
    log.sync().unwrap();
    let names = folder.with(|state| state.names());
    assert_eq!(names, [format!("{second}{CORRUPT}"), "ledger".to_owned()]);
}

#[test]
fn d8_damage_in_the_segment_that_is_being_written_does_not_hide_what_follows() {
    let folder = SimFolder::default();
    let mut log = open(&folder);
    for value in 0..5 {
        append(&mut log, value).unwrap();
    }
    log.flush().unwrap();
    folder.with(|state| state.content(&segment_name(1))[HEADER + FRAME] ^= 1);
    assert_eq!(read_all(&mut log), [0; 0]);
    assert_eq!(log.take_losses(), Losses { earlier: 0, own: 5, damages: 1 });
    append(&mut log, 5).unwrap();
    assert_eq!(read_all(&mut log), [5]);
}

#[test]
fn d8_numbers_of_segments_go_on_beyond_every_width() {
    for start in [u64::from(u16::MAX), u64::from(u32::MAX)] {
        let folder = SimFolder::default();
        let mut log = open(&folder);
        log.next_segment = start - 20;
        let mut expected = 0;
        for value in 0..400 {
            while append(&mut log, value).unwrap() == Appended::Full {
                for found in read_all(&mut log) {
                    assert_eq!(found, expected);
                    expected += 1;
                }
                log.acknowledge(expected);
            }
            if value % 100 == 0 {
                log.sync().unwrap();
                log = open(&folder);
                assert_eq!(log.position(), expected);
            }
        }
        assert!(log.next_segment > start + 5, "{} {start}", log.next_segment);
        expected += read_all(&mut log).len() as u64;
        assert_eq!(expected, 400);
    }
}

#[test]
fn d8_nothing_is_taken_away_before_the_ledger_that_allows_it_is_on_disk() {
    let (folder, _) = filled();
    let mut log = open(&folder);
    let total = read_all(&mut log).len() as u64;
    log.acknowledge(total);
    folder.with(|state| state.done.clear());
    log.seal().unwrap();
    assert!(folder.with(|state| !state.done.iter().any(|step| step.starts_with("remove"))));
    log.sync().unwrap();
    let done = folder.with(|state| state.done.clone());
    let at = |what: &str| done.iter().position(|step| step.starts_with(what)).unwrap();
    let rename = at("rename ledger.new ledger");
    assert_eq!(done[rename + 1], "sync names");
    assert!(done[rename - 1].starts_with("sync "), "{done:?}");
    assert!(at("remove") > rename + 1, "{done:?}");
}

#[test]
fn d8_it_never_grows_beyond_its_bound_and_room_comes_back() {
    for max in [BYTES_MIN, 5000, 9999] {
        let folder = SimFolder::default();
        folder.with(|state| state.bound = Some(usize::try_from(max).unwrap()));
        let mut log = Log::open(folder.clone(), max).unwrap();
        let (mut read, mut rounds) = (0, 0);
        for value in 0..2000 {
            while append(&mut log, value).unwrap() == Appended::Full {
                let found = read_all(&mut log);
                assert!(!found.is_empty(), "full of nothing at {value}");
                read += found.len() as u64;
                log.acknowledge(read);
                rounds += 1;
            }
        }
        let used = folder.with(|state| state.peak) as u64;
        assert!(rounds > 3 && used * 10 > max * 9, "{rounds} {used} of {max}");
        let large = vec![0; usize::try_from(max).unwrap() - 2 * LEDGER - HEADER - FRAME];
        assert_eq!(
            log.append(Kind::Record, 0, &[&large[..], &[0]].concat()).unwrap(),
            Appended::TooLarge
        );
        while log.append(Kind::Record, 0, &large).unwrap() == Appended::Full {
            log.read(1000, |_, _, _, _| Ok::<_, fmt::Error>(())).unwrap();
            log.acknowledge(u64::MAX);
        }
        log.sync().unwrap();
    }
}

#[test]
fn d8_a_full_disk_leaves_nothing_half_written_and_work_goes_on_when_there_is_room() {
    for room in (40..700).step_by(7) {
        let folder = SimFolder::default();
        let mut log = open(&folder);
        folder.with(|state| state.disk_bytes = Some(room));
        let failed = (0..100).find_map(|value| {
            let done = append(&mut log, value).and_then(|_| log.flush());
            done.err().map(|error| (value, error))
        });
        let (value, error) = failed.expect("the disk is small");
        assert!(error.to_string().starts_with("sim/"), "{error}");
        drop(log);
        folder.with(|state| state.disk_bytes = None);
        let mut log = open(&folder);
        assert_eq!(read_all(&mut log), (0..value).collect::<Vec<_>>());
        assert_eq!(log.take_losses(), Losses::default());
        append(&mut log, 100).unwrap();
        log.sync().unwrap();
        assert_eq!(read_all(&mut log), [100]);
    }
}

#[test]
fn d8_a_sync_that_fails_promises_nothing_and_is_an_error() {
    let folder = SimFolder::default();
    let mut log = open(&folder);
    append(&mut log, 1).unwrap();
    folder.with(|state| state.fail_sync = true);
    let error = log.sync().unwrap_err();
    assert_eq!(error.to_string(), "sim/00000000000000000001.log: the disk is broken");
    assert!(folder.with(|state| !state.names().contains(&"ledger".to_owned())));
}

#[test]
fn d8_a_whole_file_of_another_version_is_refused_and_kept() {
    let (folder, _) = filled();
    let name = folder.with(|state| state.names()[0].clone());
    folder.with(|state| {
        let content = state.content(&name);
        content[8] = 9;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&[0; 8]);
        hasher.update(&content[..HEADER - 4]);
        content[HEADER - 4..HEADER].copy_from_slice(&hasher.finalize().to_le_bytes());
    });
    let error = Log::open(folder.clone(), MAX).err().unwrap();
    assert!(error.to_string().contains("version 9"), "{error}");
    assert!(folder.with(|state| state.names().contains(&name)));
}

#[test]
fn d8_watermarks_of_an_earlier_run_are_left_out() {
    let folder = SimFolder::default();
    let mut log = open(&folder);
    append(&mut log, 1).unwrap();
    log.append(Kind::Watermark, 9, b"").unwrap();
    log.sync().unwrap();
    let mut log = open(&folder);
    append(&mut log, 2).unwrap();
    log.append(Kind::Watermark, 3, b"").unwrap();
    let mut kinds = Vec::new();
    log.read(9, |kind, _, time, _| {
        kinds.push((kind, time));
        Ok::<_, fmt::Error>(())
    })
    .unwrap();
    assert_eq!(kinds, [(Kind::Record, 1), (Kind::Record, 2), (Kind::Watermark, 3)]);
}
