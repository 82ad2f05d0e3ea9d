//! Binds the listeners, accepts connections, and ends them all.

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener, ToSocketAddrs};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, error, info, warn};

use super::connection::{Ended, Phase, Shared, serve};
use super::limits::{Admission, ConnectionLimits, Place};
use super::settings::{Counted, Endpoint, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, NetSettings};
use super::telemetry::ListenerMetrics;
use crate::api::context::{CloseReason, Connection, Dispatch};
use crate::metrics::{Registry, table};
use crate::types::budget::Budget;
use crate::types::log_limit::LogLimit;

/// First and longest pause after a failed accept (no file descriptor left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The shortest queue of connections to be accepted, whatever `socket.listen.backlog.size` says. Beyond a full queue the kernel drops a client's first
/// packet, and the client tries again only a second later; Kafka's 50 are over in a millisecond when all clients of a broker come back at once.
const MIN_LISTEN_BACKLOG: i32 = 4096;

static CONNECTION_ID: AtomicU64 = AtomicU64::new(1);
static TOLD: LazyLock<LogLimit> = LazyLock::new(LogLimit::default);

#[derive(Debug, Error)]
pub enum NetError {
    #[error("listener {name}: {host}:{port} has no address: {source}")]
    Resolve { name: String, host: String, port: u16, source: io::Error },
    #[error(
        "listener {name}: port {port} on {address} is taken by another process; stop that one or choose another port in `listeners`"
    )]
    InUse { name: String, address: IpAddr, port: u16 },
    #[error("listener {name}: {address} cannot be bound: {source}")]
    Bind { name: String, address: SocketAddr, source: io::Error },
}

/// A listener that is bound: connections queue in the operating system until it is started.
pub struct BoundListener {
    pub name: Arc<str>,
    pub address: SocketAddr,
    counted: Counted,
    socket: StdListener,
}

/// All listeners, bound.
pub struct Server {
    listeners: Vec<BoundListener>,
    settings: NetSettings,
    /// Of brokers' clients, and of controllers'.
    limits: [Arc<ConnectionLimits>; 2],
}

impl Server {
    /// Binds every endpoint, or none.
    pub fn bind(endpoints: &[Endpoint], settings: NetSettings) -> Result<Self, NetError> {
        let listeners = endpoints.iter().map(|endpoint| bind(endpoint, &settings)).collect::<Result<_, _>>()?;
        let limits = [(); 2].map(|()| ConnectionLimits::new(settings.quotas.clone()));
        Ok(Self { listeners, settings, limits })
    }

    /// Names and addresses, with the ports that were free where 0 was asked for.
    pub fn listeners(&self) -> &[BoundListener] {
        &self.listeners
    }

    /// What connections are counted in, and new quotas are told to.
    pub fn limits(&self) -> [Arc<ConnectionLimits>; 2] {
        self.limits.clone()
    }

    /// Begins to accept. Must be called within a tokio runtime. Requests are paid for from `budget`.
    pub fn start(self, dispatch: Arc<dyn Dispatch>, budget: Budget, registry: &Registry) -> io::Result<RunningServer> {
        let spent = budget.clone();
        registry.on_scrape(move |scrape| {
            let bytes = spent.total_bytes().saturating_sub(spent.available_bytes());
            scrape.set(&table::REQUEST_MEMORY_BYTES, &[], bytes as f64);
            scrape.set(&table::REQUEST_QUEUE_SIZE, &[], spent.waiting() as f64);
        });
        let (phase_sender, phase) = watch::channel(Phase::Serving);
        let [brokers, controllers] = self.limits;
        let mut tasks = Vec::new();
        for listener in self.listeners {
            let metrics = ListenerMetrics::new(registry, &listener.name);
            let shared = Shared {
                dispatch: Arc::clone(&dispatch),
                budget: budget.clone(),
                max_request_bytes: self.settings.socket_request_max_bytes,
                max_idle: self.settings.connections_max_idle,
                body_grace: self.settings.body_grace,
                reply_grace: self.settings.reply_grace,
                metrics,
                phase: phase.clone(),
            };
            let acceptor = Acceptor {
                name: listener.name,
                socket: TcpListener::from_std(listener.socket)?,
                shared,
                limits: Arc::clone(match listener.counted {
                    Counted::Brokers => &brokers,
                    Counted::Controllers => &controllers,
                }),
                send_buffer_bytes: self.settings.socket_send_buffer_bytes,
            };
            tasks.push(tokio::spawn(acceptor.run()));
        }
        Ok(RunningServer { phase: phase_sender, tasks })
    }
}

