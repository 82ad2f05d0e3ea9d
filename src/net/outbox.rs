//! Replies on their way out: in order, many to a write, record slices uncopied.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::AsyncWrite;

use crate::api::context::Reply;
use crate::api::request_metrics::ReplyClock;
use crate::types::budget::Reservation;

/// Pieces up to this length are copied together; longer ones are written from where they lie.
const COPY_BYTES: usize = 1024;
/// Slices handed to one write. Linux takes up to 1024; past a few dozen nothing is gained.
const MAX_SLICES: usize = 64;

/// Unsent replies, and the reservations of their requests.
#[derive(Debug, Default)]
pub struct Outbox {
    segments: VecDeque<Bytes>,
    /// Small pieces after the last segment.
    tail: BytesMut,
    unsent_bytes: usize,
    /// Bytes ever put in and ever written: a reply has left when the second reaches what the first was after it.
    put_bytes: u64,
    written_bytes: u64,
    held: VecDeque<Held>,
}

/// What is kept until byte `end` of all that was ever put in has left: what is paid for a reply and its request, and the reply's clock.
#[derive(Debug)]
struct Held {
    end: u64,
    request: Arc<Reservation>,
    reply: Option<Reservation>,
    clock: Option<ReplyClock>,
}

/// A reply longer than its length prefix can say.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong(pub usize);

impl Outbox {
    pub fn unsent_bytes(&self) -> usize {
        self.unsent_bytes
    }

    pub fn is_empty(&self) -> bool {
        self.unsent_bytes == 0
    }

    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Whether somebody waits for memory that unsent replies hold.
    pub fn is_wanted(&self) -> bool {
        self.held.iter().any(|held| held.request.is_wanted() || held.reply.as_ref().is_some_and(Reservation::is_wanted))
    }

    /// Queues a reply behind its length. What was paid for it and for its `request` is kept until the reply's last byte is written.
    pub fn put(&mut self, reply: Reply, request: Arc<Reservation>) -> Result<(), TooLong> {
        let length = reply.len();
        let prefix = i32::try_from(length).map_err(|_| TooLong(length))?;
        self.tail.put_i32(prefix);
        for piece in reply.pieces {
            if piece.len() <= COPY_BYTES {
                self.tail.put_slice(&piece);
            } else {
                self.seal();
                self.segments.push_back(piece);
            }
        }
        self.unsent_bytes += 4 + length;
        self.put_bytes += 4 + length as u64;
        let mut clock = reply.clock;
        if let Some(clock) = &mut clock {
            clock.sending(Instant::now());
        }
        self.held.push_back(Held { end: self.put_bytes, request, reply: reply.memory, clock });
        Ok(())
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.segments.push_back(self.tail.split().freeze());
        }
    }

    /// Writes until all is gone or the socket takes no more. Ready with the bytes written in this call.
    pub fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut total = 0;
        while !self.is_empty() {
            self.seal();
            let written = match self.poll_write_once(stream, cx) {
                Poll::Pending if total > 0 => return Poll::Ready(Ok(total)),
                other => ready!(other)?,
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            total += written;
            self.advance(written);
        }
        // An idle connection keeps no buffer.
        self.tail = BytesMut::new();
        Poll::Ready(Ok(total))
    }

    fn poll_write_once<S: AsyncWrite + Unpin>(&self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            *slice = IoSlice::new(segment);
            count += 1;
        }
        Pin::new(stream).poll_write_vectored(cx, slices.get(..count).unwrap_or(&[]))
    }

    fn advance(&mut self, written: usize) {
        self.unsent_bytes = self.unsent_bytes.saturating_sub(written);
        self.written_bytes += written as u64;
        let mut left = written;
        while let Some(segment) = self.segments.front_mut() {
            if left < segment.len() {
                segment.advance(left);
                break;
            }
            left -= segment.len();
            self.segments.pop_front();
        }
        let mut now = None;
        while let Some(sent) = self.held.pop_front_if(|held| held.end <= self.written_bytes) {
            if let Some(clock) = sent.clock {
                clock.sent(*now.get_or_insert_with(Instant::now));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::budget::Budget;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn replies_leave_in_order_and_reservations_with_them() {
        let budget = Budget::new(1000);
        let mut outbox = Outbox::default();
        let big = Bytes::from(vec![7; 5000]);
        let mut expected = Vec::new();
        for i in 0..100u8 {
            let pieces = match i % 3 {
                0 => vec![Bytes::from(vec![i; 10])],
                1 => vec![Bytes::from(vec![i; 10]), big.clone(), Bytes::new(), Bytes::from(vec![i; 3])],
                _ => vec![],
            };
            let reply = Reply { pieces, memory: budget.try_reserve(5), ..Reply::default() };
            expected.extend_from_slice(&(reply.len() as i32).to_be_bytes());
            reply.pieces.iter().for_each(|piece| expected.extend_from_slice(piece));
            outbox.put(reply, Arc::new(budget.try_reserve(5).unwrap())).unwrap();
        }
        assert_eq!(outbox.unsent_bytes(), expected.len());
        assert_eq!(budget.available_bytes(), 0);
        let (mut near, mut far) = tokio::io::duplex(700);
        let reading = tokio::spawn(async move {
            let mut got = vec![0; expected.len()];
            far.read_exact(&mut got).await.unwrap();
            assert_eq!(got, expected);
        });
        while !outbox.is_empty() {
            std::future::poll_fn(|cx| outbox.poll_write(&mut near, cx)).await.unwrap();
        }
        reading.await.unwrap();
        assert_eq!(budget.available_bytes(), 1000);
    }
}
