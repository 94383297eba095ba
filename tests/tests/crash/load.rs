//! Writers and readers who go on while the server comes and goes. What they do follows from the seed.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use receipt_proto::v1::{self, conversation_event::Event as Kind, message_sent::Audience, read_event::Target};
use receipt_tests::random::Random;

use crate::{
    client::{Call, Client},
    oracle::{Conversation, Oracle, Time, message_id},
};

/// Messages of one conversation, at most.
const MESSAGES_MAX: usize = 40;
/// How often a writer writes.
const WRITER_EVERY: Duration = Duration::from_millis(12);
/// How often a reader reads.
const READER_EVERY: Duration = Duration::from_millis(5);
/// The time of messages, and of reads that have one, begins so long before the test.
const AGO_S: u64 = 20 * 3600;
/// Given read times are within this.
const READ_WITHIN_S: u64 = 10 * 3600;

/// What writers and readers share.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) client: Client,
    pub(crate) oracle: Arc<Mutex<Oracle>>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) totals: Arc<Totals>,
    /// Seconds since 1970 at which it all begins.
    pub(crate) begin_s: u32,
    /// Users who are subscribed and send.
    pub(crate) senders: u64,
    /// Users in all.
    pub(crate) users: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) events: AtomicU64,
    pub(crate) read_calls: AtomicU64,
    pub(crate) again: AtomicU64,
}

pub(crate) fn user(number: u64) -> String {
    format!("u{number}")
}

fn begin_s() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u32::try_from(now.as_secs() - AGO_S).unwrap()
}

fn at(seconds: u32) -> Option<prost_types::Timestamp> {
    Some(receipt_proto::timestamp_from_s(seconds.into()))
}

impl Load {
    /// Of so many users, some of whom send.
    pub(crate) fn new(client: Client, senders: u64, users: u64) -> Self {
        let (oracle, stop, totals) = (Arc::default(), Arc::default(), Arc::default());
        Self { client, oracle, stop, totals, begin_s: begin_s(), senders, users }
    }

    /// Writes one conversation until it is told to stop, or the conversation is over.
    pub(crate) async fn write(mut self, id: String, mut random: Random) {
        let mut ticks = tokio::time::interval(WRITER_EVERY);
        while !self.stop.load(Ordering::Relaxed) {
            let mut events = Vec::new();
            {
                let mut oracle = self.oracle.lock().unwrap();
                let conversation = oracle.0.entry(id.clone()).or_default();
                for _ in 0..=random.below(3) {
                    if conversation.dismissed || conversation.messages.len() == MESSAGES_MAX {
                        break;
                    }
                    events.push(self.event(&id, conversation, &mut random));
                }
            }
            if events.is_empty() {
                return;
            }
            self.totals.events.fetch_add(events.len() as u64, Ordering::Relaxed);
            let again = self.client.acknowledged(&Call::Events(events)).await;
            self.totals.again.fetch_add(again, Ordering::Relaxed);
            ticks.tick().await;
        }
    }

    /// The next event of a conversation, entered into the oracle.
    fn event(&self, id: &str, conversation: &mut Conversation, random: &mut Random) -> v1::ConversationEvent {
        conversation.version += 1;
        let kind = if id.starts_with('d') {
            self.one_to_one_event(conversation, random)
        } else if conversation.version == 1 {
            let several = if random.below(8) == 0 { 150 } else { 5 + random.below(40) };
            let member_ids = self.some_users(random, several);
            member_ids.iter().for_each(|member| conversation.join(member));
            Kind::GroupCreated(v1::GroupCreated { group_type: "work".to_owned(), member_ids })
        } else {
            self.group_event(conversation, random)
        };
        let occurred_at = match &kind {
            Kind::MessageSent(_) => at(conversation.messages.last().unwrap().sent_s),
            _ => at(self.begin_s),
        };
        let version = conversation.version;
        v1::ConversationEvent { conversation_id: id.to_owned(), occurred_at, version, event: Some(kind) }
    }

