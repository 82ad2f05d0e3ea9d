//! The seam between the store and a folder of record files, so that a model of a disk can stand in for the real one.
//!
//! Knows names, bytes and when they are durable; nothing of what the bytes mean. Every call blocks.

use bytes::Bytes;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, FallocateFlags, OFlags};

use super::Space;
use super::buffers::Buffers;
use crate::types::piece::SendSource;

/// Writes start at a multiple of this and have a length that is one: what direct IO asks for on all usual devices.
pub const BLOCK_BYTES: usize = 4096;

/// Brought to the cache by one call.
const BROUGHT_BYTES: usize = 1024 * 1024;

/// Which way a read goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Through {
    /// The operating system's cache: consumers that catch up on several partitions, or after each other, meet in the same parts of files.
    Cache,
    /// Past it, where the file system can: what the device really has.
    Device,
}

/// A folder of record files.
pub trait Disk: Send + Sync {
    /// Names of the files, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes a file that must not exist yet, as long as `size_bytes`, its blocks allocated and reading as zeros. Neither name nor size is durable yet.
    fn create(&self, name: &str, size_bytes: u64) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens for writing, and for reading what the device has.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    fn open_for_read(&self, name: &str, through: Through) -> io::Result<Arc<dyn DiskFile>>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations and removals durable.
    fn sync_names(&self) -> io::Result<()>;
    fn space(&self) -> io::Result<Space>;
}

/// One open file. Stays readable after its name is removed.
pub trait DiskFile: Send + Sync {
    fn len(&self) -> io::Result<u64>;
    /// The bytes from `position` on: `length` of them, or fewer at the end of the file.
    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes>;
    /// Writes all of `bytes`: an address, a position and a length that are multiples of [`BLOCK_BYTES`]. `durable`: these bytes (not necessarily
    /// earlier ones) are on stable storage on return.
    fn write_at(&self, bytes: &[u8], position: u64, durable: bool) -> io::Result<()>;
    /// Makes everything written to this file durable, with the length that reading it back needs.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file, or makes it longer by allocated zeros.
    fn set_len(&self, length_bytes: u64) -> io::Result<()>;
    /// The next position at or after `position` that may hold something other than zeros; `None` past the last one.
    fn next_data(&self, position: u64) -> io::Result<Option<u64>>;
    /// Drops clean pages from the operating system's cache, so that reading shows what the device has.
    fn drop_cache(&self);
    /// Begins to read a part into the operating system's cache. Advice, no more.
    fn will_need(&self, position: u64, length_bytes: u64);
    /// Reads a part into the operating system's cache, and leaves it there: large pages of what lies ahead, too, where the system sees that one part follows the
    /// other. Blocks.
    fn bring(&self, position: u64, length_bytes: u64) -> io::Result<()> {
        self.will_need(position, length_bytes);
        Ok(())
    }
    /// The file as something to send from, where the operating system can.
    fn into_source(self: Arc<Self>) -> Option<Arc<dyn SendSource>>;
}

/// A folder of the machine's file system, written with direct IO where that is wanted and the file system has it.
pub struct Folder {
    path: PathBuf,
    open_flags: i32,
    buffers: Buffers,
    nowhere: Option<Arc<File>>,
}

impl Folder {
    /// The folder must exist.
    pub fn new(path: &Path, direct_io: bool) -> io::Result<Self> {
        if !direct_io {
            return Ok(Self::with_flags(path, 0));
        }
        let probe = path.join("direct-io.probe");
        let direct = OFlags::DIRECT.bits() as i32;
        let opened = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(direct).open(&probe);
        let open_flags = match &opened {
            Ok(_) => direct,
            // Some file systems have no direct IO (tmpfs before Linux 6.6, some overlays): the page cache will do.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => 0,
            Err(_) => return opened.map(|_| Self::with_flags(path, 0)),
        };
        match std::fs::remove_file(&probe) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(Self::with_flags(path, open_flags)),
        }
    }

    fn with_flags(path: &Path, open_flags: i32) -> Self {
        let nowhere = OpenOptions::new().write(true).open("/dev/null").ok().map(Arc::new);
        Folder { path: path.to_owned(), open_flags, buffers: Buffers::default(), nowhere }
    }

    fn file(&self, file: File) -> FolderFile {
        FolderFile { file, buffers: self.buffers.clone(), nowhere: self.nowhere.clone() }
    }

    fn open_with(&self, name: &str, options: &mut OpenOptions) -> io::Result<File> {
        options.read(true).write(true).custom_flags(self.open_flags).open(self.path.join(name))
    }
}

