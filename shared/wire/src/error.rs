//! The error body of the OpenAI API: `{"error": {"message", "type", "param", "code"}}`.
//!
//! Source: the OpenAI API reference, "Error codes", and the error classes of the official SDKs.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The whole body of an error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error itself.
    pub error: ErrorDetail,
}

/// What went wrong, in OpenAI's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// A sentence for people.
    pub message: String,
    /// OpenAI's class of the error, such as `invalid_request_error`.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// The request's parameter at fault, where there is one.
    pub param: Option<String>,
    /// A stable word for programs, such as `queue_full`.
    pub code: Option<Cow<'static, str>>,
}

impl ErrorBody {
    /// An error of class `kind` with a stable `code`.
    pub fn new(kind: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            error: ErrorDetail {
                message: message.into(),
                kind: Cow::Borrowed(kind),
                param: None,
                code: Some(Cow::Borrowed(code)),
            },
        }
    }

    /// Names the request's parameter at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.error.param = Some(param.into());
        self
    }

    /// The body as JSON text. It cannot fail: the type holds strings only.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
