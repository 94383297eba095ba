//! Whether a log takes records.

/// What a log does with appends at present. Reading goes on in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writes {
    /// It takes them.
    Taken,
    /// It does not, until what is wrong has passed, or an operator has put it right.
    Refused {
        /// What is wrong.
        why: String,
    },
    /// It takes no more in this process, and may in the next.
    Failed {
        /// What has failed.
        why: String,
    },
}

impl Writes {
    /// Why it takes none; `None`: it does.
    #[must_use]
    pub fn why_not(&self) -> Option<&str> {
        match self {
            Self::Taken => None,
            Self::Refused { why } | Self::Failed { why } => Some(why),
        }
    }
}
