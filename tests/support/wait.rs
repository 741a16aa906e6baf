//! Waiting for a condition instead of sleeping for a guess.

use std::time::Duration;

/// How long a condition may take to come true before the test fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks again and again until `look` gives something; panics with `what` after ten seconds.
pub async fn until<T, F, Fut>(what: &str, look: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    until_or(look, || what.to_owned()).await
}

/// The same, with a message that is made when it is needed.
pub async fn until_or<T, F, Fut>(mut look: F, what: impl FnOnce() -> String) -> T
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
        Err(_) => panic!("not within {PATIENCE:?}: {}", what()),
    }
}
