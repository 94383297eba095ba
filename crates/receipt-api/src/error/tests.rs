//! What clients are told, and what they are not.

use super::*;

#[test]
fn a_limit_is_found_in_the_text_that_names_it() {
    assert_eq!(named_limit(&InvalidField::too_many("events", 1001, 1000).problem), Some(1000));
    let id = receipt_proto::user_id("user_id", &"u".repeat(129)).unwrap_err();
    assert_eq!(named_limit(&id.problem), Some(128));
    assert_eq!(named_limit("must be given"), None);
}

/// What clients are told of a fault that they cannot mend: no path of the server's disk, and no operator's command.
#[test]
fn errors_to_clients_have_no_paths_and_no_commands() {
    let dir = || std::path::PathBuf::from("/var/lib/receiptd");
    let text = || "/var/lib/receiptd: run `receiptctl snapshot restore --data-dir /var/lib/receiptd`".to_owned();
    let topic = receipt_log::Topic::Reads;
    let log_errors = [
        LogError::Locked { dir: dir() },
        LogError::Open { dir: dir(), detail: text() },
        LogError::NoLog { dir: dir() },
        LogError::PartitionCount { stored: 1, asked: 2 },
        LogError::NoSuchPartition { partition: 4, last: 3 },
        LogError::ClockJump { last_ms: 1, now_ms: u64::MAX, max_ms: 2 },
        LogError::LastArrivalAhead { last_ms: u64::MAX, now_ms: 1 },
        LogError::ArrivalAhead { index: 0, timestamp_ms: u64::MAX, now_ms: 1 },
        LogError::Trimmed { topic, partition: 0, from: 1, start: 2 },
        LogError::Corrupt { topic, partition: 0, offset: 1, detail: "its checksum is wrong" },
        LogError::Damaged { detail: text() },
        LogError::Read { detail: text() },
        LogError::Failed { reason: text() },
        LogError::DiskFull { free_bytes: 1, reserve_bytes: 2 },
        LogError::Closed,
        LogError::Unreachable { servers: "10.0.0.5:9092".to_owned(), waited_secs: 1 },
        LogError::Unavailable { detail: text() },
        LogError::ClockAhead,
        LogError::Refused { detail: "a record is larger than the topic's max.message.bytes".to_owned() },
        LogError::Setting { name: "sasl.password".to_owned(), problem: text() },
        LogError::Topic { name: "receipts.reads".to_owned(), problem: text() },
        LogError::TopicChanged { name: "receipts.reads".to_owned(), gone: true },
    ];
    let mut statuses: Vec<Status> = log_errors.iter().flat_map(|error| [log(error), unread(error)]).collect();
    statuses.push(unserved(3, &Unserved::Sealed(text())).into());
    statuses.push(not_reached(3, &NotReached::Unserved(Unserved::Sealed(text()))).into());
    statuses.push(store(3, &StoreError::Locked { dir: "/var/lib/receiptd/receipts/3".to_owned() }));
    statuses.push(past_unread(&StoreError::File { file: "/var/lib/receiptd/x.sst".to_owned(), why: text() }));
    statuses.push(unfolded(&ProjectorError::Sealed(text())));
    for status in statuses {
        let details = status.get_error_details();
        let metadata = details.error_info().map(|info| format!("{:?}", info.metadata)).unwrap_or_default();
        let said = format!("{} {metadata}", status.message());
        for part in ["/var", "receiptctl", "receiptd", "--", "10.0.0.5", "sasl", "max.message.bytes", "docs/"] {
            assert!(!said.contains(part), "{part}: {said}");
        }
    }
    let sealed: Status = unserved(3, &Unserved::Sealed(text())).into();
    assert_eq!(sealed.message(), "partition 3 is sealed and answers nothing: ask the operator");
    assert_eq!(sealed.get_error_details().error_info().unwrap().metadata["partition"], "3");
}

#[test]
fn a_failed_log_is_no_invitation_to_retry_and_says_nothing_of_the_disk() {
    let status = log(&LogError::Failed { reason: "/secret".to_owned() });
    assert_eq!(status.code(), Code::Unavailable);
    assert!(!status.message().contains("secret"));
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "LOG_UNAVAILABLE");
    assert!(details.retry_info().is_none());
    let status = log(&LogError::Closed);
    assert_eq!(status.get_error_details().retry_info().unwrap().retry_delay, Some(RETRY_AFTER));
}
