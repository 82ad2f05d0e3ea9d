//! Tells systemd how far the process is (`Type=notify`, sd_notify(3)), where systemd started it: `systemctl start` then returns when clients are served.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use tracing::warn;

/// Names the socket; not there where nobody wants to know.
const VARIABLE: &str = "NOTIFY_SOCKET";

pub(super) fn tell_ready() {
    tell("READY=1\nSTATUS=clients are served");
}

pub(super) fn tell_stopping() {
    tell("STOPPING=1\nSTATUS=making everything durable");
}

fn tell(state: &str) {
    let Some(name) = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) else { return };
    if let Err(error) = send(&name, state) {
        warn!(socket = %name.display(), %error, "systemd cannot be told how far this is");
    }
}

/// A name that begins with `@` is in Linux's abstract name space.
fn send(name: &OsStr, state: &str) -> io::Result<()> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_names_are_reached() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let abstract_name = format!("ottla-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        for (socket, name) in [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (UnixDatagram::bind_addr(&abstract_address).unwrap(), format!("@{abstract_name}").into()),
        ] {
            send(&name, "READY=1").unwrap();
            let mut told = [0; 64];
            let count = socket.recv(&mut told).unwrap();
            assert_eq!(&told[..count], b"READY=1", "{}", name.display());
        }
        assert!(send(OsStr::new("/nowhere/notify"), "READY=1").is_err());
    }
}
