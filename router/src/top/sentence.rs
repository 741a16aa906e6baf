//! How a pool stands, in words: what an operator who was woken at night reads first.

use super::state::State;
use super::units::{count, percent, time};
use crate::live::Now;
use crate::report::PoolReport;
use std::collections::BTreeMap;
use tidegate_admission::Priority;

/// Seconds of the history that count as now.
const RECENT: usize = 10;

/// Lost backends that a sentence names.
const MOST_NAMED: usize = 3;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Everyone is served at once.
    Calm,
    /// Some wait.
    Busy,
    /// Some are refused, or work is abandoned.
    Refusing,
    /// Nobody can be served, or the account is out of reach.
    Critical,
}

/// How the pool stands.
pub fn of_pool(pool: &PoolReport, state: &State) -> (Severity, String) {
    let refused = recent_refusals(state, &pool.model);
    let (severity, mut text) = if pool.slots == 0 {
        (Severity::Critical, no_backend(pool))
    } else if let Some(whom) = whom(pool) {
        (Severity::Refusing, format!("Refusing {whom}: {}.", load(pool)))
    } else if !refused.is_empty() {
        let now = if pool.queued > 0 { "Refusing some" } else { "Serving at once again" };
        (Severity::Refusing, format!("{now}: {}.", load(pool)))
    } else if pool.queued > 0 {
        (Severity::Busy, format!("Nobody is refused: {}.", load(pool)))
    } else if pool.abandoned > 0 {
        (Severity::Refusing, format!("Serving at once: {}.", load(pool)))
    } else {
        (Severity::Calm, format!("Serving at once: {}.", load(pool)))
    };
    if !refused.is_empty() {
        let reasons: Vec<String> = refused.iter().map(|(code, number)| format!("{number} {code}")).collect();
        text.push_str(&format!(" Refused here in {RECENT} s: {}.", reasons.join(", ")));
    }
    if let Some(advice) = advice(pool, &refused) {
        text.push_str(&format!(" {advice}"));
    }
    (severity, text)
}

/// What is wrong with the account or with this router, whatever the pools do; `None` where nothing is.
pub fn of_router(now: &Now) -> Option<String> {
    if now.ledger == "degraded" {
        let what = "DEGRADED: Redis is out of reach. This router goes on alone, as --on-redis-loss says; what other routers do is not seen.";
        return Some(what.to_owned());
    }
    now.draining.then(|| {
        "DRAINING: this router takes no new work and ends when what it runs has finished.".to_owned()
    })
}

fn no_backend(pool: &PoolReport) -> String {
    let gone = pool.backends.iter().filter(|backend| backend.state != "live").count();
    let (held, waiting) = (pool.running + pool.abandoned, pool.queued);
    let draining =
        if gone > 0 { format!(" ({gone} gone or draining, {held} still running)") } else { String::new() };
    let waiting = if waiting > 0 { format!("{waiting} wait") } else { "nobody waits".to_owned() };
    format!("No live backend{draining}: {waiting}. Start a backend, or look why it left.")
}

/// The backends that fell silent or have gone lately; `None` where all are there.
pub fn of_lost(pool: &PoolReport, state: &State, now_ms: u64) -> Option<String> {
    let silent = pool.backends.iter().filter_map(|backend| Some((backend.url.as_str(), backend.silence()?)));
    let gone = state.lost.of(&pool.model).map(|lost| (lost.url.as_str(), now_ms.saturating_sub(lost.at_ms)));
    let all: Vec<(&str, u64)> = silent.chain(gone).collect();
    let named = all.iter().take(MOST_NAMED).map(|(url, ms)| {
        format!("{} since {}", url.strip_prefix("http://").unwrap_or(url), time(*ms as f64))
    });
    let named = named.collect::<Vec<_>>().join(", ");
    let more = all.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!all.is_empty()).then(|| format!("Lost: {named}{more}. Look at its log, or at its machine."))
}

/// Who is refused, by the curve and the queue's limits.
fn whom(pool: &PoolReport) -> Option<String> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for priority in Priority::ALL {
        let full =
            f64::from(pool.queued) >= pool.curve.queue_limit.of(priority) && pool.running >= pool.slots;
        let p = if full { 1.0 } else { pool.curve.p.of(priority) };
        if p <= 0.0 {
            continue;
        }
        let share = if p >= 1.0 { "all".to_owned() } else { format!("{} of", percent(p)) };
        match groups.last_mut() {
            Some((same, names)) if *same == share => names.push(priority.as_str()),
            _ => groups.push((share, vec![priority.as_str()])),
        }
    }
    let words = |(share, names): &(String, Vec<&str>)| match names.len() {
        3 => share.clone(),
        _ => format!("{share} {}", names.join(" and ")),
    };
    let words: Vec<String> = groups.iter().map(words).collect();
    (!words.is_empty()).then(|| format!("{} requests", words.join(", ")))
}

