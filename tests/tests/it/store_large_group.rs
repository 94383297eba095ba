//! S9, S26, S27: a group of 100,000, and one message that all of them read.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use receipt_domain::{
    event::{AudienceSpec, Change},
    fold::Outcome,
    id::{ConversationId, MessageId, UserId},
    readers::INLINE_READERS_MAX,
    settings::Settings,
};
use receipt_store::{Member, MemberFilter, Resources, Store};
use receipt_tests::{
    dir,
    feed::identity,
    pages::List,
    scenario::{Script, id, of_message, user},
    whole::whole,
};

const MEMBERS: u32 = 100_000;
const START_MS: u64 = 1_000_000_000;

/// A generator of numbers that only look random.
struct Shuffler(u64);

impl Shuffler {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// The group, and what is known of who has read the message.
struct Group {
    store: Store,
    script: Script,
    conversation: ConversationId,
    message: MessageId,
    read: BTreeMap<u32, u32>,
    _dir: tempfile::TempDir,
}

impl Group {
    fn new() -> Self {
        let dir = dir::temporary();
        let mut script = Script::new(Settings::default());
        let resources = Resources::new(64 << 20, 64 << 20);
        let store = Store::open(dir.path(), &resources, &identity(script.settings)).unwrap();
        let began = Instant::now();
        for first in (0..MEMBERS).step_by(10_000) {
            let members: Vec<UserId> = (first..first + 10_000).map(user).collect();
            if first == 0 {
                script.group(START_MS, "large", members);
            } else {
                script.change(START_MS, "large", Change::MembersAdded(members));
            }
            script.fold_into(&store, INLINE_READERS_MAX);
        }
        script.change(START_MS, "large", Change::MembersAdded(vec![id("one too many")]));
        let outcomes = script.fold_into(&store, INLINE_READERS_MAX);
        let [Outcome::Rejected(why)] = &outcomes[..] else { panic!("S9: {outcomes:?}") };
        assert!(why.to_string().contains("max_group_members is 100000"), "{why}");
        script.message(START_MS, "large", "m", &id("announcer"), AudienceSpec::AllMembers);
        script.fold_into(&store, INLINE_READERS_MAX);
        println!("100,000 members joined in {:?}", began.elapsed());
        let (conversation, message) = (id("large"), id("m"));
        Self { store, script, conversation, message, read: BTreeMap::new(), _dir: dir }
    }

    /// One batch of reads: most at this second, one in ten somewhat earlier, and one in twenty twice.
    fn read(&mut self, readers: &[u32], second: u32, random: &mut Shuffler) {
        for reader in readers {
            let earlier = if random.below(10) == 0 { u32::try_from(random.below(50)).unwrap() } else { 0 };
            for second in [second.saturating_sub(earlier), second].iter().take(1 + usize::from(random.below(20) == 0)) {
                let at_ms = START_MS + u64::from(*second) * 1000;
                self.script.read(at_ms, "large", &user(*reader), Some(at_ms), of_message("m"));
                let earliest = self.read.entry(*reader).or_insert(*second);
                *earliest = (*second).min(*earliest);
            }
        }
        self.script.fold_into(&self.store, INLINE_READERS_MAX);
    }

    fn list(&self, filter: MemberFilter, latest_first: bool) -> List<'_> {
        let (conversation, message) = (&self.conversation, &self.message);
        List { conversation, message, asker: None, filter, latest_first, size: 1000 }
    }

    fn expected(&self, filter: MemberFilter) -> Vec<Member> {
        if filter == MemberFilter::Unread {
            let unread = (0..MEMBERS).filter(|ordinal| !self.read.contains_key(ordinal));
            return unread.map(|ordinal| Member { user: user(ordinal), read_at_ms: None, left: false }).collect();
        }
        let mut readers: Vec<(u32, u32)> = self.read.iter().map(|(ordinal, second)| (*second, *ordinal)).collect();
        readers.sort_unstable();
        let read_at_ms = |second| Some(START_MS / 1000 * 1000 + u64::from(second) * 1000);
        let member = |(second, ordinal)| Member { user: user(ordinal), read_at_ms: read_at_ms(second), left: false };
        readers.into_iter().map(member).collect()
    }

