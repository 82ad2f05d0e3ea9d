//! One connection to a broker: frames out, replies in, matched in order. Two tasks own the socket's halves, so a caller that stops waiting breaks no frame.
//!
//! Knows nothing of the cluster, tries nothing twice. Many requests may be under way at once; a broker answers them in their order.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use parking_lot::Mutex;
use smallvec::{SmallVec, smallvec};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle};

use super::ClientError;

/// The longest reply that is read. A fetch may bring as much as it asked for and one batch more. A longer length is a sign of another protocol; TLS records
/// begin like a length of 336 MiB.
const MAX_REPLY_BYTES: usize = 256 * 1024 * 1024;

/// How long the other side may take to end its half of a connection that is closed in order. Longer it need not be waited for: all that was written is with the
/// kernel then, which delivers it.
const PEER_END_BOUND: Duration = Duration::from_millis(500);

/// A request in pieces that are written one after the other, uncopied.
pub type Pieces = SmallVec<[Bytes; 2]>;

/// A broker's answer, whole: header and body.
type Reply = Result<Bytes, ClientError>;

/// Versions of APIs by key: lowest and highest.
pub type Versions = BTreeMap<i16, (i16, i16)>;

struct Waiting {
    correlation_id: i32,
    reply: oneshot::Sender<Reply>,
}

/// A request on its way to the socket.
struct Frame {
    pieces: Pieces,
    /// Told once the whole of it has been handed to the kernel.
    written: Option<oneshot::Sender<()>>,
}

struct State {
    waiting: VecDeque<Waiting>,
    next_correlation_id: i32,
    /// To the task that writes; gone when nothing more is to follow.
    frames: Option<mpsc::UnboundedSender<Frame>>,
    /// Why nothing more can be sent.
    broken: Option<ClientError>,
}

impl State {
    fn fail(&mut self, error: ClientError) {
        for waiting in self.waiting.drain(..) {
            let _ = waiting.reply.send(Err(error.clone()));
        }
        self.end(error);
    }

    /// Takes nothing more; what was begun goes on.
    fn end(&mut self, why: ClientError) {
        self.broken.get_or_insert(why);
        self.frames = None;
    }
}

/// A connection that has shaken hands. Dropping it closes the socket, whatever is not written yet; [`Self::close`] ends it in order.
pub struct Connection {
    address: String,
    client_id: Option<StrBytes>,
    request_timeout: Duration,
    state: Arc<Mutex<State>>,
    aborts: [AbortHandle; 2],
    /// The writing task and the reading one, until somebody waits for their end.
    tasks: Mutex<Option<[JoinHandle<()>; 2]>>,
    versions: Versions,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.aborts.iter().for_each(AbortHandle::abort);
    }
}

impl Connection {
    /// Takes a connected socket and asks the broker which versions it speaks (KIP-511).
    ///
    /// # Errors
    /// [`ClientError::NotKafka`] for a peer that speaks something else, and what [`Self::send`] may meet.
    pub async fn open(
        socket: TcpStream,
        address: String,
        client_id: &str,
        request_timeout: Duration,
    ) -> Result<Self, ClientError> {
        // Requests are written whole; waiting for more would only add the kernel's delay.
        let _ = socket.set_nodelay(true);
        let (read_half, write_half) = socket.into_split();
        let (frames, queue) = mpsc::unbounded_channel();
        let state = State { waiting: VecDeque::new(), next_correlation_id: 0, frames: Some(frames), broken: None };
        let state = Arc::new(Mutex::new(state));
        let tasks = [
            tokio::spawn(write(write_half, queue, state.clone(), address.clone())),
            tokio::spawn(read(read_half, state.clone(), address.clone())),
        ];
        let aborts = [tasks[0].abort_handle(), tasks[1].abort_handle()];
        let client_id = (!client_id.is_empty()).then(|| StrBytes::from_string(client_id.to_owned()));
        let versions = Versions::new();
        let tasks = Mutex::new(Some(tasks));
        let mut connection = Self { address, client_id, request_timeout, state, aborts, tasks, versions };
        connection.versions = connection.shake_hands().await?;
        Ok(connection)
    }

    async fn shake_hands(&self) -> Result<Versions, ClientError> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("ottla"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let mut version = 4;
        loop {
            let reply = self.exchange(&request, version).await?;
            // A broker that does not know the version answers in version 0, with what it knows of ApiVersions itself.
            let code = reply.get(4..6).map_or(0, |mut bytes| bytes.get_i16());
            let answered_in = if code == 35 { 0 } else { version };
            let answer: ApiVersionsResponse =
                self.decode("ApiVersions", reply.slice(4.min(reply.len())..), answered_in)?;
            if code == 35 && version > 0 {
                let known = answer.api_keys.iter().find(|api| api.api_key == ApiKey::ApiVersions as i16);
                version = known.map_or(0, |api| api.max_version).clamp(0, version - 1);
                continue;
            }
            super::ServerError::check(code, None)?;
            return Ok(answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect());
        }
    }

