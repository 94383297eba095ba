//! Imports of the real conversations by the real receiptctl.

use std::path::PathBuf;

use receipt_ctl::dataset::Kind;
use receipt_tests::{
    ctl,
    server::{DataDir, Server},
};
use serde_json::Value;

/// Both data sets, each with the events and the receipts (message and reader) that are in it.
pub(crate) const DATA_SETS: [(Kind, u64, u64); 2] =
    [(Kind::CollegeMsg, 90_083, 38_236), (Kind::UbuntuIrc, 469_577, 13_259_339)];

/// The file of a data set in the repository.
pub(crate) fn file(kind: Kind) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data").join(format!("{}.tsv.gz", kind.name()))
}

/// Where an import notes how far it is.
pub(crate) fn state_file(dir: &DataDir, kind: Kind) -> PathBuf {
    dir.beside(&format!("{}.json", kind.name()))
}

/// Starts the import of a data set, or goes on with it.
pub(crate) fn start(server: &Server, dir: &DataDir, kind: Kind) -> ctl::Running {
    let (file, state) = (file(kind), state_file(dir, kind));
    let args = ["import", kind.name(), file.to_str().unwrap(), "--state", state.to_str().unwrap(), "--json"];
    ctl::start(server, &args)
}

/// Waits for the end of an import: what it says of itself.
pub(crate) async fn end(import: ctl::Running) -> Value {
    let done = ctl::json(&import.output().await);
    println!(
        "{}: {} events, {} conversation events and {} reads sent from {} on, {} retries, {:.1} s",
        done["data_set"].as_str().unwrap(),
        done["events"],
        done["conversation_events_sent"],
        done["read_events_sent"],
        done["resumed_at"],
        done["retries"],
        done["seconds"].as_f64().unwrap(),
    );
    done
}
