//! In which order results leave, and where the watermarks stay among them.

use std::collections::VecDeque;

use millstream_engine::Record;
use millstream_engine::time::Timestamp;

/// What leaves next.
pub(super) enum Emit<T> {
    Record(Record<T>),
    Watermark(Timestamp),
}

/// Everything admitted and not emitted.
pub(super) enum Emission<T> {
    /// As admitted: one that is slow holds back those behind it.
    InOrder(InOrder<T>),
    /// As finished, between two watermarks.
    AsFinished(AsFinished<T>),
}

/// By its number, where the result of a call belongs.
pub(super) type Ticket = u64;

impl<T> Emission<T> {
    pub(super) const fn in_order() -> Self {
        Self::InOrder(InOrder { entries: VecDeque::new(), first: 0, records: 0 })
    }

    pub(super) fn as_finished() -> Self {
        let epochs = VecDeque::from([Epoch::new()]);
        Self::AsFinished(AsFinished { epochs, first: 0, records: 0 })
    }

    /// How many records have been admitted and not emitted.
    pub(super) const fn records(&self) -> usize {
        match self {
            Self::InOrder(order) => order.records,
            Self::AsFinished(order) => order.records,
        }
    }

    /// Whether there is neither a record nor a watermark.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::InOrder(order) => order.entries.is_empty(),
            Self::AsFinished(order) => order.records == 0 && order.epochs.len() == 1,
        }
    }

    /// Another record, whose result will come.
    pub(super) fn admit(&mut self) -> Ticket {
        match self {
            Self::InOrder(order) => {
                order.records += 1;
                order.entries.push_back(Entry::Running);
                order.first + order.entries.len() as u64 - 1
            }
            Self::AsFinished(order) => {
                order.records += 1;
                let last = order.first + order.epochs.len() as u64 - 1;
                if let Some(epoch) = order.epochs.back_mut() {
                    epoch.running += 1;
                }
                last
            }
        }
    }

    /// A watermark behind everything admitted so far.
    pub(super) fn mark(&mut self, watermark: Timestamp) {
        match self {
            Self::InOrder(order) => match order.entries.back_mut() {
                Some(Entry::Watermark(last)) => *last = watermark.max(*last),
                _ => order.entries.push_back(Entry::Watermark(watermark)),
            },
            Self::AsFinished(order) => {
                let unused = order.epochs.len() > 1
                    && order.epochs.back().is_some_and(|epoch| epoch.records() == 0);
                if unused {
                    order.epochs.pop_back();
                }
                if let Some(epoch) = order.epochs.back_mut() {
                    epoch.watermark = epoch.watermark.max(Some(watermark));
                }
                order.epochs.push_back(Epoch::new());
            }
        }
    }

    /// The result of a call.
    pub(super) fn complete(&mut self, ticket: Ticket, result: Record<T>) {
        match self {
            Self::InOrder(order) => {
                let index = usize::try_from(ticket - order.first).unwrap_or(usize::MAX);
                if let Some(entry) = order.entries.get_mut(index) {
                    *entry = Entry::Ready(result);
                }
            }
            Self::AsFinished(order) => {
                let index = usize::try_from(ticket - order.first).unwrap_or(usize::MAX);
                if let Some(epoch) = order.epochs.get_mut(index) {
                    epoch.running -= 1;
                    epoch.ready.push_back(result);
                }
            }
        }
    }

    /// What may leave now.
    pub(super) fn next(&mut self) -> Option<Emit<T>> {
        match self {
            Self::InOrder(order) => {
                if let Some(Entry::Running) | None = order.entries.front() {
                    return None;
                }
                order.first += 1;
                match order.entries.pop_front()? {
                    Entry::Running => None,
                    Entry::Ready(record) => {
                        order.records -= 1;
                        Some(Emit::Record(record))
                    }
                    Entry::Watermark(watermark) => Some(Emit::Watermark(watermark)),
                }
            }
            Self::AsFinished(order) => {
                let epoch = order.epochs.front_mut()?;
                if let Some(record) = epoch.ready.pop_front() {
                    order.records -= 1;
                    return Some(Emit::Record(record));
                }
                if epoch.running > 0 || order.epochs.len() == 1 {
                    return None;
                }
                order.first += 1;
                order.epochs.pop_front()?.watermark.map(Emit::Watermark)
            }
        }
    }
}

pub(super) struct InOrder<T> {
    entries: VecDeque<Entry<T>>,
    /// The ticket of the first entry.
    first: Ticket,
    records: usize,
}

enum Entry<T> {
    Running,
    Ready(Record<T>),
    Watermark(Timestamp),
}

pub(super) struct AsFinished<T> {
    /// The last one is open: what is admitted belongs to it.
    epochs: VecDeque<Epoch<T>>,
    /// The ticket of the first epoch.
    first: Ticket,
    records: usize,
}

/// What was admitted between two watermarks.
struct Epoch<T> {
    running: usize,
    ready: VecDeque<Record<T>>,
    /// The one that closes it.
    watermark: Option<Timestamp>,
}

impl<T> Epoch<T> {
    const fn new() -> Self {
        Self { running: 0, ready: VecDeque::new(), watermark: None }
    }

    fn records(&self) -> usize {
        self.running + self.ready.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// Everything that leaves, watermarks as negative numbers.
    fn leaving(emission: &mut Emission<i64>) -> Vec<i64> {
        let next = || emission.next();
        let emits = std::iter::from_fn(next).map(|emit| match emit {
            Emit::Record(record) => record.value,
            Emit::Watermark(watermark) => -watermark.as_millis(),
        });
        emits.collect()
    }

    #[test]
    fn c1_results_leave_as_admitted() {
        let mut emission = Emission::in_order();
        let tickets = [0; 3].map(|_| emission.admit());
        emission.mark(at(5));
        emission.mark(at(6));
        emission.complete(tickets[2], Record::new(3));
        emission.complete(tickets[1], Record::new(2));
        assert!(leaving(&mut emission).is_empty());
        assert_eq!(emission.records(), 3, "what is held back still counts");
        emission.complete(tickets[0], Record::new(1));
        assert_eq!(leaving(&mut emission), [1, 2, 3, -6]);
        assert!(emission.is_empty());
    }

    #[test]
    fn c2_results_leave_as_finished_but_cross_no_watermark() {
        let mut emission = Emission::as_finished();
        let before = [0; 2].map(|_| emission.admit());
        emission.mark(at(5));
        emission.mark(at(6));
        let behind = emission.admit();
        emission.complete(behind, Record::new(3));
        assert!(leaving(&mut emission).is_empty(), "not before the watermark");
        emission.complete(before[1], Record::new(2));
        assert_eq!(leaving(&mut emission), [2]);
        assert_eq!(emission.records(), 2);
        emission.complete(before[0], Record::new(1));
        assert_eq!(leaving(&mut emission), [1, -6, 3]);
        assert!(emission.is_empty());
    }

    #[test]
    fn c2_watermarks_without_records_leave_at_once_and_keep_nothing() {
        let mut emission = Emission::<i64>::as_finished();
        for millis in 1..100 {
            emission.mark(at(millis));
            assert_eq!(leaving(&mut emission), [-millis]);
            assert!(emission.is_empty());
        }
        let ticket = emission.admit();
        for millis in 100..200 {
            emission.mark(at(millis));
        }
        let Emission::AsFinished(order) = &emission else {
            panic!("it is as finished");
        };
        assert_eq!(order.epochs.len(), 2, "watermarks behind one another are one");
        emission.complete(ticket, Record::new(1));
        assert_eq!(leaving(&mut emission), [1, -199]);
    }
}