fn load(pool: &PoolReport) -> String {
    let mut text = format!("{} of {} busy", pool.running, count(pool.slots, "slot"));
    if pool.abandoned > 0 {
        text.push_str(&format!(", {} abandoned", pool.abandoned));
    }
    match pool.queued {
        0 => text.push_str(", nobody waits"),
        1 => text.push_str(&format!(", 1 waits, for {}", time(pool.oldest_wait_ms as f64))),
        queued => text.push_str(&format!(", {queued} wait, the oldest {}", time(pool.oldest_wait_ms as f64))),
    }
    text
}

/// What this router has refused in the last seconds, by error code.
fn recent_refusals(state: &State, model: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (_, point) in state.points(model).rev().take(RECENT) {
        for (code, number) in point.iter().flat_map(|point| &point.rejected) {
            *counts.entry(code.to_string()).or_default() += number;
        }
    }
    counts
}

/// What would help.
fn advice(pool: &PoolReport, refused: &BTreeMap<String, u64>) -> Option<String> {
    let live =
        pool.backends.iter().filter(|backend| backend.state == "live" && backend.silence().is_none()).count();
    let wanted = pool.desired_backends as usize;
    if pool.slots > 0 && pool.queued > 0 && wanted > live {
        return Some(format!(
            "All of it would run on {} ({live} live).",
            count(pool.desired_backends, "backend")
        ));
    }
    (refused.len() == 1 && refused.contains_key("deadline"))
        .then(|| "They could not have been served within --wait-share of their time.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::history::{Point, PoolPoint};
    use crate::report::ByPriority;
    use crate::top::view::scene;
    use std::borrow::Cow;

    fn said(change: impl FnOnce(&mut PoolReport)) -> (Severity, String) {
        let mut pool = scene::idle_pool();
        change(&mut pool);
        of_pool(&pool, &State::new("x"))
    }

    #[test]
    fn each_stage_of_a_pool_has_its_sentence() {
        assert_eq!(
            said(|_| ()),
            (Severity::Calm, "Serving at once: 1 of 3 slots busy, nobody waits.".to_owned())
        );
        let waiting = said(|pool| {
            (pool.running, pool.queued, pool.oldest_wait_ms) = (3, 1, 1200);
        });
        assert_eq!(
            waiting,
            (Severity::Busy, "Nobody is refused: 3 of 3 slots busy, 1 waits, for 1.2 s.".to_owned())
        );
        let refusing = said(|pool| {
            (pool.running, pool.queued, pool.oldest_wait_ms, pool.desired_backends) = (3, 31, 8100, 12);
            pool.curve.p = ByPriority { high: 0.0, normal: 0.4, low: 1.0 };
        });
        let words = "Refusing 40 % of normal, all low requests: 3 of 3 slots busy, 31 wait, the oldest 8.1 s. All of it would run on 12 backends (1 live).";
        assert_eq!(refusing, (Severity::Refusing, words.to_owned()));
        let dead = said(|pool| {
            (pool.slots, pool.queued) = (0, 2);
            pool.backends[0].state = Cow::Borrowed("gone");
        });
        assert_eq!(dead.0, Severity::Critical);
        assert!(
            dead.1.starts_with("No live backend (1 gone or draining, 1 still running): 2 wait."),
            "{}",
            dead.1
        );
    }

    #[test]
    fn a_full_queue_refuses_all_even_where_the_curve_is_flat() {
        let (_, text) = said(|pool| {
            (pool.running, pool.queued) = (3, 50);
            pool.curve.p = ByPriority { high: 0.0, normal: 0.0, low: 0.0 };
        });
        assert!(text.starts_with("Refusing all requests"), "{text}");
    }

    #[test]
    fn refusals_of_the_last_seconds_are_told_with_their_reasons() {
        let mut state = State::new("x");
        let rejected = [(Cow::Borrowed("deadline"), 3)].into();
        let point = PoolPoint { rejected, ..PoolPoint::default() };
        let pool = scene::idle_pool();
        state.history.push_back(Point { t: 1, pools: [(pool.model.clone(), point)].into() });
        let (severity, text) = of_pool(&pool, &state);
        assert_eq!(severity, Severity::Refusing);
        assert!(
            text.contains("Refused here in 10 s: 3 deadline.") && text.contains("--wait-share"),
            "{text}"
        );
        state.history.extend((2..12).map(|t| Point { t, ..Point::default() }));
        assert_eq!(of_pool(&pool, &state).0, Severity::Calm, "they are long past");
    }

    #[test]
    fn what_is_wrong_with_the_router_stands_above_all() {
        let mut now = scene::now();
        assert_eq!(of_router(&now), None);
        now.draining = true;
        assert!(of_router(&now).unwrap().starts_with("DRAINING"));
        now.ledger = Cow::Borrowed("degraded");
        assert!(of_router(&now).unwrap().starts_with("DEGRADED"));
    }
}
