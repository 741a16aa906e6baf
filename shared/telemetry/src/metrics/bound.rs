//! A bound on the values of a label: names that others choose must not grow a registry without end.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

/// What a value is counted under that comes after the bound is reached.
pub const OTHER: &str = "other";

/// The values that a label has had, at most so many.
#[derive(Debug)]
pub(super) struct Bound {
    most: usize,
    seen: RwLock<HashSet<Box<str>>>,
}

impl Bound {
    /// No value yet, and room for `most`.
    pub(super) fn new(most: usize) -> Self {
        Self { most, seen: RwLock::default() }
    }

    /// `value` itself where it was seen before or there is room for it, [`OTHER`] otherwise.
    pub(super) fn name(&self, value: &str) -> String {
        let name = if self.admits(value) { value } else { OTHER };
        name.to_owned()
    }

    /// True for the first call with a value for which there is room.
    pub(super) fn is_first(&self, value: &str) -> bool {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        seen.len() < self.most && seen.insert(value.into())
    }

    fn admits(&self, value: &str) -> bool {
        // Nearly every value has been seen before, and readers do not wait for each other.
        if self.seen.read().unwrap_or_else(PoisonError::into_inner).contains(value) {
            return true;
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        seen.contains(value) || seen.len() < self.most && seen.insert(value.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_bound_share_one_name() {
        let bound = Bound::new(2);
        assert_eq!(["a", "b", "c", "a", "d"].map(|value| bound.name(value)), ["a", "b", OTHER, "a", OTHER]);
        assert!(!bound.is_first("c") && !bound.is_first("a"));
    }

    #[test]
    fn a_value_is_the_first_once() {
        let bound = Bound::new(2);
        assert!(bound.is_first("a") && !bound.is_first("a"));
        assert_eq!(bound.name("a"), "a");
    }
}
