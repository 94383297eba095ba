//! One line of a stretch.

/// What happened, and in which minute of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) minute: u64,
    pub(super) what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Message(String),
    Join(String),
    Leave(String),
    Rename { old: String, new: String },
}

impl Line {
    /// Of the fields minute, event, nickname, new nickname.
    pub(super) fn parse([minute, event, nick, new_nick]: [&str; 4]) -> Result<Self, String> {
        let minute = parse_minute(minute).ok_or_else(|| format!("{minute:?} is no HH:MM"))?;
        if nick.is_empty() {
            return Err("the nickname is empty".to_owned());
        }
        if new_nick.is_empty() == (event == "rename") {
            return Err("a rename, and nothing else, has a new nickname".to_owned());
        }
        let nick = nick.to_owned();
        let what = match event {
            "message" => What::Message(nick),
            "join" => What::Join(nick),
            "leave" => What::Leave(nick),
            "rename" => What::Rename { old: nick, new: new_nick.to_owned() },
            _ => return Err(format!("{event:?} is no event: message, join, leave or rename")),
        };
        Ok(Self { minute, what })
    }
}

fn parse_minute(text: &str) -> Option<u64> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed() {
        let message = Line { minute: 738, what: What::Message("u1".into()) };
        assert_eq!(Line::parse(["12:18", "message", "u1", ""]), Ok(message));
        let rename = Line { minute: 0, what: What::Rename { old: "u1".into(), new: "u2".into() } };
        assert_eq!(Line::parse(["00:00", "rename", "u1", "u2"]), Ok(rename));
        for wrong in [
            ["24:00", "message", "u1", ""],
            ["12:60", "message", "u1", ""],
            ["1218", "message", "u1", ""],
            ["12:18", "message", "", ""],
            ["12:18", "message", "u1", "u2"],
            ["12:18", "rename", "u1", ""],
            ["12:18", "part", "u1", ""],
        ] {
            assert!(Line::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
