//! What becomes of records that come too late for their window.

use std::fmt;

use millstream_engine::Record;
use millstream_engine::operator::SideOutput;
use millstream_engine::runtime::OperatorContext;

use crate::fan::SidePort;

/// What becomes of records that come too late for their window. A clone is blank.
pub struct LateRecords<T>(Choice<T>);

enum Choice<T> {
    /// How many records of the stream one is.
    Drop(fn(&T) -> u64),
    Send(Box<dyn LateOutput<T>>),
}

/// Takes the records that come too late: a side output of the operator that they come to.
pub trait LateOutput<T>: Send {
    /// Makes ready for a run.
    fn open(&mut self, context: &mut OperatorContext<'_>);

    /// Takes a record, and answers how many it has to be counted for as dropped.
    fn take(&mut self, record: Record<T>) -> u64;

    /// The same, with nothing of a run.
    fn blank(&self) -> Box<dyn LateOutput<T>>;

    /// What the stage does the same with as with the main output.
    fn side(&mut self) -> &mut dyn SideOutput;
}

impl<T> LateRecords<T> {
    /// They are dropped, and counted as [late](millstream_engine::metrics::DropReason::Late).
    #[must_use]
    pub const fn dropped() -> Self {
        Self(Choice::Drop(|_| 1))
    }

    /// As [`dropped`](Self::dropped), where one record may stand for several.
    #[must_use]
    pub fn dropped_as(records: fn(&T) -> u64) -> Self {
        Self(Choice::Drop(records))
    }

    /// They go to a side output.
    #[must_use]
    pub fn to(output: impl LateOutput<T> + 'static) -> Self {
        Self(Choice::Send(Box::new(output)))
    }

    /// Makes ready for a run.
    pub fn open(&mut self, context: &mut OperatorContext<'_>) {
        if let Choice::Send(output) = &mut self.0 {
            output.open(context);
        }
    }

    /// Takes a record, and answers how many are to be counted as dropped.
    pub fn take(&mut self, record: Record<T>) -> u64 {
        match &mut self.0 {
            Choice::Drop(records) => records(&record.value),
            Choice::Send(output) => output.take(record),
        }
    }

    /// The side output, if they go to one.
    #[inline]
    pub fn side(&mut self) -> Option<&mut dyn SideOutput> {
        match &mut self.0 {
            Choice::Drop(_) => None,
            Choice::Send(output) => Some(output.side()),
        }
    }
}

impl<T> Clone for LateRecords<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Choice::Drop(records) => Choice::Drop(*records),
            Choice::Send(output) => Choice::Send(output.blank()),
        })
    }
}

impl<T> fmt::Debug for LateRecords<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Choice::Drop(_) => "LateRecords(dropped)",
            Choice::Send(_) => "LateRecords(sent)",
        })
    }
}

impl<T: Send + 'static> LateOutput<T> for SidePort<T> {
    fn open(&mut self, context: &mut OperatorContext<'_>) {
        Self::open(self, context);
    }

    fn take(&mut self, record: Record<T>) -> u64 {
        self.emit(record);
        0
    }

    fn blank(&self) -> Box<dyn LateOutput<T>> {
        Box::new(self.clone())
    }

    fn side(&mut self) -> &mut dyn SideOutput {
        self
    }
}
