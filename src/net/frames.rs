//! Cuts a connection's bytes into frames: `length i32`, then that many bytes.
//!
//! A read goes through a scratch buffer of the thread, so an idle connection holds no buffer and one read may bring many frames; each frame gets a
//! buffer of exactly its own, so a record slice kept for long pins nothing else. No frame's buffer is made before the budget has its bytes.

use bytes::{Buf, BufMut, BytesMut};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::settings::{MIN_BODY_BYTES_PER_SECOND, SCRATCH_BYTES};
use crate::types::budget::{Budget, Reservation};

/// What a request takes besides its bytes, roughly: so that a flood of empty frames is paid for too.
const FRAME_OVERHEAD_BYTES: usize = 512;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// Why a connection's bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAFrame {
    Tls,
    Http,
    Negative(i32),
    TooLong { length: usize, max: usize },
}

impl fmt::Display for NotAFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls => write!(f, "the client speaks TLS to a plaintext listener"),
            Self::Http => write!(f, "the client speaks HTTP to a Kafka listener"),
            Self::Negative(length) => write!(f, "a request's length is {length}"),
            Self::TooLong { length, max } => {
                write!(f, "a request's length is {length}, socket.request.max.bytes allows {max}")
            }
        }
    }
}

/// What a length prefix says: a length, or that this is another protocol.
fn frame_length(prefix: [u8; 4], max: usize) -> Result<usize, NotAFrame> {
    match &prefix {
        // A TLS handshake record of version 3.0 to 3.4.
        [0x16, 0x03, 0..=4, _] => return Err(NotAFrame::Tls),
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"OPTI" | b"DELE" | b"CONN" | b"PATC" | b"TRAC" | b"PRI " => {
            return Err(NotAFrame::Http);
        }
        _ => {}
    }
    let length = i32::from_be_bytes(prefix);
    match usize::try_from(length) {
        Err(_) => Err(NotAFrame::Negative(length)),
        Ok(length) if length > max => Err(NotAFrame::TooLong { length, max }),
        Ok(length) => Ok(length),
    }
}

/// A whole frame, paid for.
pub struct Frame {
    pub bytes: BytesMut,
    pub reservation: Reservation,
}

enum State {
    /// So many bytes of a length prefix.
    Prefix {
        bytes: [u8; 4],
        have: usize,
    },
    /// Waiting in line for the budget.
    Reserving {
        length: usize,
        reserved: Pin<Box<dyn Future<Output = Reservation> + Send>>,
    },
    Body {
        bytes: BytesMut,
        length: usize,
        reservation: Reservation,
        clock: Clock,
    },
}

/// Since when, and from how many bytes, a body is expected to come on.
struct Clock {
    began: Instant,
    had_bytes: usize,
}

const NO_PREFIX: State = State::Prefix { bytes: [0; 4], have: 0 };

/// What a read brought.
pub enum ReadOutcome {
    /// So many bytes; frames may be there now.
    Bytes(usize),
    End,
}

/// The frames of one connection.
pub struct Frames {
    state: State,
    /// Frames that came whole in one read.
    ready: VecDeque<Frame>,
    /// Bytes behind a frame that waits for the budget: at most one scratch buffer's.
    stash: BytesMut,
    max_bytes: usize,
    body_grace: Duration,
    budget: Budget,
    paused: bool,
}

impl Frames {
    pub fn new(max_bytes: usize, body_grace: Duration, budget: Budget) -> Self {
        Self {
            state: NO_PREFIX,
            ready: VecDeque::new(),
            stash: BytesMut::new(),
            max_bytes,
            body_grace,
            budget,
            paused: false,
        }
    }

    /// Whether a frame waits in line for the budget.
    pub fn awaits_memory(&self) -> bool {
        matches!(self.state, State::Reserving { .. })
    }

