//! Why a request was refused before anything ran: the parameter, a stable code, and a sentence that says what is accepted.

use crate::error::ErrorBody;

/// A request that cannot be served as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// A sentence for people: what was found and what is accepted.
    pub message: String,
    /// JSON path of the parameter at fault, such as `messages[2].role`; none where the whole body is at fault.
    pub param: Option<String>,
    /// A stable word for programs; OpenAI's own where it has one.
    pub code: &'static str,
}

impl Invalid {
    /// A refusal that is about the body as a whole.
    pub fn body(code: &'static str, message: impl Into<String>) -> Self {
        Self { message: message.into(), param: None, code }
    }

    /// A refusal that is about one parameter.
    pub fn param(code: &'static str, param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { message: message.into(), param: Some(param.into()), code }
    }

    /// A parameter that must be there and is not.
    pub fn missing(param: &str) -> Self {
        Self::param("missing_required_parameter", param, format!("Missing required parameter: '{param}'."))
    }

    /// A parameter of the wrong type: `expected` and `found` with their articles.
    pub fn wrong_type(param: &str, expected: &str, found: &str) -> Self {
        let message = format!("Invalid type for '{param}': expected {expected}, but got {found} instead.");
        Self::param("invalid_type", param, message)
    }

    /// A word that is not one of those accepted.
    pub fn wrong_value(param: &str, found: &str, accepted: &str) -> Self {
        let message = format!("Invalid value for '{param}': '{found}'. Supported values are: {accepted}.");
        Self::param("invalid_value", param, message)
    }

    /// A parameter of the API that this server does not implement.
    pub fn unsupported(param: &str) -> Self {
        let message =
            format!("Unsupported parameter: '{param}' is not supported by this server with that value.");
        Self::param("unsupported_parameter", param, message)
    }

    /// The same refusal, under the name of the parameter that holds the one at fault.
    pub(super) fn at(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }

    /// The answer's body.
    pub fn to_body(&self) -> ErrorBody {
        let body = ErrorBody::new("invalid_request_error", self.code, self.message.clone());
        match &self.param {
            Some(param) => body.with_param(param.clone()),
            None => body,
        }
    }
}
