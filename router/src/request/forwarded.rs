//! What a backend is told of the client: its own headers, but for those of its connection, and `x-forwarded-for`, `-proto` and `-host`.
//!
//! A chain of proxies appends to the first; the other two are said by the first proxy, which knows them, and stay as they came.
//! Backends that decide by these must let nobody else than this router in.

use super::dispatch::strip;
use http::header::{self, Entry};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tidegate_admission::Priority;
use tidegate_serve::listen::Peer;
use tidegate_wire::header as names;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Whether a header is one that says who asked: no client may have it taken out on the way by naming it in `connection`.
pub fn says_who(name: &HeaderName) -> bool {
    [FOR, PROTO, HOST].contains(name)
}

/// Notes in `headers` who asked, and for which host: HTTP/1.1 says that in `host`, HTTP/2 in the target.
pub fn note(headers: &mut HeaderMap, target: &Uri, peer: Option<&Peer>) {
    if let Some(Peer { address, proto }) = peer {
        match headers.entry(FOR) {
            Entry::Vacant(first) => drop(first.insert(address.clone())),
            Entry::Occupied(mut before) => {
                let chain: Vec<&[u8]> = before.iter().chain([address]).map(HeaderValue::as_bytes).collect();
                if let Ok(chain) = HeaderValue::from_bytes(&chain.join(&b", "[..])) {
                    before.insert(chain);
                }
            }
        }
        headers.entry(PROTO).or_insert_with(|| proto.clone());
    }
    let named = target.authority().and_then(|authority| HeaderValue::try_from(authority.as_str()).ok());
    if let Some(host) = named.or_else(|| headers.get(header::HOST).cloned()) {
        headers.entry(HOST).or_insert(host);
    }
}

/// What a backend gets of a client's headers, which [`note`] has seen, with what is the same for each attempt.
pub fn headers(mut headers: HeaderMap, priority: Priority, stream: bool) -> HeaderMap {
    strip(&mut headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // What it is served with, which may be less than the client asked for.
    headers.insert(names::PRIORITY, HeaderValue::from_static(priority.as_str()));
    if stream {
        // Our own backends tell the usage of a stream behind its last byte: see `tidegate_wire::usage`.
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(headers: &[(&'static str, &'static str)], target: &'static str) -> HeaderMap {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(*name, HeaderValue::from_static(value));
        }
        let peer = Peer::new("[::ffff:192.0.2.7]:5".parse().unwrap(), "http");
        note(&mut all, &Uri::from_static(target), Some(&peer));
        all
    }

    #[test]
    fn the_client_is_named_and_a_chain_grows() {
        let first = noted(&[("host", "api.example.org")], "/v1/x");
        assert_eq!(first[&FOR], "192.0.2.7");
        assert_eq!(
            (&first[&PROTO], &first[&HOST]),
            (&"http".parse().unwrap(), &"api.example.org".parse().unwrap())
        );
        let behind = [
            ("x-forwarded-for", "203.0.113.1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "public.example.org"),
            ("host", "inner"),
        ];
        let chained = noted(&behind, "/v1/x");
        assert_eq!(chained[&FOR], "203.0.113.1, 10.0.0.1, 192.0.2.7");
        assert_eq!(chained.get_all(&FOR).iter().count(), 1);
        assert_eq!(
            (chained[&PROTO].as_bytes(), chained[&HOST].as_bytes()),
            (&b"https"[..], &b"public.example.org"[..])
        );
        assert_eq!(noted(&[], "http://two.example.org:81/v1/x")[&HOST], "two.example.org:81");
    }
}
