//! Properties over many histories, with a seed that is printed and can be given.

use std::{env, fmt::Debug};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};
use receipt_test_seed::seed;

/// The number of histories, from `RECEIPT_HISTORIES`, or what CI runs.
#[must_use]
pub fn histories_wanted(default: u32) -> u32 {
    env::var("RECEIPT_HISTORIES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Tries a property on this many cases; a failure is shrunk to its smallest, and told with the seed.
///
/// # Panics
/// If the property fails.
pub fn check<S: Strategy>(
    name: &str,
    cases: u32,
    strategy: &S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) where
    S::Value: Debug,
{
    println!("{name}: {cases} cases");
    let seed = seed();
    let mut bytes = [0_u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases, max_shrink_iters: 20_000, failure_persistence: None, ..Config::default() };
    match TestRunner::new_with_rng(config, rng).run(strategy, property) {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => panic!("{name}, RECEIPT_SEED={seed}: {why}\nsmallest case: {case:#?}"),
        Err(TestError::Abort(why)) => panic!("{name}, RECEIPT_SEED={seed}: gave up: {why}"),
    }
}
