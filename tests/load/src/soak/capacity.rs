//! What the fleet can do: right answers per second while every slot is in use.

use super::ask::{Desk, Outcome};
use super::plan::Request;
use anyhow::ensure;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Callers for each slot: one is served and one waits.
const CALLERS: usize = 2;
/// Time until caches are warm and the callers have spread.
const WARM: Duration = Duration::from_secs(3);
/// Time that is measured.
const MEASURED: Duration = Duration::from_secs(6);

/// Measures it with callers that ask again as soon as they have their answer.
///
/// # Errors
/// An answer that is not right.
pub async fn measure(desk: &Desk, slots: usize) -> anyhow::Result<f64> {
    let (origin, number) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS * slots {
        let (desk, number) = (desk.clone(), number.clone());
        callers.spawn(async move { call(&desk, &number, origin).await });
    }
    let mut answered = 0;
    while let Some(ended) = callers.join_next().await {
        answered += ended??;
    }
    Ok(answered as f64 / MEASURED.as_secs_f64())
}

/// One caller: how many right answers it got in the time that is measured.
async fn call(desk: &Desk, number: &AtomicUsize, origin: Instant) -> anyhow::Result<usize> {
    let mut answered = 0;
    while origin.elapsed() < WARM + MEASURED {
        let request = Request::patient(desk.seed, number.fetch_add(1, Ordering::Relaxed));
        let (outcome, _) = desk.ask(&request).await;
        ensure!(outcome == Outcome::Right, "{outcome:?} to {request:?}");
        answered += usize::from((WARM..WARM + MEASURED).contains(&origin.elapsed()));
    }
    Ok(answered)
}
