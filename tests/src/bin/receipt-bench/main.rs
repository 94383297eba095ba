//! The benchmark: each figure beside what bounds it, in one run. `docs/benchmarks.md` says how to read it.

mod calls;
mod fold;
mod group;
mod hot;
mod latency;
mod leaves;
mod replay;

use std::{env, path::PathBuf};

/// The real conversations, in the repository.
fn data(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data").join(file)
}

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = env::args().skip(1).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    if wants("fold") {
        fold::run()?;
    }
    if wants("group") {
        group::run()?;
    }
    if wants("calls") {
        calls::run()?;
    }
    if wants("leaves") {
        leaves::run()?;
    }
    if wants("hot") {
        hot::run()?;
    }
    if wants("replay") {
        // Its size may follow.
        let receipts = wanted.iter().find_map(|w| w.parse().ok());
        replay::run(receipts.unwrap_or(replay::RECEIPTS))?;
    }
    if wants("latency") {
        latency::run()?;
    }
    Ok(())
}
