//! The writer's helper thread: makes the next record file ready, seals full ones, removes dead ones, and watches the free space.
//!
//! Each of these can take long on a busy disk; none of them may hold up an append.

use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use uuid::Uuid;

use super::io::{BLOCK_BYTES, Disk, DiskFile};
use super::record_file::{FILE_HEADER_BYTES, FileHeader, PADDING, Seed, file_name};
use super::{Space, StoreError};

/// How often free space is looked at again while there is too little.
const LOW_SPACE_RECHECK: Duration = Duration::from_millis(250);

/// How often who waits for a file looks whether the thread is still there.
const THREAD_CHECK: Duration = Duration::from_secs(1);

/// A record file with its header on stable storage, its name too, and its space allocated.
pub(super) struct NewFile {
    pub file: Arc<dyn DiskFile>,
    pub seed: Seed,
    pub size_bytes: u64,
}

enum Job {
    Prepare { size_bytes: u64 },
    Seal { file: Arc<dyn DiskFile>, length_bytes: u64 },
    Remove(Vec<u64>),
    CheckSpace,
    Stop,
}

enum Next {
    NotAsked,
    Asked,
    Ready(io::Result<NewFile>),
}

struct Shared {
    next: Mutex<Next>,
    ready: Condvar,
}

/// What the thread tells about the free space, and gets told by nobody: whether there is less than the floor.
pub(super) type OnSpace = Box<dyn Fn(Space) -> bool + Send>;

/// Handle of the helper thread. The writer's own.
pub(super) struct Maker {
    jobs: Sender<Job>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Worker {
    disk: Arc<dyn Disk>,
    store_id: Uuid,
    next_file_id: u64,
    shared: Arc<Shared>,
    on_space: OnSpace,
}

impl Maker {
    /// `on_space` is called with what is free and returns whether that is too little.
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        store_id: Uuid,
        next_file_id: u64,
        on_space: OnSpace,
    ) -> Result<Self, StoreError> {
        let (jobs, receiver) = channel();
        let shared = Arc::new(Shared { next: Mutex::new(Next::NotAsked), ready: Condvar::new() });
        let worker = Worker { disk, store_id, next_file_id, shared: shared.clone(), on_space };
        let thread = std::thread::Builder::new()
            .name("store-files".into())
            .spawn(move || worker.run(receiver))
            .map_err(|error| StoreError::Io { file: "store-files thread".into(), what: error.to_string() })?;
        Ok(Maker { jobs, shared, thread: Some(thread) })
    }

    fn send(&self, job: Job) {
        // The thread ends only after `Stop`, which is the last thing sent.
        let _ = self.jobs.send(job);
    }

    /// Has the next file made, unless that was asked for already.
    pub(super) fn prepare(&self, size_bytes: u64) {
        let mut next = self.shared.next.lock();
        if matches!(*next, Next::NotAsked) {
            *next = Next::Asked;
            self.send(Job::Prepare { size_bytes });
        }
    }

