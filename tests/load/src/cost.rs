//! What the account costs Redis, through [`Ledger`] as a router calls it, against a `redis-server` of its own.
//!
//! Script times are Redis's own (`INFO commandstats`), over blocks of calls of one script. The median block counts, since a
//! renewal of the router's lease falls into some of them. With one call under way Redis sleeps before each, and its caches and the
//! core's clock are cold; with many it is as busy as where script time is what limits a fleet.

mod bench;
mod meter;

use std::{collections::BTreeMap, fmt::Write};

use anyhow::Result;
use tidegate_router::ledger::End;
use tokio::time::Instant;

use self::{
    bench::{AT_ONCE, Bench},
    meter::median,
};

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

/// Blocks of microseconds per call, by what the calls were for.
type Blocks = BTreeMap<Call, Vec<f64>>;

/// What the calls of a block are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Call {
    Granted,
    Freed,
    Queued,
    Handed,
    Cancelled,
}

impl Call {
    fn name(self) -> &'static str {
        match self {
            Call::Granted => "admit, granted (nobody waits)",
            Call::Freed => "release, nobody waits",
            Call::Queued => "admit, queued",
            Call::Handed => "release, and the grant of the slot to the first ticket",
            Call::Cancelled => "cancel of a ticket",
        }
    }
}

/// Microseconds of script time per call, with one call under way and with `at_once`: a table.
///
/// # Errors
/// Redis, or an account that is not as it was set up.
pub async fn script_times(size: Size, at_once: usize) -> Result<String> {
    let mut bench = Bench::start(size).await?;
    let (mut alone, mut busy) = (Blocks::new(), Blocks::new());
    for _ in 0..size.blocks {
        free_slots(&mut bench, size, 1, &mut alone).await?;
        free_slots(&mut bench, size, at_once, &mut busy).await?;
    }
    bench.fill(size.tickets).await?;
    for _ in 0..size.blocks {
        full_queue(&mut bench, size, 1, &mut alone).await?;
        full_queue(&mut bench, size, at_once, &mut busy).await?;
    }
    bench.end_all().await?;
    let mut table = format!(
        "| script time with {} backends and {} tickets | {at_once} calls at once: median us | least | most | \
         one at a time: median us | least | most |\n|---|--:|--:|--:|--:|--:|--:|\n",
        size.backends, size.tickets
    );
    for ((call, busy), alone) in busy.into_iter().zip(alone.into_values()) {
        writeln!(table, "| {} |{}{}", call.name(), cells(busy), cells(alone))?;
    }
    Ok(table)
}

/// The middle, the least and the most of some blocks.
fn cells(mut blocks: Vec<f64>) -> String {
    blocks.sort_by(f64::total_cmp);
    let (least, most) = (blocks.first().copied().unwrap_or(0.0), blocks.last().copied().unwrap_or(0.0));
    format!(" {:.1} | {least:.1} | {most:.1} |", median(&blocks))
}

/// A block of grants and one of releases without a queue.
async fn free_slots(bench: &mut Bench, size: Size, at_once: usize, blocks: &mut Blocks) -> Result<()> {
    let calls = size.calls.min(size.backends as usize);
    bench.renew_backends().await?;
    bench.meter.reset().await?;
    bench.admit(calls, at_once).await?;
    blocks.entry(Call::Granted).or_default().push(bench.meter.script_time(calls).await?);
    bench.meter.reset().await?;
    bench.release(calls, at_once).await?;
    blocks.entry(Call::Freed).or_default().push(bench.meter.script_time(calls).await?);
    Ok(())
}

/// A block of tickets that come, one of tickets that a release grants a slot, and one of tickets that go.
async fn full_queue(bench: &mut Bench, size: Size, at_once: usize, blocks: &mut Blocks) -> Result<()> {
    let calls = size.calls.min(size.tickets as usize / 2);
    bench.renew_backends().await?;
    // Half above and half below the number of tickets that is asked for, on average.
    bench.meter.reset().await?;
    bench.admit(calls, at_once).await?;
    blocks.entry(Call::Queued).or_default().push(bench.meter.script_time(calls).await?);
    bench.meter.reset().await?;
    bench.release(calls, at_once).await?;
    blocks.entry(Call::Handed).or_default().push(bench.meter.script_time(calls).await?);
    bench.admit(calls, at_once).await?;
    bench.meter.reset().await?;
    bench.cancel(calls, at_once).await?;
    blocks.entry(Call::Cancelled).or_default().push(bench.meter.script_time(calls).await?);
    Ok(())
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
    bench.admit(slots, AT_ONCE).await?;
    let full = bench.meter.memory().await?;
    let tickets = 10 * size.tickets as usize;
    bench.admit(tickets, AT_ONCE).await?;
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
