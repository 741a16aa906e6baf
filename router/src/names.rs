//! Names of models beyond those that backends list: aliases, and models that serve instead of others.

use crate::catalogue::{Catalogue, UnknownModel};
use std::collections::BTreeMap;
use tidegate_wire::flags::FlagChecks;

/// Aliases and fallbacks, as the flags have them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Public name to real name.
    aliases: BTreeMap<String, String>,
    /// Real name to the real names of those that serve instead, in the order in which they are tried.
    fallbacks: BTreeMap<String, Vec<String>>,
}

/// Where a request may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The model, as its backends name it.
    pub model: String,
    /// The pool that serves it.
    pub pool: String,
    /// True for a model that serves instead of the one that was asked for.
    pub fallback: bool,
}

impl Names {
    /// Reads `--model-alias` and `--fallback`; what is wrong goes to `checks`.
    pub fn check(checks: &mut FlagChecks, aliases: &[String], fallbacks: &[String]) -> Self {
        let mut names = Self::default();
        for text in aliases {
            let Some((public, real)) = pair(checks, "model-alias", text, "PUBLIC=REAL") else { continue };
            if names.aliases.insert(public.to_owned(), real.to_owned()).is_some_and(|other| other != real) {
                checks.refuse("model-alias", text, format_args!("one real name for '{public}'"));
            }
        }
        for text in aliases {
            let real = text.split_once('=').map(|(_, real)| real);
            if real.is_some_and(|real| names.aliases.contains_key(real)) {
                checks.refuse("model-alias", text, "the real name of a model, not another alias");
            }
        }
        for text in fallbacks {
            let Some((big, small)) = pair(checks, "fallback", text, "BIG=SMALL") else { continue };
            let (big, small) = (names.real(big).to_owned(), names.real(small).to_owned());
            if big == small {
                checks.refuse("fallback", text, "two models");
            }
            let others = names.fallbacks.entry(big).or_default();
            if !others.contains(&small) {
                others.push(small);
            }
        }
        names
    }

    /// The real name of a model.
    fn real<'a>(&'a self, name: &'a str) -> &'a str {
        self.aliases.get(name).map_or(name, String::as_str)
    }

    /// Where a request for `name` goes first, and where it goes if that is full or down.
    ///
    /// A pool that has no live backend would let the request wait for one: whichever has one comes first.
    ///
    /// # Errors
    /// If neither the model nor any of those that serve instead is known.
    pub fn destinations(
        &self,
        catalogue: &Catalogue,
        name: &str,
    ) -> Result<(Destination, Vec<Destination>), UnknownModel> {
        let real = self.real(name);
        let to = |model: &str, fallback| {
            catalogue.pool_of(model).map(|pool| Destination { model: model.to_owned(), pool, fallback })
        };
        let first = to(real, false);
        let Some(instead) = self.fallbacks.get(real) else { return first.map(|first| (first, Vec::new())) };
        let mut all: Vec<Destination> = first.iter().cloned().collect();
        for other in instead.iter().filter_map(|model| to(model, true).ok()) {
            if all.iter().all(|known| known.pool != other.pool) {
                all.push(other);
            }
        }
        all.sort_by_key(|destination| !catalogue.has_backends(&destination.pool));
        let mut all = all.into_iter();
        match all.next() {
            Some(next) => Ok((next, all.collect())),
            None => first.map(|first| (first, Vec::new())),
        }
    }

    /// All names that a request may ask for, sorted, where `served` are those that the fleet serves.
    pub fn listed(&self, mut served: Vec<String>) -> Vec<String> {
        let aliases = self.aliases.iter().filter(|(_, real)| served.contains(real));
        let aliases: Vec<String> = aliases.map(|(public, _)| public.clone()).collect();
        served.extend(aliases);
        served.sort();
        served.dedup();
        served
    }
}

