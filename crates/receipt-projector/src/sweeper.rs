//! When a group's messages are brought up to date with its leave log, and their senders notified (S3): in slices between
//! two batches, the groups in turn. The newest messages of each group at once, the others in a small share of the
//! partition's thread, so that no record waits long for them.

use std::time::{Duration, Instant};

use receipt_domain::{state::Sweep, working_set::ConversationNumber};
use receipt_store::{Store, StoreError};

/// Messages of one slice, at most.
pub(crate) const SLICE_MESSAGES_MAX: usize = 64;
/// How long a slice may take, beyond its first message.
pub(crate) const SLICE_MAX: Duration = Duration::from_millis(10);
/// Messages of a group that are looked at without a pause between slices.
const PROMPT_MESSAGES: u64 = 1_000;
/// After a slice of the others, how many times as long as it took passes before the next: they take 5 % of the thread.
const PAUSE_FACTOR: u32 = 19;
/// Groups that one call passes over, at most, as it is not their turn.
const PASSED_OVER_MAX: usize = 64;

/// What is next.
pub(crate) enum Turn {
    /// A slice of this group's messages.
    Slice(ConversationNumber, Sweep),
    /// Nothing for so long.
    Pause(Duration),
    /// Nothing until members leave.
    Nothing,
}

/// The groups of a partition in turn.
pub(crate) struct Sweeper {
    /// The next group's number, at least.
    from: ConversationNumber,
    /// Whether there may be any.
    due: bool,
    /// When the next slice beyond the newest messages may be taken.
    not_before: Instant,
}

impl Sweeper {
    /// The store may have some.
    pub(crate) fn new() -> Self {
        Self { from: 0, due: true, not_before: Instant::now() }
    }

    /// Members have left.
    pub(crate) fn wake(&mut self) {
        self.due = true;
    }

    pub(crate) fn turn(&mut self, store: &Store) -> Result<Turn, StoreError> {
        if !self.due {
            return Ok(Turn::Nothing);
        }
        let wait = self.not_before.saturating_duration_since(Instant::now());
        let mut found = false;
        for _ in 0..PASSED_OVER_MAX {
            match store.next_sweep(self.from)? {
                Some((number, sweep)) => {
                    self.from = number.saturating_add(1);
                    if sweep.looked_at < PROMPT_MESSAGES || wait.is_zero() {
                        return Ok(Turn::Slice(number, sweep));
                    }
                    found = true;
                }
                None if self.from > 0 => self.from = 0,
                None => break,
            }
        }
        self.due = found;
        Ok(if found { Turn::Pause(wait) } else { Turn::Nothing })
    }

    /// A slice of this pass took so long.
    pub(crate) fn took(&mut self, sweep: &Sweep, time: Duration) {
        if sweep.looked_at >= PROMPT_MESSAGES {
            self.not_before = Instant::now() + time * PAUSE_FACTOR;
        }
    }
}
