//! A waker that goes through the runtime's I/O driver while the runtime sleeps.

use std::io::{self, PipeWriter, Write as _};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;
use millstream_engine::OperatorError;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::{Handle, RuntimeMetrics};

/// The end of the task that is to be woken.
pub(super) struct Listener {
    doorbell: Arc<Doorbell>,
    waker: Waker,
    reader: Receiver,
}

impl Listener {
    /// A pipe whose end the runtime watches that this is called in.
    ///
    /// # Errors
    ///
    /// If there is no runtime, or no more descriptors.
    ///
    /// # Panics
    ///
    /// If the runtime has no I/O driver: nothing of tokio's tells before.
    pub(super) fn new() -> Result<Self, OperatorError> {
        let runtime = Handle::try_current()?.metrics();
        let (reader, writer) = io::pipe()?;
        let reader = Receiver::from_owned_fd(reader.into())?;
        let writer = Mutex::new(Some(writer));
        let (rung, task) = (AtomicBool::new(false), AtomicWaker::new());
        let doorbell = Arc::new(Doorbell { writer, rung, task, runtime });
        Ok(Self { waker: Waker::from(Arc::clone(&doorbell)), doorbell, reader })
    }

    /// Has the task of `cx` woken by the waker that this gives. To be called each time that the
    /// task is polled, before it looks at what it waits for.
    pub(super) fn listen(&mut self, cx: &mut Context<'_>) -> io::Result<&Waker> {
        self.doorbell.task.register(cx.waker());
        let mut bytes = [0; 2];
        let mut read = ReadBuf::new(&mut bytes);
        // Until it would have to wait: that is what makes the driver wake the task.
        while Pin::new(&mut self.reader).poll_read(cx, &mut read)?.is_ready() {
            read.clear();
            // A swap, so that whoever found it rung is seen with all that was done before.
            self.doorbell.rung.swap(false, Ordering::AcqRel);
        }
        Ok(&self.waker)
    }
}

/// Wakers live on in others' hands: they keep no descriptor, and write where somebody reads, as
/// the signal for a pipe that nobody does may end a program that is not Rust's.
impl Drop for Listener {
    fn drop(&mut self) {
        *self.doorbell.writer() = None;
    }
}

/// The end of those who wake it.
struct Doorbell {
    writer: Mutex<Option<PipeWriter>>,
    /// Whether a byte is on its way that nobody has read: one is enough.
    rung: AtomicBool,
    task: AtomicWaker,
    runtime: RuntimeMetrics,
}

impl Doorbell {
    /// Whether a byte would be looked at now: one of the workers waits for I/O where all of them
    /// wait. A single worker is woken by its driver anyhow, and on a worker there is nobody to be
    /// woken.
    fn is_better(&self) -> bool {
        let workers = self.runtime.num_workers();
        workers > 1
            && (0..workers).all(|worker| self.is_parked(worker))
            && Handle::try_current().is_err()
    }

    fn is_parked(&self, worker: usize) -> bool {
        self.runtime.worker_park_unpark_count(worker) % 2 == 1
    }

    /// Answers whether a byte is on its way. It never waits for room: there is but one.
    fn ring(&self) -> bool {
        if self.rung.swap(true, Ordering::AcqRel) {
            return true;
        }
        let written = self.writer().as_mut().is_some_and(|writer| writer.write(&[0]).is_ok());
        if !written {
            self.rung.swap(false, Ordering::AcqRel);
        }
        written
    }

    fn writer(&self) -> MutexGuard<'_, Option<PipeWriter>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Doorbell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !(self.is_better() && self.ring()) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::thread;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    /// How often a task was woken by itself.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn runtime(workers: usize) -> Runtime {
        Builder::new_multi_thread().worker_threads(workers).enable_io().build().unwrap()
    }

    /// A listener of a runtime, and the task that listens; what it says is not heard by anyone.
    fn listener(runtime: &Runtime) -> (Listener, Arc<Woken>) {
        let mut listener = {
            let _entered = runtime.enter();
            Listener::new().unwrap()
        };
        let woken = Arc::<Woken>::default();
        listen(&mut listener, &woken);
        (listener, woken)
    }

    fn listen(listener: &mut Listener, woken: &Arc<Woken>) {
        let waker = Waker::from(Arc::clone(woken));
        listener.listen(&mut Context::from_waker(&waker)).unwrap();
    }

    fn wait_until(holds: impl Fn() -> bool) {
        while !holds() {
            thread::yield_now();
        }
    }

    /// What is in the pipe.
    fn bytes(runtime: &Runtime, listener: &Listener) -> usize {
        runtime.block_on(listener.reader.readable()).unwrap();
        let mut bytes = [0; 8];
        listener.reader.try_read(&mut bytes).unwrap()
    }

    #[test]
    fn one_byte_wakes_the_task_and_no_other_is_sent_until_it_has_listened() {
        let runtime = runtime(2);
        let (mut listener, woken) = listener(&runtime);
        for _ in 0..2 {
            assert!(listener.doorbell.ring());
            wait_until(|| woken.0.swap(0, Ordering::SeqCst) == 1);
            assert!(listener.doorbell.ring());
            listen(&mut listener, &woken);
            assert!(!listener.doorbell.rung.load(Ordering::SeqCst));
        }
        (0..3).for_each(|_| assert!(listener.doorbell.ring()));
        assert_eq!(bytes(&runtime, &listener), 1);
    }

    #[test]
    fn a_runtime_that_sleeps_is_sent_a_byte() {
        let runtime = runtime(2);
        let (listener, _) = listener(&runtime);
        // A worker may be awake for a moment, and the task is woken itself meanwhile.
        wait_until(|| {
            listener.waker.wake_by_ref();
            listener.doorbell.rung.load(Ordering::SeqCst)
        });
    }

    #[test]
    fn where_a_worker_is_awake_the_task_is_woken_itself() {
        let runtime = runtime(2);
        let (listener, woken) = listener(&runtime);
        let ((begun, has_begun), (go, gone)) = (mpsc::sync_channel(1), mpsc::sync_channel::<()>(1));
        let busy = runtime.spawn(async move {
            begun.send(()).unwrap();
            gone.recv().unwrap_err();
        });
        has_begun.recv().unwrap();
        listener.waker.wake_by_ref();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(!listener.doorbell.rung.load(Ordering::SeqCst));
        drop(go);
        runtime.block_on(busy).unwrap();
    }

    #[test]
    fn within_a_runtime_and_for_a_single_worker_the_task_is_woken_itself() {
        for (workers, inside) in [(2, true), (1, false)] {
            let runtime = runtime(workers);
            let (listener, woken) = listener(&runtime);
            wait_until(|| (0..workers).all(|worker| listener.doorbell.is_parked(worker)));
            let _entered = inside.then(|| runtime.enter());
            listener.waker.wake_by_ref();
            assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        }
    }

    #[test]
    fn where_nobody_listens_any_more_no_byte_is_sent() {
        let runtime = runtime(2);
        let (listener, _) = listener(&runtime);
        let doorbell = Arc::clone(&listener.doorbell);
        drop(listener);
        assert!(!doorbell.ring());
        assert!(!doorbell.rung.load(Ordering::SeqCst));
    }

    #[test]
    fn without_a_runtime_there_is_an_error() {
        assert!(Listener::new().err().unwrap().to_string().contains("runtime"));
    }
}
