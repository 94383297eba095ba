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
    position: u64,
    start_at: u64,
    start: Instant,
    said: Instant,
}

impl Progress {
    /// Of so many of what is counted, such as "events".
    pub(crate) fn new(unit: &'static str, total: u64, quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            let now = Instant::now();
            let lines = Lines { total, position: 0, start_at: 0, start: now, said: now };
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

    /// There are so many more of what is counted.
    pub(crate) fn grow(&self, count: u64) {
        self.bar.inc_length(count);
        if let Some(lines) = &self.lines {
            lines.lock().unwrap_or_else(PoisonError::into_inner).total += count;
        }
    }

    /// So many of what is counted were done before.
    pub(crate) fn skipped(&self, count: u64) {
        self.bar.inc(count);
        self.bar.reset_eta();
        if let Some(lines) = &self.lines {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.start_at += count;
            lines.position += count;
        }
    }

    /// Follows a partition that is folded, of several side by side: it is told where that is, first of all what was folded
    /// before.
    pub(crate) fn part(&self, partition: u32) -> impl FnMut(u64) + use<> {
        let (progress, mut last) = (self.clone(), None);
        move |position| {
            match last {
                None => {
                    if position > 0 {
                        let before = format!("{position} {} were folded before", progress.unit);
                        progress.say(&format!("partition {partition}: {before}; going on from there"));
                    }
                    progress.skipped(position);
                }
                Some(last) => progress.more(position.saturating_sub(last)),
            }
            last = Some(position);
        }
    }

    /// So many more are done.
    pub(crate) fn more(&self, count: u64) {
        self.bar.inc(count);
        if let Some(lines) = &self.lines {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.position += count;
            self.line(&mut lines);
        }
    }

    /// It is here now.
    pub(crate) fn at(&self, position: u64) {
        self.bar.set_position(position);
        let Some(lines) = &self.lines else { return };
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.position = position;
        self.line(&mut lines);
    }

    /// Writes one, if it is time.
    fn line(&self, lines: &mut Lines) {
        if lines.said.elapsed() < LINE_EVERY {
            return;
        }
        lines.said = Instant::now();
        let (position, total) = (lines.position, lines.total);
        let milliseconds = lines.start.elapsed().as_millis().max(1);
        let rate = u128::from(position.saturating_sub(lines.start_at)) * 1000 / milliseconds;
        let left = u128::from(total.saturating_sub(position)).checked_div(rate);
        let left = left.map_or_else(String::new, |seconds| format!(", {seconds} s left"));
        eprintln!("{position} of {total} {}, {rate} a second{left}", self.unit);
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
