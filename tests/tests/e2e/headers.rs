//! S39: headers are counted, as an empty one has no bytes. A small file of very many takes little memory, and is refused.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use flate2::{Compression, write::GzEncoder};
use prost::Message as _;
use receipt_proto::v1;
use receipt_tests::server::{DataDir, binary};

/// What receiptctl may map while it reads such a file, in KiB; half of what the headers alone would take.
const ADDRESS_SPACE_KIB: u32 = 1_500_000;
/// As many as have room in the largest frame.
const HEADERS: usize = 33_000_000;

/// receiptctl with a limit to its memory.
fn import(file: &Path, dir: &DataDir) -> Output {
    let limited = format!("ulimit -v {ADDRESS_SPACE_KIB}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.arg("-c").arg(limited).arg(binary("receiptctl")).args(["log", "import"]).arg(file);
    command.arg("--edited").arg("--data-dir").arg(dir.path()).output().expect("receiptctl runs")
}

fn gzipped(path: PathBuf, parts: &[&[u8]]) -> PathBuf {
    let mut file = GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast());
    for part in parts {
        file.write_all(part).unwrap();
    }
    file.finish().unwrap();
    path
}

/// A field of a protobuf message that is bytes, by its number.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut all = vec![(number << 3) | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut all);
    all.extend_from_slice(bytes);
    all
}

#[test]
fn s39_a_small_file_of_millions_of_empty_headers_is_refused_in_little_memory() {
    let dir = DataDir::by_flags();
    let section = v1::LogFileSection { topic: "receipts.reads".to_owned(), partition: 0, from_offset: 0, to_offset: 1 };
    let header = v1::LogFileHeader { format_version: 1, partitions: 1, sections: vec![section], ..Default::default() };
    let header = v1::LogFileFrame { frame: Some(v1::log_file_frame::Frame::Header(header)) };
    // LogFileFrame.record, LogFileRecord.record, and LogRecord.headers again and again.
    let record = field(2, &field(2, &[0x2a, 0].repeat(HEADERS)));
    let mut length = Vec::new();
    prost::encoding::encode_varint(record.len() as u64, &mut length);
    let frames = gzipped(dir.beside("log.pb.gz"), &[&header.encode_length_delimited_to_vec(), &length, &record]);

    let first = concat!(
        r#"{"log_file":{"format_version":1,"log_id":"","origin":"","partitions":1,"sections":[{"topic":"receipts.reads","#,
        r#""partition":0,"from_offset":0,"to_offset":1}]}}"#,
        "\n"
    );
    let line = r#"{"topic":"receipts.reads","partition":0,"offset":0,"headers":["#;
    let headers = r#"{"name":""},"#.repeat(5_500_000);
    let lines = gzipped(
        dir.beside("log.jsonl.gz"),
        &[first.as_bytes(), line.as_bytes(), headers.as_bytes(), b"{\"name\":\"\"}]}\n"],
    );
    // An event of ever so many values, which are none of an event's.
    let event =
        format!(r#"{{"topic":"receipts.reads","partition":0,"offset":0,"event":[{}0]}}"#, "0,".repeat(33_000_000));
    let values = gzipped(dir.beside("values.jsonl.gz"), &[first.as_bytes(), event.as_bytes(), b"\n"]);

    for (file, why) in
        [(frames, "it has more than 1000 headers"), (lines, "more than 1000 entries"), (values, "event has ")]
    {
        assert!(fs::metadata(&file).unwrap().len() < 1_000_000, "{}", file.display());
        let output = import(&file, &dir);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(why) && said.contains(file.to_str().unwrap()), "{said}");
    }
    assert!(!dir.path().exists(), "nothing was made");
}
