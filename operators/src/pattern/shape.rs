//! What a pattern is but for its conditions, in words: state that was written by a pattern of
//! another shape can't be taken over, so these words are never changed.

use std::time::Duration;

use super::sequence::{Body, Link, Step};

/// The shape of a pattern, as one line.
pub(super) fn of<T>(steps: &[Step<T>], within: Option<Duration>) -> String {
    let mut shape = String::new();
    write_steps(steps, &mut shape);
    if let Some(within) = within {
        shape.push_str(&format!(" within {} ms", within.as_millis()));
    }
    shape
}

fn write_steps<T>(steps: &[Step<T>], shape: &mut String) {
    for (place, step) in steps.iter().enumerate() {
        let link = match step.link {
            _ if place == 0 => "begin",
            Link::Next => " next",
            Link::FollowedBy => " followed_by",
            Link::FollowedByAny => " followed_by_any",
            Link::NotNext => " not_next",
            Link::NotFollowedBy => " not_followed_by",
        };
        shape.push_str(link);
        match &step.body {
            Body::Event { name, .. } => {
                // Quoted, so that no name looks like what is around it.
                shape.push_str(&format!(" \"{}\"", name.replace('"', "\"\"")));
            }
            Body::Group(steps) => {
                shape.push_str(" (");
                write_steps(steps, shape);
                shape.push(')');
            }
        }
        if let Some(times) = step.times {
            let to = times.to.map(|to| format!("={to}")).unwrap_or_default();
            shape.push_str(&format!(" times {}..{to}", times.from));
        }
        let flags = [
            (step.optional, " optional"),
            (step.greedy, " greedy"),
            (step.consecutive, " consecutive"),
            (step.combinations, " allow_combinations"),
            (step.until.is_some(), " until"),
        ];
        flags.into_iter().filter(|(set, _)| *set).for_each(|(_, flag)| shape.push_str(flag));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use millstream_engine::key::stable_hash;

    use crate::pattern::{Pattern, shape};

    #[test]
    fn the_shape_of_a_pattern_never_changes() {
        let group = Pattern::<u8>::begin("b").next("c \"x\"").optional();
        let pattern = Pattern::begin("a")
            .one_or_more()
            .greedy()
            .until(|n| *n > 3)
            .followed_by_any(group)
            .times(2..=3)
            .consecutive()
            .not_next("d")
            .not_followed_by("e")
            .followed_by("f")
            .times(4)
            .allow_combinations()
            .within(Duration::from_secs(2));
        let shape = shape::of(&pattern.steps, pattern.within);
        assert_eq!(
            shape,
            "begin \"a\" times 1.. greedy until followed_by_any (begin \"b\" next \"c \"\"x\"\"\" \
             optional) times 2..=3 consecutive not_next \"d\" not_followed_by \"e\" followed_by \
             \"f\" times 4..=4 allow_combinations within 2000 ms"
        );
        assert_eq!(stable_hash(shape.as_str()), 1_458_480_129_677_631_793);
    }
}