    fn group_event(&self, conversation: &mut Conversation, random: &mut Random) -> Kind {
        match random.below(100) {
            0..13 => {
                let several = 1 + random.below(3);
                let member_ids = self.some_users(random, several);
                member_ids.iter().for_each(|member| conversation.join(member));
                Kind::MembersAdded(v1::MembersAdded { member_ids })
            }
            13..26 => {
                let mut member_ids: Vec<String> = conversation.members().into_iter().map(str::to_owned).collect();
                random.shuffle(&mut member_ids);
                member_ids.truncate(2);
                let other = self.some_users(random, 1).into_iter().filter(|user| !member_ids.contains(user));
                let other: Vec<String> = other.collect();
                member_ids.extend(other);
                member_ids.iter().for_each(|member| conversation.leave(member));
                Kind::MembersRemoved(v1::MembersRemoved { member_ids })
            }
            26..33 if !conversation.messages.is_empty() => recall(conversation, random),
            33 if conversation.messages.len() > 10 => {
                conversation.dismissed = true;
                Kind::GroupDismissed(v1::GroupDismissed {})
            }
            _ => {
                let sender = user(random.below(self.senders));
                let asks = random.below(10) > 0;
                let listed = (random.below(5) == 0).then(|| self.some_users(random, 30));
                let number = conversation.send(&sender, asks, listed.as_deref(), self.sent_s(conversation, random));
                let audience = match listed {
                    Some(member_ids) => Audience::ListedMembers(v1::ListedMembers { member_ids }),
                    None => Audience::AllMembers(v1::AllMembers {}),
                };
                sent(number, sender, asks, audience)
            }
        }
    }

    fn one_to_one_event(&self, conversation: &mut Conversation, random: &mut Random) -> Kind {
        if conversation.version == 1 {
            conversation.one_to_one = true;
            self.some_senders(random, 2).iter().for_each(|party| conversation.join(party));
        } else if random.below(15) == 0 {
            return recall(conversation, random);
        }
        let mut parties: Vec<String> = conversation.members().into_iter().map(str::to_owned).collect();
        random.shuffle(&mut parties);
        let (sender, peer_id) = (parties[0].clone(), parties[1].clone());
        let asks = random.below(10) > 0;
        let number = conversation.send(&sender, asks, None, self.sent_s(conversation, random));
        sent(number, sender, asks, Audience::PeerId(peer_id))
    }

    /// When a message was sent: messages of one conversation come about in order.
    fn sent_s(&self, conversation: &Conversation, random: &mut Random) -> u32 {
        let later = u32::try_from(random.below(600)).unwrap();
        self.begin_s + u32::try_from(conversation.messages.len()).unwrap() * 300 + later
    }

    /// Different users.
    fn some_users(&self, random: &mut Random, several: u64) -> Vec<String> {
        let mut users: Vec<u64> = (0..self.users).collect();
        random.shuffle(&mut users);
        users.truncate(usize::try_from(several).unwrap());
        users.into_iter().map(user).collect()
    }

    fn some_senders(&self, random: &mut Random, several: u64) -> Vec<String> {
        let mut senders: Vec<u64> = (0..self.senders).collect();
        random.shuffle(&mut senders);
        senders.truncate(usize::try_from(several).unwrap());
        senders.into_iter().map(user).collect()
    }

    /// Reads in these conversations until it is told to stop.
    pub(crate) async fn read(mut self, conversations: Vec<String>, mut random: Random) {
        let mut ticks = tokio::time::interval(READER_EVERY);
        while !self.stop.load(Ordering::Relaxed) {
            let call = {
                let mut oracle = self.oracle.lock().unwrap();
                let id = random.one_of(&conversations).clone();
                let conversation = oracle.0.entry(id.clone()).or_default();
                (conversation.version > 0).then(|| self.reading(&id, conversation, &mut random))
            };
            if let Some(call) = call {
                let again = self.client.acknowledged(&call).await;
                self.totals.read_calls.fetch_add(1, Ordering::Relaxed);
                self.totals.again.fetch_add(again, Ordering::Relaxed);
            }
            ticks.tick().await;
        }
    }

