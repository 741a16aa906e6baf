//! `--idle-timeout`: a backend's answer that is silent for too long has broken off.

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// An answer whose pieces follow each other in time. It tells its length and its end as they are, which the guard around it goes
/// by.
#[derive(Debug)]
pub struct IdleBody {
    inner: Body,
    most: Duration,
    silence: Pin<Box<Sleep>>,
}

impl IdleBody {
    /// `inner`, whose pieces come at most `most` apart.
    pub fn new(inner: Body, most: Duration) -> Self {
        Self { inner, most, silence: Box::pin(sleep_until(Instant::now() + most)) }
    }
}

impl HttpBody for IdleBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            let next = Instant::now() + self.most;
            self.silence.as_mut().reset(next);
            return Poll::Ready(frame);
        }
        std::task::ready!(self.silence.as_mut().poll(cx));
        let why = format!("silent for {} s (--idle-timeout)", self.most.as_secs_f64());
        Poll::Ready(Some(Err(axum::Error::new(std::io::Error::other(why)))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test(start_paused = true)]
    async fn silence_breaks_an_answer_off_and_pieces_do_not() {
        let (mut sender, channel) = http_body_util::channel::Channel::<Bytes, axum::Error>::new(4);
        let mut body = IdleBody::new(Body::new(channel), Duration::from_secs(3));
        for _ in 0..3 {
            sender.send_data(Bytes::from_static(b"x")).await.unwrap();
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "x");
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        let begun = Instant::now();
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("--idle-timeout"), "{error}");
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
        let whole = IdleBody::new(Body::from("four"), Duration::from_secs(3));
        assert_eq!((whole.size_hint().exact(), whole.is_end_stream()), (Some(4), false));
    }
}
