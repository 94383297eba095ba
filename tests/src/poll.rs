//! Waiting for what another process does: asked again and again up to a deadline, and never a fixed sleep.

use std::time::{Duration, Instant};

/// How often it is asked.
const EVERY: Duration = Duration::from_millis(10);

/// Asks until there is an answer.
///
/// # Panics
/// If there is none after `max`; `what` says what was waited for.
pub async fn until<T>(what: &str, max: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < max, "not within {} s: {what}", max.as_secs());
    }
}
