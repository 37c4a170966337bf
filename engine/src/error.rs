//! What can go wrong, and where: every error names the operator it came from.

use std::error::Error as StdError;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use crate::runtime::JobReport;

type Cause = Box<dyn StdError + Send + Sync>;

/// Any error of a user's closure, source or sink, on its way to becoming an [`Error`].
///
/// It is made by `?` from every type that implements [`std::error::Error`].
pub struct OperatorError(Cause);

impl OperatorError {
    /// Wraps an error.
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(error.into())
    }

    /// The error inside, for looking at it and downcasting.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0
    }

    /// The error inside.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn StdError + Send + Sync> {
        self.0
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for OperatorError {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Debug for OperatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for OperatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Why a job failed.
///
/// The message names the operator and shows the cause; [`cause`](Error::cause) gives the cause
/// itself, and [`source`](StdError::source) what lies behind it, so that a printed chain says
/// nothing twice. `Debug` prints the same message, because that is what `main` prints, and behind
/// it what [else](Error::others) went wrong.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    operator: Option<Arc<str>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    report: Option<Arc<JobReport>>,
    others: Option<Arc<Vec<Error>>>,
}

/// The kinds of [`Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The dataflow can't be run as it was built; these are all the mistakes found.
    Build(Vec<BuildError>),
    /// An operator, source or sink returned an error.
    Operator,
    /// User code panicked, with this message.
    Panic(String),
    /// A neighbour went away without saying why. The neighbour's own error is the one to read; the
    /// job reports this kind only if there is none.
    Disconnected,
    /// The job was aborted, or its handle was dropped.
    Aborted,
    /// A drain did not finish within its deadline.
    DrainDeadline,
    /// The job was to drain at a signal, and can't listen to any.
    Signals,
}

impl Error {
    /// An operator's own error.
    #[must_use]
    pub fn operator(operator: &Arc<str>, cause: OperatorError) -> Self {
        Self {
            operator: Some(Arc::clone(operator)),
            source: Some(Arc::from(cause.into_inner())),
            ..Self::of(ErrorKind::Operator)
        }
    }

    const fn of(kind: ErrorKind) -> Self {
        Self { kind, operator: None, source: None, report: None, others: None }
    }

    pub(crate) fn panic(operator: Option<Arc<str>>, message: String) -> Self {
        Self { operator, ..Self::of(ErrorKind::Panic(message)) }
    }

    pub(crate) fn disconnected(operator: &Arc<str>) -> Self {
        let operator = Some(Arc::clone(operator));
        Self { operator, ..Self::of(ErrorKind::Disconnected) }
    }

    pub(crate) const fn aborted() -> Self {
        Self::of(ErrorKind::Aborted)
    }

    pub(crate) const fn drain_deadline() -> Self {
        Self::of(ErrorKind::DrainDeadline)
    }

    pub(crate) fn signals(cause: std::io::Error) -> Self {
        Self { source: Some(Arc::new(cause)), ..Self::of(ErrorKind::Signals) }
    }

    pub(crate) const fn build(mistakes: Vec<BuildError>) -> Self {
        Self::of(ErrorKind::Build(mistakes))
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The name of the operator it came from, where there is one.
    #[must_use]
    pub fn operator_name(&self) -> Option<&str> {
        self.operator.as_deref()
    }

    /// What the job had done when it failed. `None` if it never ran.
    #[must_use]
    pub fn report(&self) -> Option<&JobReport> {
        self.report.as_deref()
    }

    pub(crate) fn with_report(mut self, report: JobReport) -> Self {
        self.report = Some(Arc::new(report));
        self
    }

    /// The exit code for a program that is over with this job: 2 if the job was stopped before
    /// everything was delivered, by an abort, a second signal or a deadline, and 1 if it failed. A
    /// [`JobReport`] is 0: nothing was lost.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self.kind {
            ErrorKind::Aborted | ErrorKind::DrainDeadline => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }

    /// What else went wrong before the job had come to rest, in the order in which it was noticed;
    /// the first eight of them. The error itself came first, and is what to look at first. A
    /// neighbour's complaint that a stage is gone is no error of its own, and is not among them.
    #[must_use]
    pub fn others(&self) -> &[Self] {
        self.others.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Whether it only says that a neighbour is gone.
    pub(crate) const fn is_complaint(&self) -> bool {
        matches!(self.kind, ErrorKind::Disconnected)
    }

    pub(crate) fn with_others(mut self, others: Vec<Self>) -> Self {
        if !others.is_empty() {
            self.others = Some(Arc::new(others));
        }
        self
    }

    /// The operator's own error, for downcasting.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.source.as_deref()
    }

