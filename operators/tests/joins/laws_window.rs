//! Random histories of window joins and cogroups, against what the definition says.

use std::collections::BTreeMap;

use millstream_engine::random::Random;
use millstream_engine::testing::{TestDriver, probe_sink};
use millstream_operators::fan::Either;
use millstream_operators::join::EitherOrBoth;
use millstream_operators::prelude::*;
use millstream_operators::window::{Finality, OpenWindows, Opened, TimeWindow, TimeWindows};

use super::play::{Play, Stage, millis, quiet, time};

/// A record: its key, its event time, its number.
type Event = (u8, i64, u32);
type Step = Play<Event, Event>;
/// The key, the window, and who is in it of either side.
type Told = (u8, (i64, i64), Vec<u32>, Vec<u32>);

/// Windows of any kind.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Tumbling(i64, i64),
    Sliding(i64, i64, i64),
    Session(i64),
    /// Sessions whose gap each record says itself.
    OwnGap,
}

fn own_gap(event: &Either<Event, Event>) -> std::time::Duration {
    let (Either::Left((_, _, number)) | Either::Right((_, _, number))) = event;
    millis(u64::from(1 + number % 5 * 3))
}

macro_rules! windows {
    ($kind:expr, $windows:ident => $said:expr) => {{
        let ms = |n: i64| millis(n.unsigned_abs());
        match $kind {
            Kind::Tumbling(size, offset) => {
                let $windows = Tumbling::of(ms(size)).offset(ms(offset));
                $said
            }
            Kind::Sliding(size, step, offset) => {
                let $windows = Sliding::of(ms(size), ms(step)).offset(ms(offset));
                $said
            }
            Kind::Session(gap) => {
                let $windows = Session::with_gap(ms(gap));
                $said
            }
            Kind::OwnGap => {
                let $windows = Session::with_gap_of(own_gap);
                $said
            }
        }
    }};
}

impl TimeWindows<Either<Event, Event>> for Kind {
    fn open(
        &self,
        value: &Either<Event, Event>,
        time: Timestamp,
        finality: Finality,
        open: &mut OpenWindows,
    ) -> Opened {
        windows!(*self, windows => windows.open(value, time, finality, open))
    }

    fn next(&self, told: TimeWindow) -> Timestamp {
        fn next<W: TimeWindows<Either<Event, Event>>>(windows: &W, told: TimeWindow) -> Timestamp {
            windows.next(told)
        }
        windows!(*self, windows => next(&windows, told))
    }

