//! `ignore`: takes everything, keeps nothing.

use millstream_engine::chain::Chain;
use millstream_engine::runtime::Consumer;
use millstream_engine::{OperatorError, Record};

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Pulls every record and throws it away, for streams whose effects are wanted.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("effects");
    /// flow.source("numbers", source::from_iter(0..3)).ignore();
    /// assert_eq!(flow.run().await?.records_written(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ignore(self) {
        self.consume("ignore", Ignore);
    }
}

#[derive(Clone, Copy)]
struct Ignore;

impl<T> Consumer<T> for Ignore {
    #[inline]
    fn consume(&mut self, _record: Record<T>) -> Result<(), OperatorError> {
        Ok(())
    }
}
