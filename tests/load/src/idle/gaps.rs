//! Idle times of a node's slots, from its diary.

use std::time::Duration;

/// The idle times that began in `from..to` (since the epoch), in seconds, of a node whose slots were all in use from its first
/// pieces of work on and for which tickets waited all the time.
///
/// The number of pieces of work that have begun is the number of those that have ended plus the slots, whenever no slot is idle.
/// So the k-th end frees the slot that the (slots + k)-th beginning takes; where several slots are idle at once it is not known
/// which beginning took which, and does not matter: their idle times add up to the same.
///
/// # Errors
/// A diary that does not fit: a slot that was taken before it was free.
pub fn idle(diary: &str, slots: usize, [from, to]: [Duration; 2]) -> Result<Vec<f32>, String> {
    let (begun, ended) = (times(diary, &["begun"]), times(diary, &["done", "dropped"]));
    let pairs = ended.iter().zip(begun.iter().skip(slots));
    let inside = pairs.filter(|(end, _)| (from..to).contains(*end));
    inside
        .map(|(end, next)| match next.checked_sub(*end) {
            Some(idle) => Ok(idle.as_secs_f32()),
            None => Err(format!("work began at {next:?} in a slot that was free at {end:?}")),
        })
        .collect()
}

/// The instants of all lines that begin with one of these words, in order.
fn times(diary: &str, words: &[&str]) -> Vec<Duration> {
    let time = |line: &str| {
        let mut parts = line.split(' ');
        words.contains(&parts.next()?).then_some(())?;
        Some(Duration::from_micros(parts.next()?.parse().ok()?))
    };
    let mut times: Vec<Duration> = diary.lines().filter_map(time).collect();
    times.sort_unstable();
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Duration; 2] = [Duration::ZERO, Duration::MAX];

    #[test]
    fn each_end_is_followed_by_the_next_beginning() {
        let diary = "opened 5\nbegun 10 1 a x\nbegun 20 2 b y\ndone 100 1\nbegun 103 3 c z\ndropped 200 2\nrefused 201 d\nbegun 207 4 e w\ndone 300 3\n";
        let idle = |window| idle(diary, 2, window).unwrap();
        assert_eq!(idle(ALL).iter().map(|gap| (gap * 1e6).round()).collect::<Vec<_>>(), [3.0, 7.0]);
        assert_eq!(idle([Duration::from_micros(150), Duration::MAX]).len(), 1);
    }

    #[test]
    fn two_that_are_idle_at_once_add_up() {
        let diary = "begun 1 1 a x\nbegun 1 2 b x\ndone 10 1\ndone 11 2\nbegun 15 3 c x\nbegun 18 4 d x\n";
        let sum: f32 = idle(diary, 2, ALL).unwrap().iter().sum();
        assert_eq!((sum * 1e6).round(), 12.0);
    }

    #[test]
    fn a_node_that_ran_more_than_its_slots_is_no_measurement() {
        assert!(idle("begun 1 1 a x\nbegun 5 2 b x\ndone 10 1\n", 1, ALL).is_err());
    }
}