/// The two names in `text`.
fn pair<'a>(checks: &mut FlagChecks, flag: &str, text: &'a str, form: &str) -> Option<(&'a str, &'a str)> {
    let names = |(left, right): &(&str, &str)| !left.is_empty() && !right.is_empty() && left != right;
    let pair = text.split_once('=').filter(names);
    if pair.is_none() {
        checks.refuse(flag, text, format_args!("two names as {form}"));
    }
    pair
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn names(aliases: &[&str], fallbacks: &[&str]) -> Names {
        let mut checks = FlagChecks::new();
        let names = Names::check(&mut checks, &list(aliases), &list(fallbacks));
        checks.finish().unwrap();
        names
    }

    fn catalogue(models: &[&str]) -> Catalogue {
        let catalogue = Catalogue::default();
        models.iter().for_each(|model| catalogue.put(&format!("b-{model}"), &list(&[model])).unwrap());
        catalogue
    }

    fn ways(names: &Names, catalogue: &Catalogue, name: &str) -> Vec<(String, bool)> {
        let (first, others) = names.destinations(catalogue, name).unwrap();
        std::iter::once(first).chain(others).map(|way| (way.model, way.fallback)).collect()
    }

    #[test]
    fn an_alias_leads_to_its_model_and_both_are_listed() {
        let (names, catalogue) = (names(&["gpt-4o=org/big", "none=absent"], &[]), catalogue(&["org/big"]));
        assert_eq!(ways(&names, &catalogue, "gpt-4o"), [("org/big".to_owned(), false)]);
        assert_eq!(ways(&names, &catalogue, "org/big"), [("org/big".to_owned(), false)]);
        assert_eq!(names.destinations(&catalogue, "none"), Err(UnknownModel::OtherPoolsKnown));
        assert_eq!(names.listed(catalogue.models()), ["gpt-4o", "org/big"]);
    }

    #[test]
    fn those_that_serve_instead_come_in_their_order_and_first_where_the_pool_is_down() {
        let names = names(&["public=big"], &["public=middle", "big=small", "big=absent"]);
        let catalogue = catalogue(&["big", "middle", "small"]);
        let all = |order: [(&str, bool); 3]| order.map(|(model, instead)| (model.to_owned(), instead));
        let expected = all([("big", false), ("middle", true), ("small", true)]);
        assert_eq!(ways(&names, &catalogue, "public"), expected);
        assert_eq!(ways(&names, &catalogue, "small"), [("small".to_owned(), false)]);
        let remembered = Catalogue::new(&[], std::time::Duration::from_secs(60));
        for model in ["big", "middle", "small"] {
            remembered.put(model, &list(&[model])).unwrap();
        }
        remembered.remove("big");
        assert_eq!(
            ways(&names, &remembered, "big"),
            all([("middle", true), ("small", true), ("big", false)])
        );
        remembered.remove("middle");
        remembered.remove("small");
        assert_eq!(ways(&names, &remembered, "big"), expected, "where none lives the order is the flags'");
    }

    #[test]
    fn a_model_that_nobody_knows_is_served_by_another_one() {
        let names = names(&[], &["big=small"]);
        assert_eq!(ways(&names, &catalogue(&["small"]), "big"), [("small".to_owned(), true)]);
        assert_eq!(names.destinations(&catalogue(&["x"]), "big"), Err(UnknownModel::OtherPoolsKnown));
        assert_eq!(names.destinations(&catalogue(&[]), "big"), Err(UnknownModel::NoPoolKnown));
    }

    #[test]
    fn bad_pairs_are_refused_one_by_one() {
        let bad = |aliases: &[&str], fallbacks: &[&str]| {
            let mut checks = FlagChecks::new();
            Names::check(&mut checks, &list(aliases), &list(fallbacks));
            checks.finish().map_or_else(|bad| bad.bad.len(), |()| 0)
        };
        assert_eq!(bad(&["a", "=b", "c=", "d=d"], &["e", "f=f"]), 6);
        assert_eq!(bad(&["a=b", "a=c"], &[]), 1, "two models for one name");
        assert_eq!(bad(&["a=b", "b=c"], &[]), 1, "an alias of an alias");
        assert_eq!(bad(&["a=b", "a=b"], &["x=y", "x=y"]), 0);
    }
}
