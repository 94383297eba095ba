//! Answers of the domain as the contract has them.

use receipt_domain::{
    answer::{ReaderState, ReceiptOutcome},
    id::UserId,
};
use receipt_projector::Verdict;
use receipt_proto::{
    timestamp_from_ms,
    v1::{self, reader_state::State},
};
use receipt_store::Member;

/// An entry of a member list.
pub(crate) fn member(member: Member) -> v1::ReadMember {
    let Member { user, read_at_ms, left } = member;
    v1::ReadMember { user_id: user.to_string(), read_at: read_at_ms.map(timestamp_from_ms), left }
}

/// What one user did.
pub(crate) fn state(user: &UserId, state: ReaderState) -> v1::ReaderState {
    let state = match state {
        ReaderState::Read(read_at_ms) => State::ReadAt(timestamp_from_ms(read_at_ms)),
        ReaderState::Unread => State::Unread(v1::Unread {}),
        ReaderState::LeftUnread => State::LeftUnread(v1::LeftUnread {}),
        ReaderState::NotInAudience => State::NotInAudience(v1::NotInAudience {}),
    };
    v1::ReaderState { user_id: user.to_string(), state: Some(state) }
}

/// What became of a receipt.
pub(crate) fn receipt_outcome(outcome: ReceiptOutcome) -> v1::ReceiptOutcome {
    match outcome {
        ReceiptOutcome::Pending => v1::ReceiptOutcome::Pending,
        ReceiptOutcome::NotRequested => v1::ReceiptOutcome::NotRequested,
        ReceiptOutcome::Expired => v1::ReceiptOutcome::Expired,
        ReceiptOutcome::NotInAudience => v1::ReceiptOutcome::NotInAudience,
        ReceiptOutcome::Read => v1::ReceiptOutcome::Read,
    }
}

/// What became of an event; `None`: that is forgotten.
pub(crate) fn event_outcome(verdict: Verdict) -> Option<v1::EventOutcome> {
    let (result, reason) = match verdict {
        Verdict::Applied => (v1::EventResult::Applied, String::new()),
        Verdict::Repeated => (v1::EventResult::Repeated, String::new()),
        Verdict::Rejected(why) => (v1::EventResult::Rejected, why),
        Verdict::Forgotten => return None,
    };
    Some(v1::EventOutcome { result: result.into(), reason })
}
