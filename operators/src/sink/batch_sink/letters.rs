//! A sink with dead letters: the tail that carries them from the sink's future to their edge.

use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use millstream_engine::batch::Barrier;
use millstream_engine::edge::Outbox;
use millstream_engine::operator::SideOutput;
use millstream_engine::runtime::SinkTail;
use millstream_engine::tail::{Flow, Flush, Tail};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, Record};

use crate::attempt::DeadLetter;

/// Where a sink's future leaves one dead letter at a time. Nobody wakes whom: the tail polls the
/// future whenever it has taken one.
pub(super) struct LetterSlot<T>(Mutex<Option<DeadLetter<T>>>);

impl<T> LetterSlot<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(super) async fn put(&self, letter: DeadLetter<T>) {
        let mut letter = Some(letter);
        poll_fn(|_| {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if slot.is_some() {
                return Poll::Pending;
            }
            *slot = letter.take();
            Poll::Ready(())
        })
        .await;
    }

    fn take(&self) -> Option<DeadLetter<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The tail of a sink and of the dead letters that it writes.
pub(super) struct WithLetters<T> {
    sink: SinkTail<T>,
    letters: Outbox<DeadLetter<T>>,
    slot: std::sync::Arc<LetterSlot<T>>,
    /// What the letters' edge has been told: no letter may be earlier.
    watermark: Timestamp,
    /// A barrier that waits for the letters of what came before it.
    barrier: Option<Barrier>,
    ending: bool,
    ended: bool,
}

impl<T: Send + 'static> WithLetters<T> {
    pub(super) const fn new(
        sink: SinkTail<T>,
        letters: Outbox<DeadLetter<T>>,
        slot: std::sync::Arc<LetterSlot<T>>,
    ) -> Self {
        let (watermark, barrier) = (Timestamp::MIN, None);
        Self { sink, letters, slot, watermark, barrier, ending: false, ended: false }
    }

    /// Drives the sink, and carries its letters on, until neither gets any further.
    fn poll_carry(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        loop {
            let sunk = self.sink.poll_flush(cx, flush)?;
            if self.letters.is_full()
                && SideOutput::poll_flush(&mut self.letters, cx, Flush::Room)?.is_pending()
            {
                return Poll::Pending;
            }
            match self.slot.take() {
                Some(letter) => {
                    let time = letter.event_time.max(self.watermark);
                    let (Flow::More | Flow::Stop) = self.letters.push(Record::at(letter, time));
                }
                None => return sunk.map(Ok),
            }
        }
    }
}

impl<T: Send + 'static> Tail<T> for WithLetters<T> {
    #[inline]
    fn push(&mut self, record: Record<T>) -> Flow {
        self.sink.push(record)
    }

    fn resume(&mut self) -> Flow {
        if self.sink.resume() == Flow::Stop || self.letters.is_full() {
            return Flow::Stop;
        }
        if let Some(barrier) = self.barrier.take() {
            SideOutput::barrier(&mut self.letters, barrier);
            if self.letters.is_full() {
                return Flow::Stop;
            }
        }
        Flow::More
    }

    fn watermark(&mut self, watermark: Timestamp) -> Flow {
        self.watermark = self.watermark.max(watermark);
        SideOutput::watermark(&mut self.letters, watermark);
        self.sink.watermark(watermark)
    }

    fn idle(&mut self, idle: bool) -> Flow {
        SideOutput::idle(&mut self.letters, idle);
        self.sink.idle(idle)
    }

    fn timer(&mut self, now: Instant) -> Flow {
        self.sink.timer(now)
    }

    fn next_timer(&self) -> Option<Instant> {
        self.sink.next_timer()
    }

    fn waiting(&self) -> bool {
        self.sink.waiting()
    }

    fn barrier(&mut self, barrier: Barrier) -> Flow {
        self.barrier = Some(barrier);
        self.sink.barrier(barrier)
    }

    fn end(&mut self) -> Flow {
        self.ending = true;
        self.sink.end()
    }

    fn done(&self) -> bool {
        self.sink.done()
    }

    fn take_error(&mut self) -> Option<Error> {
        self.sink.take_error().or_else(|| self.letters.take_error())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        let sunk = self.poll_carry(cx, flush)?;
        if sunk.is_ready() && flush == Flush::All && self.ending && !self.ended {
            self.ended = true;
            SideOutput::end(&mut self.letters);
        }
        // Letters go out while the sink waits to try again, too.
        let all = if sunk.is_pending() { Flush::All } else { flush };
        let sent = SideOutput::poll_flush(&mut self.letters, cx, all)?;
        if sunk.is_ready() && sent.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sink.poll_wanted(cx)
    }

    fn publish(&mut self) {
        self.sink.publish();
    }
}
