//! The arrows between our crates point only downwards, and what is to build in seconds links no RocksDB.
//!
//! `deny.toml` says which of the others' crates each of ours may use; this says which of ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context as _, ensure};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Tests of any crate may use it: it says by which seed they draw at random.
const TEST_SEED: &str = "receipt-test-seed";

/// Says which log tests run on: those of any crate may use it, also of the one below it.
const TEST_ENGINE: &str = "receipt-test-engine";

/// Every crate, from the bottom up, and which of ours it may use, tests and build scripts included.
const LAYERS: [(&str, &[&str]); 17] = [
    (TEST_SEED, &[]),
    ("receipt-dbfiles", &[]),
    ("receipt-domain", &[]),
    ("receipt-codec", &["receipt-domain"]),
    ("receipt-proto", &["receipt-domain"]),
    ("receipt-log", &["receipt-dbfiles"]),
    ("receipt-snapshot", &["receipt-domain"]),
    (TEST_ENGINE, &["receipt-log"]),
    ("receipt-store", &["receipt-dbfiles", "receipt-domain", "receipt-codec"]),
    (
        "receipt-projector",
        &["receipt-domain", "receipt-codec", "receipt-proto", "receipt-store", "receipt-log", "receipt-snapshot"],
    ),
    (
        "receipt-notifier",
        &["receipt-domain", "receipt-codec", "receipt-proto", "receipt-store", "receipt-log", "receipt-projector"],
    ),
    (
        "receipt-api",
        &[
            "receipt-domain",
            "receipt-codec",
            "receipt-proto",
            "receipt-store",
            "receipt-log",
            "receipt-snapshot",
            "receipt-projector",
            "receipt-notifier",
        ],
    ),
    (
        "receipt-server",
        &[
            "receipt-domain",
            "receipt-store",
            "receipt-log",
            "receipt-snapshot",
            "receipt-projector",
            "receipt-notifier",
            "receipt-api",
        ],
    ),
    // It knows the contract, the log, which it sets up and copies, and the state, which it folds anew and restores, and of
    // the services how they answer.
    (
        "receipt-ctl",
        &[
            "receipt-domain",
            "receipt-proto",
            "receipt-store",
            "receipt-log",
            "receipt-snapshot",
            "receipt-projector",
            "receipt-api",
        ],
    ),
    // A second reading of the specification: it shares nothing with the fold but the types of events.
    ("receipt-model", &["receipt-domain"]),
    ("receipt-fold-tests", &["receipt-domain", "receipt-model"]),
    (
        "receipt-tests",
        &[
            "receipt-domain",
            "receipt-codec",
            "receipt-proto",
            "receipt-store",
            "receipt-log",
            "receipt-snapshot",
            "receipt-projector",
            "receipt-notifier",
            "receipt-api",
            "receipt-ctl",
            "receipt-model",
            "receipt-fold-tests",
            "receipt-test-engine",
        ],
    ),
];

/// Crates that fuzzers, mutation tests and properties build again and again.
const WITHOUT_ROCKSDB: [&str; 7] = [
    "receipt-dbfiles",
    "receipt-domain",
    "receipt-codec",
    "receipt-proto",
    "receipt-snapshot",
    "receipt-model",
    "receipt-fold-tests",
];

/// The workspace's manifests; nothing beyond them, so that no network is needed.
fn workspace() -> anyhow::Result<Metadata> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    Ok(MetadataCommand::new().manifest_path(manifest).no_deps().exec()?)
}

/// What each of our crates depends on directly; `also` says which kinds beside the normal one.
fn dependencies(metadata: &Metadata, also: &[DependencyKind]) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata.packages.iter().map(|package| {
        let kept = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal || also.contains(&d.kind));
        (package.name.to_string(), kept.map(|dependency| dependency.name.clone()).collect())
    });
    packages.collect()
}

