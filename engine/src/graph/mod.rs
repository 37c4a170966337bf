//! The blueprint of a dataflow: plain data about stages, operators and edges, and what can be said
//! about them before anything runs.

pub(crate) mod blueprint;
mod display;
mod identity;
mod live;
mod plan;
mod sharing;
mod time;
mod validate;
mod view;

pub use blueprint::{
    Blueprint, Distribution, EdgeId, EdgeOptions, EventTimeUse, OperatorId, Port, Role,
    StageBlueprint, StageDraft, StageId,
};
pub use view::{EdgeView, GraphView, OperatorView, StageView};

pub(crate) use blueprint::GraphId;
pub(crate) use plan::{Plan, PlannedChannel, PlannedEdge};
