//! `cancelled`: a sink that wants nothing.

use millstream_engine::chain::Chain;
use millstream_engine::runtime::Consumer;
use millstream_engine::{OperatorError, Record};

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Ends the stream before its first record: its input is cancelled at once, which is no error.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("nothing");
    /// flow.source("numbers", source::from_iter(0..)).cancelled();
    /// assert_eq!(flow.run().await?.records_read(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancelled(self) {
        self.consume("cancelled", Cancelled);
    }
}

#[derive(Clone, Copy)]
struct Cancelled;

impl<T> Consumer<T> for Cancelled {
    fn consume(&mut self, _record: Record<T>) -> Result<(), OperatorError> {
        Ok(())
    }

    fn done(&self) -> bool {
        true
    }
}