    /// The next file; waits for it if it isn't ready.
    pub(super) fn take(&self, size_bytes: u64) -> io::Result<NewFile> {
        self.prepare(size_bytes);
        let mut next = self.shared.next.lock();
        loop {
            match std::mem::replace(&mut *next, Next::NotAsked) {
                Next::Ready(file) => return file,
                other => *next = other,
            }
            // A thread that has panicked makes nothing any more, and tells nobody.
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                return Err(io::Error::other("the thread that makes record files is gone"));
            }
            self.shared.ready.wait_for(&mut next, THREAD_CHECK);
        }
    }

    pub(super) fn seal(&self, file: Arc<dyn DiskFile>, length_bytes: u64) {
        self.send(Job::Seal { file, length_bytes });
    }

    pub(super) fn remove(&self, file_ids: Vec<u64>) {
        self.send(Job::Remove(file_ids));
    }

    pub(super) fn check_space(&self) {
        self.send(Job::CheckSpace);
    }

    /// Finishes what was asked for, removes a file made but not taken, and ends the thread.
    pub(super) fn stop(&mut self) {
        self.send(Job::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Worker {
    fn run(mut self, jobs: Receiver<Job>) {
        let mut low = (self.on_space)(self.space());
        loop {
            let job = match low {
                true => jobs.recv_timeout(LOW_SPACE_RECHECK),
                false => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match job {
                Ok(Job::Prepare { size_bytes }) => {
                    let file = self.make(size_bytes);
                    *self.shared.next.lock() = Next::Ready(file);
                    self.shared.ready.notify_all();
                }
                Ok(Job::Seal { file, length_bytes }) => {
                    let sealed = file.set_len(length_bytes).and_then(|()| file.sync());
                    if let Err(error) = sealed {
                        // Only space is lost: what the file holds was synced before, and the next start seals it.
                        tracing::warn!(%error, "a full record file could not be cut to its length");
                    }
                }
                Ok(Job::Remove(file_ids)) => self.remove(&file_ids),
                Ok(Job::CheckSpace) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
            low = (self.on_space)(self.space());
        }
        if let Next::Ready(Ok(unused)) = std::mem::replace(&mut *self.shared.next.lock(), Next::NotAsked) {
            self.remove(&[unused.seed.file_id]);
        }
    }

    /// Free space, or "plenty" when the file system does not tell.
    fn space(&self) -> Space {
        self.disk.space().unwrap_or(Space { total_bytes: u64::MAX, usable_bytes: u64::MAX })
    }

    fn make(&mut self, size_bytes: u64) -> io::Result<NewFile> {
        let file_id = self.next_file_id;
        self.next_file_id += 1;
        let seed = Seed { file_id, salt: Uuid::new_v4().as_u64_pair().0 ^ Uuid::new_v4().as_u64_pair().1 };
        let size_bytes = size_bytes.max((FILE_HEADER_BYTES + BLOCK_BYTES) as u64);
        let name = file_name(file_id);
        let made = self.disk.create(&name, size_bytes).and_then(|file| {
            let header = FileHeader { store_id: self.store_id, seed }.encode();
            file.write_at(&aligned(&header), 0, true)?;
            file.sync()?;
            self.disk.sync_names()?;
            Ok(file)
        });
        match made {
            Ok(file) => Ok(NewFile { file, seed, size_bytes }),
            Err(error) => {
                // What there is of it would only take space; a start ignores it.
                let _ = self.disk.remove(&name);
                Err(error)
            }
        }
    }

    fn remove(&self, file_ids: &[u64]) {
        for file_id in file_ids {
            if let Err(error) = self.disk.remove(&file_name(*file_id)) {
                tracing::warn!(%error, file_id, "a dead record file could not be removed");
            }
        }
        if let Err(error) = self.disk.sync_names() {
            tracing::warn!(%error, "the removal of record files may not last over a crash; the next start repeats it");
        }
    }
}

/// The bytes at an address that direct IO takes, padded to whole blocks.
pub(super) fn aligned(bytes: &[u8]) -> bytes::Bytes {
    let length = bytes.len().next_multiple_of(BLOCK_BYTES);
    let mut out: Vec<u8> = Vec::with_capacity(length + BLOCK_BYTES);
    let skipped = out.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
    out.resize(skipped, 0);
    out.extend_from_slice(bytes);
    out.resize(skipped + length, PADDING);
    bytes::Bytes::from(out).slice(skipped..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::disk::{Faults, SimDisk};

    #[test]
    fn who_waits_for_a_file_is_told_that_its_maker_is_gone() {
        let disk = SimDisk::default();
        let mut maker = Maker::start(Arc::new(disk.clone()), Uuid::nil(), 1, Box::new(|_| false)).unwrap();
        assert_eq!(maker.take(0).unwrap().seed.file_id, 1);
        disk.set_faults(Faults { panic_in_write: Some(0), ..Faults::default() });
        assert!(maker.take(0).err().unwrap().to_string().contains("gone"));
        assert!(maker.take(0).is_err());
        maker.stop();
    }
}
