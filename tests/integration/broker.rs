//! Brokers to test against: one inside this process, and the built program where the process itself matters.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ottla::EmbeddedBroker;
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use crate::client::Client;
use crate::{PATIENCE, eventually};

/// A broker in this process. Dropped, it ends as by a kill.
pub struct Embedded {
    // Before the runtime, so that it is dropped first.
    broker: EmbeddedBroker,
    _runtime: Runtime,
}

impl Embedded {
    pub fn start(overrides: &[(&str, &str)]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let broker = runtime.block_on(EmbeddedBroker::start_with(overrides)).unwrap();
        Self { broker, _runtime: runtime }
    }

    pub fn address(&self) -> &str {
        self.broker.bootstrap()
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }
}

/// The built program with its folder outside, so that it can be killed and started again. Killed when dropped.
pub struct Process {
    child: Child,
    address: String,
    output: Arc<Mutex<String>>,
}

/// What the program said and how it ended, when it would not start.
#[derive(Debug)]
pub struct Refusal {
    pub code: Option<i32>,
    pub said: String,
}

/// The program with nothing of this process's environment that would configure it.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KAFKA_") || name.to_string_lossy().starts_with("OTTLA_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A port of the loopback address that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The program told to serve from the folder, on a port that it chooses.
pub fn serve(folder: &Path, overrides: &[(&str, &str)]) -> Command {
    let mut command = command(&["serve"]);
    let folder = folder.to_str().unwrap();
    let presets = [
        ("log.dirs", folder),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("metrics.address", ""),
        ("offsets.topic.num.partitions", "2"),
        // Tests give records whatever time they like.
        ("log.retention.ms", "-1"),
        ("group.initial.rebalance.delay.ms", "0"),
    ];
    for (name, value) in presets.iter().chain(overrides) {
        command.arg("--override").arg(format!("{name}={value}"));
    }
    command
}

impl Process {
    /// Starts the program and waits until it says that it is ready.
    pub fn start(folder: &Path, overrides: &[(&str, &str)]) -> Self {
        Self::try_start(folder, overrides).unwrap_or_else(|refusal| panic!("the broker did not start: {refusal:?}"))
    }

    pub fn try_start(folder: &Path, overrides: &[(&str, &str)]) -> Result<Self, Refusal> {
        let mut child = serve(folder, overrides).spawn().unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let ready = gather(child.stdout.take().unwrap(), Arc::clone(&output), true);
        let failed = gather(child.stderr.take().unwrap(), Arc::clone(&output), false);
        match ready.recv_timeout(PATIENCE) {
            Ok(address) => Ok(Self { child, address, output }),
            Err(_) => {
                let _ = child.kill();
                let status = child.wait().unwrap();
                // Until the pipe's end, so that all that was said is there.
                let _ = failed.recv_timeout(PATIENCE);
                let said = output.lock().clone();
                Err(Refusal { code: status.code(), said })
            }
        }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.address)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far, both streams.
    pub fn output(&self) -> String {
        self.output.lock().clone()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; how it ended and how long that took.
    pub fn terminate(mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let status = eventually("the broker ends after SIGTERM", || self.child.try_wait().unwrap());
        (status, began.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps what a stream says; sends the address of the line that says "ready". The channel closes when the stream ends.
fn gather(stream: impl Read + Send + 'static, output: Arc<Mutex<String>>, wants_ready: bool) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if wants_ready && line.contains(" ready ") {
                let address = line.split("\"PLAINTEXT\": ").nth(1).and_then(|rest| rest.split(['}', ',']).next());
                if let Some(address) = address {
                    let _ = send.send(address.trim().to_owned());
                }
            }
            let mut output = output.lock();
            output.push_str(&line);
            output.push('\n');
        }
    });
    receive
}
