//! What holds for whatever bytes strangers write: clients in bodies and headers, backends in streams.
//!
//! `tests/fuzz` looks for bytes that break these properties; a test here replays what is kept of its search. Each panics where its
//! property does not hold.

use super::dispatch::{self, strip};
use super::forwarded;
use super::intake::Envelope;
use super::model::renamed;
use super::usage::AnswerEnd;
use crate::tally::events_in;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use tidegate_serve::listen::Peer;
use tidegate_wire::sse::Position;

/// A body is refused or read; one that is read can be renamed, back and forth, and stays as it was.
pub fn request(bytes: &[u8]) {
    let body = Bytes::copy_from_slice(bytes);
    let Ok(envelope) = Envelope::parse(&body) else { return };
    let other = renamed(&body, "another \"name\" \u{e9}\\");
    let read = Envelope::parse(&other);
    assert!(
        read.is_ok_and(|read| read.model == "another \"name\" \u{e9}\\" && read.stream == envelope.stream)
    );
    let back = renamed(&other, &envelope.model);
    assert_eq!(back, renamed(&body, &envelope.model), "the rest of the body has changed");
}

/// However a stream is cut into pieces, it is understood in the same way. The first byte says how it is cut.
pub fn stream(bytes: &[u8]) {
    let Some((size, text)) = bytes.split_first() else { return };
    let (mut whole, mut cut, mut end) = (Position::default(), Position::default(), AnswerEnd::default());
    whole.passed(text);
    for piece in text.chunks(usize::from(*size).max(1)) {
        cut.passed(piece);
        end.passed(&Bytes::copy_from_slice(piece));
        let tokens = events_in(piece);
        assert!(tokens as usize <= piece.len(), "more events than bytes");
    }
    // Whether a line feed is still to be counted is known only to the one that saw what stands before it.
    assert_eq!(whole.is_between_events(), cut.is_between_events());
    if text.ends_with(b"\n\n") {
        assert!(whole.is_between_events());
    }
    end.usage();
}

/// Whatever a client sends, nothing of its hop goes on, and who it is, is said once. One header a line.
pub fn headers(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default().trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
            headers.append(name, value);
        }
    }
    let proto = headers.get("x-forwarded-proto").cloned().or(Some(HeaderValue::from_static("http")));
    let peer = Peer::new(([192, 0, 2, 7], 1).into(), "http");
    forwarded::note(&mut headers, &Uri::from_static("/v1/x"), Some(&peer));
    let mut sent = headers.clone();
    strip(&mut sent);
    let chain = sent.get_all("x-forwarded-for").iter().collect::<Vec<_>>();
    assert!(matches!(chain[..], [one] if one.as_bytes().ends_with(b"192.0.2.7")));
    assert_eq!(sent.get("x-forwarded-proto"), proto.as_ref());
    // All of a header goes on, in its order, or nothing of it.
    let whole = |name| sent.get_all(name).iter().eq(headers.get_all(name).iter());
    assert!(headers.keys().all(|name| !sent.contains_key(name) || whole(name)));
    ends_here(&headers, &sent);
}

/// Nothing that belongs to one connection goes on, and all that does not.
fn ends_here(came: &HeaderMap, sent: &HeaderMap) {
    let mut hop: Vec<_> = came.keys().filter(|name| dispatch::ends_here(name)).cloned().collect();
    for value in came.get_all(header::CONNECTION) {
        let names = value.as_bytes().split(|byte| *byte == b',');
        let names = names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
        hop.extend(names.filter(|name| !forwarded::says_who(name)));
    }
    assert!(hop.iter().all(|name| !sent.contains_key(name)));
    assert!(came.keys().all(|name| hop.contains(name) || sent.contains_key(name)));
}

/// Puts a target's property to all that is kept of the search for it.
#[cfg(test)]
pub(crate) fn replay(target: &str, property: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target);
    let mut replayed = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        let file = file.unwrap().path();
        println!("{}", file.display());
        property(&std::fs::read(file).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 10, "{replayed} inputs in {}", folder.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_fuzzer_found_holds() {
        replay("request", request);
        replay("stream", stream);
        replay("headers", headers);
    }
}
