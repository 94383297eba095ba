//! `receiptctl inspect row`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args, ValueEnum};
use receipt_projector::DataDir;
use receipt_store::{Rows, ShownRow};
use serde_json::{Value, json};

use crate::output::Output;

/// Rows that are shown where nothing else is said.
const LIMIT: usize = 20;

/// Rows of a store of a receiptd that is stopped, decoded: what the key says, what the value says, and the bytes of both.
///
/// By KEY, in hexadecimal, or as a list: all of a kind, or all whose keys begin with a prefix. A row that is damaged is
/// shown as such. Nothing is checked, and nothing of the store changes.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("which").required(true).args(["keys", "kind", "prefix", "kinds"])),
    after_long_help = "\
Examples:
  receiptctl inspect row --data-dir /var/lib/receiptd --partition 3 --kind message --limit 5
  receiptctl inspect row --data-dir /var/lib/receiptd --partition 3 2100000000000000030000000000000007
  receiptctl inspect row --data-dir /var/lib/receiptd --partition 3 --store inboxes --kind 'inbox entry'
  receiptctl inspect row --data-dir /var/lib/receiptd --kinds"
)]
pub(super) struct Row {
    /// The data directory.
    #[arg(long, value_name = "DIR", env = "RECEIPTD_DATA_DIR")]
    data_dir: PathBuf,
    /// Which of the partition's stores.
    #[arg(long, value_enum, default_value_t = Store::Receipts)]
    store: Store,
    /// Of this partition.
    #[arg(long, value_name = "N", default_value_t = 0)]
    partition: u32,
    /// The rows with these keys, in hexadecimal.
    #[arg(value_name = "KEY", value_parser = bytes)]
    keys: Vec<Key>,
    /// Rows of this kind, such as message.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Rows whose keys begin so, in hexadecimal.
    #[arg(long, value_name = "HEX", value_parser = bytes)]
    prefix: Option<Key>,
    /// Which kinds there are.
    #[arg(long)]
    kinds: bool,
    /// Rows of a list, at most.
    #[arg(long, value_name = "N", default_value_t = LIMIT)]
    limit: usize,
}

/// Of which projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    /// Who has read what.
    Receipts,
    /// What senders are told.
    Inboxes,
}

/// Bytes from the command line.
#[derive(Debug, Clone)]
struct Key(Vec<u8>);

fn bytes(hex: &str) -> Result<Key, &'static str> {
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return Err("an even number of digits is needed") };
    let byte = |pair: &[u8; 2]| {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        Some(digit(pair[0])? << 4 | digit(pair[1])?)
    };
    pairs.iter().map(byte).collect::<Option<_>>().map(Key).ok_or("not hexadecimal")
}

impl Row {
    pub(super) fn run(self, output: Output) -> anyhow::Result<()> {
        if self.kinds {
            let kinds = Rows::kinds();
            return output.print(&json!({ "kinds": kinds }), || kinds.join("\n"));
        }
        let name = if self.store == Store::Receipts { "receipts" } else { "inboxes" };
        let dir = self.data_dir.join(name).join(self.partition.to_string());
        let missing = || format!("there is no store in {}", dir.display());
        if !dir.is_dir() {
            // Taking the directory would make it.
            bail!("{}", missing());
        }
        let _taken = DataDir::take(&self.data_dir)?;
        let opened = Rows::open(&dir).with_context(|| format!("the store in {}", dir.display()))?;
        let store = opened.with_context(missing)?;
        let (rows, damage) = self.rows(&store)?;
        let damage = damage.map(|error| error.to_string());
        let json = json!({ "rows": rows.iter().map(row_json).collect::<Vec<_>>(), "unreadable_after": damage });
        output.print(&json, || {
            let mut lines: Vec<_> = rows.iter().map(text).collect();
            lines.extend(rows.is_empty().then(|| "there is no such row".to_owned()));
            lines.extend(damage.map(|why| format!("the store cannot be read from here on: {why}")));
            lines.join("\n")
        })
    }

    fn rows(&self, store: &Rows) -> anyhow::Result<(Vec<ShownRow>, Option<receipt_store::StoreError>)> {
        let prefix = match (&self.kind, &self.prefix) {
            (Some(kind), _) => match Rows::kind(&kind.replace(['-', '_'], " ")) {
                Some(prefix) => prefix,
                None => {
                    bail!("there are no rows of the kind \"{}\": {}", kind.escape_debug(), Rows::kinds().join(", "))
                }
            },
            (None, Some(prefix)) => prefix.0.clone(),
            (None, None) => {
                let rows = self.keys.iter().map(|key| store.get(&key.0));
                return Ok((rows.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect(), None));
            }
        };
        Ok(store.beginning(&prefix, self.limit))
    }
}

fn row_json(row: &ShownRow) -> Value {
    let mut json = json!({ "key_hex": hex(&row.key), "value_hex": hex(&row.value) });
    match &row.place {
        Ok(place) => {
            json["row"] = json!(place.row);
            json["conversation"] = json!(place.conversation);
            json["message"] = json!(place.message);
            json["user"] = json!(place.user);
            json["more"] = json!(place.more);
        }
        Err(why) => json["key_damaged"] = json!(why),
    }
    match &row.row {
        Ok(value) => json["value"] = json!(value),
        Err(why) => json["value_damaged"] = json!(why),
    }
    json
}

fn text(row: &ShownRow) -> String {
    let place = match &row.place {
        Ok(place) => place.to_string(),
        Err(why) => format!("DAMAGED: {why}"),
    };
    let value = match &row.row {
        Ok(value) => value.clone(),
        Err(why) => format!("DAMAGED: {why}"),
    };
    format!("{place}\n  key:   {}\n  bytes: {}\n  value: {value}", hex(&row.key), hex(&row.value))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