    /// The same, to be kept when the error itself is not.
    #[must_use]
    pub fn shared_cause(&self) -> Option<Arc<dyn StdError + Send + Sync>> {
        self.source.clone()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        let mut cause = StdError::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        self.others().iter().try_for_each(|other| write!(f, "; then {other:?}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = self.operator.as_deref().unwrap_or("a stage");
        match &self.kind {
            ErrorKind::Build(mistakes) => {
                f.write_str("the dataflow can't run")?;
                for (index, mistake) in mistakes.iter().enumerate() {
                    write!(f, "{} {mistake}", if index == 0 { ":" } else { ";" })?;
                }
                Ok(())
            }
            ErrorKind::Operator => {
                write!(f, "operator `{operator}` failed")?;
                match &self.source {
                    Some(source) => write!(f, ": {source}"),
                    None => Ok(()),
                }
            }
            ErrorKind::Panic(message) => write!(f, "operator `{operator}` panicked: {message}"),
            ErrorKind::Disconnected => {
                write!(f, "a neighbour of operator `{operator}` went away before the end")
            }
            ErrorKind::Aborted => f.write_str("the job was aborted"),
            ErrorKind::Signals => {
                f.write_str("the job can't listen to signals")?;
                match &self.source {
                    Some(source) => write!(f, ": {source}"),
                    None => Ok(()),
                }
            }
            ErrorKind::DrainDeadline => f.write_str("the job did not drain before its deadline"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().and_then(|cause| cause.source())
    }
}

/// One mistake in how a dataflow was built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is nothing to run.
    #[error("dataflow `{0}` has no source")]
    Empty(String),
    /// An operator works by event time, and records without any come to it.
    #[error(
        "`{operator}` works by event time, and the records of source `{origin}` have none: say \
         `.event_time(…)` behind it"
    )]
    NoEventTime {
        /// The operator.
        operator: String,
        /// The source.
        origin: String,
    },
    /// Two operators have one `uid`, so that their state could not be told apart.
    #[error(
        "`{}` and `{}` have the same uid `{uid}`: give each of them one of its own",
        .operators[0], .operators[1]
    )]
    DuplicateUid {
        /// What they share.
        uid: String,
        /// The first two of them.
        operators: [String; 2],
    },
    /// There is state of an operator that the graph does not have.
    #[error(
        "there is state of an operator with the uid `{uid}`, and none has it: say \
         `.uid(\"{uid}\")` behind the operator that wrote it, or `Snapshot::forget` it"
    )]
    OrphanedState {
        /// Whose state it is.
        uid: String,
    },
    /// State was written by an operator of another kind.
    #[error(
        "the state of the uid `{uid}` was written by `{was}` and can't be taken over by `{is}`: \
         give the new operator a uid of its own"
    )]
    ForeignState {
        /// Whose state it is.
        uid: String,
        /// The kind of operator that wrote it.
        was: String,
        /// The kind that is to take it over.
        is: String,
    },
    /// A stream was made and never given to a sink.
    #[error("the stream behind `{operator}` goes nowhere")]
    GoesNowhere {
        /// The last operator of the stream.
        operator: String,
    },
    /// An operator was given a stream, or the handle of one, that is not of its own dataflow.
    #[error(
        "`{operator}` is to be connected to a stream that is not in its dataflow: streams and \
            handles belong to the dataflow that made them, and no side output leads out of a group"
    )]
    Strayed {
        /// The operator.
        operator: String,
    },
    /// An operator was told something that makes no sense.
    #[error("`{operator}` {mistake}")]
    Refused {
        /// The operator.
        operator: String,
        /// What is wrong, and what to say instead.
        mistake: String,
    },
    /// A stream that nothing feeds.
    #[error("nothing feeds `{stream}`")]
    NoProducer {
        /// The stream's name.
        stream: String,
    },
    /// Two operators have been given one name.
    #[error("more than one operator is named `{name}`")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A number that has to be at least one is zero.
    #[error("{what} of `{operator}` is zero")]
    Zero {
        /// Which number.
        what: &'static str,
        /// Whose.
        operator: String,
    },
    /// An edge was told to do something, and not how.
    #[error("`{operator}` {does}, and was not told {what}")]
    Missing {
        /// The operator behind the edge.
        operator: String,
        /// What the edge is to do.
        does: &'static str,
        /// What has to be said for that.
        what: &'static str,
    },
    /// Two stages that are to be connected one to one have different numbers of instances.
    #[error(
        "`{from}` has {from_instances} instances and `{to}` has {to_instances}: rebalance \
            between them"
    )]
    Mismatch {
        /// The sending operator.
        from: String,
        /// How many instances it has.
        from_instances: usize,
        /// The receiving operator.
        to: String,
        /// How many instances it has.
        to_instances: usize,
    },
    /// The graph has a cycle, which can only hang.
    #[error("`{operator}` feeds itself")]
    Cycle {
        /// An operator on the cycle.
        operator: String,
    },
    /// Branches of one stage meet again where one may be waited for while another fills up.
    #[error(
        "`{fan_in}` may wait for one branch of `{fan_out}` while another fills up and stops both"
    )]
    SelectiveFanIn {
        /// Where the branches part.
        fan_out: String,
        /// Where they meet.
        fan_in: String,
    },
}
