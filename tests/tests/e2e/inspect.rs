//! What the log says of messages, conversations and members, beside what the server answers, as docs/operations.md says.

use std::fs;

use receipt_ctl::dataset::{self, DataEvent, Kind};
use receipt_proto::v1::{self, conversation_event::Event};
use receipt_test_engine as engine;
use receipt_test_seed::seed;
use receipt_tests::{
    ctl,
    document::blocks,
    poll::until,
    random::Random,
    server::{DataDir, Server},
};
use rocksdb::{DB, Options};
use serde_json::{Value, json};

use crate::{conversations::FOLD_MAX, import};

/// Messages of each data set that are compared.
const SAMPLE: usize = 15;
/// How long until the log has a part of a data set.
const PART_MAX: std::time::Duration = std::time::Duration::from_secs(120);

pub(crate) async fn ask(server: &Server, line: &str) -> Value {
    let words: Vec<_> = line.split_whitespace().chain(["--json"]).collect();
    ctl::json(&ctl::run(server, &words).await)
}

/// A command of docs/operations.md with these words in the place of its own.
pub(crate) fn command(beginning: &str, words: &[(&str, &str)]) -> String {
    let blocks = blocks("docs/operations.md", "sh").concat();
    let line = blocks.lines().find(|line| line.starts_with(&format!("receiptctl {beginning}")));
    let line = line.unwrap_or_else(|| panic!("docs/operations.md has no `{beginning}`"));
    let word = |word: &str| {
        let other = words.iter().find(|(ours, _)| *ours == word);
        other.map_or(word.to_owned(), |(_, other)| (*other).to_owned())
    };
    line.split_whitespace().skip(1).map(word).collect::<Vec<_>>().join(" ")
}

/// Where the log of a stopped receiptd is, and its state.
pub(crate) fn stopped(dir: &DataDir) -> String {
    let path = dir.path();
    let data_dir = format!("--data-dir {}", path.display());
    match dir.kafka() {
        Some(servers) => format!("{data_dir} --kafka {servers} --topic-prefix {}", engine::topic_prefix(&path)),
        None => data_dir,
    }
}

async fn alone(line: &str) -> Value {
    let words: Vec<_> = line.split_whitespace().chain(["--json"]).collect();
    ctl::json(&ctl::start_alone(&words).output().await)
}

/// Some messages of a data set.
fn sample(kind: Kind, random: &mut Random) -> Vec<(String, String)> {
    let mut sample = Vec::new();
    let mut seen = 0;
    for event in dataset::open(kind, &import::file(kind)).unwrap() {
        let DataEvent::Conversation(event) = event.unwrap() else { continue };
        let Some(Event::MessageSent(sent)) = event.event else { continue };
        seen += 1;
        let message = (event.conversation_id, sent.message_id);
        if sample.len() < SAMPLE {
            sample.push(message);
        } else if let Some(place) = sample.get_mut(usize::try_from(random.below(seen)).unwrap()) {
            *place = message;
        }
    }
    sample
}

pub(crate) fn list<'a>(json: &'a Value, name: &str) -> &'a [Value] {
    json[name].as_array().unwrap_or_else(|| panic!("no {name}: {json}"))
}

