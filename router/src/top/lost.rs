//! Backends that were there and are gone: the account forgets them with their lease, and then nothing would say that there is less
//! than there was.

use crate::live::Now;
use crate::report::BackendReport;

/// How long a lost backend stays named, in milliseconds.
const NAMED_MS: u64 = 300_000;
/// Lost backends that are named at most: a fleet that is scaled down by hundreds has no need of their names.
const MOST_NAMED: usize = 100;

/// A backend that left without having drained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Its pool.
    pub pool: String,
    /// Its address.
    pub url: String,
    /// Its id: if one with this id comes, it is back.
    id: String,
    /// When it was missed, by the router's clock, in Unix milliseconds.
    pub at_ms: u64,
}

/// The lost ones, the newest last.
#[derive(Debug, Default)]
pub struct LostBackends(Vec<Lost>);

impl LostBackends {
    /// Compares what was with what is.
    pub fn compare(&mut self, before: &Now, now: &Now) {
        self.0.retain(|lost| !is_there(now, &lost.id) && now.at_ms.saturating_sub(lost.at_ms) < NAMED_MS);
        for pool in &before.pools {
            let missing = pool.backends.iter().filter(|backend| ran(backend) && !is_there(now, &backend.id));
            self.0.extend(missing.map(|backend| Lost {
                pool: pool.model.clone(),
                url: backend.url.clone(),
                id: backend.id.clone(),
                at_ms: now.at_ms,
            }));
        }
        let excess = self.0.len().saturating_sub(MOST_NAMED);
        self.0.drain(..excess);
    }

    /// Those of one pool, the newest first.
    pub fn of<'a>(&'a self, pool: &'a str) -> impl Iterator<Item = &'a Lost> {
        self.0.iter().rev().filter(move |lost| lost.pool == pool)
    }
}

/// Whether nobody had asked it to leave.
fn ran(backend: &BackendReport) -> bool {
    backend.state != "draining"
}

fn is_there(now: &Now, id: &str) -> bool {
    now.pools.iter().flat_map(|pool| &pool.backends).any(|backend| backend.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::view::scene;

    fn without(now: &Now, ids: &[&str], later_ms: u64) -> Now {
        let mut next = now.clone();
        next.at_ms += later_ms;
        next.pools[0].backends.retain(|backend| !ids.contains(&backend.id.as_str()));
        next
    }

    #[test]
    fn who_left_without_draining_is_named_until_it_is_back_or_long_gone() {
        let all = scene::now();
        let pool = all.pools[0].model.clone();
        let mut lost = LostBackends::default();
        // In the scene the second one drains.
        let fewer = without(&all, &["backend-1", "backend-4"], 250);
        lost.compare(&all, &fewer);
        let urls: Vec<&str> = lost.of(&pool).map(|lost| lost.url.as_str()).collect();
        assert_eq!(urls, ["http://10.0.0.4:8100"]);
        let later = without(&all, &["backend-4"], NAMED_MS);
        lost.compare(&fewer, &later);
        assert_eq!(lost.of(&pool).count(), 1);
        lost.compare(&later, &all);
        assert_eq!(lost.of(&pool).count(), 0, "it is back");
        lost.compare(&all, &fewer);
        lost.compare(&fewer, &without(&fewer, &[], NAMED_MS));
        assert_eq!(lost.of(&pool).count(), 0, "it is long gone");
    }
}
