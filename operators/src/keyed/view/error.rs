//! `ViewError`: why a question about an operator's state has no answer.

/// Why a [`StateView`](super::StateView) has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// No job that keeps this state has been started yet.
    #[error("no job has been started that keeps this state")]
    NotRunning,
    /// The stream has ended, and what was kept of it is told by what comes out.
    #[error("the stream has ended, and its state is gone with it")]
    Ended,
    /// The job that kept it has failed.
    #[error("the job that kept this state has failed")]
    Failed,
    /// The job that kept it was aborted, or its handle dropped.
    #[error("the job that kept this state was aborted")]
    Aborted,
}
