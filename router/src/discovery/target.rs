//! A backend that the router was told of: by a flag, in a file, or by a name in DNS.

use http::{HeaderValue, Uri};

/// Where a backend is, and what the operator says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its base URL, which is also its id on the account.
    pub url: String,
    /// Slots of a server that does not report its own.
    pub slots: u32,
    /// The most slots of one that does, where the operator has set them.
    pub most_slots: Option<u32>,
    /// The names that it serves, in place of those that it lists: the first one names its pool.
    pub models: Option<Vec<String>>,
    /// Its share of the turns under `--balance round-robin` and `random`, and of the sessions.
    pub weight: u32,
    /// What it is sent as `authorization`.
    pub key: Option<HeaderValue>,
    /// Whether HTTP/2 is spoken to it.
    pub http2: bool,
}

impl Target {
    /// A backend of which nothing but its address is known.
    pub fn new(url: String, slots: u32, http2: bool) -> Self {
        Self { url, slots, most_slots: None, models: None, weight: 1, key: None, http2 }
    }
}

/// A backend's base URL as an operator writes it; none where it is no such URL. Users paste the base URL that SDKs want, which
/// ends with `/v1`; paths are joined to the server's root.
pub fn base_url(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let good = matches!(uri.scheme_str(), Some("http" | "https")) && is_host(&uri);
    good.then(|| text.trim_end_matches('/').trim_end_matches("/v1").to_owned())
}

/// Whether a URL names a host and nobody's password, which would be shown wherever the backend is.
fn is_host(url: &Uri) -> bool {
    url.authority().is_some_and(|authority| !authority.as_str().contains('@'))
}
