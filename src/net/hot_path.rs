//! What `benches/hot_paths` runs of this room: a seam for measuring, which nothing else may use.

use bytes::BytesMut;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::AsyncWrite;

use super::frames::{Frames, ReadOutcome};
use super::outbox::Outbox;
use super::socket::Socket;
use crate::api::context::Reply;
use crate::types::budget::{Budget, Reservation};

/// Cuts frames as a connection does.
pub struct Cutter(Frames);

impl Cutter {
    pub fn new(max_frame_bytes: usize, budget: Budget) -> Self {
        Self(Frames::new(max_frame_bytes, Duration::from_secs(30), budget))
    }

    /// Cuts what a socket brought, to its end or to the first bytes that are no frame.
    pub fn cut(&mut self, mut socket: &[u8], mut each: impl FnMut(BytesMut, Reservation)) {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match self.0.poll_frame(&mut cx) {
                Poll::Ready(Ok(frame)) => each(frame.bytes, frame.reservation),
                Poll::Ready(Err(_)) => return,
                Poll::Pending => {
                    let read = self.0.poll_read(&mut socket, &mut cx);
                    if !matches!(read, Poll::Ready(Ok(ReadOutcome::Bytes(_)))) {
                        return;
                    }
                }
            }
        }
    }
}

/// Sends replies as a connection does, to a socket that takes everything.
#[derive(Default)]
pub struct Sender(Outbox);

impl Sender {
    /// Bytes that left: the reply's, and its length's.
    pub fn send(&mut self, reply: Reply, request: Arc<Reservation>) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        match self.0.put(reply, request).map(|()| self.0.poll_write(&mut Taker, &mut cx)) {
            Ok(Poll::Ready(Ok(written))) => written,
            _ => 0,
        }
    }
}

/// A socket that takes everything.
struct Taker;

impl Socket for Taker {}

impl AsyncWrite for Taker {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
