//! Errors, as one line for people.

use std::{error::Error as _, fmt::Write as _};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The error in one line, with its causes down to the gRPC status, if any.
pub(crate) fn line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let separator = if line.is_empty() { "" } else { ": " };
        if let Some(status) = cause.downcast_ref::<Status>() {
            let _ = write!(line, "{separator}{}", of_status(status));
            break;
        }
        let text = cause.to_string();
        // Many errors say their cause themselves.
        if !line.contains(&text) {
            let _ = write!(line, "{separator}{text}");
        }
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether another try may help: the server says so, or the connection failed (then the status has a local source).
pub(crate) fn may_help(status: &Status) -> bool {
    let hint = || status.get_details_retry_info().and_then(|retry| retry.retry_delay);
    status.code() == Code::Unavailable || status.source().is_some() || hint().is_some()
}

/// A status: its code, reason, message, fields at fault and retry hint. What the message says, the details do not say
/// again.
fn of_status(status: &Status) -> String {
    let details = status.get_error_details();
    let mut line = code_name(status.code());
    if let Some(info) = details.error_info() {
        let metadata = info.metadata.iter().filter(|(_, value)| !says(status.message(), value));
        let mut metadata: Vec<_> = metadata.map(|(key, value)| format!(", {key}={value}")).collect();
        metadata.sort();
        let _ = write!(line, " ({}{})", info.reason, metadata.concat());
    }
    let _ = write!(line, ": {}", status.message());
    let mut source = status.source();
    while let Some(cause) = source {
        // A failed connection says the same at several levels.
        let text = cause.to_string();
        if !line.contains(&text) {
            let _ = write!(line, ": {text}");
        }
        source = cause.source();
    }
    for violation in details.bad_request().iter().flat_map(|bad| &bad.field_violations) {
        if !says(status.message(), &violation.field) || !status.message().contains(&violation.description) {
            let _ = write!(line, "; {}: {}", violation.field, violation.description);
        }
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        let _ = write!(line, "; retry in {}", humantime::format_duration(delay));
    }
    line
}

/// Whether a text has another one in it, as words of its own: 1 is not in 101.
fn says(text: &str, words: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(words).any(|(at, found)| {
        let (before, after) = (&text[..at], &text[at + found.len()..]);
        !before.chars().next_back().is_some_and(is_part) && !after.chars().next().is_some_and(is_part)
    })
}

/// A code's name as gRPC spells it, such as `NOT_FOUND`.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for c in format!("{code:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn a_status_is_one_line() {
        let mut details = ErrorDetails::new();
        details.set_error_info("LIMIT_EXCEEDED", "receipts.v1", [("limit".to_owned(), "100".to_owned())]);
        details.add_bad_request_violation("message_ids", "has 101 entries, at most 100 are allowed");
        details.set_retry_info(Some(Duration::from_millis(1500)));
        let status = Status::with_error_details(Code::InvalidArgument, "too\nmany messages", details);
        assert_eq!(
            line(&anyhow::Error::new(status)),
            "INVALID_ARGUMENT (LIMIT_EXCEEDED, limit=100): too many messages; message_ids: has 101 entries, at most \
             100 are allowed; retry in 1s 500ms"
        );
    }

    #[test]
    fn what_the_message_says_is_not_said_again() {
        let status = |message: &str, limit: &str, field: &str, description: &str| {
            let mut details = ErrorDetails::new();
            let metadata = [("limit".to_owned(), limit.to_owned()), ("field".to_owned(), field.to_owned())];
            details.set_error_info("LIMIT_EXCEEDED", "receipts.v1", metadata);
            details.add_bad_request_violation(field, description);
            line(&anyhow::Error::new(Status::with_error_details(Code::InvalidArgument, message, details)))
        };
        let cases = [
            (
                status(
                    "user_id has 129 bytes, at most 128 are allowed",
                    "128",
                    "user_id",
                    "has 129 bytes, at most 128 are allowed",
                ),
                "INVALID_ARGUMENT (LIMIT_EXCEEDED): user_id has 129 bytes, at most 128 are allowed",
            ),
            (
                status("user_id has 101 bytes", "1", "user_id", "is wrong"),
                "INVALID_ARGUMENT (LIMIT_EXCEEDED, limit=1): user_id has 101 bytes; user_id: is wrong",
            ),
            (
                status("user_ids is wrong", "7", "user_id", "is wrong"),
                "INVALID_ARGUMENT (LIMIT_EXCEEDED, field=user_id, limit=7): user_ids is wrong; user_id: is wrong",
            ),
        ];
        for (said, once) in cases {
            assert_eq!(said, once);
        }
        let twice = receipt_projector::ProjectorError::Directory {
            dir: "/data".into(),
            source: std::io::Error::other("no space"),
        };
        assert_eq!(line(&anyhow::Error::new(twice).context("rebuilding")), "rebuilding: /data: no space");
    }

    #[test]
    fn other_errors_are_one_line() {
        let error = anyhow::anyhow!("cause").context("what\nfailed");
        assert_eq!(line(&error), "what failed: cause");
        let status = anyhow::Error::new(Status::not_found("gone"));
        assert_eq!(line(&status), "NOT_FOUND: gone");
        assert_eq!(line(&status.context("stopped")), "stopped: NOT_FOUND: gone");
    }
}
