//! The input of a head that admits records one by one, with the control among and behind them.

use std::task::{Context, Poll};

use millstream_engine::batch::Batch;
use millstream_engine::edge::Inputs;
use millstream_engine::runtime::Head as _;
use millstream_engine::time::Timestamp;
use millstream_engine::{Error, Record};

/// The batch that is being admitted, and where the next one comes from.
pub(crate) struct Taken<In> {
    input: Inputs<In>,
    /// The last one first, so that the buffer survives being emptied.
    records: Vec<Record<In>>,
    total: usize,
    control: Batch<In>,
    marks_done: usize,
    /// Whether the input is idle, and nothing of it is in flight.
    idle: bool,
    /// Whether everybody behind the head knows that.
    idle_told: bool,
    over: bool,
}

impl<In: Send> Taken<In> {
    pub(crate) const fn new(input: Inputs<In>) -> Self {
        Self {
            input,
            records: Vec::new(),
            total: 0,
            control: Batch::new(),
            marks_done: 0,
            idle: false,
            idle_told: false,
            over: false,
        }
    }

    /// The watermark that comes next, if no record is before it.
    pub(crate) fn mark(&mut self) -> Option<Timestamp> {
        let taken = self.total - self.records.len();
        let mark = self.control.marks.get(self.marks_done)?;
        (mark.position <= taken).then(|| {
            self.marks_done += 1;
            mark.watermark
        })
    }

    /// The next record of the batch. Watermarks before it come first.
    pub(crate) fn record(&mut self) -> Option<Record<In>> {
        self.records.pop()
    }

    /// Reads on when everything read has been admitted, and tells whether anything came. Control
    /// behind the records goes to `quiet`, which is there if nothing from before it is in flight.
    pub(crate) fn read<Out>(
        &mut self,
        cx: &mut Context<'_>,
        quiet: Option<&mut Batch<Out>>,
    ) -> Result<bool, Error> {
        let admitted = self.records.is_empty() && self.marks_done == self.control.marks.len();
        if !admitted || self.over {
            return Ok(false);
        }
        let control = &mut self.control;
        // An input that is idle lets the watermark go on elsewhere, so that waits, too.
        if control.barrier.is_some() || control.end || control.idle != self.idle {
            let Some(out) = quiet else {
                return Ok(false);
            };
            self.idle = control.idle;
            out.barrier = control.barrier.take();
            out.end = std::mem::take(&mut control.end);
            self.over = out.end;
            return Ok(true);
        }
        let spent = std::mem::take(&mut self.records);
        if spent.capacity() > 0 {
            self.input.recycle(spent);
        }
        let Poll::Ready(mut batch) = self.input.poll_next(cx)? else {
            return Ok(false);
        };
        self.records = std::mem::take(&mut batch.records);
        self.records.reverse();
        self.total = self.records.len();
        self.marks_done = 0;
        // Whatever comes ends idleness at once.
        self.idle &= batch.idle && self.total == 0;
        self.control = batch;
        Ok(true)
    }

    /// Whether the end of the input is all that is left of it.
    #[cfg(feature = "files")]
    pub(crate) fn is_ending(&self) -> bool {
        let admitted = self.records.is_empty() && self.marks_done == self.control.marks.len();
        admitted && self.control.end
    }

    /// Ends a poll of the head: `batch` if there is anything in it, or to be told.
    pub(crate) fn hand_over<Out>(&mut self, mut batch: Batch<Out>) -> Poll<Batch<Out>> {
        batch.idle = self.idle;
        if batch.is_empty() && batch.idle == self.idle_told {
            return Poll::Pending;
        }
        self.idle_told = batch.idle;
        Poll::Ready(batch)
    }

    /// Nothing more is wanted.
    pub(crate) fn finish(&mut self) {
        self.over = true;
        self.input.finish();
    }
}
