//! `recover` and `on_error_complete`: a stream whose failure is an end.

use millstream_engine::Error;
use millstream_engine::chain::Chain;

use super::{RecoverWith, empty, once, recover_with};
use crate::{DataStream, Dataflow};

/// A source that runs a stream of its own, and when that fails, by an error or a panic, emits the
/// one last value that `last` makes of the error, and ends. Where it makes none, the error fails
/// the job.
///
/// Otherwise as [`recover_with`].
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let lines = source::recover(
///     |flow| flow.source("torn", source::failed::<String, _, _>(|| std::fmt::Error)),
///     |error| Some(error.to_string()),
/// );
/// let flow = Dataflow::new("recovered");
/// let all = flow.source("lines", lines).collect();
/// let text = "operator `torn` failed: an error occurred when formatting an argument";
/// assert_eq!(flow.run().await?.take(all), Some(vec![text.to_owned()]));
/// # Ok(())
/// # }
/// ```
pub fn recover<T, C, F, L>(
    make: F,
    last: L,
) -> RecoverWith<F, impl Fn(&Dataflow, &Error) -> Option<DataStream<T>> + Clone + Send + 'static>
where
    T: Clone + Send + 'static,
    C: Chain<Item = T>,
    F: Fn(&Dataflow) -> DataStream<T, C> + Clone + Send + 'static,
    L: Fn(&Error) -> Option<T> + Clone + Send + 'static,
{
    recover_with(make, move |flow: &Dataflow, error: &Error| {
        last(error).map(|value| flow.source("last", once(value)).boxed())
    })
}

/// A source that runs a stream of its own, and when that fails, by an error or a panic for which
/// `ends` holds, ends as if it had completed. Every other error fails the job. What ended it is
/// logged and counted.
///
/// Otherwise as [`recover_with`].
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let numbers = source::on_error_complete(
///     |flow| flow.source("torn", source::failed::<u32, _, _>(|| std::fmt::Error)),
///     |error| error.operator_name() == Some("torn"),
/// );
/// let flow = Dataflow::new("ended");
/// let none = flow.source("numbers", numbers).collect();
/// assert_eq!(flow.run().await?.take(none), Some(vec![]));
/// # Ok(())
/// # }
/// ```
pub fn on_error_complete<T, C, F, E>(
    make: F,
    ends: E,
) -> RecoverWith<F, impl Fn(&Dataflow, &Error) -> Option<DataStream<T>> + Clone + Send + 'static>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    F: Fn(&Dataflow) -> DataStream<T, C> + Clone + Send + 'static,
    E: Fn(&Error) -> bool + Clone + Send + 'static,
{
    recover_with(make, move |flow: &Dataflow, error: &Error| {
        ends(error).then(|| flow.source("end", empty()).boxed())
    })
}
