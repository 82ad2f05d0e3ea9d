//! The HTTP server for `/metrics`, `/healthz`, `/ready`, `/lag` and `/why`. Small and bounded: it must never cost the broker more than it tells.
//!
//! Knows nothing of the broker: what it shows comes from [`Pages`]. Reads no request body.

use crate::config::listener::BindAddress;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// The most connections at once; further ones wait to be accepted. A scraper needs one.
const MAX_CONNECTIONS: usize = 64;
/// The longest request head.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long a client may take to send a request's head, also when the connection is idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may last at all, so that clients that read slowly cannot hold every place.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long answers that have begun may take after the end was asked for.
const END_TIMEOUT: Duration = Duration::from_millis(200);
/// Pause after a failed accept (no file descriptors left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whether something is as it should be, and if not, why.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Condition {
    /// What is wrong or still awaited, one short phrase each. Empty: all is well.
    pub reasons: Vec<String>,
}

impl Condition {
    pub fn is_good(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// What an `acks=all` write survives, once it is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Durability {
    /// `synced`, `replicated` or `written`.
    pub name: &'static str,
    /// The same in a sentence.
    pub meaning: &'static str,
}

/// Whom `/why` is asked about. Neither a client nor a group is everybody who has something to complain of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WhyAsked {
    /// A client id, a host or an address with its port.
    pub client: Option<String>,
    pub group: Option<String>,
    /// For people, instead of JSON.
    pub as_text: bool,
}

impl WhyAsked {
    fn of(query: &str, accept: &str) -> Self {
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| decoded(value)).filter(|value| !value.is_empty())
        };
        let as_text = match value("format").as_deref() {
            Some(format) => format == "text",
            None => accept.contains("text/plain") && !accept.contains("application/json"),
        };
        Self { client: value("client"), group: value("group"), as_text }
    }
}

/// A value of a query as it was before it was encoded (`+` and `%41`). What is not well encoded stays as it is.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let hex = behind.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%');
        bytes.push(match (escaped, first) {
            (Some(byte), _) => byte,
            (None, b'+') => b' ',
            (None, other) => *other,
        });
        rest = if escaped.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the server shows. Called for each request, off the async workers: may take milliseconds.
pub trait Pages: Send + Sync + 'static {
    /// `/metrics`: Prometheus's text format.
    fn metrics(&self) -> String;
    /// `/lag`: how far each consumer group is behind, as JSON; `None` as long as nobody can know.
    fn lag(&self) -> Option<String>;
    /// `/healthz`: good while a restart would not help.
    fn health(&self) -> Condition;
    /// `/ready`: good when clients can be served; otherwise what is awaited.
    fn readiness(&self) -> Condition;
    /// `/ready` tells, too: what an acknowledged write survives.
    fn durability(&self) -> Durability;
    /// `/why`: what keeps clients waiting.
    fn why(&self, asked: &WhyAsked) -> String;
}

/// Opens the address: without a host every address of the machine, of both families where the machine has both.
///
/// # Errors
/// When the host has no address or none of them can be bound; the caller says which key asked for it.
pub async fn bind(address: &BindAddress) -> io::Result<TcpListener> {
    let Some(host) = &address.host else {
        let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port));
        // Without IPv6, only the other family is left.
        return match listen_on_both(both) {
            Ok(listener) => Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            Err(_) => TcpListener::bind(("0.0.0.0", address.port)).await,
        };
    };
    let addresses: Vec<SocketAddr> = lookup_host((host.as_str(), address.port)).await?.collect();
    TcpListener::bind(addresses.as_slice()).await
}

fn listen_on_both(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    TcpListener::from_std(socket.into())
}

