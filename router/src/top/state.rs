//! What has been heard of the router so far, and what the operator has chosen to see.

use super::feed::{Event, FeedError, Heard};
use super::lost::LostBackends;
use crate::live::Now;
use crate::live::history::{MOST_POINTS, Point, PoolPoint};
use crate::report::PoolReport;
use std::collections::VecDeque;

/// How it stands with the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Nothing was heard yet.
    Connecting,
    /// Events come.
    Live,
    /// They do not, and this is why.
    Lost(FeedError),
}

/// How far back the sparklines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// One minute: a burst fills it.
    One,
    /// Two minutes.
    Two,
    /// All that there is.
    Five,
}

impl Window {
    /// Its length in seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Self::One => 60,
            Self::Two => 120,
            Self::Five => 300,
        }
    }

    /// The one after it, round and round.
    pub fn next(self) -> Self {
        match self {
            Self::One => Self::Two,
            Self::Two => Self::Five,
            Self::Five => Self::One,
        }
    }
}

/// Everything that a picture is drawn from.
#[derive(Debug)]
pub struct State {
    /// The router's address, for people.
    pub address: String,
    /// The connection.
    pub link: Link,
    /// The fleet as it was heard of last.
    pub now: Option<Now>,
    /// The last minutes, the newest last.
    pub history: VecDeque<Point>,
    /// Backends that have gone lately.
    pub lost: LostBackends,
    /// How far back the sparklines go.
    pub window: Window,
    /// The chosen pool's name; pools come and go under it.
    chosen: Option<String>,
}

impl State {
    /// Nothing heard yet of the router at `address`.
    pub fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            link: Link::Connecting,
            now: None,
            history: VecDeque::new(),
            lost: LostBackends::default(),
            window: Window::Two,
            chosen: None,
        }
    }

    /// Takes in what was heard.
    pub fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Lost(why) => self.link = Link::Lost(why),
            Heard::Event(event) => self.take(*event),
        }
    }

    fn take(&mut self, event: Event) {
        // A connection's first event has the whole history of its router. Only where that is another life of the router, what was
        // heard of the former one is not in it, and stays.
        let same = self.now.as_ref().is_none_or(|now| now.router == event.now.router);
        if event.first && same {
            self.history.clear();
        }
        self.history.extend(event.history.points);
        while self.history.len() > MOST_POINTS {
            self.history.pop_front();
        }
        // A router that has just started may not know all backends yet.
        if let Some(before) = self.now.as_ref().filter(|_| same) {
            self.lost.compare(before, &event.now);
        }
        self.link = Link::Live;
        self.now = Some(event.now);
    }

    /// The chosen pool and its place among all; the first where the chosen one is gone, `None` where there is none.
    pub fn pool(&self) -> Option<(usize, &PoolReport)> {
        let pools = &self.now.as_ref()?.pools;
        let chosen = self.chosen.as_ref();
        let at = chosen.and_then(|name| pools.iter().position(|pool| pool.model == *name)).unwrap_or(0);
        pools.get(at).map(|pool| (at, pool))
    }

    /// Chooses the pool that stands `step` after the chosen one, round and round.
    pub fn choose(&mut self, step: isize) {
        let Some((at, _)) = self.pool() else { return };
        let Some(pools) = self.now.as_ref().map(|now| &now.pools) else { return };
        let count = isize::try_from(pools.len()).unwrap_or(isize::MAX);
        let next = isize::try_from(at).unwrap_or(0).saturating_add(step).rem_euclid(count.max(1));
        self.chosen = pools.get(next.unsigned_abs()).map(|pool| pool.model.clone());
    }

    /// One pool's part of the history: unix seconds and what was then, oldest first.
    pub fn points<'a>(
        &'a self,
        pool: &'a str,
    ) -> impl DoubleEndedIterator<Item = (u64, Option<&'a PoolPoint>)> {
        self.history.iter().map(move |point| (point.t, point.pools.get(pool)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::feed::HistoryReport;
    use crate::top::view::scene::now;

    fn event(router: &str, first: bool, points: std::ops::Range<u64>) -> Heard {
        let points = points.map(|t| Point { t, ..Point::default() }).collect();
        let now = Now { router: router.to_owned(), ..now() };
        Heard::Event(Box::new(Event {
            first,
            now,
            history: HistoryReport { points, ..HistoryReport::default() },
        }))
    }

    fn times(state: &State) -> Vec<u64> {
        state.history.iter().map(|point| point.t).collect()
    }

    #[test]
    fn a_second_connection_doubles_no_point_and_a_restart_loses_none() {
        let mut state = State::new("x");
        state.hear(event("a", true, 0..3));
        state.hear(event("a", false, 3..4));
        state.hear(Heard::Lost(FeedError::default()));
        assert!(matches!(state.link, Link::Lost(_)));
        state.hear(event("a", true, 0..5));
        assert_eq!(times(&state), [0, 1, 2, 3, 4]);
        state.hear(event("b", true, 7..8));
        assert_eq!(times(&state), [0, 1, 2, 3, 4, 7]);
        state.hear(event("b", false, 8..1000));
        assert_eq!((state.history.len(), state.history.back().unwrap().t), (MOST_POINTS, 999));
    }

    #[test]
    fn pools_are_chosen_in_a_ring_and_by_name() {
        let mut state = State::new("x");
        state.choose(1);
        assert!(state.pool().is_none());
        state.hear(event("a", true, 0..0));
        let names: Vec<String> =
            state.now.as_ref().unwrap().pools.iter().map(|pool| pool.model.clone()).collect();
        assert_eq!(names.len(), 2, "the scene has two pools");
        state.choose(-1);
        assert_eq!(state.pool().unwrap().1.model, names[1]);
        state.now.as_mut().unwrap().pools.reverse();
        assert_eq!(state.pool().unwrap().0, 0, "it is still the same pool");
        state.choose(1);
        state.choose(1);
        assert_eq!(state.pool().unwrap().1.model, names[1]);
        state.now.as_mut().unwrap().pools.truncate(0);
        assert!(state.pool().is_none());
    }
}
