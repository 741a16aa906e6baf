//! The virtual clock: what is to happen, in the order of time.

use std::{cmp::Ordering, collections::BinaryHeap};

use tidegate_admission::Time;

/// What is to happen. Things of one instant happen in the order in which they were noted down.
#[derive(Debug)]
pub struct Agenda<T> {
    now: Time,
    noted: u64,
    heap: BinaryHeap<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    at: Time,
    number: u64,
    what: T,
}

impl<T> Default for Agenda<T> {
    fn default() -> Agenda<T> {
        Agenda { now: Time(0), noted: 0, heap: BinaryHeap::new() }
    }
}

impl<T> Agenda<T> {
    /// The present instant: that of what was last taken.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Notes down what is to happen at an instant; what lies in the past happens now.
    pub fn at(&mut self, at: Time, what: T) {
        self.noted += 1;
        self.heap.push(Entry { at: at.max(self.now), number: self.noted, what });
    }

    /// Notes down what is to happen `micros` microseconds from now.
    pub fn after(&mut self, micros: u64, what: T) {
        self.at(self.now.plus(micros), what);
    }

    /// Takes what happens next, and moves the clock there.
    pub fn take(&mut self) -> Option<T> {
        let Entry { at, what, .. } = self.heap.pop()?;
        self.now = at;
        Some(what)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Entry<T>) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Entry<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The heap gives the greatest first: the earliest is the greatest here.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Entry<T>) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_equals_keep_their_order() {
        let mut agenda = Agenda::default();
        agenda.at(Time(5), "b");
        agenda.at(Time(3), "a");
        agenda.at(Time(5), "c");
        assert_eq!((agenda.take(), agenda.now()), (Some("a"), Time(3)));
        agenda.at(Time(1), "the past is now");
        let rest: Vec<_> = std::iter::from_fn(|| agenda.take()).collect();
        assert_eq!(rest, ["the past is now", "b", "c"]);
    }
}