    /// When to look whether the body that is coming is too slow.
    pub fn body_deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Body { bytes, clock, .. } => {
                let came = bytes.len().saturating_sub(clock.had_bytes) as u64;
                let earned = Duration::from_millis(came.saturating_mul(1000) / MIN_BODY_BYTES_PER_SECOND);
                Some(clock.began + self.body_grace + earned)
            }
            _ => None,
        }
    }

    /// Nothing is read for now, which is not the client's doing: its clock stands still until [`Self::resume`].
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// The body's clock begins anew after a pause.
    pub fn resume(&mut self) {
        if !std::mem::take(&mut self.paused) {
            return;
        }
        if let State::Body { bytes, clock, .. } = &mut self.state {
            *clock = Clock { began: Instant::now(), had_bytes: bytes.len() };
        }
    }

    /// The next frame, from bytes that are here. Pending: more must be read, or (then the budget wakes the task) paid for.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, NotAFrame>> {
        if let Some(frame) = self.ready.pop_front() {
            return Poll::Ready(Ok(frame));
        }
        let mut stash = std::mem::take(&mut self.stash);
        let result = self.poll_frame_from(&mut stash, cx);
        if !stash.is_empty() {
            self.stash = stash;
        }
        result
    }

    /// As [`Self::poll_frame`], from `input`, of which it takes what it needs.
    fn poll_frame_from(&mut self, input: &mut impl Buf, cx: &mut Context<'_>) -> Poll<Result<Frame, NotAFrame>> {
        loop {
            match &mut self.state {
                State::Prefix { bytes, have } => {
                    while *have < bytes.len() && input.has_remaining() {
                        if let Some(place) = bytes.get_mut(*have) {
                            *place = input.get_u8();
                        }
                        *have += 1;
                    }
                    if *have < bytes.len() {
                        return Poll::Pending;
                    }
                    let length = match frame_length(*bytes, self.max_bytes) {
                        Ok(length) => length,
                        Err(error) => return Poll::Ready(Err(error)),
                    };
                    self.state = match self.budget.try_reserve(length + FRAME_OVERHEAD_BYTES) {
                        Some(reservation) => body(length, reservation),
                        None => {
                            let budget = self.budget.clone();
                            let reserved = async move { budget.reserve(length + FRAME_OVERHEAD_BYTES).await };
                            State::Reserving { length, reserved: Box::pin(reserved) }
                        }
                    };
                }
                State::Reserving { length, reserved } => {
                    let reservation = ready!(reserved.as_mut().poll(cx));
                    self.state = body(*length, reservation);
                }
                State::Body { bytes, length, .. } => {
                    let take = (*length - bytes.len()).min(input.remaining());
                    bytes.put(input.take(take));
                    if bytes.len() < *length {
                        return Poll::Pending;
                    }
                    if let State::Body { bytes, reservation, .. } = std::mem::replace(&mut self.state, NO_PREFIX) {
                        return Poll::Ready(Ok(Frame { bytes, reservation }));
                    }
                }
            }
        }
    }

    /// Whether [`Self::poll_read`] is the way on: not while the budget is waited for.
    pub fn wants_bytes(&self) -> bool {
        self.ready.is_empty() && self.stash.is_empty() && !matches!(self.state, State::Reserving { .. })
    }

    /// Reads once. To be called when [`Self::poll_frame`] has nothing more.
    pub fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<ReadOutcome>> {
        if let State::Body { bytes, length, .. } = &mut self.state {
            let missing = *length - bytes.len();
            if missing >= SCRATCH_BYTES / 2 {
                let mut part = (&mut *bytes).limit(missing);
                return Poll::Ready(Ok(outcome(ready!(poll_read_into(stream, cx, &mut part))?)));
            }
        }
        // With the budget nearly used up, nothing is read that could not be paid for.
        let room = if self.budget.available_bytes() < SCRATCH_BYTES { self.needed_bytes() } else { SCRATCH_BYTES };
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch.get_mut(..room).unwrap_or_default());
            ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
            let mut input = buffer.filled();
            // A bad prefix stays where it is, to be told after the frames before it.
            while let Poll::Ready(Ok(frame)) = self.poll_frame_from(&mut input, cx) {
                self.ready.push_back(frame);
            }
            self.stash.extend_from_slice(input);
            Poll::Ready(Ok(outcome(buffer.filled().len())))
        })
    }

    /// How many bytes complete the prefix or the body.
    fn needed_bytes(&self) -> usize {
        match &self.state {
            State::Prefix { have, .. } => 4 - have,
            State::Reserving { .. } => 0,
            State::Body { bytes, length, .. } => (length - bytes.len()).min(SCRATCH_BYTES),
        }
    }
}

fn body(length: usize, reservation: Reservation) -> State {
    let clock = Clock { began: Instant::now(), had_bytes: 0 };
    State::Body { bytes: BytesMut::with_capacity(length), length, reservation, clock }
}

fn outcome(read: usize) -> ReadOutcome {
    if read == 0 { ReadOutcome::End } else { ReadOutcome::Bytes(read) }
}

/// One read into uninitialised room, which only the bytes read become part of.
fn poll_read_into<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buffer: &mut impl BufMut,
) -> Poll<io::Result<usize>> {
    let mut read = std::pin::pin!(tokio::io::AsyncReadExt::read_buf(stream, buffer));
    read.as_mut().poll(cx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_protocols_are_called_by_their_name() {
        let said = |prefix: &[u8; 4]| frame_length(*prefix, 1 << 30).map_err(|error| error.to_string());
        assert_eq!(said(&[0, 0, 1, 0]), Ok(256));
        for hello in [[0x16, 3, 1, 2], [0x16, 3, 3, 0]] {
            assert!(said(&hello).unwrap_err().contains("TLS"));
        }
        for verb in [b"GET ", b"POST", b"HEAD", b"PUT ", b"PRI "] {
            assert!(said(verb).unwrap_err().contains("HTTP"));
        }
        assert_eq!(frame_length(*b"XYZ!", 1000), Err(NotAFrame::TooLong { length: 0x5859_5a21, max: 1000 }));
        assert_eq!(frame_length([0xff; 4], 1000), Err(NotAFrame::Negative(-1)));
        // A limit that lets such lengths through does not make them frames.
        assert_eq!(frame_length(*b"GET ", i32::MAX as usize), Err(NotAFrame::Http));
    }
}