impl Disk for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str, size_bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.file(self.open_with(name, OpenOptions::new().create_new(true))?);
        file.set_len(size_bytes)?;
        Ok(Arc::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(self.file(self.open_with(name, &mut OpenOptions::new())?)))
    }

    fn open_for_read(&self, name: &str, through: Through) -> io::Result<Arc<dyn DiskFile>> {
        let flags = if through == Through::Device { self.open_flags } else { 0 };
        let file = OpenOptions::new().read(true).custom_flags(flags).open(self.path.join(name))?;
        Ok(Arc::new(self.file(file)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn space(&self) -> io::Result<Space> {
        space_of(&self.path)
    }
}

/// Bytes of the file system that holds `path`, and those of them that this process may still take.
pub fn space_of(path: &Path) -> io::Result<Space> {
    let told = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
    Ok(Space { total_bytes: bytes(told.f_blocks), usable_bytes: bytes(told.f_bavail) })
}

/// Makes the names in a folder durable.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

struct FolderFile {
    file: File,
    buffers: Buffers,
    /// Takes bytes and has no use for them.
    nowhere: Option<Arc<File>>,
}

impl SendSource for FolderFile {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        DiskFile::read_at(self, position, length)
    }
}

impl DiskFile for FolderFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Reads whole blocks into aligned memory, as direct IO asks.
    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let before = position as usize % BLOCK_BYTES;
        let mut buffer = self.buffers.take((before + length).next_multiple_of(BLOCK_BYTES));
        let mut filled = 0;
        while let Some(rest) = buffer.room().get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, position - before as u64 + filled as u64) {
                Ok(0) => break,
                // A part of a block comes only from the end of the file.
                Ok(read) if read % BLOCK_BYTES != 0 => {
                    filled += read;
                    break;
                }
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let found = filled.saturating_sub(before).min(length);
        buffer.narrow(before, before + found);
        Ok(Bytes::from_owner(buffer))
    }

    fn write_at(&self, bytes: &[u8], position: u64, durable: bool) -> io::Result<()> {
        if !durable {
            return self.file.write_all_at(bytes, position);
        }
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            let flags = rustix::io::ReadWriteFlags::DSYNC;
            match rustix::io::pwritev2(&self.file, &[IoSlice::new(rest)], position + written as u64, flags) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(wrote) => written += wrote,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, length_bytes: u64) -> io::Result<()> {
        let length_now = self.len()?;
        if length_bytes <= length_now {
            return self.file.set_len(length_bytes);
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), length_now, length_bytes - length_now) {
            // Without fallocate the blocks come with the writes, and a full disk shows up there.
            Err(rustix::io::Errno::OPNOTSUPP) => self.file.set_len(length_bytes),
            result => Ok(result?),
        }
    }

    fn next_data(&self, position: u64) -> io::Result<Option<u64>> {
        match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(position)) {
            Ok(found) => Ok(Some(found)),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            Err(rustix::io::Errno::INVAL) => Ok((position < self.len()?).then_some(position)),
            Err(error) => Err(error.into()),
        }
    }

    fn drop_cache(&self) {
        // Only advice: when it fails, reading shows the cache, which is what it would have shown anyway.
        let _ = rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed);
    }

    fn will_need(&self, position: u64, length_bytes: u64) {
        if let Some(length) = NonZeroU64::new(length_bytes) {
            let _ = rustix::fs::fadvise(&self.file, position, Some(length), Advice::WillNeed);
        }
    }

    /// Sends it nowhere. Unlike a read this copies nothing, and unlike advice it lets the system take large pages: a seventh of the processor time.
    fn bring(&self, mut position: u64, length_bytes: u64) -> io::Result<()> {
        let end = position.saturating_add(length_bytes);
        let Some(nowhere) = &self.nowhere else {
            self.will_need(position, length_bytes);
            return Ok(());
        };
        while position < end {
            let length = usize::try_from(end - position).unwrap_or(usize::MAX).min(BROUGHT_BYTES);
            match rustix::fs::sendfile(nowhere, &self.file, Some(&mut position), length) {
                Ok(0) => break,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                // Not every file system's files can be sent from.
                Err(rustix::io::Errno::INVAL) => {
                    self.will_need(position, end - position);
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn into_source(self: Arc<Self>) -> Option<Arc<dyn SendSource>> {
        Some(self)
    }
}