    fn reopen(&self, told: TimeWindow, first: Timestamp, open: &mut OpenWindows) {
        fn reopen<W>(windows: &W, told: TimeWindow, first: Timestamp, open: &mut OpenWindows)
        where
            W: TimeWindows<Either<Event, Event>>,
        {
            windows.reopen(told, first, open);
        }
        windows!(*self, windows => reopen(&windows, told, first, open));
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Word {
    Inner,
    Left,
    Right,
    Outer,
    Apply,
    Aggregate,
}

const WORDS: [Word; 6] =
    [Word::Inner, Word::Left, Word::Right, Word::Outer, Word::Apply, Word::Aggregate];

#[derive(Clone, Debug)]
struct Case {
    kind: Kind,
    word: Word,
    lateness: u64,
    steps: Vec<Step>,
}

impl Case {
    /// One in which records are `late` or not.
    fn random(random: &mut Random, late: bool) -> Self {
        let mut some = |bound: u64| i64::try_from(random.below(bound)).unwrap();
        let kind = match some(4) {
            0 => Kind::Tumbling(1 + some(12), some(20)),
            1 => Kind::Sliding(1 + some(20), 1 + some(12), some(20)),
            2 => Kind::Session(1 + some(8)),
            _ => Kind::OwnGap,
        };
        let word = WORDS[usize::try_from(some(6)).unwrap()];
        let lateness = if some(2) == 0 { 0 } else { some(15).unsigned_abs() };
        let (keys, disorder) = (1 + some(3), 1 + some(25));
        let mut now = -20;
        let mut told = [i64::MIN; 2];
        let steps = (0..some(30)).map(|number| {
            now += some(5);
            let left = some(2) == 0;
            if some(5) < 2 {
                let mark = &mut told[usize::from(left)];
                *mark = (*mark).max(if late { now + 4 - some(8) } else { now - disorder });
                let side = if left { Either::Left(*mark) } else { Either::Right(*mark) };
                return Play::Watermark(side);
            }
            let event = (some_key(some(100), keys), now - some(disorder.unsigned_abs()), number);
            let event = (event.0, event.1, u32::try_from(event.2).unwrap());
            if left { Play::Left(event) } else { Play::Right(event) }
        });
        Self { kind, word, lateness, steps: steps.collect() }
    }

    /// What is said of two streams.
    fn build(
        &self,
        [left, right]: [DataStream<Event>; 2],
        instances: usize,
        tag: &SideTag<Either<Event, Event>>,
    ) -> DataStream<Told> {
        let left = left.key_by(|event| event.0).parallel(instances);
        let right = right.key_by(|event| event.0).parallel(instances);
        let bounds = |window: TimeWindow| (window.start.as_millis(), window.end.as_millis());
        let number = |event: &Event| event.2;
        let lateness = millis(self.lateness);
        if self.word == Word::Aggregate {
            let list = ToList;
            return windows!(self.kind, windows => left
                .cogroup(right, windows)
                .allowed_lateness(lateness)
                .late_to(tag)
                .aggregate(list, list)
                .uid("join")
                // As it is behind the watermark where there is lateness, it is given none.
                .map(move |told| {
                    let by_time = |mut all: Vec<Event>| {
                        all.sort_by_key(|event| event.1);
                        all.iter().map(number).collect::<Vec<_>>()
                    };
                    let (left, right) = told.value;
                    (told.key, bounds(told.window), by_time(left), by_time(right))
                })
                .boxed());
        }
        if self.word == Word::Apply {
            let groups = left.cogroup(right, self.kind).allowed_lateness(lateness).late_to(tag);
            let groups = groups.apply(move |group| {
                let left = group.left().map(number).collect::<Vec<_>>();
                (left, group.right().map(number).collect::<Vec<_>>())
            });
            let groups = groups.uid("join");
            return groups
                .map(move |told| (told.key, bounds(told.window), told.value.0, told.value.1))
                .boxed();
        }
        let join = left.window_join(right, self.kind).allowed_lateness(lateness).late_to(tag);
        let both = |left: &Event, right: &Event| (vec![left.2], vec![right.2]);
        macro_rules! said {
            ($joined:expr) => {
                $joined
                    .uid("join")
                    .map(move |told| (told.key, bounds(told.window), told.value.0, told.value.1))
                    .boxed()
            };
        }
        let numbers = |event: Option<&Event>| event.map(|event| event.2).into_iter().collect();
        match self.word {
            Word::Inner => said!(join.inner(both)),
            Word::Left => said!(join.left(move |left, right| (vec![left.2], numbers(right)))),
            Word::Right => said!(join.right(move |left, right| (numbers(left), vec![right.2]))),
            _ => said!(join.outer(move |sides| match sides {
                EitherOrBoth::Left(left) => (vec![left.2], vec![]),
                EitherOrBoth::Right(right) => (vec![], vec![right.2]),
                EitherOrBoth::Both(left, right) => both(left, right),
            })),
        }
    }
}

fn some_key(draw: i64, keys: i64) -> u8 {
    u8::try_from(draw % keys).unwrap()
}

/// What is in a window of a key: of either side, times and numbers.
type Members = [Vec<(i64, u32)>; 2];

/// Records by key and window, from the definition; sessions are joined as records come.
#[derive(Default)]
struct Oracle {
    windows: BTreeMap<(u8, i64, i64), Members>,
    final_ones: Vec<((u8, i64, i64), Members)>,
    late: Vec<u32>,
    marks: [Option<i64>; 2],
}

impl Oracle {
    fn play(&mut self, case: &Case) {
        for step in &case.steps {
            match *step {
                Play::Left(event) => self.record(case, 0, event),
                Play::Right(event) => self.record(case, 1, event),
                Play::Watermark(Either::Left(mark)) => self.marks[0] = Some(mark),
                Play::Watermark(Either::Right(mark)) => self.marks[1] = Some(mark),
                Play::Idle(_) => {}
            }
            let is_final = |key: &(u8, i64, i64)| self.is_final(case, key.2);
            let done: Vec<_> = self.windows.keys().filter(|key| is_final(key)).copied().collect();
            for key in done {
                let members = self.windows.remove(&key).unwrap();
                self.final_ones.push((key, members));
            }
        }
        self.final_ones.extend(std::mem::take(&mut self.windows));
    }

    fn is_final(&self, case: &Case, end: i64) -> bool {
        let watermark = self.marks[0].zip(self.marks[1]).map(|(left, right)| left.min(right));
        watermark.is_some_and(|mark| end + i64::try_from(case.lateness).unwrap() <= mark)
    }

    fn record(&mut self, case: &Case, side: usize, (key, time, number): Event) {
        let starts = |step: i64, offset: i64| (-300..300).map(move |n| n * step + offset);
        let own: Vec<(i64, i64)> = match case.kind {
            Kind::Tumbling(size, offset) => {
                starts(size, offset).map(|start| (start, start + size)).collect()
            }
            Kind::Sliding(size, step, offset) => {
                starts(step, offset).map(|start| (start, start + size)).collect()
            }
            Kind::Session(gap) => vec![(time, time + gap)],
            Kind::OwnGap => vec![(time, time + i64::from(1 + number % 5 * 3))],
        };
        let own = own.into_iter().filter(|(start, end)| *start <= time && time < *end);
        let own: Vec<_> = own.collect();
        if matches!(case.kind, Kind::Tumbling(..) | Kind::Sliding(..)) {
            let open = own.iter().filter(|(_, end)| !self.is_final(case, *end));
            let open: Vec<_> = open.copied().collect();
            if open.is_empty() && !own.is_empty() {
                self.late.push(number);
            }
            for (start, end) in open {
                self.windows.entry((key, start, end)).or_default()[side].push((time, number));
            }
            return;
        }
        let (mut start, mut end) = own[0];
        let overlap = |other: &(u8, i64, i64)| other.0 == key && other.1 < end && start < other.2;
        let joined: Vec<_> = self.windows.keys().filter(|key| overlap(key)).copied().collect();
        if joined.is_empty() && self.is_final(case, end) {
            self.late.push(number);
            return;
        }
        let mut members = Members::default();
        for other in joined {
            (start, end) = (start.min(other.1), end.max(other.2));
            let [left, right] = self.windows.remove(&other).unwrap();
            members[0].extend(left);
            members[1].extend(right);
        }
        members[side].push((time, number));
        self.windows.insert((key, start, end), members);
    }

    fn told(self, word: Word) -> Vec<Told> {
        let mut told = Vec::new();
        for ((key, start, end), mut members) in self.final_ones {
            // Numbers rise as records come.
            members.iter_mut().for_each(|side| side.sort_unstable());
            let [left, right] = members.map(|side| side.into_iter().map(|one| one.1));
            let (left, right): (Vec<_>, Vec<_>) = (left.collect(), right.collect());
            let mut tell = |left: &[u32], right: &[u32]| {
                told.push((key, (start, end), left.to_vec(), right.to_vec()));
            };
            if matches!(word, Word::Apply | Word::Aggregate) {
                tell(&left, &right);
                continue;
            }
            for one in &left {
                right.iter().for_each(|other| tell(&[*one], &[*other]));
            }
            if right.is_empty() && matches!(word, Word::Left | Word::Outer) {
                left.iter().for_each(|one| tell(&[*one], &[]));
            }
            if left.is_empty() && matches!(word, Word::Right | Word::Outer) {
                right.iter().for_each(|one| tell(&[], &[*one]));
            }
        }
        told.sort();
        told
    }
}

fn dated(step: &Step) -> Play<Record<Event>, Record<Event>> {
    match *step {
        Play::Left(event) => Play::Left(Record::at(event, time(event.1))),
        Play::Right(event) => Play::Right(Record::at(event, time(event.1))),
        Play::Watermark(to) => Play::Watermark(to),
        Play::Idle(side) => Play::Idle(side),
    }
}

#[test]
fn i3_window_joins_do_what_the_definition_says_through_crashes() {
    let mut pairs = 0;
    let mut late_ones = 0;
    for seed in 0..450 {
        let mut random = Random::new(seed);
        let mut case = Case::random(&mut random, true);
        if case.word == Word::Aggregate {
            // With lateness it is behind the watermark, as every window on final is.
            case.lateness = 0;
        }
        let crash = usize::try_from(random.below(case.steps.len() as u64 + 1)).unwrap();
        let [first, second] = [1, 1].map(|one| one + usize::try_from(random.below(4)).unwrap());
        let begin = |options: &JobOptions, instances| {
            Stage::start(options, |left, right, tag| case.build([left, right], instances, tag))
        };
        let mut stage = begin(&quiet(), first);
        case.steps[..crash].iter().for_each(|step| stage.play(dated(step)));
        let (mut told, mut late) = (stage.read(), stage.late());
        let state = stage.snapshot();
        let mut stage = begin(&quiet().with_state(state), second);
        // Whoever goes on from there repeats how far its time has come.
        let marks = case.steps[..crash].iter().filter(|step| matches!(step, Play::Watermark(_)));
        marks.for_each(|step| stage.play(dated(step)));
        case.steps[crash..].iter().for_each(|step| stage.play(dated(step)));
        let (rest, more) = stage.end();
        told.extend(rest);
        late.extend(more);
        told.sort();
        let late = late.into_iter().map(|(Either::Left(event) | Either::Right(event))| event.2);
        let mut late: Vec<_> = late.collect();
        late.sort_unstable();
        let mut oracle = Oracle::default();
        oracle.play(&case);
        oracle.late.sort_unstable();
        assert_eq!(late, oracle.late, "late, seed {seed}: {case:?}");
        pairs += told.len();
        late_ones += late.len();
        assert_eq!(told, oracle.told(case.word), "seed {seed}, crash at {crash}: {case:?}");
    }
    assert!(pairs > 2_500 && late_ones > 100, "{pairs} pairs, {late_ones} late ones");
}

#[test]
fn i3_no_result_depends_on_batches_capacities_instances_or_the_schedule() {
    for seed in 1_000..1_200 {
        let mut random = Random::new(seed);
        let case = Case::random(&mut random, false);
        let mut some = |bound: u64| 1 + usize::try_from(random.below(bound)).unwrap();
        let [instances, producers] = [some(4), some(3)];
        let options = quiet().with_schedule_seed(seed).with_edge_capacity(some(4));
        let options = options.with_batch_records(some(3));
        let flow = Dataflow::new("law");
        let sides: [Vec<Event>; 2] = [true, false].map(|left| {
            let of_side = |step: &Step| match *step {
                Play::Left(event) if left => Some(event),
                Play::Right(event) if !left => Some(event),
                _ => None,
            };
            case.steps.iter().filter_map(of_side).collect()
        });
        let mut names = ["lefts", "rights"].into_iter();
        let [left, right] = sides.map(|events| {
            let dated = |event: &Event| time(event.1);
            let stream = flow.source(names.next().unwrap(), source::from_iter(events));
            // Nothing is late, however far the instances are apart.
            let stream = stream.event_time(dated, Watermarks::bounded_disorder(millis(25)));
            stream.parallel(producers).boxed()
        });
        let (tag, late) = flow.side_output::<Either<Event, Event>>("late");
        let told = case.build([left, right], instances, &tag);
        let (out, sink) = probe_sink();
        let (late_out, late_sink) = probe_sink();
        told.gather().sink("out", sink);
        late.sink("too late", late_sink);
        let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
        assert_eq!(driver.read(&late_out), []);
        let mut told = driver.read(&out);
        driver.finish().unwrap();
        told.sort();
        let mut oracle = Oracle::default();
        let steps = case.steps.iter().filter(|step| !matches!(step, Play::Watermark(_)));
        let whole = Case { steps: steps.copied().collect(), ..case.clone() };
        oracle.play(&whole);
        let mut told_sorted = told;
        let by_number = |told: &mut Told| {
            // Those of one time come in any order from several producers.
            told.2.sort_unstable();
            told.3.sort_unstable();
        };
        let mut expected = oracle.told(case.word);
        told_sorted.iter_mut().chain(&mut expected).for_each(by_number);
        told_sorted.sort();
        expected.sort();
        assert_eq!(told_sorted, expected, "seed {seed}: {case:?}");
    }
}
