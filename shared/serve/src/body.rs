//! Reading a request's body whole, up to a limit.
//!
//! A server that answers and closes while its client still writes cuts its own answer off: what is too much is read on
//! and discarded, bounded in bytes and in time, before the refusal goes out.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a refused request's body that are read and discarded.
const MAX_DISCARDED: usize = 64 * 1024 * 1024;
/// Bytes that are read before others have their turn.
const AT_ONCE: usize = 256 * 1024;
/// Time for what is discarded.
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// Bytes of each body that take none of a [`BodyRoom`]: what a connection's own buffers hold is bounded by the number of
/// connections.
const FREE: usize = 16 * 1024;
/// What a [`BodyRoom`] is counted in, in bytes.
const UNIT: usize = 1024;

/// The memory that the bodies of all requests share. Many clients could else fill it together, each within the limit of one body.
/// Clones share it.
#[derive(Debug, Clone)]
pub struct BodyRoom(Arc<Semaphore>);

impl BodyRoom {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))))
    }

    /// More of the room for a body of now `bytes`; false where there is none left.
    fn grow(&self, taken: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> bool {
        let wanted = bytes.saturating_sub(FREE).div_ceil(UNIT);
        let has = taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Some(more) = wanted.checked_sub(has).filter(|more| *more > 0) else { return true };
        let Ok(more) = u32::try_from(more) else { return false };
        let Ok(more) = Arc::clone(&self.0).try_acquire_many_owned(more) else { return false };
        match taken {
            Some(taken) => taken.merge(more),
            None => *taken = Some(more),
        }
        true
    }
}

/// A body, and the room that it takes until this is dropped.
#[derive(Debug)]
pub struct WholeBody {
    /// All of it.
    pub bytes: Bytes,
    /// Held as long as the bytes are.
    pub room: Option<OwnedSemaphorePermit>,
}

/// Why a body could not be read.
#[derive(Debug)]
pub enum BodyError {
    /// It is larger than the limit.
    TooLarge,
    /// The bodies of all requests together take all the room that they may.
    NoRoom,
    /// It stopped before its end; the text says how.
    Incomplete(String),
}

/// The whole body, at most `limit` bytes of it, which take of `room` where there is such a bound.
///
/// # Errors
/// If it is larger, finds no room, or stops before its end.
pub async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
    room: Option<&BodyRoom>,
) -> Result<WholeBody, BodyError> {
    if announced(headers).is_some_and(|length| length > limit as u64) {
        // A client that waits for `100 Continue` sends nothing before the answer.
        if !headers.contains_key(header::EXPECT) {
            discard(&mut body).await;
        }
        return Err(BodyError::TooLarge);
    }
    let (mut pieces, mut bytes, mut taken, mut full) = (Vec::new(), 0, None, false);
    let reading = each(Limited::new(&mut body, limit), |piece| {
        bytes += piece.len();
        full = room.is_some_and(|room| !room.grow(&mut taken, bytes));
        pieces.push(piece);
        !full
    });
    let read = reading.await;
    if full {
        drop((pieces, taken));
        discard(&mut body).await;
        return Err(BodyError::NoRoom);
    }
    match read {
        Ok(()) => Ok(WholeBody { bytes: joined(pieces), room: taken }),
        Err(error) if error.is::<LengthLimitError>() => {
            drop((pieces, taken));
            discard(&mut body).await;
            Err(BodyError::TooLarge)
        }
        Err(error) => Err(BodyError::Incomplete(error.to_string())),
    }
}

/// Reads what is left of a body and throws it away.
pub async fn discard(body: &mut Body) {
    let reading = each(Limited::new(body, MAX_DISCARDED), |_| true);
    // Past either bound the connection closes, which is all that is left to do with such a client.
    let _in_time = tokio::time::timeout(DISCARD_TIME, reading).await;
}

/// Takes each piece of a body, as long as `take` wants more. Who sends as fast as it is read does not keep the thread from the others.
async fn each(
    mut body: Limited<&mut Body>,
    mut take: impl FnMut(Bytes) -> bool,
) -> Result<(), axum::BoxError> {
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        read += piece.len();
        if !take(piece) {
            return Ok(());
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    async fn read_all(bytes: usize, room: &BodyRoom) -> Result<WholeBody, BodyError> {
        read(&HeaderMap::new(), Body::from(vec![b'x'; bytes]), 4 * MIB, Some(room)).await
    }

    #[tokio::test]
    async fn bodies_share_the_room_and_give_it_back() {
        let room = BodyRoom::new(3 * MIB);
        let first = read_all(2 * MIB, &room).await.unwrap();
        assert!(matches!(read_all(2 * MIB, &room).await, Err(BodyError::NoRoom)));
        // What was refused has taken nothing.
        let second = read_all(MIB, &room).await.unwrap();
        assert_eq!(second.bytes.len(), MIB);
        drop(first);
        assert!(read_all(2 * MIB, &room).await.is_ok());
        assert!(matches!(read_all(5 * MIB, &room).await, Err(BodyError::TooLarge)));
        drop(second);
        assert_eq!(room.0.available_permits(), 3 * MIB / UNIT);
    }

    #[tokio::test]
    async fn small_bodies_need_no_room() {
        let room = BodyRoom::new(0);
        assert_eq!(read_all(FREE, &room).await.unwrap().bytes.len(), FREE);
        assert!(matches!(read_all(FREE + 1, &room).await, Err(BodyError::NoRoom)));
    }
}
