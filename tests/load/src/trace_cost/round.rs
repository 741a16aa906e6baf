//! Turns of the routers, and what was measured in each.

use super::variant::Variant;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tidegate_tests::fake_node::MODEL;
use tokio::time::{Instant, sleep};

/// Time after a turn in which what is left of its spans is sent: several of the exporter's pauses.
const SENDING: Duration = Duration::from_millis(500);

/// How much is asked for in a turn.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Requests.
    pub requests: usize,
    /// Requests under way at once.
    pub at_once: usize,
}

/// What one router did in one turn.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Microseconds of CPU for each request.
    pub cpu: f64,
    /// Milliseconds that each request took.
    pub latencies: Vec<f32>,
}

/// One router's turn. Every request must be answered with 200.
///
/// # Errors
/// A request that is not, or a system that does not tell what a process has used.
pub async fn turn(variant: &Variant, turn: Turn) -> anyhow::Result<Measured> {
    let before = variant.cpu()?;
    let left = AtomicUsize::new(turn.requests);
    let callers = (0..turn.at_once).map(|_| call(variant, &left));
    let mut latencies = Vec::with_capacity(turn.requests);
    for called in futures_util::future::join_all(callers).await {
        latencies.extend(called?);
    }
    sleep(SENDING).await;
    Ok(Measured { cpu: (variant.cpu()? - before) / turn.requests as f64, latencies })
}

/// One caller, who asks again as soon as there is an answer, as long as requests are left.
async fn call(variant: &Variant, left: &AtomicUsize) -> anyhow::Result<Vec<f32>> {
    let mut latencies = Vec::new();
    let take = |left: usize| left.checked_sub(1);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        let begun = Instant::now();
        let answer = variant.client.chat(MODEL, "What is 17 + 25?").await;
        latencies.push(1e3 * begun.elapsed().as_secs_f32());
        anyhow::ensure!(
            answer.status == 200,
            "{}: {} {}",
            variant.tracing.name(),
            answer.status,
            answer.text
        );
    }
    Ok(latencies)
}
