//! Attacks on HTTP/2, frame by frame (RFC 9113): the connection ends, and the others are served.

use super::scene::Besieged;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM_AND_HEADERS: u8 = 0x5;
/// `GET http://x/livez` in HPACK (RFC 7541): three entries of the static table, one literal path, one literal authority.
const GET: &[u8] = b"\x82\x86\x04\x06/livez\x01\x01x";
/// Frames after which a server must have had enough.
const ENOUGH: u32 = 200_000;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

async fn connect(router: &Besieged) -> TcpStream {
    let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat();
    router.connect(&begin).await
}

/// Sends what `next` makes until the server closes; false where it took all without a word.
async fn closes_on(socket: TcpStream, mut next: impl FnMut(u32) -> Vec<u8>) -> bool {
    let (mut taken, mut given) = socket.into_split();
    let reading = tokio::spawn(async move { taken.read_to_end(&mut Vec::new()).await });
    for number in 0..ENOUGH {
        if given.write_all(&next(number)).await.is_err() {
            // A connection that is reset has been closed too.
            let _ = reading.await.unwrap();
            return true;
        }
    }
    false
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let router = Besieged::start(&[]).await;
    let socket = connect(&router).await;
    let closed = closes_on(socket, |number| {
        let stream = number * 2 + 1;
        let get = frame(HEADERS, END_STREAM_AND_HEADERS, stream, GET);
        [get, frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
    });
    let (closed, ()) = tokio::join!(closed, router.serves_others());
    assert!(closed);
    router.has_held().await;
}

#[tokio::test]
async fn headers_without_an_end_end_the_connection() {
    let router = Besieged::start(&[]).await;
    let mut socket = connect(&router).await;
    socket.write_all(&frame(HEADERS, 0x1, 1, GET)).await.unwrap();
    // A literal header of eight thousand bytes in each frame, none of which is the last.
    let literal = [&b"\0\x03x-y\x7f\xc1\x3e"[..], &vec![b'z'; 8128]].concat();
    let closed = closes_on(socket, |_| frame(CONTINUATION, 0, 1, &literal));
    let (closed, ()) = tokio::join!(closed, router.serves_others());
    assert!(closed);
    router.has_held().await;
}

#[tokio::test]
async fn pings_and_settings_without_an_end_do_not_pile_up() {
    let router = Besieged::start(&[]).await;
    let mut socket = connect(&router).await;
    // Nothing is read of the answers: a server must not keep them all.
    let (ping, settings) = (frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]));
    let flood = [ping, settings].concat().repeat(1000);
    let sending = async {
        for _ in 0..400 {
            let sent =
                tokio::time::timeout(std::time::Duration::from_secs(2), socket.write_all(&flood)).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    };
    tokio::join!(sending, router.serves_others());
    router.has_held().await;
}
