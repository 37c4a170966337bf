//! `process`: a function of yours for each record, with state, timers and side outputs of its key.

mod bounded;
mod broadcast;
mod cell;
mod context;
mod function;
mod list;
mod map;
mod merging;
mod operator;
mod readable;
mod states;
mod store;
mod stream;
mod ttl;
mod value;

pub use broadcast::{
    BroadcastConnected, BroadcastContext, BroadcastFunction, BroadcastProcess, BroadcastProcessed,
    Ruled, WithRules,
};
pub use context::{KeyContext, KeyTimers, Timer};
pub use function::ProcessFunction;
pub use list::{ListCell, ListState, ListView};
pub use map::{MapCell, MapState, MapView};
pub use merging::{AggregatingState, AggregatingView, ReducingState, ReducingView};
pub use operator::Process;
pub use readable::ReadableFunction;
pub use states::{States, StoredStates};
pub use stream::Processed;
pub use ttl::{StateTime, StateTtl};
pub use value::{ValueCell, ValueState, ValueView};
