//! The last five minutes, second by second: a ring that no load makes longer.

use crate::report::Word;
use crate::tally::{Second, Spread};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tidegate_admission::View;

/// Points that are kept: five minutes.
pub const MOST_POINTS: usize = 300;

/// One second of every pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Unix seconds at its end.
    pub t: u64,
    /// Pools by model name.
    pub pools: BTreeMap<String, PoolPoint>,
}

/// One second of one pool. `running`, `abandoned`, `queued` and `slots` are the fleet's at the second's end, all else is what
/// this router alone did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolPoint {
    /// Requests that got a slot.
    pub accepted: u64,
    /// Requests refused, by error code.
    pub rejected: BTreeMap<Word, u64>,
    /// Requests that ended with an error before their answer began, by error code.
    pub failed: BTreeMap<Word, u64>,
    /// From arrival to the slot; null where none got one.
    pub waited_ms: Option<Milliseconds>,
    /// From arrival to the first piece of the answer; null where none began.
    pub first_token_ms: Option<Milliseconds>,
    /// Pieces of streams, and the tokens that whole answers say they have.
    pub tokens: u64,
    /// Requests that run.
    pub running: u32,
    /// Given up, not confirmed to have stopped.
    pub abandoned: u32,
    /// Requests that wait.
    pub queued: u32,
    /// Slots over live backends that are not draining.
    pub slots: u32,
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Milliseconds {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// The longest.
    pub max: f64,
}

impl From<Spread> for Milliseconds {
    fn from(spread: Spread) -> Self {
        // To a tenth: more would only make the feed longer.
        let ms = |duration: Duration| (duration.as_secs_f64() * 1e4).round() / 10.0;
        Self { p50: ms(spread.p50), p90: ms(spread.p90), max: ms(spread.max) }
    }
}

impl Point {
    /// Puts together what this router did in a second and how the fleet stood at its end.
    pub fn new(t: u64, seconds: BTreeMap<String, Second>, views: &[(String, View)]) -> Self {
        let idle = |second: &Second| {
            second.accepted == 0
                && second.tokens == 0
                && second.rejected.is_empty()
                && second.failed.is_empty()
        };
        let mut pools: BTreeMap<String, PoolPoint> = seconds
            .into_iter()
            .filter(|(_, second)| !idle(second))
            .map(|(name, second)| (name, second.into()))
            .collect();
        for (name, view) in views {
            let point = pools.entry(name.clone()).or_default();
            point.running = view.running;
            point.abandoned = view.abandoned;
            point.queued = view.queued_total();
            point.slots = view.slots;
        }
        Self { t, pools }
    }
}

impl From<Second> for PoolPoint {
    fn from(second: Second) -> Self {
        let words = |counts: BTreeMap<&'static str, u64>| {
            counts.into_iter().map(|(code, count)| (Word::Borrowed(code), count)).collect()
        };
        Self {
            accepted: second.accepted,
            rejected: words(second.rejected),
            failed: words(second.failed),
            waited_ms: second.waited.spread().map(Milliseconds::from),
            first_token_ms: second.first_token.spread().map(Milliseconds::from),
            tokens: second.tokens,
            ..Self::default()
        }
    }
}

/// The points, the newest last.
#[derive(Debug, Default)]
pub struct History {
    points: VecDeque<Arc<Point>>,
    /// Points that were ever pushed: the number of the next one.
    pushed: u64,
}

impl History {
    /// Adds the newest point; the oldest goes where there are too many.
    pub fn push(&mut self, point: Point) {
        if self.points.len() == MOST_POINTS {
            self.points.pop_front();
        }
        self.points.push_back(Arc::new(point));
        self.pushed += 1;
    }

    /// The points that a reader has not seen that has seen those before number `seen`, and the number to ask with next.
    pub fn since(&self, seen: u64) -> (Vec<Arc<Point>>, u64) {
        let unseen = usize::try_from(self.pushed.saturating_sub(seen)).unwrap_or(usize::MAX);
        let skipped = self.points.len().saturating_sub(unseen);
        (self.points.iter().skip(skipped).cloned().collect(), self.pushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(t: u64) -> Point {
        Point { t, pools: BTreeMap::new() }
    }

    proptest! {
        /// Whenever readers come, each sees every point once and in order, but those that the ring has let go.
        #[test]
        fn every_reader_sees_each_point_once(steps in prop::collection::vec((0u64..400, any::<bool>()), 1..40)) {
            let mut history = History::default();
            let (mut pushed, mut seen, mut expected) = (0, 0, 0);
            for (pushes, reads) in steps {
                for _ in 0..pushes {
                    history.push(point(pushed));
                    pushed += 1;
                }
                prop_assert!(history.points.len() <= MOST_POINTS);
                if reads {
                    let (points, next) = history.since(seen);
                    let first = expected.max(pushed.saturating_sub(MOST_POINTS as u64));
                    let got: Vec<u64> = points.iter().map(|point| point.t).collect();
                    prop_assert_eq!(got, (first..pushed).collect::<Vec<_>>());
                    (seen, expected) = (next, pushed);
                }
            }
            prop_assert!(history.since(seen).0.len() as u64 == (pushed - expected).min(MOST_POINTS as u64));
        }
    }

    #[test]
    fn a_pool_that_is_gone_and_idle_takes_no_room() {
        let seconds = BTreeMap::from([("gone".to_owned(), Second::default())]);
        assert!(Point::new(1, seconds, &[]).pools.is_empty());
    }

    #[test]
    fn own_counts_and_the_fleets_stand_in_one_point() {
        let busy = Second { accepted: 3, rejected: BTreeMap::from([("capacity", 2)]), ..Second::default() };
        let point = Point::new(1, BTreeMap::from([("m".to_owned(), busy)]), &[]);
        let json = serde_json::to_value(&point).unwrap();
        assert_eq!(json["pools"]["m"]["rejected"]["capacity"], 2);
        assert!(json["pools"]["m"]["waited_ms"].is_null());
        assert_eq!(serde_json::from_value::<Point>(json).unwrap(), point);
    }
}
