//! How what is kept of a key is a piece of state, and how it is written down.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::state::StateError;
use millstream_engine::time::Timestamp;

use super::matching::{Begin, Matching, Partial};
use crate::keyed::process::{StateTime, States, StoredStates};
use crate::state::{Codec, State};

/// What the piece is called.
const NAME: &str = "pattern";

/// What is kept of each key: events that wait for their turn, and partial matches.
pub struct PatternState<T> {
    /// The hash of the pattern's shape.
    shape: u64,
    /// The ways to go on from each place, as bits.
    ways: Arc<[u64]>,
    marker: PhantomData<fn() -> T>,
}

impl<T> PatternState<T> {
    pub(super) const fn new(shape: u64, ways: Arc<[u64]>) -> Self {
        Self { shape, ways, marker: PhantomData }
    }
}

impl<T> Clone for PatternState<T> {
    fn clone(&self) -> Self {
        Self::new(self.shape, Arc::clone(&self.ways))
    }
}

impl<T> fmt::Debug for PatternState<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PatternState").finish_non_exhaustive()
    }
}

/// What is kept of one key; most of the time, that is nothing.
pub struct PatternCell<T>(Option<Box<Matching<T>>>);

impl<T> PatternCell<T> {
    /// What is kept, made if there is nothing.
    pub(super) fn open(&mut self) -> &mut Matching<T> {
        self.0.get_or_insert_with(|| Box::new(Matching::new()))
    }

    /// How many events wait for their turn, how many are held by partial matches, and how many
    /// partial matches there are.
    fn sizes(&self) -> (usize, usize, usize) {
        self.0
            .as_ref()
            .map_or((0, 0, 0), |kept| (kept.early.len(), kept.buffer.events(), kept.partials.len()))
    }
}

impl<T> Default for PatternCell<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> fmt::Debug for PatternCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (early, events, partial_matches) = self.sizes();
        f.debug_struct("PatternCell")
            .field("early", &early)
            .field("events", &events)
            .field("partial_matches", &partial_matches)
            .finish()
    }
}

impl<T: Send + 'static> States for PatternState<T> {
    type Cells = PatternCell<T>;
    type View<'a> = &'a mut PatternCell<T>;

    fn view<'a>(&'a self, cells: &'a mut Self::Cells, _now: StateTime) -> Self::View<'a> {
        cells
    }

    fn is_blank(&self, cells: &Self::Cells) -> bool {
        cells.0.as_ref().is_none_or(|kept| kept.is_blank())
    }

    fn expire(&self, _cells: &mut Self::Cells, _now: StateTime) -> StateTime {
        StateTime::NEVER
    }

    fn shortest_life(&self) -> Option<Duration> {
        None
    }

    fn names(&self, names: &mut Vec<&'static str>) {
        names.push(NAME);
    }
}

/// A link as it is written: its place, its event, and the link before.
type WrittenLink = (usize, usize, Option<usize>);

/// A partial match as it is written: its link, the ways that are open, whether it is fresh, and
/// the number and the time of its first event.
type WrittenPartial = (usize, u64, bool, u64, i64);

