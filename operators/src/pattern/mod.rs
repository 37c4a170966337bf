//! Event patterns.

mod after_match;
mod automaton;
mod compile;
mod condition;
mod error;
mod function;
mod matched;
mod matching;
mod sequence;
mod shape;
mod shared_buffer;
mod slab;
mod state;
mod stream;

pub use after_match::AfterMatch;
pub use error::{PatternError, TooManyPartialMatches};
pub use function::PatternFunction;
pub use matched::Match;
pub use sequence::{IntoStep, Pattern, Times};
pub use state::{PatternCell, PatternState};
pub use stream::PatternStream;
