//! The specification as a plain function of the log, and histories to try it on.
//!
//! [`Model::at`] takes the first records of receipts.conversations and the first of receipts.reads, and tells what a
//! partition's state is there. It shares nothing with the fold but the types of events: it is a second reading of the
//! specification, written to be compared with it by eye, rule by rule, and it forgets nothing, so that what the fold
//! has deleted too early shows.
//!
//! ## Readings
//! Where the text leaves room, the model takes it so:
//! - A `MessageSent` that is a repeat by its id changes nothing, so it does not use up its version (S12). An applied
//!   event uses up its version also where it changed nothing silently (adding a member twice, a second recall, S8).
//! - An id is known while log time has not passed the message's by more than twice the retention (S30). A recall of a
//!   message known so is applied, kept or not.
//! - In a one-to-one conversation a group's creation, member changes and dismissal are dead letters (S8), and so is a
//!   second dismissal.
//! - The version stands before everything but the shape (S12): a version at or below the last is a repeat also where
//!   the event would have been a dead letter.
//! - A change past `max_group_members` counts distinct users who are not members yet; S8 is looked at before S9.
//! - The outcome of a receipt that arrived too early for a message that is known is EXPIRED, like too late (S13).
//! - The outcomes of a receipt are one for each id as given, so an id given twice has two (S13).
//! - A mark up to a message is READ also where that message does not ask, where nothing was in the reader's audience,
//!   and where the reader is a stranger (S13). A mark up to a time is READ even on a group or an unknown conversation.
//! - For a mark up to a message, the windows of S16 are looked at for the message it names, and not again for those
//!   before it (S17). For a mark up to a time they are looked at for each message covered (S19).
//! - A mark up to an id names whichever message had that id when S16 holds for it; by the windows, only one can.
//! - Of marks up to a time, those by the two parties that arrived no more than `early_window` before the log time of
//!   the conversation's first message make the highest mark, for ever; a mark made up to a message does not (S19).
//! - The highest mark is in milliseconds; it is no read time. In a note to oneself there is none.
//! - A note to oneself is one-to-one, with its sender as the peer, who never reads it (S8).
//! - A message that does not ask answers NOT_REQUESTED also while it is expired (S25's order).
//! - A record that cannot be read, in either topic, is no event; in receipts.conversations its arrival moves log time.

pub mod history;
pub mod model;
#[cfg(test)]
mod scenarios;

pub use history::{History, histories};
pub use model::Model;
pub use model::answers::{
    ConversationState, GroupState, KindState, LogicalState, MessageState, Outcome, PartyState, PeerRead, Reader,
    Receipt, Status,
};
pub use model::conversations::{EventResult, Reason};
