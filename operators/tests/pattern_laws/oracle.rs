//! What matches are, straight from the definition: every sequence of events is tried, by recursion
//! over the pattern as it is written. Knows nothing of automata, watermarks or shared buffers.

use crate::scripts::{Condition, Event, Gap, Links, Skip, Spec, Step};

/// What is told of one key: the time, and each event with the step that took it.
pub(crate) type Told = (i64, Vec<(String, u32)>);

/// The events of a match: the place of each, which of the ways to go on it was, the nearest first,
/// and the step that took it.
type Taken<'a> = Vec<(usize, usize, &'a Step)>;

/// What is left to do.
#[derive(Clone)]
enum Work<'a> {
    /// These steps; the first of them follows like that, whatever it says.
    Steps(&'a [Step], Option<Gap>),
    /// This step, which has come so often.
    Repeat(&'a Step, usize, Gap),
}

/// What must not be true of the events up to the next one that is taken, itself included.
#[derive(Clone)]
enum Must<'a> {
    Not { condition: &'a Condition, next_only: bool },
    NotTakenBy { greedy: &'a Step, gap: Gap, until: Option<&'a Condition> },
}

#[derive(Default)]
struct Fate {
    ways: usize,
    whole: bool,
    waiting: bool,
}

struct Found<'a> {
    /// By time; what is decided by time comes before what an event decides.
    when: (i64, usize),
    taken: Taken<'a>,
}

struct Oracle<'a> {
    events: &'a [Event],
    within: Option<i64>,
    found: Vec<Found<'a>>,
    timed_out: Vec<Found<'a>>,
}

/// The matches, and the partial matches whose time is up, among the events of one key in order.
pub(crate) fn expected(spec: &Spec, events: &[Event]) -> (Vec<Told>, Vec<Told>) {
    let (found, timed_out) = (Vec::new(), Vec::new());
    let mut oracle = Oracle { events, within: spec.within, found, timed_out };
    oracle.go(vec![Work::Steps(&spec.steps, None)], &Vec::new(), Vec::new(), &mut Fate::default());
    let Oracle { mut found, mut timed_out, .. } = oracle;
    for all in [&mut found, &mut timed_out] {
        // The event, then the way; and what goes on before what it has grown from.
        let steps = |found: &Found<'_>| {
            let taken = found.taken.iter().map(|(at, way, _)| (*at, *way));
            taken.chain([(usize::MAX, 0)]).collect::<Vec<_>>()
        };
        all.sort_by_cached_key(|found| (found.when, steps(found)));
    }
    let told = |found: &Found<'_>| {
        let taken = found.taken.iter().map(|(at, _, step)| (step.name.clone(), events[*at].id));
        (found.when.0, taken.collect())
    };
    let mut resume_at = Vec::new();
    let is_skipped = |resume_at: &[((i64, usize), usize)], found: &Found<'_>| {
        let of = |(when, at): &((i64, usize), usize)| *when <= found.when && found.taken[0].0 < *at;
        resume_at.iter().any(of)
    };
    let found = found.iter().filter(|found| {
        let is_told = !is_skipped(&resume_at, found);
        if is_told {
            let taken = |name: &str| -> Vec<usize> {
                let taken = found.taken.iter().filter(|(_, _, step)| step.name == name);
                taken.map(|(at, ..)| *at).collect()
            };
            let (first, last) = (found.taken[0].0, found.taken.last().unwrap().0);
            let at = match &spec.skip {
                Skip::No => 0,
                Skip::ToNext => first + 1,
                Skip::PastLast => last + 1,
                Skip::ToFirst(step) => taken(step).first().copied().unwrap_or(0),
                Skip::ToLast(step) => taken(step).last().copied().unwrap_or(0),
            };
            resume_at.push((found.when, at));
        }
        is_told
    });
    let found = found.map(told).collect();
    timed_out.retain(|partial| !is_skipped(&resume_at, partial));
    (found, timed_out.iter().map(told).collect())
}