    /// What the broker offers.
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// The address that was connected to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether another request may be sent.
    pub fn is_open(&self) -> bool {
        self.state.lock().broken.is_none()
    }

    /// The highest version of an API that both sides know, and that is not above `at_most`.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`].
    pub fn version_of<R: Request>(&self, at_most: i16) -> Result<i16, ClientError> {
        let (ours, theirs) = (R::VERSIONS, self.versions.get(&R::KEY));
        let (lowest, highest) = (ours.min, ours.max.min(at_most));
        if let Some((min, max)) = theirs
            && (*min).max(lowest) <= (*max).min(highest)
        {
            return Ok((*max).min(highest));
        }
        let offered = theirs.map_or("no version of it".to_owned(), |(min, max)| format!("versions {min} to {max}"));
        let wanted = format!("in a version from {lowest} to {highest}");
        Err(ClientError::Unsupported { address: self.address.clone(), request: name(R::KEY), wanted, offered })
    }

    /// Sends a request in a version that [`Self::version_of`] gave, and waits for its answer within `request.timeout.ms`.
    ///
    /// # Errors
    /// [`ClientError::Disconnected`], [`ClientError::NoAnswer`] (the connection is then given up, as Kafka's clients do), [`ClientError::BadRequest`],
    /// [`ClientError::BadAnswer`].
    pub async fn send<R: Request>(&self, request: &R, version: i16) -> Result<R::Response, ClientError> {
        let reply = self.exchange(request, version).await?;
        self.decode_reply::<R>(reply, version)
    }

    async fn exchange<R: Request>(&self, request: &R, version: i16) -> Reply {
        let mut body = BytesMut::new();
        self.encode_body(request, version, &mut body)?;
        self.begin(R::KEY, version, smallvec![body.freeze()])?.wait(self.request_timeout).await
    }

    fn encode_body<R: Request>(&self, request: &R, version: i16, out: &mut BytesMut) -> Result<(), ClientError> {
        request.encode(out, version).map_err(|error| ClientError::BadRequest {
            request: name(R::KEY),
            version,
            what: format!("{error:#}"),
        })
    }

