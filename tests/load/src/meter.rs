//! What the machine and Redis have done: read before and after, the difference counts.

use redis::aio::MultiplexedConnection;
use std::time::Duration;
use tokio::time::Instant;

/// Reads the counters of this machine and of one Redis.
#[derive(Debug)]
pub struct Meter {
    redis: Option<MultiplexedConnection>,
}

/// The counters at one instant.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    at: Instant,
    scripts: u64,
    /// Time of all cores, in the kernel's ticks: at work, and altogether.
    cores: [u64; 2],
}

/// What was done between two readings.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// Time between them.
    pub span: Duration,
    /// Script calls to Redis per second: every transition and every look at a ledger is one.
    pub calls: f64,
    /// Part of the cores' time that was not idle, in percent.
    pub cpu: f64,
}

impl Meter {
    /// A meter of this machine, and of the Redis at this URL where there is one.
    pub async fn new(redis_url: Option<&str>) -> Self {
        let Some(url) = redis_url else { return Self { redis: None } };
        let client = redis::Client::open(url).unwrap();
        Self { redis: Some(client.get_multiplexed_async_connection().await.unwrap()) }
    }

    /// Reads all counters.
    pub async fn read(&mut self) -> Reading {
        let scripts = match &mut self.redis {
            Some(redis) => {
                let text: String = redis::cmd("INFO").arg("commandstats").query_async(redis).await.unwrap();
                script_calls(&text)
            }
            None => 0,
        };
        Reading { at: Instant::now(), scripts, cores: cores(&std::fs::read_to_string("/proc/stat").unwrap()) }
    }

    /// What was done since an earlier reading.
    pub async fn since(&mut self, earlier: Reading) -> Done {
        let now = self.read().await;
        let span = now.at - earlier.at;
        let [busy, whole] = [0, 1].map(|which| (now.cores[which] - earlier.cores[which]) as f64);
        Done {
            span,
            calls: (now.scripts - earlier.scripts) as f64 / span.as_secs_f64(),
            cpu: 100.0 * busy / whole.max(1.0),
        }
    }
}

/// Calls of scripts in `INFO commandstats`. What a script calls itself is counted there too, under its own name, and is part of
/// the script's call here.
fn script_calls(info: &str) -> u64 {
    let calls = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let count = rest.split(',').next()?.parse::<u64>().ok()?;
        matches!(name, "eval" | "evalsha" | "fcall").then_some(count)
    };
    info.lines().filter_map(calls).sum()
}

/// Busy and whole time of all cores: the first line of `/proc/stat` (`proc(5)`; guest time is part of user time already).
fn cores(stat: &str) -> [u64; 2] {
    let first = stat.lines().next().unwrap_or_default();
    let times: Vec<u64> =
        first.split_whitespace().skip(1).take(8).filter_map(|time| time.parse().ok()).collect();
    let whole: u64 = times.iter().sum();
    let idle: u64 = times.iter().skip(3).take(2).sum();
    [whole - idle, whole]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scripts_count() {
        let info = "# Commandstats\r\ncmdstat_evalsha:calls=40,usec=5\r\ncmdstat_zadd:calls=90,usec=9\r\ncmdstat_eval:calls=2,usec=1\r\n";
        assert_eq!(script_calls(info), 42);
    }

    #[test]
    fn waiting_for_a_disk_is_idle_and_a_stolen_core_is_busy() {
        let stat = "cpu  10 1 4 70 20 0 2 3 8 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(cores(stat), [20, 110]);
    }
}
