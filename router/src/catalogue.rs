//! Which pool serves which model name: what intake asks for each request and `GET /v1/models` lists.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Why a model name leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownModel {
    /// Backends are known, but none of them lists the name.
    OtherPoolsKnown,
    /// No backend is known at all.
    NoPoolKnown,
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

/// The names and pools of all live backends. Clones share one table.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    backends: Arc<RwLock<BTreeMap<String, Vec<String>>>>,
}

impl Catalogue {
    /// The pool of a model name: the first name in its backends' lists.
    pub fn pool_of(&self, model: &str) -> Result<String, UnknownModel> {
        let backends = self.backends.read().unwrap_or_else(PoisonError::into_inner);
        let found = backends.values().find(|models| models.iter().any(|name| name == model));
        match found.and_then(|models| models.first()) {
            Some(pool) => Ok(pool.clone()),
            None if backends.is_empty() => Err(UnknownModel::NoPoolKnown),
            None => Err(UnknownModel::OtherPoolsKnown),
        }
    }

    /// The pool that a backend belongs to.
    pub fn pool_of_backend(&self, backend: &str) -> Option<String> {
        let backends = self.backends.read().unwrap_or_else(PoisonError::into_inner);
        backends.get(backend).and_then(|models| models.first()).cloned()
    }

    /// All model names, sorted, each once.
    pub fn models(&self) -> Vec<String> {
        let backends = self.backends.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = backends.values().flatten().cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    /// Enters a backend or replaces its names; refuses one whose names another backend holds for another pool.
    pub fn put(&self, backend: &str, models: &[String]) -> Result<(), Conflict> {
        let Some(pool) = models.first() else { return Ok(()) };
        let mut backends = self.backends.write().unwrap_or_else(PoisonError::into_inner);
        for (holder, held) in backends.iter().filter(|(holder, _)| holder.as_str() != backend) {
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
        backends.insert(backend.to_owned(), models.to_vec());
        Ok(())
    }

    /// Takes a backend out.
    pub fn remove(&self, backend: &str) {
        self.backends.write().unwrap_or_else(PoisonError::into_inner).remove(backend);
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
    fn conflicting_lists_are_refused_with_both_names() {
        let catalogue = Catalogue::default();
        catalogue.put("a", &names(&["m", "alias"])).unwrap();
        let conflict = catalogue.put("b", &names(&["other", "alias"])).unwrap_err().to_string();
        assert!(conflict.contains("'a'") && conflict.contains("'b'"), "{conflict}");
        assert!(catalogue.put("c", &names(&["m"])).is_ok());
    }
}
