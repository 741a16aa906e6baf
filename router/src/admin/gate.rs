//! Who may come in at the admin port.
//!
//! With tokens: whoever shows one, as `authorization: Bearer` or, in a browser, as the pass that the login page gives for it. Without:
//! whoever reaches the port, which is then on a loopback address; but a browser that was led here under the name of another
//! site ("DNS rebinding") is not let in.

use crate::shared::{Shared, unix_seconds};
use crate::trial::own_page_only;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::net::IpAddr;
use tidegate_serve::body::{self, discard};
use tidegate_serve::door::error_response;
use tidegate_serve::gate::{is_probe, refuse};
use tidegate_serve::token::Tokens;
use tidegate_wire::error::ErrorBody;

/// Where the login page sends the token.
const LOGIN: &str = "/login";
/// The cookie that holds a pass.
const COOKIE: &str = "tidegate_admin";
/// Seconds for which a pass is good: a working day.
const PASS_S: u64 = 12 * 3600;
/// Bytes that a login may have.
const MAX_LOGIN: usize = 8 * 1024;
/// What the login page may do: show itself and send its form here.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";
const PAGE: &str = include_str!("login.html");

/// The path of the login.
pub(super) fn login_paths() -> axum::Router<Shared> {
    axum::Router::new().route(LOGIN, post(login).layer(from_fn(own_page_only)))
}

/// Lets a request pass, or answers why it may not.
pub(super) async fn check(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // The files of the page are those of every router of this version: they tell nothing.
    if is_probe(path) || path == LOGIN || path.starts_with("/page/") {
        return next.run(request).await;
    }
    let Some(tokens) = &shared.config.security.admin_tokens else {
        if is_own_name(&request) {
            return next.run(request).await;
        }
        discard(request.body_mut()).await;
        return other_name();
    };
    let tokens = tokens.get();
    if tokens.admit(request.headers()) || has_pass(&tokens, request.headers(), unix_seconds()) {
        return next.run(request).await;
    }
    if wants_page(request.headers()) { page("") } else { refuse(request).await }
}

/// Whether the request was sent to this machine by an address or as `localhost`, which no other site's name leads to.
fn is_own_name<B>(request: &http::Request<B>) -> bool {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = request.uri().authority().map(http::uri::Authority::as_str).or(header) else {
        // Browsers always say it.
        return !request.headers().contains_key(header::HOST);
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn other_name() -> Response {
    let message = "the admin port answers to its address and to localhost; to reach it by another name, give the router an \
                   --admin-token-file";
    error_response(StatusCode::FORBIDDEN, &ErrorBody::new("invalid_request_error", "other_host", message))
}

fn has_pass(tokens: &Tokens, headers: &HeaderMap, now: u64) -> bool {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut passes = cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    passes.any(|pass| tokens.admit_session(pass, now))
}

/// Whether a person's browser asks for a page to look at.
fn wants_page(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/html"))
}

fn page(said: &str) -> Response {
    let mut response = Response::new(Body::from(PAGE.replace("{said}", said)));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Takes a token for a pass. The form is sent as plain text (`token=...`), since no token has a character that would need more.
async fn login(State(shared): State<Shared>, request: Request) -> Response {
    let security = &shared.config.security;
    let Some(tokens) = &security.admin_tokens else { return home(None) };
    let (parts, body) = request.into_parts();
    let Ok(body) = body::read(&parts.headers, body, MAX_LOGIN, None).await else { return page(WRONG) };
    let given = std::str::from_utf8(&body.bytes).unwrap_or_default().trim();
    let given = given.strip_prefix("token=").unwrap_or_default();
    let tokens = tokens.get();
    if !tokens.are(given) {
        tracing::warn!("a login at the admin port showed no good token");
        return page(WRONG);
    }
    let secure = if security.admin_tls().is_some() { "; Secure" } else { "" };
    let pass = tokens.session(unix_seconds() + PASS_S);
    home(Some(format!("{COOKIE}={pass}; Path=/; Max-Age={PASS_S}; HttpOnly; SameSite=Strict{secure}")))
}

const WRONG: &str = "<p class=\"banner\" role=\"alert\">That is not this router's token.</p>";

/// To the live page, with a pass.
fn home(cookie: Option<String>) -> Response {
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response();
    if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::try_from(cookie).ok()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(uri: &str, host: Option<&str>) -> bool {
        let mut request = http::Request::get(uri);
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        is_own_name(&request.body(()).unwrap())
    }

    #[test]
    fn names_of_other_sites_do_not_lead_here() {
        for host in ["127.0.0.1:8001", "localhost", "LocalHost:1", "[::1]:8001", "10.1.2.3:8001"] {
            assert!(asked("/", Some(host)), "{host}");
        }
        for host in ["evil.example:8001", "localhost.evil.example", "127.0.0.1.evil.example", "", "[evil]"] {
            assert!(!asked("/", Some(host)), "{host}");
        }
        assert!(asked("/", None), "no browser");
        assert!(!asked("http://evil.example/fleet", Some("localhost")), "what the target names counts");
    }

    #[test]
    fn a_pass_is_found_among_other_cookies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        std::fs::write(&path, "0123456789abcdef").unwrap();
        let tokens = tidegate_serve::token::open(&path).unwrap().get();
        let cookies =
            |text: String| [(header::COOKIE, HeaderValue::try_from(text).unwrap())].into_iter().collect();
        let pass = tokens.session(100);
        assert!(has_pass(&tokens, &cookies(format!("a=b; {COOKIE}={pass}; c=d")), 99));
        assert!(!has_pass(&tokens, &cookies(format!("a=b; {COOKIE}={pass}")), 100));
        assert!(!has_pass(&tokens, &cookies(format!("x{COOKIE}={pass}")), 99));
        assert!(!has_pass(&tokens, &cookies(format!("{COOKIE}=0123456789abcdef")), 99));
    }
}
