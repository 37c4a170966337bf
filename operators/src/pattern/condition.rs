//! What an event has to be like: closures of the user's, behind one type.

use super::Match;

/// A closure over one event. Implemented for every closure that fits.
pub(super) trait EventCondition<T>: Send {
    fn holds(&self, event: &T) -> bool;
    fn boxed_clone(&self) -> Box<dyn EventCondition<T>>;
}

impl<T, F: Fn(&T) -> bool + Clone + Send + 'static> EventCondition<T> for F {
    fn holds(&self, event: &T) -> bool {
        self(event)
    }

    fn boxed_clone(&self) -> Box<dyn EventCondition<T>> {
        Box::new(self.clone())
    }
}

/// A closure over one event and those that were matched before it. Implemented for every closure
/// that fits.
pub(super) trait IterativeCondition<T>: Send {
    fn holds(&self, event: &T, so_far: &Match<'_, T>) -> bool;
    fn boxed_clone(&self) -> Box<dyn IterativeCondition<T>>;
}

impl<T, F> IterativeCondition<T> for F
where
    F: Fn(&T, &Match<'_, T>) -> bool + Clone + Send + 'static,
{
    fn holds(&self, event: &T, so_far: &Match<'_, T>) -> bool {
        self(event, so_far)
    }

    fn boxed_clone(&self) -> Box<dyn IterativeCondition<T>> {
        Box::new(self.clone())
    }
}

/// Everything that has been said of an event: all of it has to hold. Nothing said holds always.
pub(super) struct Condition<T> {
    event: Vec<Box<dyn EventCondition<T>>>,
    iterative: Vec<Box<dyn IterativeCondition<T>>>,
}

impl<T> Condition<T> {
    pub(super) const fn new() -> Self {
        Self { event: Vec::new(), iterative: Vec::new() }
    }

    pub(super) fn of(condition: impl EventCondition<T> + 'static) -> Self {
        let mut all = Self::new();
        all.and(condition);
        all
    }

    pub(super) fn and(&mut self, condition: impl EventCondition<T> + 'static) {
        self.event.push(Box::new(condition));
    }

    pub(super) fn and_iterative(&mut self, condition: impl IterativeCondition<T> + 'static) {
        self.iterative.push(Box::new(condition));
    }

    /// Whether what depends on the event alone holds: the same for every partial match.
    pub(super) fn holds_of(&self, event: &T) -> bool {
        self.event.iter().all(|condition| condition.holds(event))
    }

    /// Whether what was matched before matters.
    pub(super) fn is_iterative(&self) -> bool {
        !self.iterative.is_empty()
    }

    /// Whether what depends on the events before holds too.
    pub(super) fn holds_after(&self, event: &T, so_far: &Match<'_, T>) -> bool {
        self.iterative.iter().all(|condition| condition.holds(event, so_far))
    }
}

impl<T> Clone for Condition<T> {
    fn clone(&self) -> Self {
        Self {
            event: self.event.iter().map(|condition| condition.boxed_clone()).collect(),
            iterative: self.iterative.iter().map(|condition| condition.boxed_clone()).collect(),
        }
    }
}