    /// Some reading, entered into the oracle; also of messages that are yet to come (S16).
    fn reading(&self, id: &str, conversation: &mut Conversation, random: &mut Random) -> Call {
        let conversation_id = id.to_owned();
        let numbers = conversation.messages.len() as u64 + 2;
        let mut number = || usize::try_from(random.below(numbers)).unwrap();
        let (number, others) = (number(), (0..9).map(|_| number()).collect::<Vec<_>>());
        let user_id = self.reader(conversation, random);
        match random.below(10) {
            0..4 => {
                let several = usize::try_from(random.below(10)).unwrap();
                let mut numbers = vec![number];
                numbers.extend(others.into_iter().take(several));
                numbers.iter().for_each(|number| conversation.read(&user_id, *number, None));
                let message_ids = numbers.into_iter().map(message_id).collect();
                let wait = random.below(5) == 0;
                Call::Receipts(v1::SendMessageReadReceiptsRequest { user_id, conversation_id, message_ids, wait })
            }
            4..6 => {
                let up_to = if conversation.one_to_one && random.below(2) == 0 {
                    let up_to_s = self.sent_s(conversation, random);
                    conversation.mark_time(&user_id, up_to_s, None);
                    at(up_to_s).map(v1::mark_conversation_read_request::UpTo::Time)
                } else {
                    conversation.mark(&user_id, number, None);
                    Some(v1::mark_conversation_read_request::UpTo::MessageId(message_id(number)))
                };
                let wait = random.below(5) == 0;
                Call::Mark(v1::MarkConversationReadRequest { user_id, conversation_id, up_to, wait })
            }
            _ => {
                let several = 1 + random.below(12);
                Call::Reads((0..several).map(|_| self.given_read(id, conversation, random)).collect())
            }
        }
    }

    fn given_read(&self, id: &str, conversation: &mut Conversation, random: &mut Random) -> v1::ReadEvent {
        let reader_id = self.reader(conversation, random);
        let numbers = conversation.messages.len() as u64 + 2;
        let number = usize::try_from(random.below(numbers)).unwrap();
        let read_at_s = self.begin_s + u32::try_from(random.below(READ_WITHIN_S)).unwrap();
        let time: Time = Some(read_at_s);
        let target = match random.below(6) {
            0 if conversation.one_to_one => {
                let up_to_s = self.sent_s(conversation, random);
                conversation.mark_time(&reader_id, up_to_s, time);
                at(up_to_s).map(Target::UpToTime)
            }
            1 => {
                conversation.mark(&reader_id, number, time);
                Some(Target::UpToMessageId(message_id(number)))
            }
            _ => {
                conversation.read(&reader_id, number, time);
                Some(Target::Messages(v1::MessageIds { message_ids: vec![message_id(number)] }))
            }
        };
        v1::ReadEvent { conversation_id: id.to_owned(), reader_id, read_at: at(read_at_s), target }
    }

    /// Mostly who is, or was, a member.
    fn reader(&self, conversation: &Conversation, random: &mut Random) -> String {
        if !conversation.one_to_one && random.below(10) == 0 {
            return user(random.below(self.users));
        }
        random.one_of(&conversation.memberships).user.clone()
    }
}

fn recall(conversation: &mut Conversation, random: &mut Random) -> Kind {
    let number = usize::try_from(random.below(conversation.messages.len() as u64)).unwrap();
    conversation.messages[number].recalled = true;
    Kind::MessageRecalled(v1::MessageRecalled { message_id: message_id(number) })
}

fn sent(number: usize, sender_id: String, need_read_receipt: bool, audience: Audience) -> Kind {
    let message_id = message_id(number);
    Kind::MessageSent(v1::MessageSent { message_id, sender_id, need_read_receipt, audience: Some(audience) })
}
