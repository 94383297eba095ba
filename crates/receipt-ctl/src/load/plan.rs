//! What a load does, worked out before it starts: who reads which message, and when.
//!
//! Read `k` is of sender `k % senders`, so that all senders are told at the same rate; a message is read by all its
//! readers in turn before its sender's next one is.

use std::time::Duration;

/// The size of a load.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Goes before every id.
    pub(crate) run: String,
    pub(crate) senders: usize,
    pub(crate) groups: usize,
    /// Readers of each group.
    pub(crate) members: usize,
    /// Reads a second.
    pub(crate) rate: usize,
    /// Reads in all.
    pub(crate) reads: usize,
}

/// One read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) message: usize,
    pub(crate) reader: usize,
}

impl Plan {
    /// How many messages each sender sends.
    pub(crate) fn messages_a_sender(&self) -> usize {
        self.reads.div_ceil(self.senders * self.members).max(1)
    }

    /// How many messages there are.
    pub(crate) fn messages(&self) -> usize {
        self.senders * self.messages_a_sender()
    }

    /// Read `k`.
    pub(crate) fn read(&self, k: usize) -> Read {
        let (sender, round) = (k % self.senders, k / self.senders);
        let message = sender * self.messages_a_sender() + round / self.members;
        Read { message, reader: round % self.members }
    }

    /// Which read it is, if it is one of the load.
    pub(crate) fn number(&self, read: Read) -> Option<usize> {
        let a_sender = self.messages_a_sender();
        let (sender, nth) = (read.message / a_sender, read.message % a_sender);
        let k = (nth * self.members + read.reader) * self.senders + sender;
        (sender < self.senders && read.reader < self.members && k < self.reads).then_some(k)
    }

    /// When read `k` is to start, since the load's start, whatever became of those before it.
    pub(crate) fn at(&self, k: usize) -> Duration {
        Duration::from_secs_f64(k as f64 / self.rate as f64)
    }

    /// Who sent a message.
    pub(crate) fn sender_of(&self, message: usize) -> usize {
        message / self.messages_a_sender()
    }

    /// The id of the group that a message is in.
    pub(crate) fn conversation(&self, message: usize) -> String {
        self.group(self.sender_of(message) % self.groups)
    }

    pub(crate) fn group(&self, group: usize) -> String {
        format!("{}-g{group}", self.run)
    }

    pub(crate) fn sender(&self, sender: usize) -> String {
        format!("{}-s{sender}", self.run)
    }

    pub(crate) fn reader(&self, reader: usize) -> String {
        format!("{}-r{reader}", self.run)
    }

    pub(crate) fn message(&self, message: usize) -> String {
        format!("m{message}")
    }

    /// The message that has this id.
    pub(crate) fn message_of(&self, id: &str) -> Option<usize> {
        id.strip_prefix('m')?.parse().ok().filter(|message| *message < self.messages())
    }

    /// The reader that has this id.
    pub(crate) fn reader_of(&self, id: &str) -> Option<usize> {
        let number = id.strip_prefix(self.run.as_str())?.strip_prefix("-r")?;
        number.parse().ok().filter(|reader| *reader < self.members)
    }
}

#[cfg(test)]
pub(crate) fn plan(senders: usize, members: usize, rate: usize, reads: usize) -> Plan {
    Plan { run: "x".to_owned(), senders, groups: 3, members, rate, reads }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_read_is_another_one_and_has_its_number() {
        for (senders, members, reads) in [(7, 5, 200), (10, 100, 50), (1, 1, 3), (3, 4, 12), (3, 4, 13)] {
            let plan = plan(senders, members, 10, reads);
            let mut seen = HashSet::new();
            for k in 0..reads {
                let read = plan.read(k);
                assert!(read.message < plan.messages() && read.reader < members);
                assert!(seen.insert((read.message, read.reader)));
                assert_eq!(plan.sender_of(read.message), k % senders);
                assert_eq!(plan.number(read), Some(k));
            }
        }
        assert_eq!(plan(10, 100, 1, 50).number(Read { message: 0, reader: 5 }), None);
    }

    #[test]
    fn times_follow_the_rate_alone() {
        let plan = plan(2, 2, 1000, 4);
        assert_eq!(plan.at(0), Duration::ZERO);
        assert_eq!(plan.at(1), Duration::from_millis(1));
        assert_eq!(plan.at(20_000), Duration::from_secs(20));
    }

    #[test]
    fn ids_lead_back() {
        let plan = plan(3, 4, 10, 12);
        assert_eq!(plan.message_of(&plan.message(2)), Some(2));
        assert_eq!(plan.message_of("m3"), None);
        assert_eq!(plan.reader_of(&plan.reader(3)), Some(3));
        assert_eq!(plan.reader_of("x-r4"), None);
        assert_eq!(plan.reader_of("y-r1"), None);
    }
}
