//! What Redis says of itself.

use std::fs;

use anyhow::{Context, Result, ensure};
use redis::aio::MultiplexedConnection;

/// Clock ticks of `/proc/PID/stat` in a second; fixed in Linux's interface to programs.
const TICKS: f64 = 100.0;

/// A connection that only asks for figures.
pub(super) struct Meter {
    connection: MultiplexedConnection,
    process: u32,
}

impl Meter {
    pub(super) async fn new(url: &str) -> Result<Meter> {
        let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        let process = figure(&info(&mut connection, "server").await?, "process_id:")?;
        Ok(Meter { connection, process: process as u32 })
    }

    /// Begins to count anew.
    pub(super) async fn reset(&mut self) -> Result<()> {
        redis::cmd("CONFIG").arg("RESETSTAT").query_async::<()>(&mut self.connection).await?;
        Ok(())
    }

    /// Microseconds of script time since the last reset, over so many calls of whatever they were for.
    pub(super) async fn script_time(&mut self, calls: usize) -> Result<f64> {
        let stats = info(&mut self.connection, "commandstats").await?;
        let line = stats
            .lines()
            .find(|line| line.starts_with("cmdstat_evalsha:"))
            .context("no script was called")?;
        let made = figure(line, "calls=")?;
        ensure!(made >= calls as f64, "{made} script calls, {calls} were made");
        Ok(figure(line, "usec=")? / calls as f64)
    }

    /// Bytes in use.
    pub(super) async fn memory(&mut self) -> Result<i64> {
        Ok(figure(&info(&mut self.connection, "memory").await?, "used_memory:")? as i64)
    }

    /// Seconds of CPU that the server has used so far.
    pub(super) fn cpu(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process))?;
        let fields: Vec<&str> = stat.rsplit(')').next().context("no stat")?.split_whitespace().collect();
        let ticks: f64 = fields.get(11).context("utime")?.parse::<f64>()?
            + fields.get(12).context("stime")?.parse::<f64>()?;
        Ok(ticks / TICKS)
    }
}

async fn info(connection: &mut MultiplexedConnection, section: &str) -> Result<String> {
    Ok(redis::cmd("INFO").arg(section).query_async(connection).await?)
}

/// The number behind a name in `INFO`.
fn figure(text: &str, name: &str) -> Result<f64> {
    let (_, rest) = text.split_once(name).with_context(|| format!("no {name} in INFO"))?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    Ok(rest[..end].parse()?)
}

/// The middle of sorted figures.
pub(super) fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
