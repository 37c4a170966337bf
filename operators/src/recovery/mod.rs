//! Going on after a failure: of one operator, of a section of a stream, of a source or sink.
//!
//! As long as none of these words is said, the first error or panic fails the job. Each of them has
//! a scope that can be seen where it is said: [`supervise`](crate::DataStream::supervise) concerns
//! the one operator before it, [`try_catch`](crate::DataStream::try_catch) and
//! [`restart_section`](crate::DataStream::restart_section) what their closure says.

mod circuit_breaker;
mod map_err;
mod nested;
mod policy;
mod restart_section;
mod supervise;
mod try_catch;

pub use circuit_breaker::{
    BreakerState, CircuitBreaker, CircuitOpen, Permission, Permit, WhenOpen,
};
pub use map_err::MapErr;
pub use policy::RestartPolicy;
pub use restart_section::RestartSection;
pub use supervise::{Directive, Panicked, Supervised, Supervision};
pub use try_catch::{Caught, Entry, EntryTail, Exit, ExitTail, Section};

pub(crate) use nested::{Nested, Supply, hand_over};
pub(crate) use policy::Restarts;
