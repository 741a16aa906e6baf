//! The account in Redis, looked at every few milliseconds behind the routers' backs.
//!
//! A look is one atomic call, so that what it sees held at one instant. It promises three things: no count is negative, the counts
//! are those of the sets, and the queue is within its limit, or above it only by what came back from an outage, and then nobody
//! is let in.

use super::history::{Micros, now};
use redis::{RedisResult, Script, aio::MultiplexedConnection};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long a look may take before the connection counts as lost; a stopped Redis answers when it goes on.
const PATIENCE: Duration = Duration::from_secs(6);
/// Two looks that are further apart say nothing about what happened between them.
const NEIGHBOURS: Micros = 50_000;
/// Tickets above the limit from which on a queue cannot have been below it between two neighbouring looks.
const WELL_ABOVE: i64 = 6;

/// What one look at a pool sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// When it was taken.
    pub at: Micros,
    /// Counts: running, abandoned, and queued of each priority.
    pub counts: [i64; 5],
    /// Members of the sets: queue, attempts, what routers own, what is abandoned.
    pub members: [i64; 4],
    /// By how much the pool's slots differ from those that live backends offer, and its free backends from their set.
    pub drift: [i64; 2],
    /// Each backend's id, slots, running and abandoned.
    pub nodes: Vec<(String, i64, i64, i64)>,
    /// Requests admitted, by time bucket.
    pub admitted: BTreeMap<i64, i64>,
}

/// Something that a look must not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// When.
    pub at: Micros,
    /// What.
    pub what: String,
}

/// What all looks came to.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// Looks that were answered.
    pub looks: u64,
    /// Looks at which the queue stood at its limit or above.
    pub at_limit: u64,
    /// Longest queue.
    pub longest: i64,
    /// Looks above the limit, first and last instant of each stretch, and its longest queue.
    pub above: Vec<(Micros, Micros, i64)>,
    /// What was broken, the first few.
    pub breaches: Vec<Breach>,
    /// How often something was broken.
    pub broken: u64,
    /// The last look at each pool.
    pub last: BTreeMap<String, Look>,
}

/// The watch over the account.
#[derive(Debug)]
pub struct Watch {
    url: String,
    pools: Vec<String>,
    limit: i64,
    watched: Mutex<Watched>,
}

impl Watch {
    /// A watch over these pools, none of which may have a longer queue.
    pub fn new(url: &str, pools: &[&str], limit: u32) -> Arc<Watch> {
        let pools = pools.iter().map(|pool| (*pool).to_owned()).collect();
        Arc::new(Watch { url: url.to_owned(), pools, limit: limit.into(), watched: Mutex::default() })
    }

