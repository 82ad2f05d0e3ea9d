//! Replies on their way out: in order, many to a write, record slices uncopied, parts of files sent by the kernel.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::socket::Socket;
use crate::api::context::Reply;
use crate::api::request_metrics::ReplyClock;
use crate::types::budget::Reservation;
use crate::types::piece::Piece;

/// Pieces up to this length are copied together; longer ones are written from where they lie.
const COPY_BYTES: usize = 1024;
/// Slices handed to one write. Linux takes up to 1024; past a few dozen nothing is gained.
const MAX_SLICES: usize = 64;
/// Of a file that cannot be sent from, read at a time.
const READ_BYTES: usize = 256 * 1024;
/// Written for one connection before other tasks of the thread get their turn. A client on the same machine takes bytes as fast as they come.
const TURN_BYTES: usize = 4 * 1024 * 1024;

/// Unsent replies, and the reservations of their requests.
#[derive(Debug, Default)]
pub struct Outbox {
    segments: VecDeque<Piece>,
    /// Small pieces after the last segment.
    tail: BytesMut,
    unsent_bytes: usize,
    /// Parts of files among the segments.
    files: usize,
    /// Packets that are not full are held.
    holds: bool,
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
            match piece {
                Piece::Memory(bytes) if bytes.len() <= COPY_BYTES => self.tail.put_slice(&bytes),
                piece if piece.is_empty() => {}
                piece => {
                    self.seal();
                    self.files += usize::from(matches!(piece, Piece::File(_)));
                    self.segments.push_back(piece);
                }
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
            self.segments.push_back(self.tail.split().freeze().into());
        }
    }

    /// Writes until all is gone, the socket takes no more, or others should have their turn. Ready with the bytes written in this call; the task is woken for what is left.
    pub fn poll_write<S: Socket>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut total = 0;
        if self.files > 1 && !self.holds {
            self.holds = true;
            stream.hold_packets(true);
        }
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
            if total >= TURN_BYTES && !self.is_empty() {
                cx.waker().wake_by_ref();
                return Poll::Ready(Ok(total));
            }
        }
        if std::mem::take(&mut self.holds) {
            stream.hold_packets(false);
        }
        // An idle connection keeps no buffer.
        self.tail = BytesMut::new();
        Poll::Ready(Ok(total))
    }

    fn poll_write_once<S: Socket>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(Piece::File(slice)) = self.segments.front_mut() {
            return match ready!(stream.poll_send_file(cx, slice)) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    let part = slice.take_front(READ_BYTES)?;
                    self.put_back(part);
                    self.poll_write_memory(stream, cx)
                }
                sent => Poll::Ready(sent),
            };
        }
        self.poll_write_memory(stream, cx)
    }

    /// Puts what was taken off the front, a part of a file, there again.
    fn put_back(&mut self, part: Bytes) {
        if self.segments.front().is_some_and(Piece::is_empty) {
            self.drop_front();
        }
        self.segments.push_front(part.into());
    }

    fn drop_front(&mut self) {
        if let Some(Piece::File(_)) = self.segments.pop_front() {
            self.files -= 1;
        }
    }

    fn poll_write_memory<S: Socket>(&self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            let Piece::Memory(bytes) = segment else { break };
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        stream.poll_write_slices(cx, slices.get(..count).unwrap_or(&[]), count < self.segments.len())
    }

    fn advance(&mut self, written: usize) {
        self.unsent_bytes = self.unsent_bytes.saturating_sub(written);
        self.written_bytes += written as u64;
        let mut left = written;
        while let Some(segment) = self.segments.front_mut() {
            if left < segment.len() {
                match segment {
                    Piece::Memory(bytes) => bytes.advance(left),
                    Piece::File(slice) => slice.advance(left),
                }
                break;
            }
            left -= segment.len();
            self.drop_front();
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
    use crate::types::piece::{FileSlice, SendSource};
    use std::io::Write;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::fs::FileExt;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpStream;

    /// A file, that the kernel may or may not send from.
    struct Source(std::fs::File, bool);

    impl SendSource for Source {
        fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            self.1.then(|| self.0.as_fd())
        }

        fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
            let mut bytes = vec![0; length];
            let read = self.0.read_at(&mut bytes, position)?;
            bytes.truncate(read);
            Ok(bytes.into())
        }
    }

    /// Half a megabyte that does not repeat itself, as a file and in memory.
    fn file_of_bytes(sendable: bool) -> (Arc<dyn SendSource>, Vec<u8>) {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..131_072_u32).flat_map(u32::to_be_bytes).collect();
        file.write_all(&bytes).unwrap();
        (Arc::new(Source(file, sendable)), bytes)
    }

    /// Parts of files among bytes in memory, to a reader that takes its time.
    async fn parts_arrive<S: Socket, R: tokio::io::AsyncRead + Unpin>(mut near: S, mut far: R, sendable: bool) {
        let (source, bytes) = file_of_bytes(sendable);
        let budget = Budget::new(1000);
        let (mut outbox, mut expected) = (Outbox::default(), Vec::new());
        for number in 0..20_usize {
            let (from, length) = (number * 7000, number * 20_011);
            let memory = Bytes::from(vec![number as u8; 1 + number * 300]);
            let slice = FileSlice::new(Arc::clone(&source), from as u64, length);
            let reply = Reply::new(vec![memory.clone().into(), Piece::File(slice)], Default::default());
            expected.extend_from_slice(&(reply.len() as i32).to_be_bytes());
            expected.extend_from_slice(&memory);
            expected.extend_from_slice(&bytes[from..from + length]);
            outbox.put(reply, Arc::new(budget.try_reserve(5).unwrap())).unwrap();
        }
        let writing = async {
            while !outbox.is_empty() {
                std::future::poll_fn(|cx| outbox.poll_write(&mut near, cx)).await.unwrap();
            }
        };
        let reading = async {
            let mut got = vec![0; expected.len()];
            for part in got.chunks_mut(100_000) {
                tokio::task::yield_now().await;
                far.read_exact(part).await.unwrap();
            }
            assert!(got == expected, "sendable: {sendable}");
        };
        tokio::join!(writing, reading);
        assert_eq!(budget.available_bytes(), 1000);
    }

    async fn tcp() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(listener.accept(), far);
        (near.unwrap().0, far.unwrap())
    }

    #[tokio::test]
    async fn parts_of_files_arrive_in_their_places_however_they_are_sent() {
        let (near, far) = tokio::io::duplex(3000);
        parts_arrive(near, far, true).await;
        for sendable in [true, false] {
            let (near, far) = tcp().await;
            parts_arrive(near, far, sendable).await;
        }
    }

    #[tokio::test]
    async fn a_file_that_ends_early_ends_the_connection() {
        for sendable in [true, false] {
            let (source, bytes) = file_of_bytes(sendable);
            let (mut near, _far) = tcp().await;
            let slice = FileSlice::new(source, bytes.len() as u64 - 10, 11);
            let mut outbox = Outbox::default();
            let reply = Reply::new(vec![Piece::File(slice)], Default::default());
            outbox.put(reply, Arc::new(Budget::new(10).try_reserve(5).unwrap())).unwrap();
            let mut written = Ok(0);
            while written.is_ok() {
                written = std::future::poll_fn(|cx| outbox.poll_write(&mut near, cx)).await;
            }
            assert_eq!(written.unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "sendable: {sendable}");
        }
    }

    #[tokio::test]
    async fn replies_leave_in_order_and_reservations_with_them() {
        let budget = Budget::new(1000);
        let mut outbox = Outbox::default();
        let big = Bytes::from(vec![7; 5000]);
        let mut expected = Vec::new();
        for i in 0..100u8 {
            let pieces = match i % 3 {
                0 => vec![Bytes::from(vec![i; 10]).into()],
                1 => vec![
                    Bytes::from(vec![i; 10]).into(),
                    big.clone().into(),
                    Bytes::new().into(),
                    Bytes::from(vec![i; 3]).into(),
                ],
                _ => vec![],
            };
            let reply = Reply { pieces, memory: budget.try_reserve(5), ..Reply::default() };
            expected.extend_from_slice(&(reply.len() as i32).to_be_bytes());
            for piece in reply.pieces.clone() {
                expected.extend_from_slice(&piece.into_memory().unwrap());
            }
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
