//! Whether what a partition has next follows what was read before. The leader epoch and the offset of a record name one
//! record and all that is before it, for good: so where the last record that was read is still there with its epoch,
//! nothing before it was lost, and where it is not, the partition was truncated, however far it has grown since (KIP-320).

/// A record that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Last {
    offset: u64,
    /// The leader epoch that it was written under; `None` where it is not known, as of records in formats that have none.
    epoch: Option<u32>,
}

/// What to do with a record that was fetched.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It follows what was read before.
    Give,
    /// It is the record that was to be read back: what comes after it follows it.
    Proven,
    /// It is of a later epoch: the last record must be read back first, as its leader may have lost it.
    ReadBack,
    /// The last record should be before this offset, and is not. Right only where it was trimmed.
    Missing,
    /// The partition was truncated; what shows it.
    Truncated(String),
}

/// The last record that was read, and whether it is known to be there still.
#[derive(Debug, Default)]
pub(crate) struct Anchor {
    last: Option<Last>,
    /// It is to be read back before anything is given.
    reading_back: bool,
    /// Nothing was read since it was.
    fresh: bool,
}

impl Anchor {
    /// Of a reader that goes on at an offset, behind a record that was written under this epoch, if that is known. It is to
    /// be read back.
    pub(crate) fn before(next: u64, epoch: Option<u32>) -> Anchor {
        let last = next.checked_sub(1).map(|offset| Last { offset, epoch });
        Anchor { last, reading_back: last.is_some(), fresh: false }
    }

    /// Where to fetch from, to go on at a position.
    pub(super) fn fetch_from(&self, position: u64) -> u64 {
        self.last.filter(|_| self.reading_back).map_or(position, |last| last.offset)
    }

    /// Whether the last record is still to be read back.
    pub(super) fn is_reading_back(&self) -> bool {
        self.reading_back
    }

    /// Offset and epoch of the last record that was read, if its epoch is known.
    pub(super) fn known(&self) -> Option<(u64, u32)> {
        self.last.and_then(|last| Some((last.offset, last.epoch?)))
    }

    /// The offset of the last record that was read.
    pub(super) fn offset(&self) -> Option<u64> {
        self.last.map(|last| last.offset)
    }

    /// The last record is to be read back next; `false` where there is none that could be.
    pub(super) fn read_back(&mut self) -> bool {
        self.reading_back = self.known().is_some();
        self.fresh = false;
        self.reading_back
    }

    /// It cannot be read back, as it was trimmed.
    pub(super) fn give_up(&mut self) {
        self.reading_back = false;
        self.fresh = true;
    }

    /// What to do with the next record.
    pub(super) fn see(&mut self, offset: u64, epoch: Option<u32>) -> Step {
        let Some(last) = &mut self.last else { return Step::Give };
        if self.reading_back {
            if offset != last.offset {
                return Step::Missing;
            }
            if let (Some(was), Some(is)) = (last.epoch, epoch)
                && was != is
            {
                return Step::Truncated(format!("the record there is of leader epoch {is}"));
            }
            last.epoch = last.epoch.or(epoch);
            (self.reading_back, self.fresh) = (false, true);
            return Step::Proven;
        }
        match (last.epoch, epoch) {
            (Some(was), Some(is)) if is < was => {
                Step::Truncated(format!("the record at offset {offset} is of leader epoch {is}, which is an older one"))
            }
            (Some(was), Some(is)) if is > was && !self.fresh => Step::ReadBack,
            _ => Step::Give,
        }
    }

    /// This one was read.
    pub(super) fn read(&mut self, offset: u64, epoch: Option<u32>) {
        self.last = Some(Last { offset, epoch });
        self.fresh = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truncated(step: &Step) -> bool {
        matches!(step, Step::Truncated(_))
    }

    #[test]
    fn the_record_before_the_start_is_read_back_first() {
        let mut anchor = Anchor::before(8, Some(3));
        assert_eq!(anchor.fetch_from(8), 7);
        assert_eq!(anchor.see(7, Some(3)), Step::Proven);
        // It was the very last thing that was read: a later epoch may follow it.
        assert_eq!((anchor.see(8, Some(4)), anchor.fetch_from(8)), (Step::Give, 8));
        anchor.read(8, Some(4));
        assert_eq!(anchor.see(9, Some(4)), Step::Give);
    }

    #[test]
    fn another_record_or_none_in_its_place_is_a_truncation() {
        assert!(truncated(&Anchor::before(8, Some(3)).see(7, Some(4))));
        assert!(truncated(&Anchor::before(8, Some(3)).see(7, Some(2))));
        assert_eq!(Anchor::before(8, Some(3)).see(9, Some(3)), Step::Missing);
    }

    #[test]
    fn before_a_later_epoch_the_last_record_is_read_back() {
        let mut anchor = Anchor::default();
        assert_eq!(anchor.see(5, Some(1)), Step::Give, "nothing was read before it");
        anchor.read(5, Some(1));
        assert_eq!(anchor.see(6, Some(2)), Step::ReadBack);
        assert!(anchor.read_back());
        assert_eq!((anchor.fetch_from(6), anchor.see(5, Some(1))), (5, Step::Proven));
        assert_eq!(anchor.see(6, Some(2)), Step::Give);
        anchor.read(6, Some(2));
        assert!(truncated(&anchor.see(7, Some(1))), "epochs do not go back");
    }

    #[test]
    fn an_epoch_that_is_not_known_is_learned_from_the_record() {
        let mut anchor = Anchor::before(8, None);
        assert_eq!(anchor.see(7, Some(3)), Step::Proven);
        assert_eq!(anchor.known(), Some((7, 3)));
        let mut none = Anchor::before(8, None);
        assert_eq!(none.see(7, None), Step::Proven);
        none.read(8, None);
        assert_eq!(none.see(9, None), Step::Give);
        assert!(!none.read_back(), "there is nothing to compare");
    }

    #[test]
    fn at_the_beginning_there_is_nothing_to_read_back() {
        let anchor = Anchor::before(0, None);
        assert_eq!((anchor.fetch_from(0), anchor.is_reading_back()), (0, false));
    }

    #[test]
    fn a_record_that_was_trimmed_is_given_up() {
        let mut anchor = Anchor::before(8, Some(3));
        assert_eq!(anchor.see(9, Some(3)), Step::Missing);
        anchor.give_up();
        assert_eq!((anchor.fetch_from(8), anchor.see(9, Some(4))), (8, Step::Give));
        assert!(truncated(&anchor.see(9, Some(2))), "epochs do not go back");
    }
}
