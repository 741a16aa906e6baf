//! What the account costs Redis, through [`Ledger`] as a router calls it, against a `redis-server` of its own.
//!
//! Script times are Redis's own (`INFO commandstats`), over blocks of calls of one script. The median block counts, since a
//! renewal of the router's lease falls into some of them.

mod bench;
mod meter;

use std::fmt::Write;

use anyhow::Result;
use tidegate_router::ledger::End;
use tokio::time::Instant;

use self::{bench::Bench, meter::median};

/// How large the account is, and how much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Backends of two slots each.
    pub backends: u32,
    /// Tickets that wait.
    pub tickets: u32,
    /// Blocks of calls of each kind.
    pub blocks: usize,
    /// Calls in a block.
    pub calls: usize,
}

/// Microseconds of script time per call: a table.
///
/// # Errors
/// Redis, or an account that is not as it was set up.
pub async fn script_times(size: Size) -> Result<String> {
    let mut bench = Bench::start(size).await?;
    let mut table = format!(
        "| script time with {} backends and {} tickets | median us | least | most |\n|---|--:|--:|--:|\n",
        size.backends, size.tickets
    );
    let mut row = |name: &str, mut blocks: Vec<f64>| {
        blocks.sort_by(f64::total_cmp);
        let (least, most) = (blocks.first().copied().unwrap_or(0.0), blocks.last().copied().unwrap_or(0.0));
        writeln!(table, "| {name} | {:.1} | {least:.1} | {most:.1} |", median(&blocks))
    };
    let (granted, freed) = free_slots(&mut bench, size).await?;
    row("admit, granted (nobody waits)", granted)?;
    row("release, nobody waits", freed)?;
    bench.fill(size.tickets).await?;
    let (queued, handed, cancelled) = full_queue(&mut bench, size).await?;
    row("admit, queued", queued)?;
    row("release, and the grant of the slot to the first ticket", handed)?;
    row("cancel of a ticket", cancelled)?;
    bench.end_all().await?;
    Ok(table)
}

/// Blocks of grants and of releases without a queue.
async fn free_slots(bench: &mut Bench, size: Size) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut granted, mut freed) = (Vec::new(), Vec::new());
    let calls = size.calls.min(size.backends as usize);
    for _ in 0..size.blocks {
        bench.renew_backends().await?;
        bench.meter.reset().await?;
        bench.admit(calls).await?;
        granted.push(bench.meter.script_time(calls).await?);
        bench.meter.reset().await?;
        bench.release(calls).await?;
        freed.push(bench.meter.script_time(calls).await?);
    }
    Ok((granted, freed))
}

/// Blocks of tickets that come, that are granted by a release, and that go.
async fn full_queue(bench: &mut Bench, size: Size) -> Result<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    let (mut queued, mut handed, mut cancelled) = (Vec::new(), Vec::new(), Vec::new());
    let calls = size.calls.min(size.tickets as usize / 2);
    for _ in 0..size.blocks {
        bench.renew_backends().await?;
        // Half above and half below the number of tickets that is asked for, on average.
        bench.meter.reset().await?;
        bench.admit(calls).await?;
        queued.push(bench.meter.script_time(calls).await?);
        bench.meter.reset().await?;
        bench.release(calls).await?;
        handed.push(bench.meter.script_time(calls).await?);
        bench.admit(calls).await?;
        bench.meter.reset().await?;
        bench.cancel(calls).await?;
        cancelled.push(bench.meter.script_time(calls).await?);
    }
    Ok((queued, handed, cancelled))
}

/// Requests a second through one Redis whose core does nothing else: admitted, queued, granted, released.
///
/// # Errors
/// Redis, or an account that is not as it was set up.
pub async fn full_load(size: Size, seconds: u64, at_once: usize) -> Result<String> {
    let mut bench = Bench::start(size).await?;
    bench.fill(size.tickets).await?;
    bench.meter.reset().await?;
    let (begun, cpu) = (Instant::now(), bench.meter.cpu()?);
    let requests = bench.churn(seconds, at_once).await?;
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), bench.meter.cpu()? - cpu);
    let script = bench.meter.script_time(requests).await?;
    bench.end_all().await?;
    let each = cpu / requests as f64;
    Ok(format!(
        "| requests (an admission and a release each) | per s here | Redis CPU us each | of it scripts us | per s of one whole core |\n\
         |---|--:|--:|--:|--:|\n\
         | {requests} in {wall:.1} s, {at_once} at once, Redis {:.0} % busy | {:.0} | {:.1} | {script:.1} | {:.0} |\n",
        100.0 * cpu / wall,
        requests as f64 / wall,
        1e6 * each,
        1.0 / each,
    ))
}

/// Bytes that Redis needs per ticket and per slot in use.
///
/// # Errors
/// Redis, or an account that is not as it was set up.
pub async fn memory(size: Size) -> Result<String> {
    let mut bench = Bench::start(size).await?;
    let empty = bench.meter.memory().await?;
    bench.renew_backends().await?;
    let slots = bench.slots();
    bench.admit(slots).await?;
    let full = bench.meter.memory().await?;
    let tickets = 10 * size.tickets as usize;
    bench.admit(tickets).await?;
    let long = bench.meter.memory().await?;
    bench.end_all().await?;
    let gone = bench.meter.memory().await?;
    Ok(format!(
        "| memory of Redis | bytes each |\n|---|--:|\n| a slot in use ({slots}) | {:.0} |\n| a ticket ({tickets}) | {:.0} |\n\
         | left over when all have ended | {} |\n",
        (full - empty) as f64 / slots as f64,
        (long - full) as f64 / tickets as f64,
        gone - empty,
    ))
}

/// How the work of a bench ends.
const ENDED: End = End::Finished;
