//! Whole answers: as many as go, or so many a second.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;
use tidegate_sim::stats::quantile;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use super::client::{Ask, Client, Target};

/// What came out.
#[derive(Debug, Serialize)]
pub struct Requests {
    /// Answers.
    pub requests: usize,
    /// Answers a second.
    pub per_s: f64,
    /// Milliseconds of the median answer.
    pub p50_ms: f64,
    /// Milliseconds that one of a hundred passes.
    pub p99_ms: f64,
}

/// So many connections, each asking as soon as it has its answer.
///
/// # Errors
/// When a connection breaks or an answer is no success.
pub async fn full(target: &Target, connections: usize, time: Duration) -> Result<Requests> {
    let request: Arc<[u8]> = target.request(Ask::Whole).into();
    let (begun, mut running) = (Instant::now(), JoinSet::new());
    for _ in 0..connections {
        let (request, address) = (Arc::clone(&request), target.address);
        running.spawn(async move {
            let (mut client, mut took) = (Client::connect(address).await?, Vec::new());
            while begun.elapsed() < time {
                took.push(ask(&mut client, &request).await?);
            }
            anyhow::Ok(took)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = running.join_next().await {
        all.extend(done??);
    }
    Ok(summed(&all, begun.elapsed()))
}

/// So many requests a second over so many connections in turns, whether or not the one before has its answer; a connection that is
/// still busy is waited for.
///
/// # Errors
/// As [`full`].
pub async fn paced(target: &Target, rate: f64, connections: usize, time: Duration) -> Result<Requests> {
    let request: Arc<[u8]> = target.request(Ask::Whole).into();
    let (begun, mut running) = (Instant::now(), JoinSet::new());
    let gap = Duration::from_secs_f64(connections as f64 / rate);
    for number in 0..connections {
        let (request, address) = (Arc::clone(&request), target.address);
        running.spawn(async move {
            let (mut client, mut took) = (Client::connect(address).await?, Vec::new());
            tokio::time::sleep(gap.mul_f64(number as f64 / connections as f64)).await;
            let mut ticks = interval(gap);
            while begun.elapsed() < time {
                ticks.tick().await;
                took.push(ask(&mut client, &request).await?);
            }
            anyhow::Ok(took)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = running.join_next().await {
        all.extend(done??);
    }
    Ok(summed(&all, begun.elapsed()))
}

async fn ask(client: &mut Client, request: &[u8]) -> Result<f32> {
    let served = client.ask(request).await?;
    ensure!(served.status == 200, "status {}", served.status);
    Ok(1e3 * served.took.as_secs_f32())
}

fn summed(took: &[f32], time: Duration) -> Requests {
    Requests {
        requests: took.len(),
        per_s: took.len() as f64 / time.as_secs_f64(),
        p50_ms: quantile(took, 0.5),
        p99_ms: quantile(took, 0.99),
    }
}
