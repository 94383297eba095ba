//! Durations as settings write them: 30d, 24h, 90s.

use std::time::Duration;

use anyhow::Context;

/// A setting in milliseconds, or its default.
///
/// # Errors
/// Names the setting that is no duration.
pub(crate) fn duration_ms(name: &str, text: Option<&String>, default_ms: u64) -> anyhow::Result<u64> {
    let Some(text) = text else { return Ok(default_ms) };
    let duration = humantime::parse_duration(text)
        .with_context(|| format!("{name} is {text:?}: it is a duration such as 30d, 24h or 90s"))?;
    u64::try_from(duration.as_millis()).with_context(|| format!("{name} is {text:?}: that is too long"))
}

/// As a setting is written.
pub(crate) fn duration(ms: u64) -> String {
    humantime::format_duration(Duration::from_millis(ms)).to_string()
}