/// The log and the state say the same of a message; and the records that are named hold what they are named for.
async fn is_the_same(server: &Server, (conversation, message): &(String, String)) {
    let of = format!("{conversation} {message}");
    let told = ask(server, &command("inspect message", &[("team", conversation), ("m1", message)])).await;
    let receipt = &ask(server, &format!("receipts {of}")).await["results"][0]["receipt"];
    let now = &told["now"];
    for count in ["read_count", "unread_count", "recalled"] {
        assert_eq!(now[count], receipt[count], "{of}: {now} and {receipt}");
    }
    let read = ask(server, &format!("members {of} read --all")).await;
    let unread = ask(server, &format!("members {of} unread --all")).await;
    let readers =
        |members: &[Value]| members.iter().map(|one| json!([one["user_id"], one["read_at"]])).collect::<Vec<_>>();
    assert_eq!(readers(list(now, "readers")), readers(list(&read, "members")), "{of}");
    let users: Vec<_> = list(&unread, "members").iter().map(|one| one["user_id"].clone()).collect();
    assert_eq!(list(now, "unread"), users, "{of}");
    let left: Vec<_> = list(now, "left_unread").iter().take(50).map(|user| user.as_str().unwrap()).collect();
    if !left.is_empty() {
        let states = ask(server, &format!("states {of} {}", left.join(" "))).await;
        assert!(list(&states, "states").iter().all(|one| one["state"] == "LEFT_UNREAD"), "{of}: {states}");
    }
    // Each reader by one record, and that is theirs.
    let events = list(&told, "events");
    let reads: Vec<_> = events.iter().filter(|event| event["event"] == "READ").collect();
    assert_eq!(reads.len() as u64, now["read_count"].as_u64().unwrap(), "{of}");
    let sent: Vec<_> = events.iter().filter(|event| event["event"] == "SENT").collect();
    assert_eq!(sent.len(), 1, "{of}: {events:?}");
    let record = record(server, &sent[0]["record"]).await;
    assert_eq!(record["event"]["event"]["message_sent"]["message_id"], **message, "{of}: {record}");
    for read in reads.iter().take(2) {
        let mut place = read["record"].clone();
        if let Some(waited) = read["waiting_read_offset"].as_u64() {
            place["topic"] = json!("receipts.reads");
            place["offset"] = json!(waited);
        }
        let record = self::record(server, &place).await;
        assert_eq!(record["event"]["reader_id"], read["user"], "{of}: {record}");
    }
}

async fn record(server: &Server, place: &Value) -> Value {
    let (topic, partition, offset) = (place["topic"].as_str().unwrap(), &place["partition"], &place["offset"]);
    ask(server, &format!("inspect log {topic} {partition} {offset}")).await["records"][0].clone()
}

/// R1, and S1 to S5, S13 to S18 on what people really did.
#[tokio::test(flavor = "multi_thread")]
async fn of_real_messages_the_log_says_what_the_server_answers() {
    let seed = seed();
    let mut random = Random::new(seed);
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    let irc = import::start(&server, &dir, Kind::UbuntuIrc);
    until("the import is under way", PART_MAX, async || {
        let partitions = server.receipt_partitions().await;
        (partitions.iter().map(|partition| partition.messages).sum::<u64>() > 20_000).then_some(())
    })
    .await;
    // Beside a server that is written to: whatever it has by then.
    let first = sample(Kind::UbuntuIrc, &mut Random::new(0))[0].clone();
    let told = ask(&server, &format!("inspect message {} {}", first.0, first.1)).await;
    assert!(told["conversations_offset"].as_u64() > Some(0), "{told}");
    import::end(irc).await;
    import::end(import::start(&server, &dir, Kind::CollegeMsg)).await;
    server.folded(FOLD_MAX).await;
    let mut all = Vec::new();
    for (kind, ..) in import::DATA_SETS {
        all.extend(sample(kind, &mut random));
    }
    for message in &all {
        is_the_same(&server, message).await;
    }
    let lines: Vec<_> =
        all.iter().map(|(conversation, message)| format!("inspect message {conversation} {message}")).collect();
    let mut live = Vec::new();
    for line in lines.iter().take(3) {
        live.push(ask(&server, line).await);
    }
    server.term().await;
    for (line, live) in lines.iter().zip(live) {
        assert_eq!(alone(&format!("{line} {}", stopped(&dir))).await, live);
    }
}

pub(crate) async fn publish(server: &Server, line: &str) -> String {
    let words: Vec<_> = ["publish"].into_iter().chain(line.split_whitespace()).chain(["--wait", "--json"]).collect();
    ctl::answer(&ctl::run(server, &words).await)["outcomes"][0]["result"].as_str().unwrap().to_owned()
}

pub(crate) async fn text(server: &Server, line: &str) -> String {
    ctl::stdout(&ctl::run(server, &line.split_whitespace().collect::<Vec<_>>()).await)
}

