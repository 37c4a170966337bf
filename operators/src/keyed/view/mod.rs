//! Reading what operators keep by key, from outside and while the job runs.

mod counter;
mod error;
mod operator;
mod readable;
mod state_view;

pub use error::ViewError;
pub use operator::Queryable;
pub use readable::ReadableKeys;
pub use state_view::StateView;
