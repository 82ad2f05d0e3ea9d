//! Bytes on their way to a client: in memory, or still in a file, from where the kernel sends them without this process having them.

use bytes::{Bytes, BytesMut};
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// A file whose bytes can be sent. What was written once never changes, and stays readable when the file's name is gone.
pub trait SendSource: Send + Sync {
    /// What the kernel sends from, where it can.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// The bytes from `position` on: `length` of them, or fewer at the end of the file. Blocks.
    ///
    /// # Errors
    /// What the file system says.
    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes>;
}

/// A part of a file. Holds the file open, and no memory.
#[derive(Clone)]
pub struct FileSlice {
    source: Arc<dyn SendSource>,
    position: u64,
    length: usize,
}

impl FileSlice {
    pub fn new(source: Arc<dyn SendSource>, position: u64, length: usize) -> Self {
        Self { source, position, length }
    }

    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.source.descriptor()
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Drops the first `count` bytes, which have been sent.
    pub fn advance(&mut self, count: usize) {
        let count = count.min(self.length);
        self.position += count as u64;
        self.length -= count;
    }

    /// Takes up to `most` bytes off the front into memory. Blocks.
    ///
    /// # Errors
    /// What the file system says; [`io::ErrorKind::UnexpectedEof`] where the file ends before the part does.
    pub fn take_front(&mut self, most: usize) -> io::Result<Bytes> {
        let read = self.source.read_at(self.position, most.min(self.length))?;
        if read.is_empty() && !self.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.advance(read.len());
        Ok(read)
    }
}

impl fmt::Debug for FileSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSlice").field("position", &self.position).field("length", &self.length).finish()
    }
}

/// A part of a reply.
#[derive(Clone, Debug)]
pub enum Piece {
    Memory(Bytes),
    File(FileSlice),
}

impl Piece {
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File(slice) => slice.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it keeps in memory.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File(_) => 0,
        }
    }

    /// Its bytes, read where they are in a file. Blocks.
    ///
    /// # Errors
    /// As [`FileSlice::take_front`].
    pub fn into_memory(self) -> io::Result<Bytes> {
        match self {
            Self::Memory(bytes) => Ok(bytes),
            Self::File(mut slice) => {
                let mut whole = BytesMut::with_capacity(slice.len());
                while !slice.is_empty() {
                    whole.extend_from_slice(&slice.take_front(slice.len())?);
                }
                Ok(whole.freeze())
            }
        }
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self::Memory(bytes)
    }
}
