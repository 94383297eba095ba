//! How far a long command is: a bar on a terminal, lines elsewhere, both on standard error.

use std::{
    io::IsTerminal as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is written where there is no bar.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far a command is.
#[derive(Clone)]
pub(crate) struct Progress {
    /// What is counted.
    unit: &'static str,
    /// Hidden, where lines are written.
    bar: ProgressBar,
    lines: Option<Arc<Mutex<Lines>>>,
}

struct Lines {
    total: u64,
    start_at: u64,
    start: Instant,
    said: Instant,
}

impl Progress {
    /// Of so many of what is counted, such as "events".
    pub(crate) fn new(unit: &'static str, total: u64, quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            let now = Instant::now();
            let lines = Lines { total, start_at: 0, start: now, said: now };
            return Self { unit, bar: ProgressBar::hidden(), lines: Some(Arc::new(Mutex::new(lines))) };
        }
        let bar = ProgressBar::new(total);
        // The template is a constant; were it wrong, the default one would do.
        if let Ok(style) = ProgressStyle::with_template(
            "{elapsed_precise} {wide_bar} {human_pos}/{human_len} {msg}, {per_sec}, {eta} left",
        ) {
            bar.set_style(style);
            bar.set_message(unit);
        }
        Self { unit, bar, lines: None }
    }

    /// From here it goes on.
    pub(crate) fn start_at(&self, position: u64) {
        self.bar.set_position(position);
        self.bar.reset_eta();
        if position > 0 {
            self.say(&format!("{position} {} were acknowledged before; going on from there", self.unit));
        }
        if let Some(lines) = &self.lines {
            lines.lock().unwrap_or_else(PoisonError::into_inner).start_at = position;
        }
    }

    /// So many of what is counted were done before.
    pub(crate) fn skipped(&self, count: u64) {
        self.bar.inc(count);
        self.bar.reset_eta();
        if let Some(lines) = &self.lines {
            lines.lock().unwrap_or_else(PoisonError::into_inner).start_at += count;
        }
    }

    /// It is here now.
    pub(crate) fn at(&self, position: u64) {
        self.bar.set_position(position);
        let Some(lines) = &self.lines else { return };
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.said.elapsed() < LINE_EVERY {
            return;
        }
        lines.said = Instant::now();
        let milliseconds = lines.start.elapsed().as_millis().max(1);
        let rate = u128::from(position.saturating_sub(lines.start_at)) * 1000 / milliseconds;
        eprintln!("{position} of {} {}, {rate} a second", lines.total, self.unit);
    }

    /// Something that people should know meanwhile.
    pub(crate) fn say(&self, message: &str) {
        self.bar.suspend(|| eprintln!("{message}"));
    }

    /// All is done.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
