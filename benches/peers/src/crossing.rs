//! How far apart the machine's cores are, which on somebody else's host changes from minute to
//! minute, and with it the cost of everything that two of them share.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};
use std::thread;
use std::time::Instant;

/// How often the line goes over in one try.
const TURNS: u64 = 200_000;
const TRIES: usize = 5;

/// Nanoseconds for a line of cache to get from one core to another; none where there is one core
/// only. The best of a few tries: threads begin on the same core at times.
pub(crate) fn nanos() -> Option<f64> {
    let cores = thread::available_parallelism().ok()?;
    (cores.get() > 1).then(|| (0..TRIES).map(|_| once()).fold(f64::MAX, f64::min))
}

fn once() -> f64 {
    let turn = AtomicU64::new(0);
    let play = |first: u64| {
        for own in (first..TURNS).step_by(2) {
            while turn.load(Acquire) != own {
                spin_loop();
            }
            turn.store(own + 1, Release);
        }
    };
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| play(1));
        play(0);
    });
    start.elapsed().as_nanos() as f64 / TURNS as f64
}
