//! What the processes and Redis hold, read again and again.

use super::scene::Scene;
use anyhow::Context;
use redis::aio::MultiplexedConnection;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Time between two samples.
pub const EVERY: Duration = Duration::from_secs(2);
/// How long Redis may take to answer: as long as a busy machine makes it wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a process holds at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Since the load began.
    pub at: Duration,
    /// Memory in RAM, in KiB.
    pub resident: u64,
    /// The part of it that is no file's, in KiB: what the process has allocated.
    pub anonymous: u64,
    /// Open file descriptors.
    pub files: u64,
    /// Threads.
    pub threads: u64,
}

/// What Redis says of itself at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// Since the load began.
    pub at: Duration,
    /// `used_memory`, in bytes.
    pub used: u64,
    /// Keys.
    pub keys: u64,
}

/// Reads all processes of a fleet.
#[derive(Debug)]
pub struct Sampler {
    origin: Instant,
    /// Name and id of each, in the order of the fleet.
    processes: Vec<(String, u32)>,
    redis: MultiplexedConnection,
}

/// All that was read.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// By process, in the order of the fleet.
    pub processes: Vec<Vec<Sample>>,
    /// Of Redis.
    pub stocks: Vec<Stock>,
}

impl Sampler {
    /// Of this fleet, with times from now on.
    ///
    /// # Errors
    /// Redis cannot be reached.
    pub async fn new(scene: &Scene) -> anyhow::Result<Sampler> {
        let client = redis::Client::open(scene.redis_url.as_str())?;
        let processes = scene.processes.iter().map(|process| (process.name.clone(), process.id)).collect();
        let mut redis = client.get_multiplexed_async_connection().await?;
        redis.set_response_timeout(PATIENCE);
        Ok(Sampler { origin: Instant::now(), processes, redis })
    }

    /// Adds samples until it is dropped. Does not end but by an error.
    pub async fn run(&mut self, samples: &mut Samples) -> anyhow::Error {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.add(samples).await {
                return error;
            }
        }
    }

    /// Adds one sample of each.
    ///
    /// # Errors
    /// A process that is gone, or a Redis that does not answer.
    pub async fn add(&mut self, samples: &mut Samples) -> anyhow::Result<()> {
        samples.processes.resize(self.processes.len(), Vec::new());
        for ((name, id), taken) in self.processes.iter().zip(&mut samples.processes) {
            taken.push(sample(*id, self.origin.elapsed()).with_context(|| format!("{name} is gone"))?);
        }
        let silent = "Redis does not answer";
        let info: String =
            redis::cmd("INFO").arg("memory").query_async(&mut self.redis).await.context(silent)?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok());
        let keys = redis::cmd("DBSIZE").query_async(&mut self.redis).await.context(silent)?;
        samples.stocks.push(Stock {
            at: self.origin.elapsed(),
            used: used.context("Redis does not say how much memory it uses")?,
            keys,
        });
        Ok(())
    }
}

/// Reads `/proc` (`proc(5)`).
fn sample(id: u32, at: Duration) -> anyhow::Result<Sample> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let figure = |name: &str| figure(&status, name).with_context(|| format!("no {name} of process {id}"));
    let files = std::fs::read_dir(format!("/proc/{id}/fd"))?.count();
    Ok(Sample {
        at,
        resident: figure("VmRSS:")?,
        anonymous: figure("RssAnon:")?,
        files: files as u64,
        threads: figure("Threads:")?,
    })
}

fn figure(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_files_and_threads() {
        let sample = sample(std::process::id(), Duration::ZERO).unwrap();
        assert!(sample.resident >= sample.anonymous && sample.anonymous > 100, "{sample:?}");
        assert!(sample.files >= 3 && sample.threads >= 1, "{sample:?}");
    }

    #[test]
    fn one_that_is_gone_is_an_error() {
        assert!(sample(u32::MAX, Duration::ZERO).is_err());
    }
}