    /// Both lists in both orders, each to its last member.
    fn walk(&self, moment: &str) {
        for filter in [MemberFilter::Read, MemberFilter::Unread] {
            let expected = self.expected(filter);
            for latest_first in [false, true] {
                let began = Instant::now();
                let mut view = self.store.view().unwrap();
                let mut walked = self.list(filter, latest_first).walk(&mut view);
                let (took, pages) = (began.elapsed(), 1 + walked.len() / 1000);
                println!(
                    "{moment}: {filter:?}, latest first {latest_first}: {} in {took:?}, {:?} a page",
                    walked.len(),
                    took / u32::try_from(pages).unwrap()
                );
                if latest_first {
                    walked.reverse();
                }
                assert!(walked == expected, "{moment}: {filter:?}, latest first {latest_first}");
            }
        }
    }

    /// The time of one page in a view of its own.
    fn first_page(&self, filter: MemberFilter, size: usize) {
        let began = Instant::now();
        let mut view = self.store.view().unwrap();
        let page = List { size, ..self.list(filter, false) }.page(&mut view, None);
        println!("a first page of {}: {filter:?} in {:?}", page.members.len(), began.elapsed());
    }
}

#[test]
fn s9_s26_a_hundred_thousand_members_are_listed_to_the_last() {
    let mut group = Group::new();
    group.walk("none read");
    let mut random = Shuffler(7);
    let mut readers: Vec<u32> = (0..MEMBERS).collect();
    random.shuffle(&mut readers);
    let began = Instant::now();
    for (batch, second) in readers.chunks(1000).zip(1..) {
        group.read(batch, second, &mut random);
        match second {
            50 => group.walk("half read"),
            99 => {
                group.first_page(MemberFilter::Unread, 100);
                group.first_page(MemberFilter::Read, 100);
                group.walk("99 in 100 read");
            }
            _ => {}
        }
    }
    println!("100,000 reads and the walks between in {:?}", began.elapsed());
    group.walk("all read");
    let again: Vec<u32> = readers.iter().step_by(100).copied().collect();
    group.read(&again, 10, &mut random);
    group.walk("some earlier than before");
    group.store.flush().unwrap();
    group.store.compact();
    let began = Instant::now();
    let _ = whole(&group.store);
    println!("all rows agree, in {:?}", began.elapsed());
    println!("bytes of the files: {}", group.store.disk_bytes());
}

/// Each page in a view of its own, with a batch of reads between two.
#[test]
fn s27_a_walk_while_people_read_shows_nobody_twice_and_skips_no_reader() {
    let mut group = Group::new();
    let mut random = Shuffler(11);
    let mut readers: Vec<u32> = (0..MEMBERS).collect();
    random.shuffle(&mut readers);
    let mut batches = readers.chunks(1000).zip(1..);
    for (batch, second) in batches.by_ref().take(20) {
        group.read(batch, second * 100, &mut random);
    }
    let had_read: BTreeSet<UserId> = group.read.keys().copied().map(user).collect();
    let (mut read, mut unread) = (Vec::new(), Vec::new());
    let (mut next_read, mut next_unread) = (None, None);
    let (mut more_read, mut more_unread) = (true, true);
    while more_read || more_unread {
        let mut view = group.store.view().unwrap();
        if more_read {
            let page = group.list(MemberFilter::Read, false).page(&mut view, next_read);
            next_read = page.next.map(|next| (next, page.conversation, page.position));
            more_read = next_read.is_some();
            read.extend(page.members.into_iter().map(|member| member.user));
        }
        if more_unread {
            let page = group.list(MemberFilter::Unread, true).page(&mut view, next_unread);
            next_unread = page.next.map(|next| (next, page.conversation, page.position));
            more_unread = next_unread.is_some();
            unread.extend(page.members.into_iter().map(|member| member.user));
        }
        drop(view);
        if let Some((batch, second)) = batches.next() {
            group.read(batch, second * 100, &mut random);
        }
    }
    let distinct: BTreeSet<UserId> = read.iter().cloned().collect();
    assert_eq!(distinct.len(), read.len(), "a reader twice");
    assert!(distinct.is_superset(&had_read), "a reader was skipped");
    let distinct: BTreeSet<UserId> = unread.iter().cloned().collect();
    assert_eq!(distinct.len(), unread.len(), "an unread member twice");
}
