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
        let _ = write!(line, "{separator}{cause}");
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether another try may help: the server says so, or the connection failed (then the status has a local source).
pub(crate) fn may_help(status: &Status) -> bool {
    let hint = || status.get_details_retry_info().and_then(|retry| retry.retry_delay);
    status.code() == Code::Unavailable || status.source().is_some() || hint().is_some()
}

/// A status: its code, reason, message, fields at fault and retry hint.
fn of_status(status: &Status) -> String {
    let details = status.get_error_details();
    let mut line = code_name(status.code());
    if let Some(info) = details.error_info() {
        let mut metadata: Vec<_> = info.metadata.iter().map(|(key, value)| format!(", {key}={value}")).collect();
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
        let _ = write!(line, "; {}: {}", violation.field, violation.description);
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        let _ = write!(line, "; retry in {}", humantime::format_duration(delay));
    }
    line
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
    fn other_errors_are_one_line() {
        let error = anyhow::anyhow!("cause").context("what\nfailed");
        assert_eq!(line(&error), "what failed: cause");
        let status = anyhow::Error::new(Status::not_found("gone"));
        assert_eq!(line(&status), "NOT_FOUND: gone");
        assert_eq!(line(&status.context("stopped")), "stopped: NOT_FOUND: gone");
    }
}
