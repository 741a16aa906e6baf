//! Waiting for a condition instead of sleeping for a guess.

use std::time::Duration;

/// How long a condition may take to come true before the test fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks again and again until `look` gives something; panics with `what` after ten seconds.
pub async fn until<T, F, Fut>(what: &str, mut look: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let asking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(found) => found,
        Err(_) => panic!("not within {PATIENCE:?}: {what}"),
    }
}
