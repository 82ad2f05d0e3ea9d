//! One connection: reads frames, begins each request, and sends the replies in the order of the requests. One task, no spawn per request.
//!
//! A request begins as soon as its frame is whole, unless an earlier one that does not overlap has no outcome yet, too many are in flight, or the client
//! leaves too many replies unread. Whatever happens in here ends this connection only.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, io};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::budget::{Budget, Reservation};
use super::frames::{Frame, Frames, NotAFrame, ReadOutcome};
use super::outbox::Outbox;
use super::settings::{CLOSING_FLUSH, MAX_IN_FLIGHT, MAX_UNSENT_BYTES, ORPHAN_TIME};
use super::telemetry::ListenerMetrics;
use crate::api::context::{CloseReason, Connection, Dispatch, Outcome};

/// Reads of one connection before other tasks of the thread get their turn.
const ROUNDS_PER_TURN: usize = 8;
/// Requests begun between two writes.
const FRAMES_PER_ROUND: usize = MAX_IN_FLIGHT;

/// How a server's end comes to its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Serving,
    /// No further request begins; connections end when theirs are answered.
    Draining,
    /// Connections end now.
    Ended,
}

/// Why a connection ended.
#[derive(Debug)]
pub enum Ended {
    /// The client closed it, between requests or in the middle.
    ByClient,
    /// Nothing moved for `connections.max.idle.ms`.
    Idle,
    Draining,
    SlowBody,
    NotAFrame(NotAFrame),
    Request(CloseReason),
    Io(io::Error),
}

impl Ended {
    /// Whether the peer did something that an operator may want to know.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::NotAFrame(_) | Self::Request(_) | Self::SlowBody => true,
            Self::ByClient | Self::Idle | Self::Draining | Self::Io(_) => false,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByClient => write!(f, "closed by the client"),
            Self::Idle => write!(f, "idle for connections.max.idle.ms"),
            Self::Draining => write!(f, "the broker stops"),
            Self::SlowBody => write!(f, "a request's bytes came too slowly"),
            Self::NotAFrame(what) => what.fmt(f),
            Self::Request(reason) => reason.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

/// What every connection of a listener shares.
#[derive(Clone)]
pub struct Shared {
    pub dispatch: Arc<dyn Dispatch>,
    pub budget: Budget,
    pub max_request_bytes: usize,
    pub max_idle: Option<Duration>,
    pub body_grace: Duration,
    pub metrics: ListenerMetrics,
    pub phase: watch::Receiver<Phase>,
}

/// Serves `stream` until it ends.
pub async fn serve<S>(stream: S, connection: Arc<Connection>, shared: Shared) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut phase = shared.phase.clone();
    let mut driver = Driver::new(stream, connection, shared);
    let ended = loop {
        let turn = tokio::select! {
            biased;
            ended = std::future::poll_fn(|cx| driver.poll(cx)) => Some(ended),
            changed = phase.changed() => if changed.is_err() { Some(Ended::Draining) } else { None },
        };
        if let Some(ended) = turn {
            break ended;
        }
        match *phase.borrow_and_update() {
            Phase::Serving => {}
            Phase::Draining => driver.draining = true,
            Phase::Ended => break Ended::Draining,
        }
    };
    driver.orphan(&ended);
    ended
}

type BoxOutcome = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A request that was begun.
struct Slot {
    state: SlotState,
    reservation: Reservation,
}

enum SlotState {
    Running { outcome: BoxOutcome, overlaps: bool },
    Done(Outcome),
}

