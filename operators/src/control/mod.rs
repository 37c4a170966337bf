//! Words about a stream's life: ended from outside, and told how it ended.

mod finally;
mod kill_switch;
mod take_until_signal;

pub use finally::{Ending, Finally};
pub use kill_switch::{KillSwitch, KillSwitchAborted, Killable, SwitchState};
pub use take_until_signal::TakeUntilSignal;
