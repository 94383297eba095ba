//! Ubuntu IRC: stretches of a public channel, each a group; whoever writes has read everything before it.
//!
//! A stretch is the group `irc/<stretch>`. Its first members are the nicknames that appear in it other than by joining
//! or by being renamed to, before they did either. Time is 2004-01-01 plus the minutes, a day more at each wrap past
//! midnight, and a millisecond more at each line. What would change nothing (a member who joins, a stranger who leaves
//! or is renamed) is no event.

mod line;
mod stretch;

use std::{
    collections::{HashSet, VecDeque},
    mem,
};

use self::{line::Line, stretch::Stretch};
use super::{DataEvent, DatasetError, lines::Lines};

pub(super) struct UbuntuIrc {
    lines: Lines,
    /// The stretch that is being read, and what has been read of it.
    stretch: String,
    of_stretch: Vec<Line>,
    /// All stretches so far: one that comes again would be a group created twice.
    seen: HashSet<String>,
}

impl UbuntuIrc {
    pub(super) fn new(lines: Lines) -> Self {
        Self { lines, stretch: String::new(), of_stretch: Vec::new(), seen: HashSet::new() }
    }

    /// Adds the events of the next stretch; false at the end.
    pub(super) fn read_more(&mut self, out: &mut VecDeque<DataEvent>) -> Result<bool, DatasetError> {
        loop {
            let Some([stretch, fields @ ..]) = self.lines.next_fields::<5>()? else {
                let lines = mem::take(&mut self.of_stretch);
                let last = !lines.is_empty();
                Stretch::expand(&self.stretch, &lines, out);
                return Ok(last);
            };
            let line = Line::parse(fields);
            let ended = (stretch != self.stretch).then(|| mem::replace(&mut self.stretch, stretch.to_owned()));
            let line = line.map_err(|problem| self.lines.wrong(problem))?;
            if let Some(ended) = ended {
                if !self.seen.insert(self.stretch.clone()) {
                    return Err(self.lines.wrong(format!("the stretch {} comes a second time", self.stretch)));
                }
                let lines = mem::replace(&mut self.of_stretch, vec![line]);
                if !lines.is_empty() {
                    Stretch::expand(&ended, &lines, out);
                    return Ok(true);
                }
            } else {
                self.of_stretch.push(line);
            }
        }
    }
}
