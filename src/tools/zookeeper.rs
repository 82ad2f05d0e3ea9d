//! `zookeeper-server-start`, `zookeeper-server-stop`: for scripts from before Kafka 4 that start a ZooKeeper first. There is none, and none is needed.

use std::sync::mpsc;

use super::interrupt::Interrupt;
use super::options::{Grammar, Opt, Parsed};
use super::{Fault, Terminal, Tool};

const DAEMON: Opt = Opt::flag("daemon", "Taken and ignored.");

pub(super) static START: Tool = Tool {
    name: "zookeeper-server-start",
    about: "Stands for ZooKeeper, which Kafka needs no more: says so, and waits until it is stopped.",
    grammar: Grammar::Jopt(&[DAEMON]),
    run: start,
};

pub(super) static STOP: Tool = Tool {
    name: "zookeeper-server-stop",
    about: "Stops nothing: there is no ZooKeeper.",
    grammar: Grammar::Jopt(&[]),
    run: stop,
};

fn start(_: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    terminal.line("There is no ZooKeeper: Ottla, as Kafka since version 4, keeps its metadata itself. Nothing is started; waiting until stopped.");
    terminal.flush();
    let (told, stopped) = mpsc::channel::<()>();
    let interrupt = Interrupt::listen(move || {
        // Nobody waits any more: then it is told already.
        let _ = told.send(());
    })?;
    // An error says that nobody can tell any more, which is as good.
    let _ = stopped.recv();
    Ok(interrupt.code().unwrap_or(0))
}

fn stop(_: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    terminal.line("No zookeeper server to stop");
    Ok(1)
}
