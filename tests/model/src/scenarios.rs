//! Small logs written by hand, at least one for each rule, so that the model itself is checked by eye.

mod asking;
mod audience;
mod keeping;
mod reading;

use receipt_domain::{
    event::{AudienceSpec, Change, ConversationEvent, Event, Policy, ReadEvent, ReadTarget, Record, Rejection},
    id::{ConversationId, GroupType, MessageId, UserId},
    settings::Settings,
};

use crate::{
    Model,
    model::{
        answers::{ConversationState, KindState, LogicalState, Outcome, Receipt, Status},
        conversations::{EventResult, Reason},
    },
};

/// 100 s.
const RETENTION: u64 = 100_000;
/// 10 s.
const EARLY: u64 = 10_000;
/// Where each log begins: at 1,000 s.
const START: u64 = 1_000_000;

/// Both topics, written record by record, with the clock where it was put last.
struct Log {
    settings: Settings,
    now: u64,
    version: u64,
    occurred_at_ms: Option<u64>,
    read_at_ms: Option<u64>,
    conversations: Vec<Record<Event>>,
    reads: Vec<Record<ReadEvent>>,
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn users(names: &str) -> Vec<UserId> {
    names.split_whitespace().map(user).collect()
}

fn message(name: &str) -> MessageId {
    MessageId::new(name).unwrap()
}

fn group_type(name: &str) -> GroupType {
    GroupType::new(name).unwrap()
}

fn conversation(name: &str) -> ConversationId {
    ConversationId::new(name).unwrap()
}

impl Log {
    fn new() -> Self {
        Self {
            settings: Settings { retention_ms: RETENTION, early_window_ms: EARLY, max_group_members: 5 },
            now: START,
            version: 0,
            occurred_at_ms: None,
            read_at_ms: None,
            conversations: Vec::new(),
            reads: Vec::new(),
        }
    }

    /// A log with the group "g" of these members.
    fn with_group(members: &str) -> Self {
        let mut log = Self::new();
        log.create("g", members);
        log
    }

    /// Puts the clock to so many milliseconds after the start.
    fn at(&mut self, ms: u64) -> &mut Self {
        self.now = START + ms;
        self
    }

    fn record(&mut self, event: Result<Event, Rejection>) -> EventResult {
        let offset = self.conversations.len() as u64;
        self.conversations.push(Record { offset, arrival_ms: self.now, event });
        *self.model().results().last().unwrap()
    }

    /// The version and `occurred_at` given before hold for one event.
    fn change(&mut self, name: &str, change: Change) -> EventResult {
        let (version, occurred_at_ms) = (std::mem::take(&mut self.version), self.occurred_at_ms.take());
        let conversation = conversation(name);
        self.record(Ok(Event::Conversation(ConversationEvent { conversation, occurred_at_ms, version, change })))
    }

    fn version(&mut self, version: u64) -> &mut Self {
        self.version = version;
        self
    }

    fn occurred_at(&mut self, ms: u64) -> &mut Self {
        self.occurred_at_ms = Some(ms);
        self
    }

    fn create(&mut self, name: &str, members: &str) -> EventResult {
        self.change(name, Change::GroupCreated { group_type: group_type("work"), members: users(members) })
    }

    fn add(&mut self, members: &str) -> EventResult {
        self.change("g", Change::MembersAdded(users(members)))
    }

    fn remove(&mut self, members: &str) -> EventResult {
        self.change("g", Change::MembersRemoved(users(members)))
    }

    fn dismiss(&mut self) -> EventResult {
        self.change("g", Change::GroupDismissed)
    }

    fn post(&mut self, name: &str, id: &str, sender: &str, asks: bool, audience: AudienceSpec) -> EventResult {
        let (message, sender) = (message(id), user(sender));
        self.change(name, Change::MessageSent { message, sender, need_read_receipt: asks, audience })
    }

    /// A message to all of the group "g".
    fn send(&mut self, id: &str, sender: &str) -> EventResult {
        self.post("g", id, sender, true, AudienceSpec::AllMembers)
    }

    /// A targeted message in the group "g".
    fn send_to(&mut self, id: &str, sender: &str, listed: &str) -> EventResult {
        self.post("g", id, sender, true, AudienceSpec::Listed(users(listed)))
    }

    /// A message in the one-to-one conversation "p".
    fn tell(&mut self, id: &str, sender: &str, peer: &str) -> EventResult {
        self.post("p", id, sender, true, AudienceSpec::Peer(user(peer)))
    }