struct Driver<S> {
    stream: S,
    connection: Arc<Connection>,
    shared: Shared,
    frames: Frames,
    slots: VecDeque<Slot>,
    outbox: Outbox,
    /// A request without outcome that does not overlap is among the slots.
    blocked: bool,
    draining: bool,
    end_of_input: bool,
    /// Set when the connection is to end once the replies before are written, and by when at the latest.
    ending: Option<(Ended, Instant)>,
    last_moved: Instant,
    timer: Pin<Box<Sleep>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    fn new(stream: S, connection: Arc<Connection>, shared: Shared) -> Self {
        let now = Instant::now();
        let frames = Frames::new(shared.max_request_bytes, shared.body_grace, shared.budget.clone());
        let timer = Box::pin(tokio::time::sleep_until(now + shared.max_idle.unwrap_or(NEVER)));
        Self {
            stream,
            connection,
            shared,
            frames,
            slots: VecDeque::new(),
            outbox: Outbox::default(),
            blocked: false,
            draining: false,
            end_of_input: false,
            ending: None,
            last_moved: now,
            timer,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let slots = self.slots.len();
        for index in 0..slots {
            self.poll_slot(index, cx);
        }
        for _ in 0..ROUNDS_PER_TURN {
            let more_is_here = self.begin_frames(cx);
            if let Poll::Ready(Err(error)) = self.poll_write(cx) {
                return Poll::Ready(self.ending.take().map_or(Ended::Io(error), |(ended, _)| ended));
            }
            if let Some(ended) = self.finished() {
                return Poll::Ready(ended);
            }
            if !self.may_begin() {
                self.frames.pause();
                return self.poll_timer(cx);
            }
            self.frames.resume();
            if more_is_here {
                continue;
            }
            if !self.frames.wants_bytes() {
                return self.poll_timer(cx);
            }
            match self.frames.poll_read(&mut self.stream, cx) {
                Poll::Ready(Ok(ReadOutcome::Bytes(read))) => {
                    self.shared.metrics.received_bytes.increment(read as u64);
                    self.last_moved = Instant::now();
                }
                Poll::Ready(Ok(ReadOutcome::End)) => self.end_of_input = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Ended::Io(error)),
                Poll::Pending => return self.poll_timer(cx),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Begins the requests that are here, up to a round's share, so that their replies leave in one write. False when it ran out of whole frames.
    fn begin_frames(&mut self, cx: &mut Context<'_>) -> bool {
        self.collect();
        for _ in 0..FRAMES_PER_ROUND {
            if !self.may_begin() {
                break;
            }
            match self.frames.poll_frame(cx) {
                Poll::Ready(Ok(frame)) => self.begin(frame, cx),
                Poll::Ready(Err(error)) => self.end(Ended::NotAFrame(error)),
                Poll::Pending => return false,
            }
            self.collect();
        }
        true
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = ready!(self.outbox.poll_write(&mut self.stream, cx))?;
        if written > 0 {
            self.shared.metrics.sent_bytes.increment(written as u64);
            self.last_moved = Instant::now();
        }
        Poll::Ready(Ok(()))
    }

    fn may_begin(&self) -> bool {
        !self.blocked
            && !self.draining
            && !self.end_of_input
            && self.ending.is_none()
            && self.slots.len() < MAX_IN_FLIGHT
            && self.outbox.unsent_bytes() <= MAX_UNSENT_BYTES
    }

    /// Begins a request: its first stage runs here and now.
    fn begin(&mut self, frame: Frame, cx: &mut Context<'_>) {
        let begun = catch_unwind(AssertUnwindSafe(|| self.shared.dispatch.begin(&self.connection, frame.bytes)));
        let state = match begun {
            Ok(begun) => SlotState::Running { outcome: begun.outcome, overlaps: begun.overlaps },
            Err(panic) => SlotState::Done(Err(panicked(&*panic))),
        };
        self.slots.push_back(Slot { state, reservation: frame.reservation });
        self.poll_slot(self.slots.len() - 1, cx);
        if let Some(Slot { state: SlotState::Running { overlaps: false, .. }, .. }) = self.slots.back() {
            self.blocked = true;
        }
    }

    fn poll_slot(&mut self, index: usize, cx: &mut Context<'_>) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let SlotState::Running { outcome, overlaps } = &mut slot.state else { return };
        let result = match catch_unwind(AssertUnwindSafe(|| outcome.as_mut().poll(cx))) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(result)) => result,
            Err(panic) => Err(panicked(&*panic)),
        };
        if !*overlaps {
            self.blocked = false;
        }
        slot.state = SlotState::Done(result);
    }

    /// Moves the replies of the requests that are done, from the front, to the outbox.
    fn collect(&mut self) {
        while let Some(slot) = self.slots.pop_front_if(|slot| matches!(slot.state, SlotState::Done(_))) {
            if self.is_mute() {
                continue;
            }
            let SlotState::Done(outcome) = slot.state else { continue };
            match outcome {
                Ok(None) => {}
                Ok(Some(reply)) => {
                    if let Err(too_long) = self.outbox.put(reply, slot.reservation) {
                        let what = format!("a reply of {} bytes is longer than the protocol can say", too_long.0);
                        self.end(Ended::Request(CloseReason::Internal(what)));
                    }
                }
                // What came after it is not answered: the client sees the connection end here.
                Err(reason) => self.end(Ended::Request(reason)),
            }
        }
    }

    /// Ends the connection once the replies that are before this point have left.
    fn end(&mut self, ended: Ended) {
        if self.ending.is_none() {
            self.ending = Some((ended, Instant::now() + CLOSING_FLUSH));
        }
    }

    /// Whether no reply goes out any more, but for those that are in the outbox: after a request that ended the connection.
    fn is_mute(&self) -> bool {
        matches!(self.ending, Some((Ended::Request(_), _)))
    }

    /// Whether all is said and done.
    fn finished(&mut self) -> Option<Ended> {
        if !self.outbox.is_empty() || !(self.slots.is_empty() || self.is_mute()) {
            return None;
        }
        if let Some((ended, _)) = self.ending.take() {
            return Some(ended);
        }
        if self.end_of_input {
            return Some(Ended::ByClient);
        }
        self.draining.then_some(Ended::Draining)
    }

    /// Looks whether some time is up, and sees to it that the task wakes for the next.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            let deadline = self.deadline();
            if deadline < self.timer.deadline() {
                self.timer.as_mut().reset(deadline);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if deadline <= now {
                return Poll::Ready(self.overdue(now));
            }
            self.timer.as_mut().reset(deadline);
        }
    }