    /// Queues a request whose body is encoded already. It is written after all that were begun before it, whether or not anybody waits for the answer.
    ///
    /// # Errors
    /// Why the connection is broken; [`ClientError::BadRequest`] for an API that has no header.
    pub fn begin(&self, api_key: i16, version: i16, body: Pieces) -> Result<Pending<'_>, ClientError> {
        let mut state = self.state.lock();
        let correlation_id = self.queue(&mut state, api_key, version, body, None)?;
        let (reply, receiver) = oneshot::channel();
        state.waiting.push_back(Waiting { correlation_id, reply });
        drop(state);
        Ok(Pending { connection: self, api_key, receiver })
    }

    /// Queues a request that is never answered: Produce with `acks=0`. Whoever queues them without waiting for what was queued before makes the queue longer than
    /// the other side may ever read.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn begin_unanswered(&self, api_key: i16, version: i16, body: Pieces) -> Result<Unanswered<'_>, ClientError> {
        let (written, receiver) = oneshot::channel();
        self.queue(&mut self.state.lock(), api_key, version, body, Some(written))?;
        Ok(Unanswered { connection: self, api_key, receiver })
    }

    /// Under the state's lock, so that the order on the wire is that of those who wait.
    fn queue(
        &self,
        state: &mut State,
        api_key: i16,
        version: i16,
        body: Pieces,
        written: Option<oneshot::Sender<()>>,
    ) -> Result<i32, ClientError> {
        if let Some(error) = &state.broken {
            return Err(error.clone());
        }
        let correlation_id = state.next_correlation_id;
        let wrong = |what: String| ClientError::BadRequest { request: name(api_key), version, what };
        let key = ApiKey::try_from(api_key).map_err(|()| wrong("no such API".into()))?;
        let header = RequestHeader::default()
            .with_request_api_key(api_key)
            .with_request_api_version(version)
            .with_correlation_id(correlation_id)
            .with_client_id(self.client_id.clone());
        let mut head = BytesMut::with_capacity(64);
        head.put_i32(0);
        header.encode(&mut head, key.request_header_version(version)).map_err(|error| wrong(format!("{error:#}")))?;
        let bytes = head.len() - 4 + body.iter().map(Bytes::len).sum::<usize>();
        let length = i32::try_from(bytes).map_err(|_| wrong(format!("{bytes} bytes are too many for one request")))?;
        if let Some(prefix) = head.get_mut(..4) {
            prefix.copy_from_slice(&length.to_be_bytes());
        }
        state.next_correlation_id = correlation_id.wrapping_add(1) & i32::MAX;
        let mut pieces: Pieces = smallvec![head.freeze()];
        pieces.extend(body);
        if let Some(frames) = &state.frames {
            // The writer goes only when the connection is broken or dropped.
            let _ = frames.send(Frame { pieces, written });
        }
        Ok(correlation_id)
    }

    /// Takes the header off and decodes the body.
    ///
    /// # Errors
    /// [`ClientError::BadAnswer`].
    pub fn decode_reply<R: Request>(&self, reply: Bytes, version: i16) -> Result<R::Response, ClientError> {
        let request = name(R::KEY);
        let mut body = reply;
        let header_version = <R::Response as HeaderVersion>::header_version(version);
        if let Err(error) = kafka_protocol::messages::ResponseHeader::decode(&mut body, header_version) {
            let what = format!("{error:#}");
            return Err(ClientError::BadAnswer { address: self.address.clone(), request, what });
        }
        self.decode(&request, body, version)
    }

    fn decode<T: Decodable>(&self, request: &str, mut body: Bytes, version: i16) -> Result<T, ClientError> {
        T::decode(&mut body, version).map_err(|error| ClientError::BadAnswer {
            address: self.address.clone(),
            request: request.to_owned(),
            what: format!("{error:#}"),
        })
    }

    /// Ends the connection for all who wait.
    fn give_up(&self, error: ClientError) {
        self.state.lock().fail(error);
        self.aborts.iter().for_each(AbortHandle::abort);
    }

    /// Takes no more requests, writes what was begun, and ends the socket as TCP wants it: with a FIN behind the last byte, and what the other side still
    /// sends read. (A socket that is closed with something unread is reset, and a reset may take from the other side what it has not read.) Writing may take
    /// `request.timeout.ms`; what is not written then is lost, and told to those who wait for it.
    pub async fn close(&self) {
        let closed = || ClientError::Disconnected { address: self.address.clone(), why: "it was closed".into() };
        self.state.lock().end(closed());
        let tasks = self.tasks.lock().take();
        if let Some([writing, reading]) = tasks
            && tokio::time::timeout(self.request_timeout, writing).await.is_ok()
        {
            let _ = tokio::time::timeout(PEER_END_BOUND, reading).await;
        }
        self.give_up(closed());
    }
}

/// A request that was queued. Dropping it loses the answer, nothing else.
pub struct Pending<'a> {
    connection: &'a Connection,
    api_key: i16,
    receiver: oneshot::Receiver<Reply>,
}

impl Pending<'_> {
    /// The reply, header and body, for [`Connection::decode_reply`].
    ///
    /// # Errors
    /// [`ClientError::Disconnected`], [`ClientError::NoAnswer`].
    pub async fn wait(self, within: Duration) -> Reply {
        let address = || self.connection.address.clone();
        match tokio::time::timeout(within, self.receiver).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err(ClientError::Disconnected { address: address(), why: "it was closed".into() }),
            Err(_) => {
                let error = ClientError::NoAnswer { address: address(), request: name(self.api_key), within };
                self.connection.give_up(error.clone());
                Err(error)
            }
        }
    }
}

/// A request without an answer that was queued. Dropping it changes nothing for the request.
pub struct Unanswered<'a> {
    connection: &'a Connection,
    api_key: i16,
    receiver: oneshot::Receiver<()>,
}

impl Unanswered<'_> {
    /// Until the kernel has the whole request.
    ///
    /// # Errors
    /// As [`Pending::wait`]: after `within` the connection is given up.
    pub async fn written(self, within: Duration) -> Result<(), ClientError> {
        let connection = self.connection;
        let address = connection.address.clone();
        match tokio::time::timeout(within, self.receiver).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => {
                let closed = ClientError::Disconnected { address, why: "it was closed".into() };
                Err(connection.state.lock().broken.clone().unwrap_or(closed))
            }
            Err(_) => {
                let error = ClientError::NotTaken { address, request: name(self.api_key), within };
                connection.give_up(error.clone());
                Err(error)
            }
        }
    }
}

