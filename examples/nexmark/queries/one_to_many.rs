//! `OneToMany`: a join over all time, of the one record of a key with many others.

use millstream::fan::Either;
use millstream::keyed::process::{KeyContext, ListState, ProcessFunction, ValueState};
use millstream::prelude::*;

/// Joins each of many records with the one of the same key, whichever comes first. It keeps the
/// one, and those of the many that came before it, for ever: neither says when it is over.
#[derive(Clone)]
pub(crate) struct OneToMany<F> {
    join: F,
}

impl<F> OneToMany<F> {
    pub(crate) const fn with<One, Many, Row>(join: F) -> Self
    where
        F: FnMut(&One, Many) -> Row,
    {
        Self { join }
    }
}

impl<K, One, Many, Row, F> ProcessFunction<K, Either<One, Many>> for OneToMany<F>
where
    One: Send + 'static,
    Many: Send + 'static,
    Row: Send + 'static,
    F: FnMut(&One, Many) -> Row + Clone + Send + 'static,
{
    type Out = Row;
    type States = (ValueState<One>, ListState<Many>);
    const NAME: &'static str = "one to many";

    fn states(&self) -> Self::States {
        (ValueState::new("one"), ListState::new("waiting"))
    }

    fn process(
        &mut self,
        record: Record<Either<One, Many>>,
        context: &mut KeyContext<'_, K, Self::States>,
        out: &mut impl Collector<Row>,
    ) -> Result<(), OperatorError> {
        let time = context.time;
        let (one, waiting) = &mut context.states;
        match (record.value, one.get()) {
            (Either::Left(new), _) => {
                for many in waiting.take() {
                    out.push(Record::at((self.join)(&new, many), time));
                }
                one.set(new);
            }
            (Either::Right(many), Some(one)) => {
                out.push(Record::at((self.join)(one, many), time));
            }
            (Either::Right(many), None) => waiting.push(many),
        }
        Ok(())
    }
}