/// One of each: a read that comes too early, a leave, a recall, a repeat, a refusal, a policy.
async fn one_of_each(server: &Server) {
    let early = v1::SendMessageReadReceiptsRequest {
        user_id: "bob".into(),
        conversation_id: "team".into(),
        message_ids: vec!["m1".into()],
        wait: true,
    };
    assert_eq!(publish(server, "send team m0 --sender alice --all").await, "REJECTED");
    server.receipts().send_message_read_receipts(early).await.unwrap();
    assert_eq!(
        publish(server, "group-create team alice bob carol dave --group-type work --version 1").await,
        "APPLIED"
    );
    assert_eq!(publish(server, "send team m1 --sender alice --all --version 2").await, "APPLIED");
    assert_eq!(publish(server, "send team m1 --sender alice --all --version 2").await, "REPEATED");
    assert_eq!(publish(server, "members-remove team carol --version 3").await, "APPLIED");
    let eve = ctl::run(server, &["read", "team", "m1", "--user", "eve", "--wait", "--json"]).await;
    assert_eq!(ctl::answer(&eve)["outcomes"][0]["outcome"], "NOT_IN_AUDIENCE");
    text(server, "mark team --user dave --up-to m1 --wait").await;
    assert_eq!(publish(server, "members-remove team bob --version 4").await, "APPLIED");
    assert_eq!(publish(server, "members-add team bob --version 5").await, "APPLIED");
    assert_eq!(publish(server, "recall team m1 --version 6").await, "APPLIED");
    text(server, "policy set public").await;
    server.folded(FOLD_MAX).await;
    assert_eq!(publish(server, "send team m2 --sender alice --all --version 7").await, "APPLIED");
    server.folded(FOLD_MAX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_message_a_conversation_and_a_member_is_told_by_records() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &["--partitions", "1", "--retention", "7d"]).await;
    one_of_each(&server).await;
    message(&server).await;
    conversation_and_membership(&server).await;
    around(&server).await;
    let live = ask(&server, "inspect message team m1").await;
    server.term().await;
    assert_eq!(alone(&format!("inspect message team m1 {}", stopped(&dir))).await, live);
    rows(&dir).await;
}

async fn message(server: &Server) {
    let told = ask(server, &command("inspect message", &[])).await;
    let events: Vec<_> = list(&told, "events")
        .iter()
        .map(|event| (event["event"].as_str().unwrap(), event["user"].as_str().unwrap_or_default()))
        .collect();
    let expected = [
        ("READ_WITHOUT_EFFECT", "bob"),
        ("SENT", ""),
        ("READ", "bob"),
        ("SENT_AGAIN", ""),
        ("LEFT", "carol"),
        ("READ_WITHOUT_EFFECT", "eve"),
        ("READ", "dave"),
        ("LEFT", "bob"),
        ("RECALLED", ""),
    ];
    assert_eq!(events, expected, "{told:#}");
    assert_eq!(told["events"][2]["waiting_read_offset"], 0);
    assert_eq!(
        (&told["events"][0]["outcome"], &told["events"][5]["outcome"]),
        (&json!("PENDING"), &json!("NOT_IN_AUDIENCE"))
    );
    let now = &told["now"];
    assert_eq!((&now["read_count"], &now["unread_count"], &now["recalled"]), (&2.into(), &0.into(), &true.into()));
    assert_eq!((&now["left_unread"], &told["retention_ms"]), (&json!(["carol"]), &604_800_000.into()));
    let shown = text(server, "inspect message team m1").await;
    assert!(
        shown.contains("left without having read it") && shown.contains("by receipts.reads 0, which waited"),
        "{shown}"
    );
    let asks = |told: &Value| told["events"][0]["asks"].clone();
    assert_eq!(asks(&ask(server, "inspect message team m2").await), "NOT_ALLOWED_BY_POLICY");
    let never = ask(server, "inspect message team m9").await;
    assert_eq!((list(&never, "events").len(), &never["now"]["error"]), (0, &json!("NOT_FOUND")));
}