    /// Looks again and again; Redis may go and come. Does not end.
    pub async fn run(&self) {
        loop {
            if let Ok(connection) = self.connect().await {
                // What broke is looked for by the next connection.
                let _ = self.look_while_it_answers(connection).await;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// What was seen so far.
    pub fn watched(&self) -> Watched {
        self.lock().clone()
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        redis::Client::open(self.url.as_str())?.get_multiplexed_async_connection().await
    }

    async fn look_while_it_answers(&self, mut connection: MultiplexedConnection) -> anyhow::Result<()> {
        let script = Script::new(include_str!("account.lua"));
        connection.set_response_timeout(PATIENCE);
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before: BTreeMap<String, Look> = BTreeMap::new();
        loop {
            ticks.tick().await;
            for pool in &self.pools {
                let mut call = script.prepare_invoke();
                for key in keys(pool) {
                    call.key(key);
                }
                let seen: redis::Value = timeout(PATIENCE, call.invoke_async(&mut connection)).await??;
                match read(&seen) {
                    Ok(Some(look)) => {
                        self.take(pool, before.get(pool), &look);
                        before.insert(pool.clone(), look);
                    }
                    Ok(None) => self.gone(pool, &mut before),
                    Err(what) => self.lock().note(now(), what),
                }
            }
        }
    }

    fn take(&self, pool: &str, before: Option<&Look>, look: &Look) {
        let mut watched = self.lock();
        watched.looks += 1;
        let queued = look.queued();
        watched.longest = watched.longest.max(queued);
        watched.at_limit += u64::from(queued >= self.limit);
        if queued > self.limit {
            match watched.above.last_mut() {
                Some((_, last, longest)) if look.at - *last < 20 * NEIGHBOURS => {
                    *last = look.at;
                    *longest = queued.max(*longest);
                }
                _ => watched.above.push((look.at, look.at, queued)),
            }
        }
        for what in look.breaches().into_iter().chain(let_in(self.limit, before, look)) {
            watched.note(look.at, format!("pool {pool}: {what}"));
        }
        watched.last.insert(pool.to_owned(), look.clone());
    }

    /// A pool that is not there holds nothing.
    fn gone(&self, pool: &str, before: &mut BTreeMap<String, Look>) {
        before.remove(pool);
        self.lock().last.insert(pool.to_owned(), Look { at: now(), ..Look::default() });
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn note(&mut self, at: Micros, what: String) {
        self.broken += 1;
        if self.breaches.len() < 10 {
            self.breaches.push(Breach { at, what });
        }
    }
}

impl Look {
    /// Tickets of all priorities.
    pub fn queued(&self) -> i64 {
        self.members[0]
    }

    /// Whether nothing at all is held.
    pub fn is_empty(&self) -> bool {
        self.counts == [0; 5]
            && self.members == [0; 4]
            && self.nodes.iter().all(|node| (node.2, node.3) == (0, 0))
    }

    /// Promises that this look alone breaks.
    fn breaches(&self) -> Vec<String> {
        let [running, abandoned, high, normal, low] = self.counts;
        let [queue, attempts, owned, given_up] = self.members;
        let on_nodes = self.nodes.iter().fold((0, 0), |sum, node| (sum.0 + node.2, sum.1 + node.3));
        let negative = self.counts.iter().any(|count| *count < 0)
            || self.nodes.iter().any(|node| node.2.min(node.3) < 0);
        let rules = [
            (negative, "a count is negative"),
            (queue != high + normal + low, "the queue is not as long as its counts"),
            (given_up != abandoned, "what is abandoned is not what is counted"),
            (attempts != queue + running + abandoned, "attempts that neither wait nor hold a slot"),
            (attempts != owned, "attempts that no router owns"),
            (self.drift != [0, 0], "slots or free backends are counted wrongly"),
            (on_nodes != (running, abandoned), "the backends' counts are not the pool's"),
        ];
        let broken = rules.into_iter().filter(|(broken, _)| *broken);
        broken.map(|(_, rule)| format!("{rule}: {self:?}")).collect()
    }
}

/// Somebody was let in between two looks although the queue stood well above its limit.
fn let_in(limit: i64, before: Option<&Look>, look: &Look) -> Option<String> {
    let before = before.filter(|before| look.at - before.at < NEIGHBOURS)?;
    if before.queued().min(look.queued()) < limit + WELL_ABOVE {
        return None;
    }
    // Old buckets are forgotten, so that only those that both looks know are compared.
    let more = look
        .admitted
        .iter()
        .find(|(bucket, count)| **count > before.admitted.get(bucket).copied().unwrap_or_default());
    more.map(|_| format!("let in above the limit: {} tickets, then {}", before.queued(), look.queued()))
}

/// The pool's keys that the script reads, named as the router does.
fn keys(pool: &str) -> Vec<String> {
    let hash = pool.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let parts = ["pool", "queue", "attempts", "nodes", "owned", "abandoned", "free", "counts"];
    parts.iter().map(|part| format!("tidegate:{{{hash:016x}}}:{part}")).collect()
}

/// What the script says of a pool; nothing where there is no such pool.
fn read(value: &redis::Value) -> Result<Option<Look>, String> {
    type Raw = (i64, [i64; 5], [i64; 4], [i64; 2], Vec<(String, i64, i64, i64)>, Vec<(i64, i64)>);
    if matches!(value, redis::Value::Array(parts) if parts.len() == 1) {
        return Ok(None);
    }
    let read: Result<Raw, _> = redis::from_redis_value_ref(value);
    let (_, counts, members, drift, nodes, admitted) =
        read.map_err(|error| format!("an account that cannot be read ({error}): {value:?}"))?;
    Ok(Some(Look { at: now(), counts, members, drift, nodes, admitted: admitted.into_iter().collect() }))
}

#[cfg(test)]
mod tests {
    use super::super::history::SECOND;
    use super::*;

    fn look(at: Micros, queued: i64, admitted: i64) -> Look {
        Look {
            at,
            counts: [1, 1, 0, queued, 0],
            members: [queued, queued + 2, queued + 2, 1],
            drift: [0, 0],
            nodes: vec![("b".to_owned(), 2, 1, 1)],
            admitted: BTreeMap::from([(7, admitted)]),
        }
    }

    #[test]
    fn a_sound_account_breaks_nothing() {
        assert_eq!(look(0, 3, 1).breaches(), Vec::<String>::new());
    }

    #[test]
    fn each_rule_is_seen_to_be_broken() {
        let broken: [fn(&mut Look); 7] = [
            |look| look.counts[0] = -1,
            |look| look.members[0] += 1,
            |look| look.members[1] += 1,
            |look| look.members[2] += 1,
            |look| look.members[3] += 1,
            |look| look.nodes[0].2 += 1,
            |look| look.drift[1] = 1,
        ];
        for spoil in broken {
            let mut look = look(0, 3, 1);
            spoil(&mut look);
            assert!(!look.breaches().is_empty(), "{look:?}");
        }
    }

    #[test]
    fn nobody_is_let_in_above_the_limit() {
        let (limit, above) = (10, 10 + WELL_ABOVE);
        assert!(let_in(limit, Some(&look(0, above, 1)), &look(5000, above + 1, 2)).is_some());
        assert!(let_in(limit, Some(&look(0, above, 1)), &look(5000, above - 1, 1)).is_none(), "nobody came");
        assert!(let_in(limit, Some(&look(0, limit, 1)), &look(5000, above, 2)).is_none(), "there was room");
        assert!(let_in(limit, Some(&look(0, above, 1)), &look(SECOND, above, 2)).is_none(), "too far apart");
    }

    #[test]
    fn the_keys_are_those_of_the_router() {
        assert_eq!(keys("foobar")[0], "tidegate:{85944171f73967e8}:pool");
    }
}
