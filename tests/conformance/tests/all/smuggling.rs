//! Requests whose end two servers could see in two places. Each is refused, or its connection ends with the one answer that
//! everybody agrees on; the request that is hidden behind it never reaches a backend.

use tidegate_conformance::client::{body, chat};
use tidegate_conformance::scene::{MODEL, Router};

/// The hidden request: it says who sent it.
fn hidden() -> String {
    chat(MODEL, "x-hidden: 1\r\n", false)
}

fn head(lines: &str) -> String {
    format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{lines}\r\n")
}

/// What is wrong, and how it is sent.
type Shape = (&'static str, String);

/// Lengths that are none, or several.
fn lengths() -> Vec<Shape> {
    let (body, length) = (body(MODEL, false), body(MODEL, false).len());
    let lines = [
        ("two lengths", format!("content-length: {length}\r\ncontent-length: {}\r\n", length + 7)),
        ("a list of lengths", format!("content-length: {length}, {}\r\n", length + 7)),
        ("a signed length", format!("content-length: +{length}\r\n")),
        ("a negative length", "content-length: -1\r\n".to_owned()),
        ("a length in hex", "content-length: 0x10\r\n".to_owned()),
        ("an empty length", "content-length: \r\n".to_owned()),
        ("a length beyond all numbers", "content-length: 99999999999999999999999\r\n".to_owned()),
        ("a folded header", format!("x-a: 1\r\n folded: 2\r\ncontent-length: {length}\r\n")),
        ("a space before the colon", format!("content-length : {length}\r\n")),
        (
            "a carriage return in a value",
            format!("x-a: 1\rcontent-length: 0\r\ncontent-length: {length}\r\n"),
        ),
        ("a zero byte in a value", format!("x-a: \0\r\ncontent-length: {length}\r\n")),
        ("no name", format!(": 1\r\ncontent-length: {length}\r\n")),
    ];
    lines.map(|(what, lines)| (what, format!("{}{body}", head(&lines)))).into()
}

/// Codings that do not say where the body ends.
fn codings() -> Vec<Shape> {
    let body = body(MODEL, false);
    let rest = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let chunked = head("transfer-encoding: chunked\r\n");
    let heads = [
        ("a coding that is not the last", head("transfer-encoding: chunked, gzip\r\n")),
        ("a coding that is none", head("transfer-encoding: xchunked\r\n")),
        ("a folded coding", head("transfer-encoding:\r\n chunked\r\n")),
        ("a coding in HTTP/1.0", chunked.replace("HTTP/1.1", "HTTP/1.0")),
        ("no space in the request line", chunked.replace("POST /v1", "POST/v1")),
        ("two targets", chunked.replace(" HTTP/1.1", " /x HTTP/1.1")),
        ("a version that is none", chunked.replace("HTTP/1.1", "HTTP/1.9")),
    ];
    heads.map(|(what, head)| (what, format!("{head}{rest}"))).into()
}

/// Chunks whose size is none, or not their own.
fn chunks() -> Vec<Shape> {
    let body = body(MODEL, false);
    let size = format!("{:x}", body.len());
    let bodies = [
        ("a chunk size that is none", format!("xyz\r\n{body}\r\n0\r\n\r\n")),
        ("a signed chunk size", format!("+{size}\r\n{body}\r\n0\r\n\r\n")),
        ("a chunk size in C", format!("0x{size}\r\n{body}\r\n0\r\n\r\n")),
        ("a chunk size beyond all numbers", format!("fffffffffffffffff\r\n{body}\r\n0\r\n\r\n")),
        ("a bare line feed after a chunk size", format!("{size}\n{body}\r\n0\r\n\r\n")),
        ("a bare line feed after a chunk", format!("{size}\r\n{body}\n0\r\n\r\n")),
        ("a bare carriage return after a chunk size", format!("{size}\r{body}\r\n0\r\n\r\n")),
        ("a chunk longer than it says", format!("3\r\n{body}\r\n0\r\n\r\n")),
        ("a bare line feed in an extension", format!("{size};a\nb\r\n{body}\r\n0\r\n\r\n")),
    ];
    let chunked = head("transfer-encoding: chunked\r\n");
    bodies.map(|(what, body)| (what, format!("{chunked}{body}"))).into()
}

#[tokio::test]
async fn ambiguous_requests_are_refused_and_their_connection_closed() {
    let (upstream, router) = Router::one(&[]).await;
    let mut served = Vec::new();
    for (what, shape) in [lengths(), codings(), chunks()].concat() {
        let before = upstream.seen().len();
        let mut client = router.connect().await;
        client.send(format!("{shape}{}", hidden())).await;
        let answer = String::from_utf8_lossy(&client.rest().await).into_owned();
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 400");
        if !refused || answer.matches("HTTP/1.").count() > 1 || upstream.seen().len() != before {
            served.push(format!("{what}: {answer}"));
        }
    }
    assert!(served.is_empty(), "{served:#?}");
    assert_eq!(router.chat().await.status(), 200);
    router.until_idle().await;
}

/// RFC 9112, section 6.1, lets a server take the chunks and makes it close the connection: what stands behind is never read. Whoever
/// goes by the length instead sees one request too.
#[tokio::test]
async fn a_length_beside_chunks_ends_the_connection() {
    let (upstream, router) = Router::one(&[]).await;
    let body = body(MODEL, false);
    for lines in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
    ] {
        let before = upstream.seen().len();
        let mut client = router.connect().await;
        client.send(format!("{}{:x}\r\n{body}\r\n0\r\n\r\n{}", head(lines), body.len(), hidden())).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.header("connection")), (200, "close"));
        assert!(client.rest().await.is_empty());
        let seen = upstream.seen();
        assert_eq!(seen.len(), before + 1, "one request, and not the hidden one");
        let last = upstream.last();
        assert_eq!(
            (last.text(), last.header("content-length")),
            (body.clone(), body.len().to_string().as_str())
        );
        assert!(last.values("x-hidden").is_empty() && last.values("transfer-encoding").is_empty());
    }
}

/// RFC 9112, section 2.2, lets a receiver take a bare line feed for a line's end. What goes on to a backend has whole line ends, so that
/// nobody behind sees another message.
#[tokio::test]
async fn a_bare_line_feed_is_a_line_end_and_goes_no_further() {
    let (upstream, router) = Router::one(&[]).await;
    let body = body(MODEL, false);
    let request = head(&format!("x-a: 1\nx-b: 2\r\ncontent-length: {}\r\n", body.len()));
    assert_eq!(router.ask(format!("{request}{body}")).await.status(), 200);
    let seen = upstream.last();
    assert_eq!((seen.header("x-a"), seen.header("x-b")), ("1", "2"));
}