async fn conversation_and_membership(server: &Server) {
    let told = ask(server, &command("inspect conversation", &[])).await;
    let outcomes = |outcome: &str| list(&told, "events").iter().filter(|event| event["outcome"] == outcome).count();
    assert_eq!((outcomes("APPLIED"), outcomes("REPEATED"), outcomes("REJECTED")), (8, 1, 1), "{told:#}");
    assert_eq!(told["events"][0]["reason"], "S8: the group was never created");
    let group = &told["now"]["group"];
    let members: Vec<_> = list(group, "members").iter().map(|member| member["user_id"].as_str().unwrap()).collect();
    assert_eq!(
        (members, &group["may_ask"], &told["now"]["version"]),
        (vec!["alice", "dave", "bob"], &false.into(), &7.into())
    );
    let shown = text(server, "inspect conversation team").await;
    assert!(
        shown.contains("may not ask by the policy") && shown.contains("policy: these group types may ask: public"),
        "{shown}"
    );
    let nothing = ctl::run(server, &["inspect", "conversation", "nobody"]).await;
    assert_eq!(nothing.status.code(), Some(1));

    let told = ask(server, &command("inspect membership", &[])).await;
    let stays = list(&told, "stays");
    let stay = |i: usize| (stays[i]["ordinal"].as_u64(), stays[i]["left"].is_object(), stays[i]["read"].as_u64());
    assert_eq!((stays.len(), stay(0), stay(1)), (2, (Some(1), true, Some(1)), (Some(4), false, Some(0))), "{told:#}");
    text(server, "inspect membership team bob").await;
    assert_eq!(list(&told, "events").len(), 3, "{told:#}");
}

async fn around(server: &Server) {
    let first = ask(server, "inspect conversation team").await["events"][0]["record"]["offset"].clone();
    let log = ask(server, &command("inspect log", &[("3", &first.to_string())])).await;
    let of_first = list(&log, "records").iter().find(|record| record["offset"] == first).unwrap();
    assert_eq!(of_first["dead_letter"]["reason"], "S8: the group was never created", "{log:#}");
    let shown = text(server, &format!("inspect log conversations 0 {first}")).await;
    assert!(shown.contains("dead letter 0/0: S8"), "{shown}");
    for (line, said) in [
        ("log chats 0 0", "there is no topic \"chats\""),
        ("log reads 7 0", "partition 7 does not exist: the log has partitions 0 to 0"),
    ] {
        let output = ctl::run(server, &format!("inspect {line}").split_whitespace().collect::<Vec<_>>()).await;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && stderr.contains(said), "{stderr}");
    }
}

async fn rows(dir: &DataDir) {
    let path = dir.path();
    let path = path.to_str().unwrap();
    let at = [("/var/lib/receiptd", path)];
    let messages = alone(&command("inspect row --data-dir /var/lib/receiptd --partition 0 --kind", &at)).await;
    let row = &list(&messages, "rows")[0];
    let named = ["row", "conversation", "message"].map(|name| row[name].as_str().unwrap());
    assert_eq!(named, ["message", "team", "m1"], "{row}");
    assert!(row["value"].as_str().unwrap().contains("recalled: true"), "{row}");
    let progress = alone(&command("inspect row --data-dir /var/lib/receiptd --partition 0 01", &at)).await;
    assert!(
        progress["rows"][0]["value"].as_str().unwrap().starts_with("Progress { conversations_offset: "),
        "{progress}"
    );
    let inbox = alone(&format!("inspect row --data-dir {path} --store inboxes --kind inbox-entry")).await;
    assert_eq!((&inbox["rows"][0]["user"], &inbox["rows"][0]["row"]), (&json!("alice"), &json!("inbox entry")));
    // A row that cannot be read, and one of no kind.
    let key: Vec<u8> = row["key_hex"]
        .as_str()
        .unwrap()
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let db = DB::open(&Options::default(), dir.path().join("receipts/0")).unwrap();
    db.put(&key, b"\x01\xff").unwrap();
    db.put(b"\xffno", b"").unwrap();
    db.flush().unwrap();
    drop(db);
    let damaged = alone(&format!("inspect row --data-dir {path} --prefix {}", row["key_hex"].as_str().unwrap())).await;
    assert!(damaged["rows"][0]["value_damaged"].is_string(), "{damaged}");
    assert_eq!(alone(&format!("inspect row --data-dir {path} ff6e6f")).await["rows"][0]["value_hex"], "");
    let words: Vec<_> =
        format!("inspect row --data-dir {path} --kind nothing").split_whitespace().map(str::to_owned).collect();
    let output = ctl::start_alone(&words.iter().map(String::as_str).collect::<Vec<_>>()).output().await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("no rows of the kind"), "{output:?}");
    assert_eq!(fs::read_dir(dir.path().join("receipts")).unwrap().count(), 1, "nothing was made");
}
