//! The answers of `GET /v1/models` and `GET /v1/models/{id}`.

use serde::{Deserialize, Serialize};

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The name that requests ask for.
    pub id: String,
    /// Always `model`.
    pub object: String,
    /// Unix seconds: when the server loaded it.
    pub created: u64,
    /// Always `tidegate`.
    pub owned_by: String,
    /// What its weights are kept in, such as `f32` or `q8_0, f32`; only Tidegate's backends say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
}

impl Model {
    /// A model served since `created`.
    pub fn new(id: impl Into<String>, created: u64) -> Self {
        let (object, owned_by) = ("model".to_owned(), "tidegate".to_owned());
        Self { id: id.into(), object, created, owned_by, precision: None }
    }
}

/// All models that a server answers for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelList {
    /// Always `list`.
    pub object: String,
    /// The models.
    pub data: Vec<Model>,
}

impl ModelList {
    /// The list of `data`.
    pub fn new(data: Vec<Model>) -> Self {
        Self { object: "list".to_owned(), data }
    }
}
