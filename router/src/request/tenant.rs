//! Who may come in: a request shows an API key, and is its tenant's from then on.
//!
//! Stands outside intake, so that a stranger's body is never parsed. The key goes no further than this: backends do not see it, nor do
//! log and spans, where the tenant's name stands. Answers tell what is left of the key's limits in OpenAI's headers.

use super::access::Notes;
use crate::error::{Error, ErrorKind};
use crate::keys::{ApiKey, KeyStore};
use crate::ledger::{Allowance, Caller};
use crate::shared::Shared;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use std::sync::Arc;
use std::time::Duration;
use tidegate_admission::{Priority, Quota};
use tidegate_serve::body::discard;

/// Bytes of a prompt that count as a token before its tokens are known: what English text comes to in most vocabularies.
pub(super) const BYTES_PER_TOKEN: u64 = 4;

/// Limit, what is left of it, and the time until it is whole again, of requests and of tokens.
const LIMITS: [[HeaderName; 3]; 2] = [
    [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ],
];

/// Lets in a request that shows a key, and gives that key's limits. The request carries the key from now on.
///
/// # Errors
/// If it shows none that is in force.
pub(super) async fn let_in(
    keys: &KeyStore,
    request: &mut Request<Body>,
    notes: &Notes,
) -> Result<Quota, Error> {
    let key = match key_of(keys, request.headers()) {
        Ok(key) => key,
        Err(error) => {
            // A refusal while the client still writes would cut itself off.
            discard(request.body_mut()).await;
            return Err(error);
        }
    };
    request.headers_mut().remove(header::AUTHORIZATION);
    notes.facts().tenant = Some(key.tenant.clone());
    let quota = key.quota;
    request.extensions_mut().insert(key);
    Ok(quota)
}

/// Tells a tenant in its answer what is left of its key's limits, where they were looked at.
pub(super) fn tell_limits(
    quota: &Quota,
    notes: &Notes,
    answer: Result<Response<Body>, Error>,
) -> Result<Response<Body>, Error> {
    let Some(allowance) = notes.facts().allowance else { return answer };
    let limits = limit_headers(quota, &allowance);
    match answer {
        Ok(mut response) => {
            response.headers_mut().extend(limits);
            Ok(response)
        }
        Err(error) => Err(error.with_headers(limits)),
    }
}

/// The same for paths that need no slot: lets in who shows a key.
pub async fn authenticate(
    State(shared): State<Shared>,
    mut request: Request<Body>,
    next: Next,
) -> Response<Body> {
    let Some(keys) = &shared.keys else { return next.run(request).await };
    match key_of(keys, request.headers()) {
        Ok(key) => {
            request.extensions_mut().insert(key);
            next.run(request).await
        }
        Err(error) => {
            discard(request.body_mut()).await;
            error.into_response(shared.config.overload_status)
        }
    }
}

/// Whether a request may know of a model.
pub fn may_know(extensions: &Extensions, model: &str) -> bool {
    extensions.get::<Arc<ApiKey>>().is_none_or(|key| key.allows(model))
}

/// What a request's key lets it have: the priority that it gets of the one that it asked for, and whose it is.
///
/// # Errors
/// If its key may not ask for this model.
pub(super) fn rights(
    extensions: &Extensions,
    model: &str,
    asked: Priority,
    reserved: u64,
) -> Result<(Priority, Option<Arc<Caller>>), Error> {
    let Some(key) = extensions.get::<Arc<ApiKey>>() else { return Ok((asked, None)) };
    if !key.allows(model) {
        let message = format!(
            "this API key may not ask for the model '{model}'; GET /v1/models lists those that it may"
        );
        return Err(Error::new(ErrorKind::ModelNotAllowed, message).with_param("model"));
    }
    // Priorities are in the order of service, so that the later one is the lower one.
    Ok((asked.max(key.max_priority), Some(Arc::new(key.caller(reserved)))))
}

