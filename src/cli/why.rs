//! `ottla why`: asks a broker's page `/why` and prints its sentences. Blocks; starts no runtime.

use clap::Args;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;
use thiserror::Error;

use super::{FAILED, REFUSED, print};

/// How long the broker may take to be reached, and between two pieces of its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Args, Debug)]
pub struct Why {
    /// A client: its client.id, its host, or the address of one of its connections.
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// A consumer group.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Where the broker serves HTTP (its metrics.address).
    #[arg(long, value_name = "URL", default_value = "http://localhost:9404")]
    url: String,
    /// Print JSON, with everything that is known of the clients' connections.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Error)]
enum WhyError {
    #[error("{0} is no URL of a broker: it has to be http://HOST:PORT, with the port of the broker's metrics.address")]
    Url(String),
    #[error(
        "{url} cannot be reached: {source}. The broker serves this page at its metrics.address (:9404 where it is not set; an empty one turns it off)"
    )]
    Reach { url: String, source: io::Error },
    #[error("{url} answered {status}: is it the metrics.address of a broker of this version?")]
    Status { url: String, status: String },
}

/// Prints the answer; the exit code is 0 when there is one.
pub fn run(asked: &Why) -> ExitCode {
    match fetch(asked) {
        Ok(text) => print(&text),
        Err(error) => {
            eprintln!("ottla: {error}");
            ExitCode::from(if matches!(error, WhyError::Url(_)) { REFUSED } else { FAILED })
        }
    }
}

fn fetch(asked: &Why) -> Result<String, WhyError> {
    let (host, port) = host_and_port(&asked.url).ok_or_else(|| WhyError::Url(asked.url.clone()))?;
    let reach = |source| WhyError::Reach { url: asked.url.clone(), source };
    let mut stream = connect(host, port).map_err(reach)?;
    // HTTP/1.0: the answer comes whole and ends with the connection.
    let request = format!("GET {} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n", path(asked));
    stream.write_all(request.as_bytes()).map_err(reach)?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).map_err(reach)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(WhyError::Status { url: asked.url.clone(), status: status.to_owned() });
    }
    Ok(body.to_owned())
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name resolves to nothing");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The parts of `http://HOST[:PORT]`; the port is 80 where there is none, as for any such URL.
fn host_and_port(url: &str) -> Option<(&str, u16)> {
    let rest = url.strip_prefix("http://")?.trim_end_matches('/');
    let rest = rest.strip_suffix("/why").unwrap_or(rest);
    let (host, port) = match rest.strip_prefix('[') {
        Some(v6) => {
            let (host, behind) = v6.split_once(']')?;
            (host, if behind.is_empty() { "80" } else { behind.strip_prefix(':')? })
        }
        None => rest.rsplit_once(':').unwrap_or((rest, "80")),
    };
    let is_host = !host.is_empty() && !host.contains(['/', '?', '#', '@']);
    Some((host, port.parse().ok()?)).filter(|_| is_host)
}

fn path(asked: &Why) -> String {
    let mut path = format!("/why?format={}", if asked.json { "json" } else { "text" });
    for (name, value) in [("client", &asked.client), ("group", &asked.group)] {
        let Some(value) = value else { continue };
        path.push_str(&format!("&{name}="));
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
                _ => drop(write!(path, "%{byte:02X}")),
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn why(url: &str, client: &str) -> Why {
        Why { client: Some(client.to_owned()), group: None, url: url.to_owned(), json: false }
    }

    #[test]
    fn urls_are_read_or_refused() {
        assert_eq!(host_and_port("http://localhost:9404"), Some(("localhost", 9404)));
        assert_eq!(host_and_port("http://[::1]:9404/why"), Some(("::1", 9404)));
        assert_eq!(host_and_port("http://broker/"), Some(("broker", 80)));
        for wrong in ["localhost:9404", "https://localhost:9404", "http://", "http://a:b", "http://a/b:1"] {
            assert_eq!(host_and_port(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_encoded() {
        assert_eq!(path(&why("", "my app/é&b")), "/why?format=text&client=my%20app%2F%C3%A9%26b");
    }

    #[test]
    fn an_answer_is_printed_and_another_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = std::thread::spawn(move || {
            for answer in ["HTTP/1.0 200 OK\r\nX: y\r\n\r\nit waits\n", "HTTP/1.1 404 Not Found\r\n\r\nno"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).unwrap() > 0);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        assert_eq!(fetch(&why(&url, "a")).unwrap(), "it waits\n");
        assert!(fetch(&why(&url, "a")).unwrap_err().to_string().contains("404 Not Found"));
        served.join().unwrap();
        assert!(fetch(&why(&url, "a")).unwrap_err().to_string().contains("metrics.address"));
    }
}