    /// When this connection's patience ends, as things are.
    fn deadline(&self) -> Instant {
        let never = self.last_moved + NEVER;
        if let Some((_, by)) = &self.ending {
            // Requests that still run before the point of the end have their time.
            return if self.slots.is_empty() || self.is_mute() { *by } else { never };
        }
        let busy = !self.slots.is_empty() && self.outbox.is_empty();
        let idle = self.shared.max_idle.filter(|_| !busy).map_or(never, |max_idle| self.last_moved + max_idle);
        match self.frames.body_deadline() {
            Some(body) if self.may_begin() => body.min(idle),
            _ => idle,
        }
    }

    fn overdue(&mut self, now: Instant) -> Ended {
        if let Some((ended, _)) = self.ending.take() {
            return ended;
        }
        match self.frames.body_deadline() {
            Some(body) if body <= now && self.may_begin() => Ended::SlowBody,
            _ => Ended::Idle,
        }
    }

    /// Lets requests that were begun go on for a while without their connection, as Kafka finishes them.
    fn orphan(mut self, ended: &Ended) {
        let mut running: Vec<_> =
            self.slots.drain(..).filter(|slot| matches!(slot.state, SlotState::Running { .. })).collect();
        if running.is_empty() || matches!(ended, Ended::Draining) {
            return;
        }
        tokio::spawn(tokio::time::timeout(ORPHAN_TIME, async move {
            for slot in &mut running {
                if let SlotState::Running { outcome, .. } = &mut slot.state {
                    // Nobody is left to hear of the outcome; a panic ends this task.
                    let _ = outcome.await;
                }
            }
        }));
    }
}

/// For lack of a limit: far beyond any process's life, and within what a timer can hold.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

fn panicked(panic: &(dyn std::any::Any + Send)) -> CloseReason {
    let what = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic".to_owned());
    CloseReason::Internal(format!("panic: {what}"))
}