    fn recall(&mut self, name: &str, id: &str) -> EventResult {
        self.change(name, Change::MessageRecalled { message: message(id) })
    }

    fn policy(&mut self, types: &str) -> EventResult {
        let types = types.split_whitespace().map(group_type).collect();
        self.record(Ok(Event::PolicyChanged(Policy::GroupTypes(types))))
    }

    fn tick(&mut self) -> EventResult {
        self.record(Ok(Event::Tick))
    }

    fn unreadable(&mut self) -> EventResult {
        self.record(Err(Rejection("not an event".to_owned())))
    }

    /// The `read_at` given holds for one read.
    fn read_at(&mut self, ms: u64) -> &mut Self {
        self.read_at_ms = Some(ms);
        self
    }

    fn read_event(&mut self, name: &str, reader: &str, target: ReadTarget) -> Vec<Outcome> {
        let (conversation, reader, read_at_ms) = (conversation(name), user(reader), self.read_at_ms.take());
        let event = ReadEvent { conversation, reader, read_at_ms, target };
        let offset = self.reads.len() as u64;
        self.reads.push(Record { offset, arrival_ms: self.now, event: Ok(event) });
        self.model().outcomes(self.reads.len() - 1)
    }

    fn read(&mut self, name: &str, reader: &str, ids: &str) -> Vec<Outcome> {
        self.read_event(name, reader, ReadTarget::Messages(ids.split_whitespace().map(message).collect()))
    }

    fn mark(&mut self, name: &str, reader: &str, id: &str) -> Vec<Outcome> {
        self.read_event(name, reader, ReadTarget::UpToMessage(message(id)))
    }

    fn mark_time(&mut self, name: &str, reader: &str, until_ms: u64) -> Vec<Outcome> {
        self.read_event(name, reader, ReadTarget::UpToTime(until_ms))
    }

    fn model(&self) -> Model<'_> {
        Model::at(&self.settings, &self.conversations, &self.reads)
    }

    fn state(&self) -> LogicalState {
        self.model().state()
    }

    fn conversation(&self, name: &str) -> ConversationState {
        self.state().conversations.remove(&conversation(name)).unwrap()
    }

    fn marks(&self, name: &str) -> [Option<u64>; 2] {
        match self.conversation(name).kind {
            KindState::OneToOne(parties) => parties.map(|party| party.highest_mark_ms),
            KindState::Group(_) => panic!("a group"),
        }
    }

    fn receipt(&self, name: &str, id: &str) -> Receipt {
        match self.conversation(name).messages.remove(&message(id)).unwrap().status {
            Status::Kept(receipt) => receipt,
            other => panic!("{other:?}"),
        }
    }

    /// "-" for a message that is not known; its receipt in short, where it has one: readers with the second after the
    /// start, and `*` where they left; unread; those who left unread.
    fn show(&self, name: &str, id: &str) -> String {
        let state = self.state().conversations.remove(&conversation(name));
        match state.and_then(|mut state| state.messages.remove(&message(id))).map(|message| message.status) {
            None => "-".to_owned(),
            Some(Status::Expired) => "expired".to_owned(),
            Some(Status::NotRequested) => "not requested".to_owned(),
            Some(Status::Kept(receipt)) => show(&receipt),
        }
    }
}

fn show(receipt: &Receipt) -> String {
    let names = |users: &[UserId]| users.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let second = |at_s: u64| i128::from(at_s) - i128::from(START / 1000);
    let readers: Vec<_> = receipt
        .read
        .iter()
        .map(|reader| {
            format!("{}@{}{}", reader.user, second(reader.read_at_ms / 1000), if reader.left { "*" } else { "" })
        })
        .collect();
    assert_eq!((receipt.read_count, receipt.unread_count), (receipt.read.len(), receipt.unread.len()), "R3");
    if let Some(peer) = &receipt.peer {
        assert_eq!(peer.peer_read_at_ms, receipt.read.first().map(|reader| reader.read_at_ms), "S19");
        assert_eq!(peer.is_peer_read, receipt.read_count == 1, "S19");
    }
    let recalled = if receipt.recalled { ", recalled" } else { "" };
    format!(
        "read [{}] unread [{}] left [{}]{recalled}",
        readers.join(" "),
        names(&receipt.unread),
        names(&receipt.left_unread)
    )
}

fn rejected(reason: Reason) -> EventResult {
    EventResult::Rejected(reason)
}
