//! Reading a request's body whole, up to a limit.
//!
//! A server that answers and closes while its client still writes cuts its own answer off: what is too much is read on
//! and discarded, bounded in bytes and in time, before the refusal goes out.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::time::Duration;

/// Bytes of a refused request's body that are read and discarded.
const MAX_DISCARDED: usize = 64 * 1024 * 1024;
/// Bytes that are read before others have their turn.
const AT_ONCE: usize = 256 * 1024;
/// Time for what is discarded.
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// Why a body could not be read.
#[derive(Debug)]
pub enum BodyError {
    /// It is larger than the limit.
    TooLarge,
    /// It stopped before its end; the text says how.
    Incomplete(String),
}

/// The whole body, at most `limit` bytes of it.
///
/// # Errors
/// If it is larger, or stops before its end.
pub async fn read(headers: &HeaderMap, mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
    if announced(headers).is_some_and(|length| length > limit as u64) {
        // A client that waits for `100 Continue` sends nothing before the answer.
        if !headers.contains_key(header::EXPECT) {
            discard(&mut body).await;
        }
        return Err(BodyError::TooLarge);
    }
    let mut pieces = Vec::new();
    match each(Limited::new(&mut body, limit), |piece| pieces.push(piece)).await {
        Ok(()) => Ok(joined(pieces)),
        Err(error) if error.is::<LengthLimitError>() => {
            discard(&mut body).await;
            Err(BodyError::TooLarge)
        }
        Err(error) => Err(BodyError::Incomplete(error.to_string())),
    }
}

/// Reads what is left of a body and throws it away.
pub async fn discard(body: &mut Body) {
    let reading = each(Limited::new(body, MAX_DISCARDED), drop);
    // Past either bound the connection closes, which is all that is left to do with such a client.
    let _in_time = tokio::time::timeout(DISCARD_TIME, reading).await;
}

/// Takes each piece of a body. Who sends as fast as it is read does not keep the thread from the others.
async fn each(mut body: Limited<&mut Body>, mut take: impl FnMut(Bytes)) -> Result<(), axum::BoxError> {
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        read += piece.len();
        take(piece);
        if read >= AT_ONCE {
            read = 0;
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// The pieces as one; a single one is not copied.
fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    match pieces.len() {
        0 | 1 => pieces.pop().unwrap_or_default(),
        _ => pieces.concat().into(),
    }
}

/// The length that the client announced.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