fn key_of(keys: &KeyStore, headers: &HeaderMap) -> Result<Arc<ApiKey>, Error> {
    let refuse = |message: &str| Error::new(ErrorKind::InvalidApiKey, message);
    let Some(shown) = headers.get(header::AUTHORIZATION) else {
        return Err(refuse(
            "you did not provide an API key: send it in the header 'Authorization: Bearer KEY'",
        ));
    };
    let shown = shown
        .to_str()
        .ok()
        .and_then(bearer)
        .ok_or_else(|| refuse("the header 'Authorization' must have the form 'Bearer KEY'"))?;
    keys.ring()
        .find(shown)
        .ok_or_else(|| refuse("incorrect API key provided: it is not known here, or it was revoked"))
}

/// The token of RFC 6750; the scheme's name is case-insensitive.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// OpenAI's headers: what a key may use, what is left of it, and when all of it is there again.
fn limit_headers(quota: &Quota, allowance: &Allowance) -> HeaderMap {
    let meters = [(quota.requests, allowance.requests), (quota.tokens, allowance.tokens)];
    let mut headers = HeaderMap::new();
    for (names, (limit, used)) in LIMITS.into_iter().zip(meters) {
        let Some(limit) = limit else { continue };
        let left = (limit as f64 - used).floor().max(0.0) as u64;
        let whole_in = Duration::try_from_secs_f64(used * 60.0 / limit.max(1) as f64).unwrap_or_default();
        let [limit_name, left_name, reset_name] = names;
        headers.insert(limit_name, HeaderValue::from(limit));
        headers.insert(left_name, HeaderValue::from(left));
        headers.extend(HeaderValue::try_from(span(whole_in)).ok().map(|span| (reset_name, span)));
    }
    headers
}

/// A time as OpenAI writes it: `120ms`, `1.5s`, `6m0s`.
fn span(time: Duration) -> String {
    let milliseconds = time.as_micros().div_ceil(1000);
    let (minutes, rest) = (milliseconds / 60_000, milliseconds % 60_000);
    let seconds = format!("{}.{:03}", rest / 1000, rest % 1000);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    match (milliseconds, minutes) {
        (..1000, _) => format!("{milliseconds}ms"),
        (_, 0) => format!("{seconds}s"),
        _ => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_openai_does() {
        let cases =
            [(0, "0ms"), (17, "17ms"), (1000, "1s"), (1500, "1.5s"), (59_999, "59.999s"), (360_000, "6m0s")];
        for (milliseconds, text) in cases.into_iter().chain([(62_050, "1m2.05s")]) {
            assert_eq!(span(Duration::from_millis(milliseconds)), text);
        }
        assert_eq!(span(Duration::from_micros(1)), "1ms");
    }

    #[test]
    fn the_headers_tell_what_is_left() {
        let quota = Quota { requests: Some(60), tokens: Some(600), concurrency: None };
        let headers = limit_headers(&quota, &Allowance { requests: 1.5, tokens: 700.0, held: 1.0 });
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(text("x-ratelimit-limit-requests"), "60");
        assert_eq!(text("x-ratelimit-remaining-requests"), "58");
        assert_eq!(text("x-ratelimit-reset-requests"), "1.5s");
        assert_eq!((text("x-ratelimit-remaining-tokens"), text("x-ratelimit-reset-tokens")), ("0", "1m10s"));
        assert!(
            limit_headers(&Quota::default(), &Allowance { requests: 0.0, tokens: 0.0, held: 1.0 }).is_empty()
        );
    }

    #[test]
    fn only_a_bearer_token_is_a_key() {
        assert_eq!(bearer("Bearer tg-1"), Some("tg-1"));
        assert_eq!(bearer("bearer  tg-1 "), Some("tg-1"));
        assert_eq!((bearer("Basic tg-1"), bearer("tg-1"), bearer("")), (None, None, None));
    }
}
