//! Disturbs the order in which the stages of a job run, at random from a seed, for tests that look
//! for what depends on it. A job that did not ask for it has nothing of this.

use std::task::Context;

use super::stage::RunnableStage;
use crate::random::Random;

/// The disorder of one instance of a stage.
#[derive(Debug)]
pub(super) struct Disorder {
    random: Random,
    /// How often it stays behind, of 16 times. It differs between stages, so that some are slow.
    laziness: u64,
}

impl Disorder {
    pub(super) fn new(mut random: Random) -> Self {
        let laziness = random.below(15);
        Self { random, laziness }
    }

    /// Before a poll: whether the stage lets all others go first. If not, decides how much it may
    /// do before it lets them go.
    pub(super) fn disturb(&mut self, stage: &mut dyn RunnableStage, cx: &mut Context<'_>) -> bool {
        if self.random.below(16) < self.laziness {
            super::spawn::yield_now(cx);
            return true;
        }
        let steps = 1 << self.random.below(8);
        let slice = 1 << self.random.below(6);
        stage.limit(steps, slice);
        false
    }
}