/// Serves until `end` turns true (or its sender is gone), then lets answers that have begun go out, for a short while.
pub async fn serve(listener: TcpListener, pages: Arc<dyn Pages>, mut end: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = end.wait_for(|ended| *ended) => break,
            accepted = accept(&listener, &places) => accepted,
            // Collects what has ended; an ended connection has nothing to say.
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, place)) => {
                let (pages, end) = (pages.clone(), end.clone());
                connections.spawn(async move {
                    let _place = place;
                    let served = connection(stream, pages, end);
                    if tokio::time::timeout(CONNECTION_TIMEOUT, served).await.is_err() {
                        tracing::debug!("an HTTP connection lasted too long");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    // What has not ended by then is dropped with the set.
    let _ = tokio::time::timeout(END_TIMEOUT, drained).await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Option<tokio::sync::OwnedSemaphorePermit>)> {
    // The semaphore is never closed, so there is always a permit to come.
    let place = places.clone().acquire_owned().await.ok();
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn connection(stream: TcpStream, pages: Arc<dyn Pages>, mut end: watch::Receiver<bool>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let pages = pages.clone();
        async move { Ok::<_, Infallible>(answer(&request, pages).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = end.wait_for(|ended| *ended) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

async fn answer(request: &Request<Incoming>, pages: Arc<dyn Pages>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".into());
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let path = request.uri().path().to_owned();
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let asked = WhyAsked::of(request.uri().query().unwrap_or_default(), accept);
    let made = tokio::task::spawn_blocking(move || match path.as_str() {
        "/metrics" => page(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", pages.metrics()),
        "/healthz" => {
            let health = pages.health();
            let body = serde_json::json!({ "healthy": health.is_good(), "reasons": health.reasons });
            page(status(&health), JSON, format!("{body}\n"))
        }
        "/ready" => ready(&*pages),
        "/lag" => match pages.lag() {
            Some(lag) => page(StatusCode::OK, JSON, lag),
            None => {
                let mut response = ready(&*pages);
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                response
            }
        },
        "/why" => page(StatusCode::OK, if asked.as_text { TEXT } else { JSON }, pages.why(&asked)),
        "/" => page(StatusCode::OK, TEXT, "Ottla: /metrics /healthz /ready /lag /why\n".into()),
        _ => page(StatusCode::NOT_FOUND, TEXT, "there is /metrics, /healthz, /ready, /lag and /why\n".into()),
    });
    match made.await {
        Ok(response) => response,
        Err(_) => page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the page could not be made\n".into()),
    }
}

fn ready(pages: &dyn Pages) -> Response<Full<Bytes>> {
    let (readiness, durability) = (pages.readiness(), pages.durability());
    let body = serde_json::json!({
        "ready": readiness.is_good(),
        "waiting_for": readiness.reasons,
        "durability": durability.name,
        "acknowledged": durability.meaning,
    });
    page(status(&readiness), JSON, format!("{body}\n"))
}

fn status(condition: &Condition) -> StatusCode {
    if condition.is_good() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn page(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[derive(Default)]
    struct Shown {
        is_ready: AtomicBool,
    }

    impl Pages for Shown {
        fn metrics(&self) -> String {
            "up 1\n".into()
        }

        fn lag(&self) -> Option<String> {
            self.is_ready.load(Ordering::SeqCst).then(|| "{\"groups\":[]}\n".into())
        }

        fn health(&self) -> Condition {
            Condition::default()
        }

        fn readiness(&self) -> Condition {
            let reasons = if self.is_ready.load(Ordering::SeqCst) { vec![] } else { vec!["the \"log\"".into()] };
            Condition { reasons }
        }

        fn durability(&self) -> Durability {
            Durability { name: "synced", meaning: "on stable storage" }
        }

        fn why(&self, asked: &WhyAsked) -> String {
            format!("{asked:?}\n")
        }
    }

    struct Server {
        address: SocketAddr,
        end: watch::Sender<bool>,
        task: tokio::task::JoinHandle<()>,
        shown: Arc<Shown>,
    }

    async fn start() -> Server {
        let listener = bind(&BindAddress { host: Some("127.0.0.1".into()), port: 0 }).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = watch::channel(false);
        let shown = Arc::new(Shown::default());
        let task = tokio::spawn(serve(listener, shown.clone(), ended));
        Server { address, end, task, shown }
    }

    /// Sends bytes and reads until the server closes or has been silent for a while.
    async fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may close before all has been sent.
        let _ = stream.write_all(request).await;
        let mut reply = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(Ok(count @ 1..)) = tokio::time::timeout(Duration::from_millis(500), stream.read(&mut chunk)).await
        {
            reply.extend_from_slice(&chunk[..count]);
        }
        String::from_utf8(reply).unwrap()
    }

    fn get(path: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes()
    }

    #[tokio::test]
    async fn shows_its_pages() {
        let server = start().await;
        let reply = ask(server.address, &get("/metrics")).await;
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with("\r\n\r\nup 1\n"), "{reply}");
        assert!(reply.contains("content-type: text/plain; version=0.0.4"), "{reply}");
        let reply = ask(server.address, &get("/healthz")).await;
        assert!(reply.starts_with("HTTP/1.1 200") && reply.contains(r#""healthy":true"#), "{reply}");
        for path in ["/ready", "/lag"] {
            let reply = ask(server.address, &get(path)).await;
            assert!(reply.starts_with("HTTP/1.1 503") && reply.contains(r#"["the \"log\""]"#), "{reply}");
        }
        server.shown.is_ready.store(true, Ordering::SeqCst);
        let reply = ask(server.address, &get("/ready")).await;
        assert!(reply.starts_with("HTTP/1.1 200") && reply.contains(r#""ready":true"#), "{reply}");
        let reply = ask(server.address, &get("/lag")).await;
        assert!(reply.contains("content-type: application/json") && reply.ends_with("{\"groups\":[]}\n"), "{reply}");
        assert!(ask(server.address, &get("/other")).await.starts_with("HTTP/1.1 404"));
        assert!(ask(server.address, b"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 405"));
    }

    #[tokio::test]
    async fn the_question_why_is_read_from_the_query() {
        let server = start().await;
        let reply = ask(server.address, &get("/why?client=my%20app%2F1&group=a+b")).await;
        assert!(reply.contains("content-type: application/json"), "{reply}");
        assert!(
            reply.ends_with("WhyAsked { client: Some(\"my app/1\"), group: Some(\"a b\"), as_text: false }\n"),
            "{reply}"
        );
        let reply = ask(server.address, &get("/why?format=text")).await;
        assert!(reply.contains("text/plain") && reply.contains("client: None"), "{reply}");
        assert_eq!(decoded("100%25%zz%4"), "100%%zz%4");
        assert!(WhyAsked::of("", "text/plain").as_text && !WhyAsked::of("", "*/*").as_text);
        assert!(ask(server.address, &get("/ready")).await.contains(r#""durability":"synced""#));
    }

    #[tokio::test]
    async fn bad_requests_end_their_connection_only() {
        let server = start().await;
        let long =
            [b"GET /metrics HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; MAX_HEAD_BYTES * 2], b"\r\n\r\n".to_vec()].concat();
        assert!(!ask(server.address, &long).await.contains("up 1"));
        assert!(!ask(server.address, &[0, 0, 0, 18, 0, 18, 0, 4]).await.contains("up 1"));
        assert!(ask(server.address, &get("/metrics")).await.ends_with("up 1\n"));
    }

    #[tokio::test]
    async fn more_connections_than_places_wait_and_are_served() {
        let server = start().await;
        let mut held = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(b"GET /metr").await.unwrap();
            held.push(stream);
        }
        let late = tokio::spawn({
            let address = server.address;
            async move { ask(address, &get("/metrics")).await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        held.clear();
        assert!(late.await.unwrap().ends_with("up 1\n"));
    }

    #[tokio::test]
    async fn ends_when_asked_also_with_idle_connections() {
        let server = start().await;
        let mut idle = TcpStream::connect(server.address).await.unwrap();
        idle.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut chunk = [0; 1024];
        assert!(idle.read(&mut chunk).await.unwrap() > 0);
        let mut silent = TcpStream::connect(server.address).await.unwrap();
        server.end.send(true).unwrap();
        tokio::time::timeout(Duration::from_secs(1), server.task).await.unwrap().unwrap();
        assert_eq!(idle.read(&mut chunk).await.unwrap_or(0), 0);
        assert_eq!(silent.read(&mut chunk).await.unwrap_or(0), 0);
        assert!(TcpStream::connect(server.address).await.is_err(), "the port is free again");
    }

    #[tokio::test]
    async fn listens_on_every_address() {
        let listener = bind(&BindAddress { host: None, port: 0 }).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_ok());
        assert_eq!(bind(&BindAddress { host: None, port }).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
