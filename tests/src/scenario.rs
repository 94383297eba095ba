//! Logs written by hand, folded into a store and into the model.

use receipt_domain::{
    event::{AudienceSpec, Change, ConversationEvent, Event, ReadEvent, ReadTarget, Record},
    fold::Outcome,
    id::{ConversationId, GroupType, Id, MessageId, UserId},
    settings::Settings,
};
use receipt_model::Model;
use receipt_store::Store;

use crate::feed::{Input, batch};

/// An identifier.
///
/// # Panics
/// If the text is none.
#[must_use]
pub fn id<const MAX: usize, const KIND: char>(text: &str) -> Id<MAX, KIND> {
    Id::new(text).expect("an id")
}

/// The members of a large group.
#[must_use]
pub fn user(number: u32) -> UserId {
    id(&format!("user-{number:06}"))
}

/// The two topics of one partition, and how far a store has folded them.
#[derive(Debug, Default)]
pub struct Script {
    /// The settings to fold it by.
    pub settings: Settings,
    /// receipts.conversations.
    pub conversations: Vec<Record<Event>>,
    /// receipts.reads.
    pub reads: Vec<Record<ReadEvent>>,
    folded: (usize, usize),
}

impl Script {
    /// Empty topics.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    fn event(&mut self, arrival_ms: u64, event: Event) -> &mut Self {
        let offset = self.conversations.len() as u64;
        self.conversations.push(Record { offset, arrival_ms, event: Ok(event) });
        self
    }

    /// Something in a conversation.
    pub fn change(&mut self, arrival_ms: u64, conversation: &str, change: Change) -> &mut Self {
        let conversation: ConversationId = id(conversation);
        let event = ConversationEvent { conversation, occurred_at_ms: None, version: 0, change };
        self.event(arrival_ms, Event::Conversation(event))
    }

    /// Time passes.
    pub fn tick(&mut self, arrival_ms: u64) -> &mut Self {
        self.event(arrival_ms, Event::Tick)
    }

    /// A group begins.
    pub fn group(&mut self, arrival_ms: u64, conversation: &str, members: Vec<UserId>) -> &mut Self {
        let group_type: GroupType = id("team");
        self.change(arrival_ms, conversation, Change::GroupCreated { group_type, members })
    }

    /// A message that asks, to all members or to a peer.
    pub fn message(
        &mut self,
        arrival_ms: u64,
        conversation: &str,
        message: &str,
        sender: &UserId,
        audience: AudienceSpec,
    ) -> &mut Self {
        let (message, sender): (MessageId, UserId) = (id(message), sender.clone());
        let change = Change::MessageSent { message, sender, need_read_receipt: true, audience };
        self.change(arrival_ms, conversation, change)
    }

    /// A read.
    pub fn read(
        &mut self,
        arrival_ms: u64,
        conversation: &str,
        reader: &UserId,
        read_at_ms: Option<u64>,
        target: ReadTarget,
    ) -> &mut Self {
        let conversation: ConversationId = id(conversation);
        let event = ReadEvent { conversation, reader: reader.clone(), read_at_ms, target };
        let offset = self.reads.len() as u64;
        self.reads.push(Record { offset, arrival_ms, event: Ok(event) });
        self
    }

    /// Folds what is new as one batch, receipts.conversations first.
    ///
    /// # Panics
    /// If the store can't be read or written.
    pub fn fold_into(&mut self, store: &Store, inline_readers_max: usize) -> Vec<Outcome> {
        let conversations = self.conversations[self.folded.0..].iter().cloned().map(Input::Conversations);
        let reads = self.reads[self.folded.1..].iter().cloned().map(Input::Reads);
        let outcomes = batch(store, inline_readers_max, conversations.chain(reads));
        self.folded = (self.conversations.len(), self.reads.len());
        outcomes
    }

    /// What the specification says of it.
    #[must_use]
    pub fn model(&self) -> Model<'_> {
        Model::at(&self.settings, &self.conversations, &self.reads)
    }
}

/// A read of one message.
#[must_use]
pub fn of_message(message: &str) -> ReadTarget {
    ReadTarget::Messages(vec![id(message)])
}
