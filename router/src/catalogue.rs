//! Which pool serves which model name: what intake asks for each request and `GET /v1/models` lists.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;

/// Why a model name leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownModel {
    /// Backends are known, but none of them lists the name.
    OtherPoolsKnown,
    /// No backend is known at all.
    NoPoolKnown,
    /// This router has not been there for long enough to know of all backends.
    StillLearning,
}

/// Two backends list a name for different pools.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "backend '{newcomer}' lists the model '{model}' for the pool '{pool}', but backend '{holder}' serves it in the pool '{held}'"
)]
pub struct Conflict {
    /// The name that both list.
    pub model: String,
    /// The backend that was refused.
    pub newcomer: String,
    /// The pool that it wanted the name for.
    pub pool: String,
    /// A backend that holds the name.
    pub holder: String,
    /// The pool in which it holds it.
    pub held: String,
}

/// The names and pools of all live backends, of those that have just gone, and of the pools that the router was told of.
/// Clones share one table.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    table: Arc<RwLock<Table>>,
    memory: Duration,
}

#[derive(Debug, Default)]
struct Table {
    /// The names that each live backend lists; the first one names its pool.
    backends: BTreeMap<String, Vec<String>>,
    /// Names whose last backend has gone, with their pool: requests for them wait for another one until then.
    remembered: BTreeMap<String, (String, Instant)>,
    /// Pools that the router was told of.
    named: Vec<String>,
    /// Backends may be there that have not been heard of yet.
    learning: bool,
}

impl Table {
    fn pool_of(&self, model: &str) -> Option<String> {
        let live = self.backends.values().find(|models| models.iter().any(|name| name == model));
        if let Some(pool) = live.and_then(|models| models.first()) {
            return Some(pool.clone());
        }
        if let Some(pool) = self.named.iter().find(|name| *name == model) {
            return Some(pool.clone());
        }
        let now = Instant::now();
        self.remembered.get(model).filter(|(_, until)| now < *until).map(|(pool, _)| pool.clone())
    }

    fn knows_nothing(&self) -> bool {
        let now = Instant::now();
        self.backends.is_empty()
            && self.named.is_empty()
            && self.remembered.values().all(|(_, until)| *until <= now)
    }
}

impl Catalogue {
    /// A table that knows of `named` pools, and remembers names for `memory` after their last backend has gone.
    pub fn new(named: &[String], memory: Duration) -> Self {
        let table = Table { named: named.to_vec(), ..Table::default() };
        Self { table: Arc::new(RwLock::new(table)), memory }
    }

    /// From now on backends may be there that have not been heard of, until [`Catalogue::end_learning`].
    pub fn begin_learning(&self) {
        self.table.write().unwrap_or_else(PoisonError::into_inner).learning = true;
    }

    /// Every backend that lives has been heard of.
    pub fn end_learning(&self) {
        self.table.write().unwrap_or_else(PoisonError::into_inner).learning = false;
    }

    /// The pool of a model name: the first name in its backends' lists.
    pub fn pool_of(&self, model: &str) -> Result<String, UnknownModel> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        match table.pool_of(model) {
            Some(pool) => Ok(pool),
            None if table.knows_nothing() => Err(UnknownModel::NoPoolKnown),
            None if table.learning => Err(UnknownModel::StillLearning),
            None => Err(UnknownModel::OtherPoolsKnown),
        }
    }

    /// True while a backend of the pool is there.
    pub fn has_backends(&self, pool: &str) -> bool {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.backends.values().any(|models| models.first().is_some_and(|name| name == pool))
    }

    /// The pool that a backend belongs to.
    pub fn pool_of_backend(&self, backend: &str) -> Option<String> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.backends.get(backend).and_then(|models| models.first()).cloned()
    }

    /// All model names that a request may ask for, sorted, each once.
    pub fn models(&self) -> Vec<String> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let remembered = table.remembered.iter().filter(|(_, (_, until))| now < *until).map(|(name, _)| name);
        let mut names: Vec<String> =
            table.backends.values().flatten().chain(&table.named).chain(remembered).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    /// Enters a backend or replaces its names; refuses one whose names another backend holds for another pool.
    pub fn put(&self, backend: &str, models: &[String]) -> Result<(), Conflict> {
        let Some(pool) = models.first() else { return Ok(()) };
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        for (holder, held) in table.backends.iter().filter(|(holder, _)| holder.as_str() != backend) {
            let shared = models.iter().find(|name| held.contains(name));
            if let (Some(model), Some(first)) = (shared, held.first())
                && first != pool
            {
                return Err(Conflict {
                    model: model.clone(),
                    newcomer: backend.to_owned(),
                    pool: pool.clone(),
                    holder: holder.clone(),
                    held: first.clone(),
                });
            }
        }
        table.backends.insert(backend.to_owned(), models.to_vec());
        Ok(())
    }

    /// Takes a backend out; its names are remembered for a while.
    pub fn remove(&self, backend: &str) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        table.remembered.retain(|_, (_, until)| now < *until);
        let Some(models) = table.backends.remove(backend) else { return };
        let Some(pool) = models.first().cloned() else { return };
        let until = now + self.memory;
        table.remembered.extend(models.into_iter().map(|name| (name, (pool.clone(), until))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn aliases_lead_to_the_pool_of_the_first_name() {
        let catalogue = Catalogue::default();
        assert_eq!(catalogue.pool_of("m"), Err(UnknownModel::NoPoolKnown));
        catalogue.put("a", &names(&["m", "alias"])).unwrap();
        assert_eq!(catalogue.pool_of("alias").as_deref(), Ok("m"));
        assert_eq!(catalogue.pool_of("x"), Err(UnknownModel::OtherPoolsKnown));
        assert_eq!(catalogue.models(), ["alias", "m"]);
        catalogue.remove("a");
        assert_eq!(catalogue.pool_of("m"), Err(UnknownModel::NoPoolKnown));
    }

    #[test]
    fn while_it_learns_no_model_is_said_not_to_exist() {
        let catalogue = Catalogue::default();
        catalogue.begin_learning();
        assert_eq!(catalogue.pool_of("x"), Err(UnknownModel::NoPoolKnown));
        catalogue.put("a", &names(&["m"])).unwrap();
        assert_eq!(catalogue.pool_of("m").as_deref(), Ok("m"));
        assert_eq!(catalogue.pool_of("x"), Err(UnknownModel::StillLearning));
        catalogue.end_learning();
        assert_eq!(catalogue.pool_of("x"), Err(UnknownModel::OtherPoolsKnown));
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_remembered_for_a_while_and_a_named_pool_for_ever() {
        let catalogue = Catalogue::new(&names(&["told"]), Duration::from_secs(60));
        catalogue.put("a", &names(&["m", "alias"])).unwrap();
        catalogue.remove("a");
        assert_eq!(catalogue.pool_of("alias").as_deref(), Ok("m"));
        assert_eq!(catalogue.models(), ["alias", "m", "told"]);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(catalogue.pool_of("m"), Err(UnknownModel::OtherPoolsKnown));
        assert_eq!(catalogue.pool_of("told").as_deref(), Ok("told"));
    }

    #[test]
    fn conflicting_lists_are_refused_with_both_names() {
        let catalogue = Catalogue::default();
        catalogue.put("a", &names(&["m", "alias"])).unwrap();
        let conflict = catalogue.put("b", &names(&["other", "alias"])).unwrap_err().to_string();
        assert!(conflict.contains("'a'") && conflict.contains("'b'"), "{conflict}");
        assert!(catalogue.put("c", &names(&["m"])).is_ok());
    }
}