/// Listeners that accept.
pub struct RunningServer {
    phase: watch::Sender<Phase>,
    tasks: Vec<JoinHandle<()>>,
}

impl RunningServer {
    /// Stops accepting and beginning requests, lets those in flight be answered for at most `bound`, then closes every connection.
    pub async fn stop(mut self, bound: Duration) {
        self.phase.send_replace(Phase::Draining);
        let mut tasks = std::mem::take(&mut self.tasks);
        let drained = tokio::time::timeout(bound, async {
            for task in &mut tasks {
                // A task that was cancelled or panicked has ended too.
                let _ = task.await;
            }
        });
        if drained.await.is_err() {
            info!(bound_ms = bound.as_millis() as u64, "closing connections whose requests are not answered in time");
            self.phase.send_replace(Phase::Ended);
            for task in tasks.iter_mut().filter(|task| !task.is_finished()) {
                let _ = task.await;
            }
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Ended);
    }
}

fn bind(endpoint: &Endpoint, settings: &NetSettings) -> Result<BoundListener, NetError> {
    let addresses = addresses(endpoint)?;
    let mut last = None;
    for address in addresses {
        match listen(address, settings) {
            Ok(socket) => {
                let address = socket.local_addr().unwrap_or(address);
                let name = Arc::from(endpoint.name.as_str());
                return Ok(BoundListener { name, address, counted: endpoint.counted, socket });
            }
            Err(source) => last = Some((address, source)),
        }
        // Only a machine without IPv6 goes on to the next address.
        if last.as_ref().is_some_and(|(_, source)| source.kind() == io::ErrorKind::AddrInUse) {
            break;
        }
    }
    let name = endpoint.name.clone();
    Err(match last {
        Some((address, source)) if source.kind() == io::ErrorKind::AddrInUse => {
            NetError::InUse { name, address: address.ip(), port: address.port() }
        }
        Some((address, source)) => NetError::Bind { name, address, source },
        None => {
            let source = io::Error::new(io::ErrorKind::NotFound, "the name resolves to nothing");
            let host = endpoint.bind.host.clone().unwrap_or_default();
            NetError::Resolve { name, host, port: endpoint.bind.port, source }
        }
    })
}

/// The addresses to try, in order. No host is every address, IPv6 and IPv4 on one socket where there is IPv6.
fn addresses(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, NetError> {
    let port = endpoint.bind.port;
    let Some(host) = &endpoint.bind.host else {
        let any: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
        return Ok(any.map(|ip| SocketAddr::new(ip, port)).to_vec());
    };
    let mut found: Vec<_> = (host.as_str(), port)
        .to_socket_addrs()
        .map_err(|source| NetError::Resolve { name: endpoint.name.clone(), host: host.clone(), port, source })?
        .collect();
    // As Java: a name with both kinds of address means its IPv4 one.
    found.sort_by_key(SocketAddr::is_ipv6);
    Ok(found)
}

fn listen(address: SocketAddr, settings: &NetSettings) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    // The window's scale is settled in the handshake, so the buffer is set before it.
    if let Some(bytes) = settings.socket_receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(settings.socket_listen_backlog_size.max(MIN_LISTEN_BACKLOG))?;
    Ok(socket.into())
}

struct Acceptor {
    name: Arc<str>,
    socket: TcpListener,
    shared: Shared,
    limits: Arc<ConnectionLimits>,
    send_buffer_bytes: Option<usize>,
}

