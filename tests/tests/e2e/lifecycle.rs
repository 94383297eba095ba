//! Starting, ending, starting again otherwise.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _, path::Path, process::Output, time::Duration};

use receipt_proto::v1;
use receipt_tests::{
    ctl, events,
    poll::until,
    server::{DataDir, Server, receiptd_to_its_end},
    session::{counts, reason, something_happens},
};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;

/// An orderly end has only a flush to wait for.
const END_MAX: Duration = Duration::from_secs(5);

/// The offsets that a start announced, as "applied of end" for each topic of each partition.
fn announced(server: &Server) -> Vec<(u64, u64)> {
    let mut positions = Vec::new();
    for line in server.printed().iter().filter(|line| line.starts_with("partition ")) {
        let words: Vec<&str> = line.split([' ', ',']).collect();
        for three in words.windows(3).filter(|three| three[1] == "of") {
            positions.push((three[0].parse().unwrap(), three[2].parse().unwrap()));
        }
    }
    positions
}

#[tokio::test(flavor = "multi_thread")]
async fn r2_sigterm_ends_well_and_the_next_start_has_nothing_to_fold() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    let token = something_happens(&server).await;
    server.folded(END_MAX).await;
    let (status, time) = server.term().await;
    assert!(status.code() == Some(0) && time < END_MAX, "{status} after {time:?}");

    let server = Server::start(&dir, &[]).await;
    let positions = announced(&server);
    assert!(positions.len() >= 2 * 4, "both topics of four partitions: {:?}", server.printed());
    assert!(positions.iter().all(|(applied, end)| applied == end), "{:?}", server.printed());
    assert!(positions.iter().map(|(_, end)| end).sum::<u64>() >= 3, "{:?}", server.printed());
    assert_eq!(counts(&server, Some(&token)).await, Ok((1, 1)), "a token outlives the process that gave it");
    server.folded(END_MAX).await;
    for partition in server.partitions().await {
        // Nothing has been flushed since the start: it came back to the log's end.
        let durable = partition.positions.iter().all(|at| at.durable_offset == at.end_offset);
        assert!(durable && partition.sealed.is_empty(), "{partition:?}");
    }
}

/// What a start that must fail says.
fn refusal(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_receiptd_on_a_data_directory_is_refused() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    let token = something_happens(&server).await;
    let said = refusal(&receiptd_to_its_end(&dir, &[]).await);
    let path = dir.path();
    assert!(said.contains(&format!("the data directory {} is in use by a receiptd", path.display())), "{said}");
    assert_eq!(counts(&server, Some(&token)).await, Ok((1, 1)), "the first one goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn print_config_shows_the_settings_in_force_and_starts_nothing() {
    let dir = DataDir::new();
    let output = receiptd_to_its_end(&dir, &["--retention", "7d", "--partitions", "8", "--print-config"]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    for line in ["retention = \"7days\"", "early_window = \"1day\"", "partitions = 8", "max_group_members = 100000"] {
        assert!(said.lines().any(|printed| printed == line), "{line}\n{said}");
    }
    assert!(said.contains(&format!("data_dir = \"{}\"", dir.path().display())), "{said}");
    assert!(!Path::new(&dir.path()).exists(), "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn s41_an_address_that_others_reach_is_refused() {
    let dir = DataDir::new();
    let said = refusal(&receiptd_to_its_end(&dir, &["--listen", "0.0.0.0:0"]).await);
    assert!(said.contains("listen is 0.0.0.0:0: without authentication it may be a loopback address only"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_partitions_is_refused() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &["--partitions", "3"]).await;
    assert_eq!(server.receipt_partitions().await.len(), 3);
    server.term().await;
    let said = refusal(&receiptd_to_its_end(&dir, &["--partitions", "5"]).await);
    assert!(said.contains("partitions") && said.contains('3') && said.contains('5'), "{said}");
    Server::start(&dir, &["--partitions", "3"]).await;
}

/// Who has read what is nobody else's to read.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_is_the_users_alone() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    something_happens(&server).await;
    let exported = dir.beside("export.pb");
    drop(ctl::stdout(&ctl::run(&server, &["log", "export", &exported.display().to_string()]).await));
    server.term().await;
    let store = dir.path().join("receipts/0");
    for made in [dir.path(), store.clone(), store.join("CURRENT"), exported] {
        let mode = made.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}: {}", made.display());
    }
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    Server::start(&dir, &[]).await.term().await;
    let log = std::fs::read_to_string(dir.path().with_extension("stderr")).unwrap();
    assert!(log.contains("the data directory is open to other users"), "{log}");
}

/// Written into the stores when they are created: another one would change what is already folded.
#[tokio::test(flavor = "multi_thread")]
async fn r7_another_retention_is_refused_and_both_are_named() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &["--retention", "30d"]).await;
    let token = something_happens(&server).await;
    server.term().await;
    let said = refusal(&receiptd_to_its_end(&dir, &["--retention", "7d"]).await);
    assert!(said.contains("created with retention 2592000s, and is opened with 604800s"), "{said}");
    assert!(
        said.contains("start with the stored value, or stop receiptd and run `receiptctl replay rebuild "),
        "{said}"
    );
    let server = Server::start(&dir, &["--retention", "30d"]).await;
    assert_eq!(counts(&server, Some(&token)).await, Ok((1, 1)), "nothing was harmed");
}

