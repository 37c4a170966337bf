//! What a run leaves behind in memory: the results of `collect`, `count`, `fold` and their kin.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use crate::graph::OperatorId;

/// The promise of a result, made when the graph is built. The report of each run that came to its
/// end keeps it: [`JobReport::take`](super::JobReport::take).
pub struct Output<T> {
    pub(super) operator: OperatorId,
    marker: PhantomData<fn() -> T>,
}

impl<T> Output<T> {
    /// The result that the given sink will leave.
    #[must_use]
    pub const fn of(operator: OperatorId) -> Self {
        Self { operator, marker: PhantomData }
    }
}

impl<T> Clone for Output<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Output<T> {}

impl<T> fmt::Debug for Output<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Output").field(&self.operator).finish()
    }
}

/// The results of one run.
#[derive(Clone, Default)]
pub(crate) struct Outputs(Arc<Mutex<HashMap<OperatorId, Box<dyn Any + Send>>>>);

impl Outputs {
    pub(crate) fn put<T: Send + 'static>(&self, operator: OperatorId, value: T) {
        let mut outputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outputs.insert(operator, Box::new(value));
    }

    pub(crate) fn take<T: 'static>(&self, output: Output<T>) -> Option<T> {
        let mut outputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let value = outputs.remove(&output.operator)?;
        value.downcast().ok().map(|value| *value)
    }
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outputs")
    }
}
