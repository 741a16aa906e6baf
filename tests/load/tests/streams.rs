//! Some hundred slow streams through one router.

use std::time::Duration;
use tidegate_load::streams::run;

/// Streams at once.
const STREAMS: usize = 500;
/// Bytes of memory that one may take: `tidegate-streams` holds it to less, on a machine that does nothing else.
const MOST: usize = 60_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_streams_do_not_fail_and_all_that_they_took_is_given_back() {
    tidegate_serve::files::raise_limit();
    let found = run(STREAMS, Duration::ZERO).await.unwrap();
    assert!(found.failures.is_empty(), "{:?}", found.failures);
    assert_eq!(found.with.slots, STREAMS as u64, "{found:?}");
    assert_eq!(found.after.slots, 0, "{found:?}");
    // A connection of the client's and one to the backend each; some of those before were used again.
    assert!(found.with.files >= 2 * STREAMS, "{found:?}");
    assert!(found.after.files <= found.before.files, "{found:?}");
    let each = found.memory_of_each(STREAMS);
    assert!(each < MOST, "{each} bytes of memory for each stream: {found:?}");
}
