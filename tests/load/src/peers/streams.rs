//! Answers in chunks: what they cost, how many stay open, and how soon one that a client gives up is given up behind the proxy.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tidegate_sim::stats::quantile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::client::{Ask, Client, Target};
use super::mock::{CHUNKS, PAUSE};
use crate::machine::unix_micros;

/// What a stream takes at least.
const LENGTH: Duration = PAUSE.saturating_mul(CHUNKS as u32);

/// What came out.
#[derive(Debug, Serialize)]
pub struct Streams {
    /// Events of all streams.
    pub chunks: usize,
    /// Events a second.
    pub per_s: f64,
    /// Milliseconds to the median stream's first byte.
    pub first_ms: f64,
}

/// So many streams at once, each connection one after the other.
///
/// # Errors
/// When a connection breaks, or a stream is no success or lacks events.
pub async fn many(target: &Target, connections: usize, time: Duration) -> Result<Streams> {
    let (begun, mut running) = (Instant::now(), JoinSet::new());
    for number in 0..connections {
        let (request, address) = (target.request(Ask::Stream), target.address);
        running.spawn(async move {
            // Else all streams would begin in the same instant, again and again, as all take the same time.
            sleep(LENGTH.mul_f64(spread(number))).await;
            let (mut client, mut served) = (Client::connect(address).await?, Vec::new());
            while begun.elapsed() < time {
                let stream = client.ask(&request).await?;
                ensure!(stream.status == 200 && stream.events > CHUNKS, "{stream:?}");
                served.push(stream);
            }
            Ok(served)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = running.join_next().await {
        all.extend(done??);
    }
    let first: Vec<f32> = all.iter().map(|stream| 1e3 * stream.first.as_secs_f32()).collect();
    let chunks = all.iter().map(|stream| stream.events).sum();
    let per_s = chunks as f64 / begun.elapsed().as_secs_f64();
    Ok(Streams { chunks, per_s, first_ms: quantile(&first, 0.5) })
}

/// The numbers 0, 1, 2, … spread evenly over [0, 1), however many there are (the golden ratio's multiples).
fn spread(number: usize) -> f64 {
    (number as f64 * 0.618_033_988_749_895).fract()
}

/// Opens so many slow streams, says so, and holds them until standard input ends.
///
/// # Errors
/// When one does not open.
pub async fn open(target: &Target, streams: usize) -> Result<()> {
    let mut clients = Vec::with_capacity(streams);
    let request = target.request(Ask::Slow);
    for number in 0..streams {
        let mut client = Client::connect(target.address).await?;
        client.begin(&request, 1).await.with_context(|| format!("stream {number}"))?;
        clients.push(client);
    }
    println(&format!("{{\"open\": {}}}", clients.len()))?;
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()))
        .await??;
    Ok(())
}

/// Milliseconds from a client's leaving to that of the proxy from the backend.
#[derive(Debug, Serialize)]
pub struct Hangup {
    /// In a stream; none where it did not within two seconds.
    pub stream_ms: Option<f64>,
    /// Before the first byte.
    pub wait_ms: Option<f64>,
}

/// Leaves in the middle of an answer, and before one.
///
/// # Errors
/// When a connection breaks.
pub async fn hangup(target: &Target, mock: SocketAddr) -> Result<Hangup> {
    Ok(Hangup {
        stream_ms: leave(target, Ask::Slow, mock).await?,
        wait_ms: leave(target, Ask::Wait, mock).await?,
    })
}

async fn leave(target: &Target, ask: Ask, mock: SocketAddr) -> Result<Option<f64>> {
    let mut client = Client::connect(target.address).await?;
    let request = target.request(ask);
    if ask == Ask::Wait {
        client.begin(&request, 0).await?;
        sleep(Duration::from_millis(100)).await;
    } else {
        client.begin(&request, 1).await?;
    }
    let left = unix_micros();
    drop(client);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        let dropped = dropped(mock).await?;
        if dropped >= left {
            return Ok(Some((dropped - left) as f64 / 1e3));
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(None)
}

async fn dropped(mock: SocketAddr) -> Result<u64> {
    let mut stream = TcpStream::connect(mock).await?;
    stream.write_all(b"GET /dropped HTTP/1.1\r\nhost: mock\r\n\r\n").await?;
    let mut answer = vec![0; 1024];
    let length = stream.read(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer[..length]).into_owned();
    text.rsplit("\r\n\r\n").next().unwrap_or_default().trim().parse().context("no number of microseconds")
}

fn println(line: &str) -> Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