/// The shape of the pattern; how many events there have been; the events that wait, and those that
/// are held; the links between them, each behind the one that it follows; and the partial matches.
impl<T: State> StoredStates for PatternState<T> {
    fn write(
        &self,
        cells: &Self::Cells,
        entry: &mut Vec<(&'static str, Vec<u8>)>,
    ) -> Result<(), StateError> {
        let Some(kept) = cells.0.as_ref().filter(|kept| !kept.is_blank()) else {
            return Ok(());
        };
        let mut bytes = Vec::new();
        let (event, number) = (Codec::<T>::new(), Codec::<u64>::new());
        let order = kept.buffer.order(kept.partials.iter().map(|partial| partial.link));
        let header = (self.shape, kept.seen, kept.early.len(), order.events.len());
        Codec::<(u64, u64, usize, usize)>::new().write(&header, &mut bytes)?;
        for (time, early) in &kept.early {
            Codec::<i64>::new().write(&time.as_millis(), &mut bytes)?;
            event.write(early, &mut bytes)?;
        }
        let mut places = BTreeMap::new();
        for (place, (of, at)) in order.events.iter().enumerate() {
            let Some(held) = kept.buffer.event(*at) else { continue };
            places.insert(*at, place);
            number.write(of, &mut bytes)?;
            Codec::<i64>::new().write(&held.time.as_millis(), &mut bytes)?;
            event.write(&held.event, &mut bytes)?;
        }
        let renumbered = |link: usize| order.renumbered.get(&link).copied();
        let links = order.links.iter().filter_map(|link| kept.buffer.get(*link)).map(|link| {
            let event = places.get(&link.event).copied().unwrap_or_default();
            (link.place, event, link.before.and_then(renumbered))
        });
        Codec::<Vec<WrittenLink>>::new().write(&links.collect(), &mut bytes)?;
        let partials = kept.partials.iter().map(|partial| {
            let Partial { link, open, fresh, begin } = *partial;
            let link = renumbered(link).unwrap_or_default();
            (link, open, fresh, begin.number, begin.time.as_millis())
        });
        Codec::<Vec<WrittenPartial>>::new().write(&partials.collect(), &mut bytes)?;
        entry.push((NAME, bytes));
        Ok(())
    }

    fn read(
        &self,
        cells: &mut Self::Cells,
        name: &str,
        mut bytes: &[u8],
    ) -> Result<bool, StateError> {
        if name != NAME {
            return Ok(false);
        }
        let bytes = &mut bytes;
        let mut kept = Matching::new();
        let (event, number) = (Codec::<T>::new(), Codec::<u64>::new());
        let time = |bytes: &mut &[u8]| Codec::<i64>::new().read(bytes).map(Timestamp::from_millis);
        let (shape, seen, early, events) = Codec::<(u64, u64, usize, usize)>::new().read(bytes)?;
        if shape != self.shape {
            return Err(StateError::new(
                "the partial matches are those of a pattern with other steps, or another \
                 `.within(…)`: give the operator with the changed pattern a `.uid(…)` of its own",
            ));
        }
        kept.seen = seen;
        for _ in 0..early {
            kept.early.push_back((time(bytes)?, event.read(bytes)?));
        }
        for _ in 0..events {
            let (number, time) = (number.read(bytes)?, time(bytes)?);
            kept.buffer.hold(event.read(bytes)?, time, number);
        }
        for (number, link) in Codec::<Vec<WrittenLink>>::new().read(bytes)?.into_iter().enumerate()
        {
            let (place, event, before) = link;
            let known = before.is_none_or(|before| before < number);
            if place >= self.ways.len() || event >= events || !known {
                return Err(StateError::new("a partial match has an event that is not there"));
            }
            kept.buffer.link(place, event, before);
        }
        for partial in Codec::<Vec<WrittenPartial>>::new().read(bytes)? {
            let (link, open, fresh, number, time) = partial;
            let place = kept.buffer.get(link).and_then(|link| self.ways.get(link.place));
            if place.is_none_or(|ways| open & !ways != 0) {
                return Err(StateError::new("a partial match has no place"));
            }
            let begin = Begin { number, time: Timestamp::from_millis(time) };
            kept.buffer.refer(link);
            kept.partials.push(Partial { link, open, fresh, begin });
        }
        let in_order = kept.early.iter().is_sorted_by_key(|(time, _)| *time)
            && kept.partials.iter().is_sorted_by_key(|partial| partial.begin.number);
        if !in_order {
            return Err(StateError::new("partial matches are out of order"));
        }
        cells.0 = (!kept.is_blank()).then(|| Box::new(kept));
        Ok(true)
    }
}
