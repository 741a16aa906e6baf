//! An open-loop generator: each arrival is fired at its instant, whatever the server does with those before it.

use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// What came of a load.
#[derive(Debug)]
pub struct Load<T> {
    /// One for each arrival that was fired, in the order of their ends.
    pub outcomes: Vec<T>,
    /// Arrivals that were not fired because too many were open already: above 0 the load was not what it was meant to be.
    pub unfired: usize,
    /// By how much the latest one was fired too late: the generator's own delay.
    pub most_late: Duration,
}

/// Fires each arrival at its instant after `origin` by calling `fire` with its number, and returns when all are over.
/// At most `most_open` are open at once.
pub async fn open_loop<T, F, Fut>(
    origin: Instant,
    arrivals: &[Duration],
    most_open: usize,
    mut fire: F,
) -> Load<T>
where
    F: FnMut(usize) -> Fut,
    Fut: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut open = JoinSet::new();
    let mut load =
        Load { outcomes: Vec::with_capacity(arrivals.len()), unfired: 0, most_late: Duration::ZERO };
    for (number, at) in arrivals.iter().enumerate() {
        sleep_until(origin + *at).await;
        load.most_late = load.most_late.max(origin.elapsed().saturating_sub(*at));
        while let Some(ended) = open.try_join_next() {
            load.outcomes.push(whole(ended));
        }
        if open.len() < most_open {
            open.spawn(fire(number));
        } else {
            load.unfired += 1;
        }
    }
    while let Some(ended) = open.join_next().await {
        load.outcomes.push(whole(ended));
    }
    load
}

/// A caller that broke breaks the run: its outcome would be missing in silence.
fn whole<T>(ended: Result<T, tokio::task::JoinError>) -> T {
    match ended {
        Ok(outcome) => outcome,
        Err(error) => panic!("a caller broke: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::poisson;

    #[tokio::test(start_paused = true)]
    async fn everyone_is_fired_on_time_though_nobody_is_answered_for_long() {
        let (origin, arrivals) = (Instant::now(), poisson(5, 40.0, Duration::from_secs(10)));
        let load = open_loop(origin, &arrivals, usize::MAX, |number| async move {
            let at = origin.elapsed();
            tokio::time::sleep(Duration::from_secs(60)).await;
            (number, at)
        })
        .await;
        assert_eq!((load.outcomes.len(), load.unfired), (arrivals.len(), 0));
        for (number, at) in &load.outcomes {
            // Tokio's timers are as fine as a millisecond.
            let late = at.saturating_sub(arrivals[*number]);
            assert!(
                *at >= arrivals[*number] && late <= Duration::from_millis(2),
                "seed 5, {number}: {late:?}"
            );
        }
        assert!(load.most_late <= Duration::from_millis(2), "{:?}", load.most_late);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_open_than_are_allowed_and_the_rest_is_counted() {
        let arrivals: Vec<Duration> = (0..10).map(Duration::from_millis).collect();
        let wait = |_| tokio::time::sleep(Duration::from_secs(1));
        let load = open_loop(Instant::now(), &arrivals, 4, wait).await;
        assert_eq!((load.outcomes.len(), load.unfired), (4, 6));
    }
}
