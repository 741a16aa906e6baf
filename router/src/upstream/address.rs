//! Where a backend is: its URL, taken apart once for all requests to it.

use super::UpstreamError;
use axum::body::Body;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Request, Uri, header};
use std::fmt::Display;

/// A backend's URL. Requests name a path below it.
#[derive(Debug)]
pub(super) struct Address {
    url: Uri,
    /// The host as requests name it: without a password.
    authority: Authority,
    /// The same for HTTP/1.1's header.
    host: HeaderValue,
    /// What stands before each path, without a slash at its end.
    folder: String,
}

impl Address {
    /// Takes `url` apart.
    ///
    /// # Errors
    /// If it is none, or names no host.
    pub(super) fn parse(url: &str) -> Result<Self, UpstreamError> {
        let url: Uri = url.parse().map_err(no_url)?;
        let named = url.authority().map(Authority::as_str).unwrap_or_default();
        let named = named.rsplit_once('@').map_or(named, |(_, host)| host);
        let authority: Authority = named.parse().map_err(no_url)?;
        let host = HeaderValue::from_str(named).map_err(no_url)?;
        let folder = url.path().trim_end_matches('/').to_owned();
        Ok(Self { url, authority, host, folder })
    }

    /// What is connected to.
    pub(super) fn url(&self) -> &Uri {
        &self.url
    }

    /// Addresses a request as HTTP/1.1 does: the host in a header, and the path alone as the target.
    pub(super) fn write_http1(&self, request: &mut Request<Body>) -> Result<(), UpstreamError> {
        request.headers_mut().insert(header::HOST, self.host.clone());
        let asked = request.uri();
        if !self.folder.is_empty() || asked.authority().is_some() || asked.path_and_query().is_none() {
            *request.uri_mut() = Uri::from(self.path(asked)?);
        }
        Ok(())
    }

    /// The target of a request for `asked` in HTTP/2, which has all of it.
    pub(super) fn target(&self, asked: &Uri) -> Result<Uri, UpstreamError> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = self.url.scheme().cloned();
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(self.path(asked)?);
        Uri::from_parts(parts).map_err(no_url)
    }

    /// The path below this address that `asked` names.
    fn path(&self, asked: &Uri) -> Result<PathAndQuery, UpstreamError> {
        match asked.path_and_query() {
            Some(path) if self.folder.is_empty() => Ok(path.clone()),
            path => {
                let path = path.map_or("/", PathAndQuery::as_str);
                format!("{}{path}", self.folder).try_into().map_err(no_url)
            }
        }
    }
}

fn no_url(error: impl Display) -> UpstreamError {
    UpstreamError::Connect(format!("its address is no URL: {error}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header and target over HTTP/1.1, and the target over HTTP/2.
    fn written(url: &str, target: &str) -> [String; 3] {
        let address = Address::parse(url).unwrap();
        let mut request = Request::post(target).body(Body::empty()).unwrap();
        let whole = address.target(request.uri()).unwrap();
        address.write_http1(&mut request).unwrap();
        let host = request.headers()[header::HOST].to_str().unwrap().to_owned();
        [host, request.uri().to_string(), whole.to_string()]
    }

    #[test]
    fn a_request_is_addressed_below_the_url() {
        let chat = "/v1/chat/completions?x=1";
        for url in ["http://h:1/", "http://h:1"] {
            let [host, path, whole] = written(url, chat);
            assert_eq!((host.as_str(), path.as_str()), ("h:1", chat));
            assert_eq!(whole, "http://h:1/v1/chat/completions?x=1");
        }
        for url in ["http://h:1/base/", "http://h:1/base"] {
            let [_, path, whole] = written(url, chat);
            assert_eq!(path, "/base/v1/chat/completions?x=1");
            assert_eq!(whole, "http://h:1/base/v1/chat/completions?x=1");
        }
    }

    #[test]
    fn a_backend_is_named_by_its_host_without_a_password() {
        assert_eq!(written("http://[::1]:8000", "/v1"), ["[::1]:8000", "/v1", "http://[::1]:8000/v1"]);
        let named = written("https://user:p%40ss@h:1/v1", "/models");
        assert_eq!(named, ["h:1", "/v1/models", "https://h:1/v1/models"]);
    }

    #[test]
    fn the_host_that_a_client_names_is_not_the_backends() {
        let [host, path, whole] = written("http://h:1", "http://elsewhere:2/v1/x");
        assert_eq!((host.as_str(), path.as_str(), whole.as_str()), ("h:1", "/v1/x", "http://h:1/v1/x"));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for bad in ["", "/v1", "http://", "http://a b/"] {
            let error = Address::parse(bad).unwrap_err().to_string();
            assert!(error.contains("no URL"), "{bad}: {error}");
        }
    }
}
