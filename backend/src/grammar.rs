//! Structured output: what an answer may be, compiled from a JSON schema or from the frame of a tool call.
//!
//! A grammar says at each place of an answer which tokens may come; the sampler rules the others out. llguidance does the
//! work: an Earley parser over a lexer of regular-expression derivatives, walked along a trie of the vocabulary.
//!
//! Reading order: this file (compiling), `environment` (the vocabulary as llguidance sees it), `guide` (one sequence's
//! way through a grammar).

mod environment;
mod guide;

use std::fmt;
use std::sync::{Arc, OnceLock};

use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use crate::text::Vocabulary;
pub(crate) use guide::Guide;

/// White space between the parts of a JSON text: enough for any usual layout, not so much that a model which has lost its
/// way writes nothing else.
const WHITESPACE: &str = r"[\x20\x0A\x0D\x09]{1,40}";

/// Longest reason that a client is told.
const MAX_REASON: usize = 300;

/// Compiles grammars for one model's vocabulary.
pub struct Grammars {
    vocabulary: Arc<Vocabulary>,
    /// Tokens that end an answer.
    eos: Vec<u32>,
    /// Made for the first grammar: the trie of a large vocabulary takes a good part of a second.
    factory: OnceLock<Result<ParserFactory, GrammarError>>,
}

/// Why a grammar cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GrammarError(String);

/// A compiled grammar. Cheap to clone.
#[derive(Clone)]
pub struct Grammar(Arc<Matcher>);

impl Grammars {
    /// For a model with this vocabulary, whose answers end with any of `eos`.
    #[must_use]
    pub fn new(vocabulary: Arc<Vocabulary>, eos: Vec<u32>) -> Self {
        Self { vocabulary, eos, factory: OnceLock::new() }
    }

    /// JSON texts that a schema allows. Blocking: milliseconds for a usual schema, more for a large one.
    ///
    /// # Errors
    /// Says what in the schema is malformed, contradicts itself, or is not supported.
    pub fn json_schema(&self, schema: &Value) -> Result<Grammar, GrammarError> {
        self.compile(GrammarWithLexer::from_json_schema(with_whitespace(schema)))
    }

    /// What a grammar in llguidance's variant of Lark's notation allows; see [`json_rule`] for JSON within it. Blocking.
    ///
    /// # Errors
    /// As [`Grammars::json_schema`].
    pub fn lark(&self, source: String) -> Result<Grammar, GrammarError> {
        self.compile(GrammarWithLexer::from_lark(source))
    }

    fn compile(&self, grammar: GrammarWithLexer) -> Result<Grammar, GrammarError> {
        let made = self.factory.get_or_init(|| environment::factory(&self.vocabulary, &self.eos));
        let factory = made.as_ref().map_err(Clone::clone)?;
        let parser = factory.create_parser(TopLevelGrammar::from_grammar(grammar));
        let mut matcher = Matcher::new(parser);
        // A grammar that allows nothing at all compiles, and is of no use.
        let checked = matcher
            .get_error()
            .map_or_else(|| matcher.compute_mask_or_eos().map(drop), |why| Err(anyhow::Error::msg(why)));
        checked.map_err(|error| reason(&error))?;
        Ok(Grammar(Arc::new(matcher)))
    }
}

/// The right-hand side of a rule for JSON texts that a schema allows.
#[must_use]
pub fn json_rule(schema: &Value) -> String {
    format!("%json {}", with_whitespace(schema))
}

/// The schema with our white space, unless it has its own options.
fn with_whitespace(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(members) = schema.as_object_mut() {
        members.entry("x-guidance").or_insert_with(|| json!({"whitespace_pattern": WHITESPACE}));
    }
    schema
}

/// The first line, which says what is wrong; the rest is the parser's state.
fn reason(error: &anyhow::Error) -> GrammarError {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    GrammarError(line.chars().take(MAX_REASON).collect())
}

impl Grammar {
    /// The way of one sequence, from the beginning.
    pub(crate) fn guide(&self) -> Guide {
        Guide::new(self.0.deep_clone())
    }
}

impl PartialEq for Grammar {
    /// The same compiled grammar.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grammar").finish_non_exhaustive()
    }
}

impl fmt::Debug for Grammars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grammars").field("eos", &self.eos).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
