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
use tokio::io::AsyncRead;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::frames::{Frame, Frames, NotAFrame, ReadOutcome};
use super::outbox::Outbox;
use super::settings::{CLOSING_FLUSH, MAX_IN_FLIGHT, MAX_UNSENT_BYTES, MIN_REPLY_BYTES_PER_SECOND, ORPHAN_TIME};
use super::socket::Socket;
use super::telemetry::ListenerMetrics;
use crate::api::context::{CloseReason, Connection, Dispatch, FirstStage, Outcome};
use crate::types::budget::{Budget, Reservation};

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
    /// The client left replies unread whose memory others wait for.
    SlowReader,
    NotAFrame(NotAFrame),
    Request(CloseReason),
    Io(io::Error),
}

impl Ended {
    /// Whether the peer did something that an operator may want to know.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::NotAFrame(_) | Self::Request(_) | Self::SlowBody | Self::SlowReader => true,
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
            Self::SlowReader => {
                write!(f, "the client did not read its replies, and others waited for the memory that they hold")
            }
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
    pub reply_grace: Duration,
    pub metrics: ListenerMetrics,
    pub phase: watch::Receiver<Phase>,
}

/// Serves `stream` until it ends.
pub async fn serve<S>(stream: S, connection: Arc<Connection>, shared: Shared) -> Ended
where
    S: AsyncRead + Socket + Send,
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
    memory: Arc<Reservation>,
}

enum SlotState {
    Running { outcome: BoxOutcome, overlaps_after: Option<FirstStage> },
    Done(Outcome),
}

impl Slot {
    /// Whether the connection's next request has to wait for this one.
    fn blocks(&self) -> bool {
        match &self.state {
            SlotState::Running { overlaps_after, .. } => !overlaps_after.as_ref().is_some_and(FirstStage::is_over),
            SlotState::Done(_) => false,
        }
    }
}

/// Since when replies are unsent, and how many bytes had left by then.
#[derive(Clone, Copy)]
struct Unsent {
    since: Instant,
    written_bytes: u64,
}

struct Driver<S> {
    stream: S,
    connection: Arc<Connection>,
    shared: Shared,
    frames: Frames,
    slots: VecDeque<Slot>,
    outbox: Outbox,
    /// The last request begun has neither its outcome nor its first stage behind it.
    blocked: bool,
    unsent: Option<Unsent>,
    draining: bool,
    end_of_input: bool,
    /// Set when the connection is to end once the replies before are written, and by when at the latest.
    ending: Option<(Ended, Instant)>,
    last_moved: Instant,
    timer: Pin<Box<Sleep>>,
}

impl<S: AsyncRead + Socket> Driver<S> {
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
            unsent: None,
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
            self.connection.activity.set_waits_for_request_memory(self.frames.awaits_memory());
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
        if self.outbox.is_empty() {
            self.unsent = None;
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
        let memory = Arc::new(frame.reservation);
        let lent = Arc::clone(&memory);
        let begun = catch_unwind(AssertUnwindSafe(|| self.shared.dispatch.begin(&self.connection, frame.bytes, lent)));
        let state = match begun {
            Ok(begun) => SlotState::Running { outcome: begun.outcome, overlaps_after: begun.overlaps_after },
            Err(panic) => SlotState::Done(Err(panicked(&*panic))),
        };
        self.slots.push_back(Slot { state, memory });
        self.poll_slot(self.slots.len() - 1, cx);
    }

    fn poll_slot(&mut self, index: usize, cx: &mut Context<'_>) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let SlotState::Running { outcome, .. } = &mut slot.state else { return };
        match catch_unwind(AssertUnwindSafe(|| outcome.as_mut().poll(cx))) {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(result)) => slot.state = SlotState::Done(result),
            Err(panic) => slot.state = SlotState::Done(Err(panicked(&*panic))),
        }
        // Nothing was begun behind a request that blocks, so it is the last.
        self.blocked = self.slots.back().is_some_and(Slot::blocks);
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
                    if let Err(too_long) = self.outbox.put(reply, slot.memory) {
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
        if self.unsent.is_none() && !self.outbox.is_empty() {
            self.unsent = Some(self.unsent_now());
        }
        loop {
            let deadline = self.deadline();
            if deadline < self.timer.deadline() {
                self.timer.as_mut().reset(deadline);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if deadline <= now
                && let Some(ended) = self.overdue(now)
            {
                return Poll::Ready(ended);
            }
            let deadline = self.deadline();
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
        let unread = self.unread_deadline().unwrap_or(never);
        match self.frames.body_deadline() {
            Some(body) if self.may_begin() => body.min(idle).min(unread),
            _ => idle.min(unread),
        }
    }

    fn unsent_now(&self) -> Unsent {
        Unsent { since: Instant::now(), written_bytes: self.outbox.written_bytes() }
    }

    /// When to look whether somebody waits for what unread replies hold.
    fn unread_deadline(&self) -> Option<Instant> {
        let unsent = self.unsent?;
        let left = self.outbox.written_bytes().saturating_sub(unsent.written_bytes);
        let earned = Duration::from_millis(left.saturating_mul(1000) / MIN_REPLY_BYTES_PER_SECOND);
        Some(unsent.since + self.shared.reply_grace + earned)
    }

    /// `None` when it was only time to look.
    fn overdue(&mut self, now: Instant) -> Option<Ended> {
        if let Some((ended, _)) = self.ending.take() {
            return Some(ended);
        }
        if self.unread_deadline().is_some_and(|unread| unread <= now) {
            if self.outbox.is_wanted() {
                return Some(Ended::SlowReader);
            }
            self.unsent = Some(self.unsent_now());
            if self.deadline() > now {
                return None;
            }
        }
        match self.frames.body_deadline() {
            Some(body) if body <= now && self.may_begin() => Some(Ended::SlowBody),
            _ => Some(Ended::Idle),
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
