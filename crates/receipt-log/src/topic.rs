//! The four topics.

use std::fmt;

/// A topic of the log. All have the same number of partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// What happens in conversations; key: the conversation's id.
    Conversations,
    /// Who read what; key: the conversation's id.
    Reads,
    /// Changed receipts, for their senders; key: the sender's id.
    Deltas,
    /// Records that could not be folded, with the reason in their headers.
    DeadLetter,
}

impl Topic {
    /// Every topic, in the order of their codes.
    pub const ALL: [Topic; 4] = [Topic::Conversations, Topic::Reads, Topic::Deltas, Topic::DeadLetter];

    /// Its name, the same in every engine.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Topic::Conversations => "receipts.conversations",
            Topic::Reads => "receipts.reads",
            Topic::Deltas => "receipts.deltas",
            Topic::DeadLetter => "receipts.dead-letter",
        }
    }

    /// The topic of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| topic.name() == name)
    }

    /// Its byte in stored keys: never changes, never 0 (which is the log's own rows).
    pub(crate) fn code(self) -> u8 {
        match self {
            Topic::Conversations => 1,
            Topic::Reads => 2,
            Topic::Deltas => 3,
            Topic::DeadLetter => 4,
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_are_those_of_stored_logs() {
        let all: Vec<_> = Topic::ALL.iter().map(|topic| (topic.name(), topic.code())).collect();
        assert_eq!(
            all,
            [("receipts.conversations", 1), ("receipts.reads", 2), ("receipts.deltas", 3), ("receipts.dead-letter", 4)]
        );
    }

    #[test]
    fn a_topic_is_found_by_its_name() {
        for topic in Topic::ALL {
            assert_eq!(Topic::from_name(topic.name()), Some(topic));
        }
        assert_eq!(Topic::from_name("receipts"), None);
    }
}
