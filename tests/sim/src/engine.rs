//! One backend at work: requests progress together, the slower the more of them there are, and not at all in a stall.

use std::collections::BTreeSet;

use tidegate_admission::Time;

/// A backend. Its work clock counts microseconds of progress: while `n` requests share it, it runs at the speed that
/// each of them has, so that a request ends when the clock has moved by its service time.
#[derive(Debug)]
pub struct Engine {
    slots: u32,
    slowdown: f64,
    stalled: bool,
    /// The work clock, and when it was last read.
    work: f64,
    at: Time,
    /// Work that runs: where on the work clock each ends.
    running: BTreeSet<(u64, usize)>,
    /// What was last foreseen: a forecast of another number is void.
    forecast: u64,
}

impl Engine {
    /// An idle backend. In a full one every request takes `slowdown` times as long as alone.
    pub fn new(slots: u32, slowdown: f64) -> Engine {
        let (work, at) = (0.0, Time(0));
        Engine { slots, slowdown, stalled: false, work, at, running: BTreeSet::new(), forecast: 0 }
    }

    /// Progress per microsecond. The time of a step grows evenly with the requests in the batch, from 1 for one to the
    /// slowdown for a full one.
    fn speed(&self) -> f64 {
        if self.stalled {
            return 0.0;
        }
        let others = self.running.len().saturating_sub(1) as f64;
        let most = f64::from(self.slots.saturating_sub(1).max(1));
        1.0 / (1.0 + (self.slowdown - 1.0) * others / most)
    }

    fn advance(&mut self, now: Time) {
        self.work += self.speed() * now.since(self.at) as f64;
        self.at = now;
    }

    /// Takes work of `service` microseconds. Gives the place to stop it by.
    pub fn start(&mut self, now: Time, job: usize, service: u64) -> u64 {
        self.advance(now);
        let end = (self.work + service as f64).ceil() as u64;
        self.running.insert((end, job));
        end
    }

    /// Stops work.
    pub fn stop(&mut self, now: Time, job: usize, end: u64) {
        self.advance(now);
        self.running.remove(&(end, job));
    }

    /// Begins or ends a stall.
    pub fn stall(&mut self, now: Time, stalled: bool) {
        self.advance(now);
        self.stalled = stalled;
    }

    /// Whether it makes no progress.
    pub fn stalled(&self) -> bool {
        self.stalled
    }

    /// Requests that it runs at once.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// When the next request ends if nothing changes until then, and the number of this forecast.
    pub fn foresee(&mut self) -> Option<(Time, u64)> {
        self.forecast += 1;
        let (end, _) = self.running.first()?;
        let speed = self.speed();
        let left = (*end as f64 - self.work).max(0.0);
        (speed > 0.0).then(|| (self.at.plus((left / speed).ceil() as u64), self.forecast))
    }

    /// What has ended by now, if the forecast of that number still holds.
    pub fn ended(&mut self, now: Time, forecast: u64) -> Vec<usize> {
        if forecast != self.forecast {
            return Vec::new();
        }
        self.advance(now);
        let mut ended = Vec::new();
        // Half a microsecond of rounding.
        while let Some((end, job)) = self.running.first().copied() {
            if end as f64 > self.work + 0.5 {
                break;
            }
            self.running.remove(&(end, job));
            ended.push(job);
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(engine: &mut Engine) -> (Time, Vec<usize>) {
        let (at, forecast) = engine.foresee().unwrap();
        (at, engine.ended(at, forecast))
    }

    #[test]
    fn alone_or_undisturbed_work_takes_its_service_time() {
        let mut engine = Engine::new(4, 1.0);
        engine.start(Time(0), 1, 100);
        engine.start(Time(10), 2, 50);
        assert_eq!(next(&mut engine), (Time(60), vec![2]));
        assert_eq!(next(&mut engine), (Time(100), vec![1]));
        assert_eq!(engine.foresee(), None);
    }

    #[test]
    fn a_full_batch_is_slower_by_the_slowdown() {
        let mut engine = Engine::new(2, 3.0);
        engine.start(Time(0), 1, 100);
        engine.start(Time(0), 2, 200);
        assert_eq!(next(&mut engine), (Time(300), vec![1]), "both at a third of the speed");
        assert_eq!(next(&mut engine), (Time(400), vec![2]), "the rest of it alone");
    }

    #[test]
    fn nothing_moves_in_a_stall() {
        let mut engine = Engine::new(2, 1.0);
        engine.start(Time(0), 1, 100);
        let (_, before) = engine.foresee().unwrap();
        engine.stall(Time(40), true);
        assert_eq!(engine.foresee(), None);
        assert_eq!(engine.ended(Time(100), before), vec![], "the old forecast is void");
        engine.stall(Time(1000), false);
        assert_eq!(next(&mut engine), (Time(1060), vec![1]));
    }
}
