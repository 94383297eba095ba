//! What a load is doing, a few lines drawn again and again on a terminal; a line for each step elsewhere.

use std::{io::IsTerminal as _, sync::Arc, time::Duration};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::Shared;

const DRAW_EVERY: Duration = Duration::from_millis(250);

/// The view; it goes away when it is dropped.
pub(crate) struct View {
    bar: ProgressBar,
    drawing: Option<tokio::task::JoinHandle<()>>,
}

impl View {
    pub(crate) fn start(shared: &Arc<Shared>, quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), drawing: None };
        }
        let bar = ProgressBar::new(u64::try_from(shared.plan.reads).unwrap_or(u64::MAX));
        // The template is a constant; were it wrong, the default one would do.
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {human_pos}/{human_len}\n{msg}") {
            bar.set_style(style);
        }
        let (drawn, shared) = (bar.clone(), shared.clone());
        let drawing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(DRAW_EVERY).await;
                let (calls, lines) = lines(&shared);
                drawn.set_position(calls);
                drawn.set_message(lines);
            }
        });
        Self { bar, drawing: Some(drawing) }
    }

    /// Which step is next.
    pub(crate) fn say(&self, message: &str) {
        self.bar.suspend(|| eprintln!("{message}"));
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Some(drawing) = &self.drawing {
            drawing.abort();
        }
        self.bar.finish_and_clear();
    }
}

fn lines(shared: &Shared) -> (u64, String) {
    let tally = shared.tally();
    let ms = |micros: u64| micros as f64 / 1000.0;
    let latency = |name: &str, histogram: &hdrhistogram::Histogram<u64>| {
        let [p50, p99] = [0.5, 0.99].map(|quantile| ms(histogram.value_at_quantile(quantile)));
        format!("{name:<8} p50 {p50:>8.2} ms   p99 {p99:>8.2} ms   max {:>8.2} ms", ms(histogram.max()))
    };
    let counts = format!(
        "streams {}, lost {}   calls {}   receipts {}   deltas {}   errors {}",
        HumanCount(u64::try_from(tally.streams_open).unwrap_or_default()),
        HumanCount(tally.streams_lost),
        HumanCount(tally.calls),
        HumanCount(tally.receipts),
        HumanCount(tally.deltas),
        HumanCount(tally.error_count()),
    );
    let calls = latency("call", &tally.call_latency);
    (tally.calls, format!("{counts}\n{calls}\n{}", latency("delta", &tally.delta_latency)))
}