/// A store of another log, where one partition's should be: that one does not serve, until it is mended as it says.
#[tokio::test(flavor = "multi_thread")]
async fn r7_s24_a_sealed_partition_says_why_and_the_others_serve() {
    let (dir, other_dir) = (DataDir::new(), DataDir::new());
    let server = Server::start(&dir, &[]).await;
    let token = something_happens(&server).await;
    let partitions = server.receipt_partitions().await;
    let partition = partitions.iter().find(|partition| partition.messages == 1).unwrap().partition;
    server.term().await;
    Server::start(&other_dir, &[]).await.term().await;
    let store = |dir: &DataDir| dir.path().join("receipts").join(partition.to_string());
    std::fs::remove_dir_all(store(&dir)).unwrap();
    std::fs::rename(store(&other_dir), store(&dir)).unwrap();

    let server = Server::start_unchecked(&dir, "127.0.0.1:0", &[]).await;
    let mut groups = BTreeMap::new();
    for n in 0..16 {
        *groups.entry(group_created(&server, &format!("group-{n}")).await).or_insert(0) += 1;
    }
    // Sixteen names are in all four partitions.
    assert_eq!(groups.keys().collect::<Vec<_>>(), ["APPLIED", "PARTITION_SEALED"], "{groups:?}");
    let partitions = server.receipt_partitions().await.into_iter();
    let (sealed, serving): (Vec<_>, Vec<_>) = partitions.partition(|status| status.partition == partition);
    assert!(sealed[0].sealed.contains("created with log"), "{sealed:?}");
    assert!(sealed[0].sealed.contains("stop receiptd and `rm -r "), "what mends it: {sealed:?}");
    assert!(serving.len() == 3 && serving.iter().all(|partition| partition.sealed.is_empty()), "{serving:?}");
    assert_eq!(server.health().await, ServingStatus::NotServing);
    // S24: in a call for many messages it is that message's own error.
    assert_eq!(counts(&server, None).await.unwrap_err(), "RECEIPT_ERROR_UNAVAILABLE");
    let status = list(&server).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "PARTITION_SEALED"), "{status:?}");
    // Why, with a path and a command, is for the operator: in ListPartitions above, and in the log.
    let told = format!("partition {partition} is sealed and answers nothing: ask the operator");
    assert_eq!(status.message(), told, "{status:?}");
    let (status, _) = server.term().await;
    assert_eq!(status.code(), Some(0));

    std::fs::remove_dir_all(store(&dir)).unwrap();
    let server = Server::start(&dir, &[]).await;
    assert_eq!(counts(&server, Some(&token)).await, Ok((1, 1)), "folded anew from the log");
}

/// What comes of a new group, once its partition has settled.
async fn group_created(server: &Server, group: &str) -> String {
    until("the group's partition settles", END_MAX, async || {
        let events = vec![events::group_created(group, "work", &["alice"])];
        let request = v1::PublishConversationEventsRequest { events, wait: true };
        match server.receipts().publish_conversation_events(request).await {
            Ok(response) => Some(response.into_inner().outcomes[0].result().as_str_name().replace("EVENT_RESULT_", "")),
            Err(status) => Some(reason(&status)).filter(|reason| reason != "PARTITION_NOT_SERVED"),
        }
    })
    .await
}

/// A call for one message's list.
async fn list(server: &Server) -> Result<v1::GetGroupMessageReadMemberListResponse, Status> {
    let request = v1::GetGroupMessageReadMemberListRequest {
        message: Some(events::message_ref("team", "m1")),
        filter: v1::MemberFilter::Read.into(),
        ..Default::default()
    };
    Ok(server.receipts().get_group_message_read_member_list(request).await?.into_inner())
}