/// An API's name, as in the protocol's documents.
pub fn name(api_key: i16) -> String {
    ApiKey::try_from(api_key).map_or_else(|()| format!("API {api_key}"), |key| format!("{key:?}"))
}

/// Writes until there is nothing more to come, and then says so to the other side.
async fn write(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<Frame>,
    state: Arc<Mutex<State>>,
    address: String,
) {
    while let Some(Frame { pieces, written }) = queue.recv().await {
        if let Err(error) = write_all(&mut socket, pieces).await {
            return fail(&state, &address, &error.to_string());
        }
        if let Some(written) = written {
            // Who no longer waits has lost interest.
            let _ = written.send(());
        }
    }
    let _ = socket.shutdown().await;
}

async fn write_all(socket: &mut OwnedWriteHalf, mut pieces: Pieces) -> io::Result<()> {
    pieces.retain(|piece| !piece.is_empty());
    while !pieces.is_empty() {
        let written = {
            let slices: SmallVec<[io::IoSlice<'_>; 8]> = pieces.iter().map(|piece| io::IoSlice::new(piece)).collect();
            socket.write_vectored(&slices).await?
        };
        if written == 0 {
            return Err(io::Error::new(io::ErrorKind::WriteZero, "nothing more can be written"));
        }
        take(&mut pieces, written);
    }
    Ok(())
}

/// Takes written bytes off the front.
fn take(pieces: &mut Pieces, mut written: usize) {
    pieces.retain_mut(|piece| {
        let gone = written.min(piece.len());
        piece.advance(gone);
        written -= gone;
        !piece.is_empty()
    });
}

fn fail(state: &Mutex<State>, address: &str, why: &str) {
    state.lock().fail(ClientError::Disconnected { address: address.to_owned(), why: why.to_owned() });
}

async fn read(mut socket: OwnedReadHalf, state: Arc<Mutex<State>>, address: String) {
    let error = loop {
        match read_reply(&mut socket, &state, &address).await {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    state.lock().fail(error);
}

async fn read_reply(socket: &mut OwnedReadHalf, state: &Mutex<State>, address: &str) -> Result<(), ClientError> {
    let broke = |error: io::Error| {
        let why = match error.kind() {
            io::ErrorKind::UnexpectedEof => "the broker closed it".to_owned(),
            _ => error.to_string(),
        };
        ClientError::Disconnected { address: address.to_owned(), why }
    };
    let mut prefix = [0; 4];
    socket.read_exact(&mut prefix).await.map_err(broke)?;
    let length = match usize::try_from(i32::from_be_bytes(prefix)) {
        Ok(length) if (4..=MAX_REPLY_BYTES).contains(&length) => length,
        _ => return Err(not_kafka(address, prefix)),
    };
    // Grows with what comes, so that a length alone takes no memory.
    let mut reply = BytesMut::with_capacity(length.min(1 << 20));
    let mut rest = socket.take(u64::try_from(length).unwrap_or(u64::MAX));
    while reply.len() < length {
        if rest.read_buf(&mut reply).await.map_err(broke)? == 0 {
            return Err(broke(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    let reply = reply.freeze();
    let correlation_id = reply.get(..4).map_or(-1, |mut bytes| bytes.get_i32());
    let waiting = state.lock().waiting.pop_front();
    match waiting {
        Some(waiting) if waiting.correlation_id == correlation_id => {
            // Who no longer waits has lost interest.
            let _ = waiting.reply.send(Ok(reply));
            Ok(())
        }
        other => {
            let expected = other.as_ref().map_or("none".to_owned(), |waiting| waiting.correlation_id.to_string());
            let why = format!("an answer with correlation id {correlation_id} came where {expected} was expected");
            let error = ClientError::Disconnected { address: address.to_owned(), why };
            if let Some(waiting) = other {
                let _ = waiting.reply.send(Err(error.clone()));
            }
            Err(error)
        }
    }
}

/// Says what the first bytes of another protocol look like.
fn not_kafka(address: &str, prefix: [u8; 4]) -> ClientError {
    let (what, advice) = match prefix {
        [0x15 | 0x16, 3, ..] => ("speaks TLS", "Use the port of a PLAINTEXT listener."),
        [b'H', b'T', b'T', b'P'] => ("speaks HTTP", "Use the port of a Kafka listener, as in the broker's listeners."),
        [b'S', b'S', b'H', b'-'] => ("speaks SSH", "Use the port of a Kafka listener, as in the broker's listeners."),
        _ => ("does not speak Kafka's protocol", "Check the port."),
    };
    ClientError::NotKafka { address: address.to_owned(), what: what.to_owned(), advice: advice.to_owned() }
}
