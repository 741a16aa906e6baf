//! The rejection curve of a pool and where the pool stands on it, by the functions that decide.

use tidegate_admission::{
    Limits, Priority, View,
    decide::{probability, start},
};

/// The curve as each priority meets it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    /// For high priority.
    pub high: Stand,
    /// For normal priority.
    pub normal: Stand,
    /// For low priority.
    pub low: Stand,
}

/// The curve of one priority, and the pool's point on it. All but `p` are numbers of requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stand {
    /// Held requests up to which none is rejected.
    pub start: f64,
    /// Held requests from which all are rejected: slots + queue limit.
    pub capacity: f64,
    /// Tickets at which one more of this priority is refused.
    pub queue_limit: f64,
    /// Running, abandoned, and the tickets that would be served before a new one of this priority.
    pub held: f64,
    /// The rejection probability at `held`.
    pub p: f64,
}

impl Curve {
    /// The curve that a router with these limits decides by, at this view.
    pub fn of(view: &View, limits: &Limits) -> Curve {
        let stand = |priority| Stand::of(view, limits, priority);
        Curve { high: stand(Priority::High), normal: stand(Priority::Normal), low: stand(Priority::Low) }
    }

    /// The curve of one priority.
    pub fn of_priority(&self, priority: Priority) -> &Stand {
        match priority {
            Priority::High => &self.high,
            Priority::Normal => &self.normal,
            Priority::Low => &self.low,
        }
    }
}

impl Stand {
    fn of(view: &View, limits: &Limits, priority: Priority) -> Stand {
        let slots = f64::from(view.slots);
        let queue_limit = limits.queue_limit(priority);
        let capacity = slots + queue_limit;
        let held = f64::from(view.running) + f64::from(view.abandoned) + f64::from(view.ahead(priority));
        Stand {
            start: start(slots, capacity, limits.rejection_start),
            capacity,
            queue_limit,
            held,
            p: probability(held, slots, capacity, limits.rejection_start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tidegate_admission::{Time, decide, estimate::Estimate};

    fn view(slots: u32, running: u32, abandoned: u32, queued: [u32; 3]) -> View {
        View {
            at: Time(0),
            slots,
            free: false,
            running,
            abandoned,
            queued,
            estimate: Estimate::default(),
            backend_seen: Time(0),
            backend_slots: slots,
        }
    }

    proptest! {
        /// What is shown is what is decided by.
        #[test]
        fn shows_the_numbers_of_the_decision(
            slots in 0u32..50, running in 0u32..50, abandoned in 0u32..5, queued: [u8; 3],
            max_queue_size in 0u32..200, share in 0.0..=1.0, begin in 0.0..=1.0,
        ) {
            let view = view(slots, running, abandoned, queued.map(u32::from));
            let limits = Limits {
                max_queue_size, queue_rejection_threshold: share, rejection_start: begin, ..Limits::default()
            };
            let curve = Curve::of(&view, &limits);
            for priority in Priority::ALL {
                let asked = decide::Asked { priority, remaining: 60.0, length: None, draw: 0.5, jitter: 0.5 };
                let numbers = decide::numbers(&view, &limits, &asked);
                let stand = curve.of_priority(priority);
                let shown = (stand.held, stand.p, stand.capacity, stand.queue_limit);
                prop_assert_eq!(shown, (numbers.held, numbers.p, numbers.capacity, numbers.queue_limit));
                prop_assert_eq!(stand.p > 0.0, stand.held > stand.start && stand.capacity > stand.start);
            }
        }
    }
}
