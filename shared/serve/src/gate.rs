//! Who may come in: a gate in front of a process's paths, which lets those with a token or a certificate pass, and everybody to
//! the probes.

use crate::door::{self, error_response};
use crate::from_files::FromFiles;
use crate::tls::KnownClient;
use crate::token::Tokens;
use axum::Router;
use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header};
use tidegate_wire::error::ErrorBody;
use tower::ServiceExt;

/// What everybody may ask: supervisors and load balancers have no token, and learn from these only whether the process is well.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/health"];

/// What is asked of those who come in. With neither, nothing is.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    /// One of these tokens.
    pub tokens: Option<FromFiles<Tokens>>,
    /// A certificate of a known authority ([`KnownClient`]).
    pub certificate: bool,
}

impl Gate {
    /// Whether a request may pass.
    pub fn admits<B>(&self, request: &Request<B>) -> bool {
        if is_probe(request.uri().path()) {
            return true;
        }
        let known = !self.certificate || request.extensions().get::<KnownClient>().is_some();
        known && self.tokens.as_ref().is_none_or(|tokens| tokens.get().admit(request.headers()))
    }

    /// Puts the gate in front of `app`. It stands before the door, so that whatever is behind that may be changed while the process
    /// runs; refusals pass a door of their own.
    pub fn guard(self, app: Router) -> Router {
        if self.tokens.is_none() && !self.certificate {
            return app;
        }
        let refusing = door::guard(
            Router::new()
                .route("/{*path}", axum::routing::any(refuse))
                .route("/", axum::routing::any(refuse)),
        );
        Router::new().fallback(move |request: Request<Body>| {
            let service = if self.admits(&request) { app.clone() } else { refusing.clone() };
            async move {
                let Ok(answer) = service.oneshot(request).await;
                answer
            }
        })
    }
}

/// Whether a path is one that everybody may ask.
pub fn is_probe(path: &str) -> bool {
    PROBES.contains(&path)
}

/// The answer to those who may not come in. It does not say what was wrong with what they showed.
pub async fn refuse(mut request: Request<Body>) -> Response<Body> {
    crate::body::discard(request.body_mut()).await;
    let message = "this process is open only to those who show its token, or a certificate that it knows";
    let mut response = error_response(
        StatusCode::UNAUTHORIZED,
        &ErrorBody::new("authentication_error", "unauthorized", message),
    );
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
