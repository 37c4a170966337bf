//! A request on its way, which is answered exactly once: by a word, or by being dropped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use millstream::OperatorError;
use tokio::sync::oneshot;

/// What whoever asks is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Answer {
    /// What the service says.
    Result(String),
    /// No service has begun with it: there was no room, or the gateway is closing. It can be asked
    /// again.
    Shed,
    /// A service has begun with it, and nobody knows how far it came.
    Failed,
}

/// Clones are the same request. When the last of them is gone without an answer, that is one:
/// [`Answer::Shed`], or [`Answer::Failed`] if a service had begun with it. So no policy of an edge,
/// no crash and no end of a job can leave it without.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) service: usize,
    body: String,
    ticket: Arc<Ticket>,
}

#[derive(Debug)]
struct Ticket {
    begun: AtomicBool,
    answer: Mutex<Option<oneshot::Sender<Answer>>>,
}

impl Request {
    pub(crate) fn new(service: usize, body: String) -> (Self, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let answer = Mutex::new(Some(answer));
        let ticket = Arc::new(Ticket { begun: AtomicBool::new(false), answer });
        (Self { service, body, ticket }, answered)
    }

    /// Whether a service may begin with it, which is true once. A service that is started again is
    /// given again what it had begun with, and must not do that twice.
    pub(crate) fn begin(&self) -> bool {
        !self.ticket.begun.swap(true, Ordering::AcqRel)
    }

    /// Has it served.
    pub(crate) async fn answered_by<R>(
        self,
        serve: impl FnOnce(usize, String) -> R,
    ) -> Result<(Self, String), OperatorError>
    where
        R: Future<Output = Result<String, OperatorError>>,
    {
        let body = serve(self.service, self.body.clone()).await?;
        Ok((self, body))
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.ticket.answer(answer);
    }
}

impl Ticket {
    fn answer(&self, answer: Answer) {
        let sender = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Whoever has asked may have gone.
            drop(sender.send(answer));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let begun = *self.begun.get_mut();
        self.answer(if begun { Answer::Failed } else { Answer::Shed });
    }
}