impl Acceptor {
    async fn run(self) {
        let mut phase = self.shared.phase.clone();
        let mut connections = JoinSet::new();
        let mut pause = ACCEPT_PAUSE;
        loop {
            let accepted = tokio::select! {
                biased;
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
                accepted = self.socket.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, peer)) => {
                    pause = ACCEPT_PAUSE;
                    // At the limit this one waits, and those behind it in the backlog, as in Kafka.
                    let blocked = std::time::Instant::now();
                    let place = tokio::select! {
                        biased;
                        _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
                        place = self.limits.place(&self.name) => place,
                    };
                    let nanos = u64::try_from(blocked.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    self.shared.metrics.blocked_nanos.increment(nanos);
                    self.admit(stream, peer, place, &mut connections);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    warn!(listener = %self.name, %error, "no connection can be accepted for now");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
                }
            }
        }
        drop(self.socket);
        while connections.join_next().await.is_some() {}
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr, place: Place, connections: &mut JoinSet<()>) {
        let client = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let admission = match self.limits.admit(place, client.ip()) {
            Ok(admission) => admission,
            Err(max) => {
                self.shared.metrics.over_limit.increment(1);
                if let Some(more) = TOLD.pass(&(client.ip(), "max.connections.per.ip")) {
                    warn!(listener = %self.name, client = %client.ip(), max, more, "connection refused by max.connections.per.ip");
                }
                self.refuse(&stream, client, max);
                return;
            }
        };
        let local = match self.prepare(&stream) {
            Ok(local) => local,
            Err(error) => {
                debug!(listener = %self.name, %client, %error, "connection lost before it began");
                return;
            }
        };
        let id = CONNECTION_ID.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::new(id, Arc::clone(&self.name), client, local));
        connections.spawn(run_connection(stream, connection, self.shared.clone(), admission));
    }

    /// Tells those who look for this client why it has no connection.
    fn refuse(&self, stream: &TcpStream, client: SocketAddr, max: usize) {
        let Ok(local) = stream.local_addr() else { return };
        let id = CONNECTION_ID.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::new(id, Arc::clone(&self.name), client, local));
        let why = format!("max.connections.per.ip allows {max} connections of one address, and they are open");
        self.shared.dispatch.closed(&connection, &why, true);
    }

    fn prepare(&self, stream: &TcpStream) -> io::Result<SocketAddr> {
        let local = stream.local_addr()?;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        socket.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(KEEPALIVE_IDLE)
                .with_interval(KEEPALIVE_INTERVAL)
                .with_retries(KEEPALIVE_PROBES),
        )?;
        if let Some(bytes) = self.send_buffer_bytes {
            socket.set_send_buffer_size(bytes)?;
        }
        Ok(SocketAddr::new(local.ip().to_canonical(), local.port()))
    }
}

/// Errors that concern the connection that was to be accepted; the next one may be well.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Counts a connection while it is open, however it ends.
struct Open(ListenerMetrics);

impl Open {
    fn new(metrics: ListenerMetrics) -> Self {
        metrics.opened.increment(1);
        metrics.connections.increment(1.0);
        Self(metrics)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.increment(1);
        self.0.connections.decrement(1.0);
    }
}

async fn run_connection(stream: TcpStream, connection: Arc<Connection>, shared: Shared, admission: Admission) {
    let (open, dispatch) = (Open::new(shared.metrics.clone()), Arc::clone(&shared.dispatch));
    dispatch.opened(&connection);
    debug!(listener = %connection.listener, connection = connection.id, client = %connection.client_address, "connection opened");
    let mut serving = std::pin::pin!(serve(stream, Arc::clone(&connection), shared));
    // What a handler throws is caught where it is called; this is for a fault of this layer's own.
    let ended = std::future::poll_fn(|cx| {
        std::panic::catch_unwind(AssertUnwindSafe(|| serving.as_mut().poll(cx)))
            .unwrap_or_else(|_| std::task::Poll::Ready(Ended::Io(io::Error::other("panic in the connection's task"))))
    })
    .await;
    dispatch.closed(&connection, &ended.to_string(), ended.is_fault());
    log_end(&connection, &ended);
    match &ended {
        Ended::SlowBody | Ended::SlowReader => open.0.too_slow.increment(1),
        Ended::Request(CloseReason::Internal(_)) => open.0.failed.increment(1),
        _ if ended.is_fault() => open.0.bad_bytes.increment(1),
        _ => {}
    }
    drop(admission);
}

fn log_end(connection: &Connection, ended: &Ended) {
    let (listener, id, client) = (&connection.listener, connection.id, connection.client_address);
    let client_id = connection.activity.client_id();
    match ended {
        Ended::Request(CloseReason::Internal(_)) => {
            error!(%listener, connection = id, %client, client_id = &*client_id, reason = %ended, "connection closed");
        }
        _ if ended.is_fault() => {
            let reason = ended.to_string();
            if let Some(more) = TOLD.pass(&(client.ip(), &client_id, &reason)) {
                warn!(%listener, connection = id, %client, client_id = &*client_id, reason, more, "connection closed");
            }
        }
        _ => debug!(%listener, connection = id, %client, client_id = &*client_id, reason = %ended, "connection closed"),
    }
}
