//! The real conversations, imported, folded, asked for.

use std::{
    env,
    time::{Duration, Instant},
};

use receipt_test_seed::seed;
use receipt_tests::server::{DataDir, Server};

use crate::{
    compare::{Sample, compare},
    import,
};

/// How long the fold of all may take once it is in the log.
pub(crate) const FOLD_MAX: Duration = Duration::from_secs(300);

/// S1 to S5, S14, S17, S18, S20, S24 to S26, and R3: receipts and lists as they are right, on what people really did.
#[tokio::test(flavor = "multi_thread")]
async fn real_conversations_have_zero_differences() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    for (kind, events, _) in import::DATA_SETS {
        let done = import::end(import::start(&server, &dir, kind)).await;
        assert_eq!((&done["events"], &done["retries"]), (&events.into(), &0.into()), "{done}");
    }
    let start = Instant::now();
    let partitions = server.folded(FOLD_MAX).await;
    let messages: u64 = partitions.iter().map(|partition| partition.messages).sum();
    println!("folded {:.1} s after the end of the import", start.elapsed().as_secs_f64());
    assert_eq!(messages, 59_835 + 221_512);
    // All lists take some minutes; a sample is another one each time.
    let all = env::var_os("RECEIPT_E2E_ALL").is_some_and(|all| all == "1");
    let sample = Sample { seed: seed(), one_in: if all { 1 } else { 30 } };
    println!("lists of one message in {}", sample.one_in);
    let report = compare(&server, sample).await;
    assert_eq!(report.receipts, messages);
    assert!(report.lists > 15_000, "{report:?}");
}