impl<'a> Oracle<'a> {
    /// Goes on with a partial match.
    fn go(
        &mut self,
        mut todo: Vec<Work<'a>>,
        taken: &Taken<'a>,
        mut musts: Vec<Must<'a>>,
        fate: &mut Fate,
    ) {
        match todo.pop() {
            None => self.end(taken, &musts, fate),
            Some(Work::Steps([], _)) => self.go(todo, taken, musts, fate),
            Some(Work::Steps([step, rest @ ..], gap)) => {
                todo.push(Work::Steps(rest, None));
                match step.link {
                    Links::By(own) => todo.push(Work::Repeat(step, 0, gap.unwrap_or(own))),
                    Links::Not { next_only } => {
                        musts.push(Must::Not { condition: &step.condition, next_only });
                    }
                }
                self.go(todo, taken, musts, fate);
            }
            Some(Work::Repeat(step, done, gap)) => {
                let (from, to) = step.times.unwrap_or((1, Some(1)));
                let gap = if done == 0 { gap } else { step.inner };
                let until = step.until.as_ref().filter(|_| done > 0);
                let more = to.is_none_or(|to| done < to);
                if more {
                    let mut musts = musts.clone();
                    let not = |condition| Must::Not { condition, next_only: false };
                    musts.extend(until.map(not));
                    let mut todo = todo.clone();
                    todo.push(Work::Repeat(step, done + 1, gap));
                    match &step.group {
                        Some(group) => {
                            todo.push(Work::Steps(group, Some(gap)));
                            self.go(todo, taken, musts, fate);
                        }
                        None => self.take(step, gap, &todo, taken, &musts, fate),
                    }
                }
                if done >= from || (done == 0 && step.optional) {
                    let prefers = Must::NotTakenBy { greedy: step, gap, until };
                    musts.extend((more && step.greedy).then_some(prefers));
                    self.go(todo, taken, musts, fate);
                }
            }
        }
    }

    /// Tries every event as the next one.
    fn take(
        &mut self,
        step: &'a Step,
        gap: Gap,
        todo: &[Work<'a>],
        taken: &Taken<'a>,
        musts: &[Must<'a>],
        fate: &mut Fate,
    ) {
        let way = fate.ways;
        fate.ways += 1;
        let begin = taken.last().map(|(last, ..)| last + 1);
        for at in begin.unwrap_or(0)..self.end_of_time(taken) {
            let is_open = self.hold(musts, begin.unwrap_or(at), at, taken);
            if !is_open && begin.is_some() {
                return;
            }
            let takes = self.takes(step, at, taken);
            if is_open && takes {
                let taken = [&**taken, &[(at, way, step)]].concat();
                let mut fate = Fate::default();
                self.go(todo.to_vec(), &taken, Vec::new(), &mut fate);
                if let Some(end) = self.deadline(&taken)
                    && fate.waiting
                    && !fate.whole
                {
                    self.timed_out.push(Found { when: (end, 0), taken });
                }
            }
            let is_over = gap == Gap::Strict || (gap == Gap::Relaxed && takes);
            if is_over && begin.is_some() {
                return;
            }
        }
        fate.waiting = true;
    }

    /// There is nothing left to do.
    fn end(&mut self, taken: &Taken<'a>, musts: &[Must<'a>], fate: &mut Fate) {
        let last = taken.last().unwrap().0;
        let when = if musts.is_empty() {
            (self.events[last].time, 1 + last)
        } else if self.hold(musts, last + 1, self.end_of_time(taken) - 1, taken) {
            (self.deadline(taken).unwrap(), 0)
        } else {
            return;
        };
        fate.whole = true;
        self.found.push(Found { when, taken: taken.clone() });
    }

    fn hold(&self, musts: &[Must<'a>], from: usize, to: usize, taken: &Taken<'a>) -> bool {
        musts.iter().all(|must| match must {
            Must::Not { condition, next_only } => {
                let to = if *next_only { to.min(from) } else { to };
                !(from..=to).any(|at| self.is(condition, at, taken))
            }
            Must::NotTakenBy { greedy, gap, until } => {
                let to = if *gap == Gap::Strict { to.min(from) } else { to };
                let open = |at: &usize| !until.is_some_and(|until| self.is(until, *at, taken));
                !(from..=to).take_while(open).any(|at| self.takes(greedy, at, taken))
            }
        })
    }

    fn takes(&self, step: &Step, at: usize, taken: &Taken<'a>) -> bool {
        let until = step.until.as_ref().is_some_and(|until| self.is(until, at, taken));
        self.is(&step.condition, at, taken) && !until
    }

    fn is(&self, condition: &Condition, at: usize, taken: &Taken<'a>) -> bool {
        let event = &self.events[at];
        let before = taken.last().filter(|_| condition.rising);
        let rises = before.is_none_or(|(last, ..)| self.events[*last].value <= event.value);
        condition.kinds & (1 << event.kind) != 0 && rises
    }

    fn deadline(&self, taken: &Taken<'a>) -> Option<i64> {
        Some(self.events[taken.first()?.0].time + self.within?)
    }

    /// The first event that comes too late to be part of it.
    fn end_of_time(&self, taken: &Taken<'a>) -> usize {
        let deadline = self.deadline(taken).unwrap_or(i64::MAX);
        self.events.partition_point(|event| event.time < deadline)
    }
}
