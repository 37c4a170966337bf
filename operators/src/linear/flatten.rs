//! `flatten_optional` and `flatten_result`: values that may be none, or errors.

use millstream_engine::chain::{Boundary, Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::{OperatorError, Record};

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = Option<T>>> DataStream<Option<T>, C> {
    /// Lets through what is `Some`, and leaves out each `None`.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input. Order
    /// and event times stay.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("some");
    /// let some = flow.source("some", source::from_iter([Some(1), None, Some(2)]));
    /// let some = some.flatten_optional().collect();
    /// assert_eq!(flow.run().await?.take(some), Some(vec![1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn flatten_optional(self) -> DataStream<T, Via<C, FlattenOptional>> {
        self.via(FlattenOptional)
    }
}

type Values<T, E> = DataStream<T, Via<Boundary<Result<T, E>>, Successes>>;
type Errors<T, E> = DataStream<E, Via<Boundary<Result<T, E>>, Failures>>;

impl<T, E, C> DataStream<Result<T, E>, C>
where
    T: Send + 'static,
    E: Send + 'static,
    C: Chain<Item = Result<T, E>>,
{
    /// Parts values from errors, as two streams. An error is data here: it fails nothing, and is
    /// not lost either, because its stream has to go somewhere, be it
    /// [`ignore`](DataStream::ignore). To fail or to try again, use
    /// [`try_map`](DataStream::try_map).
    ///
    /// Each output emits when there is something for it. It backpressures when the output that the
    /// next record is for is full, and ends with its input. Order and event times stay within each.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("answers");
    /// let answers = flow.source("answers", source::from_iter([Ok(1), Err("no"), Ok(2)]));
    /// let (values, errors) = answers.flatten_result();
    /// let (values, errors) = (values.collect(), errors.collect());
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(values), Some(vec![1, 2]));
    /// assert_eq!(report.take(errors), Some(vec!["no"]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn flatten_result(self) -> (Values<T, E>, Errors<T, E>) {
        let (values, errors) = self.split(Result::is_ok);
        (values.via(Successes), errors.via(Failures))
    }
}

/// The operator behind [`DataStream::flatten_optional`].
#[derive(Clone, Copy, Debug)]
pub struct FlattenOptional;

impl<T: Send + 'static> Operator<Option<T>> for FlattenOptional {
    type Out = T;
    const NAME: &'static str = "flatten_optional";
    const STATELESS: bool = true;

    #[inline]
    fn process(
        &mut self,
        record: Record<Option<T>>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if let Some(value) = record.value {
            out.push(Record::at(value, record.time));
        }
        Ok(())
    }
}

/// The values' side of [`DataStream::flatten_result`].
#[derive(Clone, Copy, Debug)]
pub struct Successes;

impl<T: Send + 'static, E: Send + 'static> Operator<Result<T, E>> for Successes {
    type Out = T;
    const NAME: &'static str = "values";
    const STATELESS: bool = true;

    #[inline]
    fn process(
        &mut self,
        record: Record<Result<T, E>>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if let Ok(value) = record.value {
            out.push(Record::at(value, record.time));
        }
        Ok(())
    }
}

/// The errors' side of [`DataStream::flatten_result`].
#[derive(Clone, Copy, Debug)]
pub struct Failures;

impl<T: Send + 'static, E: Send + 'static> Operator<Result<T, E>> for Failures {
    type Out = E;
    const NAME: &'static str = "errors";
    const STATELESS: bool = true;

    #[inline]
    fn process(
        &mut self,
        record: Record<Result<T, E>>,
        out: &mut impl Collector<E>,
    ) -> Result<(), OperatorError> {
        if let Err(error) = record.value {
            out.push(Record::at(error, record.time));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::{Event, OperatorHarness};
    use millstream_engine::time::Timestamp;

    #[test]
    fn b24_what_is_some_goes_through_at_its_time() {
        let at = Timestamp::from_millis;
        let mut harness = OperatorHarness::new(FlattenOptional);
        harness.push(Record::at(Some(1), at(4)));
        harness.push(Record::at(None, at(5)));
        assert_eq!(harness.events(), [Event::Record(Record::at(1, at(4)))]);
    }
}
