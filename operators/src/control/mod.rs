//! Words about a stream's life: ended from outside, and told how it ended.

mod finally;
mod kill_switch;

pub use finally::{Ending, Finally};
pub use kill_switch::{KillSwitch, KillSwitchAborted, Killable, SwitchState};
