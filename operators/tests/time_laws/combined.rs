//! The laws of combiners: what is merged before the shuffle tells the same, and what is late is so
//! record by record.

use millstream_operators::prelude::JobOptions;

use crate::graphs::{Ending, Play, play};
use crate::oracle::expected;
use crate::scripts::{Case, Draw, Kind, Step, When, Why, with_watermarks};
use crate::{instances, law, options, plain};

/// Windows that can be merged before the shuffle.
fn case(draw: &mut Draw) -> Case {
    loop {
        let case = Case { when: When::OnTime, ..draw.case() };
        if matches!(case.kind, Kind::Sliding { .. }) {
            return case;
        }
    }
}

/// A combiner of some size, with a shuffle behind it.
fn combining<'a>(options: &'a JobOptions, draw: &mut Draw) -> Play<'a> {
    let combined = Some(1 + draw.0.below(6) as usize);
    Play { combined, ..plain(options, 2 + draw.0.below(3) as usize) }
}

#[test]
fn h7_combined_or_not_the_oracle_is_right() {
    law("combined_or_not_the_oracle_is_right", 0..1_000, |_, draw| {
        let case = case(draw);
        let script = draw.script(&case, 40);
        let expected = expected(&case, &with_watermarks(&case, &script)).of(&case);
        let options = options(draw);
        let ending = draw.one(&[Ending::End, Ending::Drain]);
        let barriers: Vec<usize> = (0..script.len()).filter(|_| draw.one_in(9)).collect();
        let how = Play { ending, barriers: &barriers, ..combining(&options, draw) };
        let entries = how.combined;
        let got = play(&case, &script, how);
        assert_eq!(got.output.of(&case), expected, "{case:?} {script:?} with {entries:?}");
        assert!(got.watermarks.is_sorted());
    });
}

#[test]
fn h7_combined_a_crash_changes_nothing_and_state_knows_of_no_combiner() {
    law("combined_a_crash_changes_nothing", 0..150, |_, draw| {
        // Watermarks that are written down are told again, and late records known for late.
        let case = Case { disorder: draw.one(&[Some(0), Some(4), Some(12)]), ..case(draw) };
        let script = draw.script(&case, 12);
        let expected = expected(&case, &with_watermarks(&case, &script)).of(&case);
        let options = options(draw);
        for crash in 0..=script.len() {
            let (before, after) = script.split_at(crash);
            let context = || format!("{case:?} {script:?} behind {crash}");
            let mut how = || {
                let how = combining(&options, draw);
                if draw.one_in(4) { plain(&options, instances(draw)) } else { how }
            };
            let first = play(&case, before, Play { ending: Ending::Crash, ..how() });
            let state = Some(first.state.clone());
            let second = play(&case, after, Play { state, ..how() });
            let output = first.output.and(second.output).of(&case);
            assert_eq!(output, expected, "{}", context());
        }
    });
}

#[test]
fn h7_combined_partitions_on_time_tell_the_same_from_several_instances() {
    law("combined_partitions_on_time", 0..600, |_, draw| {
        let case = Case { partitions: 2, discarding: false, ..case(draw) };
        let script = draw.script_of_partitions(&case, 40, true);
        let mut expected = expected(&case, &script.records());
        expected.told.values_mut().for_each(|told| told.retain(|one| one.why == Why::OnTime));
        expected.told.retain(|_, told| !told.is_empty());
        let options = options(draw);
        let how = Play { before: instances(draw), ..combining(&options, draw) };
        let how = Play { idle_after: Some(10), ..how };
        let context = format!("{:?} before {:?}", how.before, how.combined);
        let got = play(&case, &script.0, how).output;
        assert_eq!(got.sorted(), expected.sorted(), "{case:?} {script:?} {context}");
    });
}

#[test]
fn h7_combined_what_is_late_and_what_is_told_is_all_there_was() {
    law("combined_what_is_late_and_what_is_told", 0..600, |_, draw| {
        let case = Case { partitions: 3, lateness: 0, ..case(draw) };
        let Kind::Sliding { size, offset, .. } = case.kind else { unreachable!() };
        let case = Case { kind: Kind::Sliding { size, step: size, offset }, ..case };
        let script = draw.script_of_partitions(&case, 40, false);
        let options = options(draw);
        let how = Play { before: instances(draw), ..combining(&options, draw) };
        let how = Play { idle_after: Some(10), ..how };
        let got = play(&case, &script.0, how);
        assert!(got.watermarks.is_sorted());
        let told = got.output.told.values().flatten().map(|told| told.value).sum::<i64>();
        let late = got.output.late.values().flatten().map(|late| late.0).sum::<i64>();
        let all = script.0.iter().map(|step| match step {
            Step::Record(_, click) => click.1,
            _ => 0,
        });
        assert_eq!(told + late, all.sum::<i64>(), "{case:?} {script:?}");
    });
}
