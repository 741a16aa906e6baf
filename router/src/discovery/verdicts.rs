//! Verdicts on backends, shared by all routers through one hash in Redis.
//!
//! Each field is a backend that some router has ejected: the end of its pause by the clock of Redis, and how often it was
//! ejected. A pause that is over means a trial; whoever sees that one end well takes the field out.

use crate::roster::Roster;
use crate::roster::standing::Verdict;
use redis::{AsyncCommands, RedisResult, Script};
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_store::Connection;
use tokio::time::Instant;

/// Between two looks, unless there is something to tell.
const INTERVAL: Duration = Duration::from_millis(500);
/// A verdict whose pause has been over for so long is about a backend that nobody asks any more.
const FORGOTTEN_MS: i64 = 600_000;

/// All verdicts, and the time of Redis in milliseconds that their ends are told by.
const LOOK: &str = "local time = redis.call('TIME') \
    return {time[1] * 1000 + math.floor(time[2] / 1000), redis.call('HGETALL', KEYS[1])}";
/// Enters a verdict whose pause ends in ARGV[2] milliseconds.
const EJECT: &str = "local time = redis.call('TIME') \
    local ends = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2] \
    return redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', ends, ARGV[3]))";

/// The exchange of verdicts under one prefix.
pub struct VerdictExchange {
    roster: Roster,
    redis: Connection,
    key: String,
    look: Script,
    eject: Script,
    /// True while Redis is out of reach, so that this is said once.
    away: bool,
}

impl VerdictExchange {
    /// An exchange that has not begun.
    pub fn new(roster: Roster, redis: Connection, prefix: &str) -> Self {
        let key = format!("{prefix}:ejected");
        Self { roster, redis, key, look: Script::new(LOOK), eject: Script::new(EJECT), away: false }
    }

    /// Tells and takes over, until the task is dropped. While Redis is away each router goes by its own verdicts.
    pub async fn run(mut self) {
        loop {
            match self.exchange().await {
                Ok(()) => self.away = false,
                Err(error) if !self.away => {
                    self.away = true;
                    tracing::warn!(%error, "verdicts on backends cannot be shared; this router goes by its own");
                }
                Err(_) => tokio::time::sleep(INTERVAL).await,
            }
            // No news for the length of the interval: it is time for a look.
            let _no_news = tokio::time::timeout(INTERVAL, self.roster.news()).await;
        }
    }

    async fn exchange(&mut self) -> RedisResult<()> {
        let untold = self.roster.untold();
        if let Err(error) = self.tell(&untold).await {
            self.roster.tell_again(&untold);
            return Err(error);
        }
        let (time, fields): (i64, BTreeMap<String, String>) =
            self.look.key(&self.key).invoke_async(&mut self.redis).await?;
        let now = Instant::now();
        let mut verdicts = BTreeMap::new();
        for (id, text) in fields {
            match read(&text, time, now) {
                Some(verdict) => drop(verdicts.insert(id, verdict)),
                None => self.redis.hdel(&self.key, &id).await?,
            }
        }
        self.roster.take_over(&verdicts);
        Ok(())
    }

    async fn tell(&mut self, untold: &BTreeMap<String, Option<Verdict>>) -> RedisResult<()> {
        let now = Instant::now();
        for (id, verdict) in untold {
            match verdict {
                Some(Verdict { until, times }) => {
                    let left = until.saturating_duration_since(now).as_millis() as u64;
                    let mut eject = self.eject.key(&self.key);
                    let _: () = eject.arg(id).arg(left).arg(*times).invoke_async(&mut self.redis).await?;
                }
                None => self.redis.hdel(&self.key, id).await?,
            }
        }
        Ok(())
    }
}

/// A field of the hash; none where it says nothing any more.
fn read(text: &str, time: i64, now: Instant) -> Option<Verdict> {
    let (ends, times) = text.split_once(' ')?;
    let left = ends.parse::<i64>().ok()?.checked_sub(time)?;
    let until = if left >= 0 {
        now.checked_add(Duration::from_millis(left.unsigned_abs()))?
    } else {
        // How long ago it ended matters to nobody, and may be before this process began.
        now
    };
    (left > -FORGOTTEN_MS).then_some(Verdict { until, times: times.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_field_is_a_pause_a_trial_or_nothing() {
        let now = Instant::now();
        let verdict = |until| Some(Verdict { until, times: 3 });
        assert_eq!(read("5000 3", 2000, now), verdict(now + Duration::from_secs(3)));
        assert_eq!(read("5000 3", 9000, now), verdict(now));
        for nothing in ["5000", "", "x 3", "5000 x", "-9223372036854775808 1"] {
            assert_eq!(read(nothing, 9000, now), None, "{nothing}");
        }
        assert_eq!(read("5000 3", 5000 + FORGOTTEN_MS, now), None);
    }
}
