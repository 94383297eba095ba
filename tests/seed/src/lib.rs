//! The seed of tests that draw at random, printed before they begin: a run that fails, or that does not end, is repeated by
//! giving what it printed.

use std::env;

use proptest::test_runner::{Config, RngSeed};

/// The seed, from `RECEIPT_SEED`, or from the time of day. It is printed.
#[must_use]
pub fn seed() -> u64 {
    let given = env::var("RECEIPT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |since| since.as_secs() ^ (u64::from(since.subsec_nanos()) << 20))
    });
    println!("RECEIPT_SEED={seed}");
    seed
}

/// How properties in `proptest!` are run: by [`seed`].
#[must_use]
pub fn config() -> Config {
    Config { rng_seed: RngSeed::Fixed(seed()), ..Config::default() }
}
