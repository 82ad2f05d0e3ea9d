//! What a connection needs of its socket beside reading: writing many slices at once, and sending from files.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;

use rustix::net::{SendAncillaryBuffer, SendFlags};

use crate::types::piece::FileSlice;

/// Longest part of a file handed to the kernel at once, so that a fast reader does not keep the thread from its other connections.
const SEND_FILE_BYTES: usize = 1024 * 1024;

pub trait Socket: AsyncWrite + Unpin {
    /// Writes some of the slices. `more`: other bytes follow at once, so a part of a packet may wait for them.
    fn poll_write_slices(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        _more: bool,
    ) -> Poll<io::Result<usize>> {
        Pin::new(self).poll_write_vectored(cx, slices)
    }

    /// Sends some of a file without reading it. [`io::ErrorKind::Unsupported`]: it has to be read and written.
    fn poll_send_file(&mut self, _: &mut Context<'_>, _: &FileSlice) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// Whether packets that are not full wait for what comes next. Each part of a file would end with one.
    fn hold_packets(&mut self, _: bool) {}
}

impl Socket for TcpStream {
    fn poll_write_slices(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        if !more {
            return Pin::new(self).poll_write_vectored(cx, slices);
        }
        poll_io(self, cx, |stream| {
            let flags = SendFlags::MORE | SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            Ok(rustix::net::sendmsg(stream, slices, &mut SendAncillaryBuffer::default(), flags)?)
        })
    }

    /// The store has read these bytes to check them, most often just now, so they lie in the page cache. Where the system has let go of them since, the kernel
    /// waits for the device here.
    fn poll_send_file(&mut self, cx: &mut Context<'_>, slice: &FileSlice) -> Poll<io::Result<usize>> {
        let Some(file) = slice.descriptor() else { return Poll::Ready(Err(io::ErrorKind::Unsupported.into())) };
        let sent = ready!(poll_io(self, cx, |stream| {
            let mut position = slice.position();
            Ok(rustix::fs::sendfile(stream, file, Some(&mut position), slice.len().min(SEND_FILE_BYTES))?)
        }));
        Poll::Ready(match sent {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            // Not every file system's files can be sent from.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(io::ErrorKind::Unsupported.into()),
            sent => sent,
        })
    }

    fn hold_packets(&mut self, hold: bool) {
        // Where it fails, packets leave as they are.
        let _ = rustix::net::sockopt::set_tcp_cork(&*self, hold);
    }
}

fn poll_io(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        match stream.try_io(Interest::WRITABLE, || write(stream)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => return Poll::Ready(written),
        }
    }
}

/// A pipe in memory, which sends from no file.
#[cfg(test)]
impl Socket for tokio::io::DuplexStream {}