#[test]
fn arrows_point_only_downwards() -> anyhow::Result<()> {
    let used = dependencies(&workspace()?, &[DependencyKind::Development, DependencyKind::Build]);
    let mut below = BTreeSet::new();
    for (name, allowed) in LAYERS {
        let allowed: BTreeSet<_> = allowed.iter().map(|name| (*name).to_owned()).collect();
        ensure!(allowed.is_subset(&below), "{name} may use {allowed:?}, and not all of them stand below it");
        let ours: BTreeSet<_> = used
            .get(name)
            .with_context(|| format!("there is no crate {name}"))?
            .iter()
            .filter(|d| used.contains_key(*d) && *d != TEST_SEED && (*d != TEST_ENGINE || name == "receipt-tests"))
            .cloned()
            .collect();
        let wrong: Vec<_> = ours.difference(&allowed).collect();
        ensure!(wrong.is_empty(), "{name} must not depend on {wrong:?}");
        below.insert(name.to_owned());
    }
    let all: BTreeSet<_> = used.keys().cloned().collect();
    ensure!(below == all, "crates without a layer: {:?}", all.difference(&below).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn what_builds_in_seconds_links_no_rocksdb() -> anyhow::Result<()> {
    let metadata = workspace()?;
    let normal = dependencies(&metadata, &[]);
    let own = dependencies(&metadata, &[DependencyKind::Development, DependencyKind::Build]);
    for name in WITHOUT_ROCKSDB {
        let mut seen = BTreeSet::new();
        let mut left: Vec<_> = own.get(name).with_context(|| format!("there is no crate {name}"))?.iter().collect();
        while let Some(next) = left.pop() {
            // Only our own crates are followed: `deny.toml` lets no other bring RocksDB or Kafka in.
            if seen.insert(next) {
                left.extend(normal.get(next).into_iter().flatten());
            }
        }
        for native in ["rocksdb", "rdkafka"] {
            ensure!(!seen.contains(&native.to_owned()), "{name} links {native}");
        }
    }
    Ok(())
}

#[test]
fn the_domain_is_pure() -> anyhow::Result<()> {
    let used = dependencies(&workspace()?, &[]);
    let domain = used.get("receipt-domain").context("there is no receipt-domain")?;
    let allowed = ["serde", "thiserror", "rustc-hash"].map(str::to_owned);
    let wrong: Vec<_> = domain.iter().filter(|name| !allowed.contains(name)).collect();
    ensure!(wrong.is_empty(), "receipt-domain does no I/O and knows no runtime, and depends on {wrong:?}");
    Ok(())
}

#[test]
fn every_crate_takes_the_workspace_lints() -> anyhow::Result<()> {
    for package in workspace()?.packages {
        let manifest = std::fs::read_to_string(&package.manifest_path)?;
        ensure!(manifest.contains("\n[lints]\nworkspace = true\n"), "{} has lints of its own, or none", package.name);
    }
    Ok(())
}

/// What the sources below a directory say, with their paths.
fn sources(mut dirs: Vec<PathBuf>) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut sources = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push((path.clone(), std::fs::read_to_string(&path)?));
            }
        }
    }
    Ok(sources)
}

/// What `rdkafka` does not offer is in one module, which says why each call is sound.
#[test]
fn unsafe_code_stands_in_one_file() -> anyhow::Result<()> {
    let packages = workspace()?.packages;
    let dirs = packages.iter().map(|p| p.manifest_path.with_file_name("src").into_std_path_buf()).collect();
    let mut found = sources(dirs)?;
    found.retain(|(_, text)| text.contains("allow(unsafe_code)"));
    let found: Vec<_> = found.into_iter().map(|(path, _)| path).collect();
    ensure!(found.len() == 1 && found[0].ends_with("receipt-log/src/kafka/native.rs"), "{found:?}");
    Ok(())
}

/// A property that fails, or does not end, is tried again by the seed that it printed before it began.
#[test]
fn every_property_prints_its_seed() -> anyhow::Result<()> {
    let root = workspace()?.workspace_root;
    let dirs = ["crates", "tests"].map(|dir| root.join(dir).into_std_path_buf());
    let (begins, seeded) = (["proptest", "! {\n"].concat(), "#![proptest_config(receipt_test_seed::config())]");
    let mut blocks = 0;
    for (path, text) in sources(dirs.to_vec())? {
        for block in text.split(&begins).skip(1) {
            blocks += 1;
            ensure!(block.trim_start().starts_with(seeded), "{}: `proptest!` begins without {seeded}", path.display());
        }
    }
    ensure!(blocks > 20, "only {blocks} blocks of properties were found");
    Ok(())
}
