//! The contract's messages, as JSON and as words.

use prost_types::Timestamp;
use receipt_proto::v1;
use serde_json::{Value, json};

/// A time as RFC 3339; empty, where there is none.
pub(crate) fn time(time: Option<&Timestamp>) -> String {
    time.map(ToString::to_string).unwrap_or_default()
}

/// A time as RFC 3339; null, where there is none.
pub(crate) fn time_json(time: Option<&Timestamp>) -> Value {
    time.map_or(Value::Null, |time| json!(time.to_string()))
}

/// An enum's name without its prefix.
pub(crate) fn short(name: &'static str, prefix: &str) -> &'static str {
    name.strip_prefix(prefix).unwrap_or(name)
}

/// What became of a receipt.
pub(crate) fn receipt_outcome(outcome: i32) -> &'static str {
    let outcome = v1::ReceiptOutcome::try_from(outcome).unwrap_or_default();
    short(outcome.as_str_name(), "RECEIPT_OUTCOME_")
}

/// Refuses outcomes by which a receipt does not count, now or later.
pub(crate) fn check_counted<'a>(outcomes: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
    let (mut all, mut not_counted) = (0, 0);
    for outcome in outcomes {
        all += 1;
        not_counted += usize::from(!matches!(outcome, "READ" | "PENDING"));
    }
    match not_counted {
        0 => Ok(()),
        not_counted => anyhow::bail!("{not_counted} of {all} receipts do not count: the answer says why"),
    }
}

/// A message's receipt.
pub(crate) fn receipt_json(receipt: &v1::MessageReceipt) -> Value {
    let mut json = json!({
        "conversation_id": receipt.conversation_id,
        "message_id": receipt.message_id,
        "read_count": receipt.read_count,
        "unread_count": receipt.unread_count,
        "audience_count": receipt.audience_count,
        "read_left_count": receipt.read_left_count,
        "kept_until": time_json(receipt.kept_until.as_ref()),
        "recalled": receipt.recalled,
    });
    if !receipt.peer_id.is_empty() {
        json["peer_id"] = json!(receipt.peer_id);
        json["is_peer_read"] = json!(receipt.is_peer_read);
        json["peer_read_at"] = time_json(receipt.peer_read_at.as_ref());
    }
    json
}

/// A message's receipt; null, where there is none.
pub(crate) fn optional_receipt_json(receipt: Option<&v1::MessageReceipt>) -> Value {
    receipt.map_or(Value::Null, receipt_json)
}

/// A message's receipt in one line.
pub(crate) fn receipt_line(receipt: Option<&v1::MessageReceipt>) -> String {
    let Some(receipt) = receipt else { return "no receipt".to_owned() };
    let recalled = if receipt.recalled { ", recalled" } else { "" };
    format!(
        "{} {}: {} read, {} unread{recalled}",
        receipt.conversation_id, receipt.message_id, receipt.read_count, receipt.unread_count
    )
}

/// A line that says which token the answer gave.
pub(crate) fn token_line(token: &str) -> String {
    format!("consistency token: {token}")
}

/// A policy in words.
pub(crate) fn policy_line(policy: Option<&v1::ReceiptPolicy>) -> String {
    match policy {
        None => "no policy".to_owned(),
        Some(policy) if policy.every_group_type => "every group type may ask for receipts".to_owned(),
        Some(policy) if policy.group_types.is_empty() => "no group type may ask for receipts".to_owned(),
        Some(policy) => format!("these group types may ask for receipts: {}", policy.group_types.join(", ")),
    }
}

/// A policy.
pub(crate) fn policy_json(policy: Option<&v1::ReceiptPolicy>) -> Value {
    policy.map_or(
        Value::Null,
        |policy| json!({ "every_group_type": policy.every_group_type, "group_types": policy.group_types }),
    )
}
