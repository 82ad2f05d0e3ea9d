//! A disk that keeps no more than it promises: at a crash each page that was not synced is old, zero or new, sizes and names go their own ways, and a
//! failed sync marks its pages clean although they are lost.
//!
//! Stands in for a folder of record files ([`crate::store::io::Disk`]). Time and content are the caller's; only the seed decides what a crash leaves.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use super::Random;
use crate::store::Space;
use crate::store::io::{BLOCK_BYTES, Disk, DiskFile, Through};
use crate::types::piece::SendSource;

type Page = [u8; BLOCK_BYTES];

/// One file, by what programs see and by what the medium holds.
#[derive(Clone, Default)]
struct Inode {
    pages: BTreeMap<u64, Page>,
    length: u64,
    stable_pages: BTreeMap<u64, Page>,
    stable_length: u64,
    /// Differ between the two, and a sync would write them.
    dirty: BTreeSet<u64>,
}

/// Which faults are still to come.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// After so many changing calls, that one takes effect (unsynced) and then nothing works any more.
    pub crash_after_calls: Option<u64>,
    /// This sync, counted from now, fails, and its pages are lost although they are marked clean.
    pub fail_sync: Option<u64>,
    /// This write, counted from now, fails half-way for want of space.
    pub fail_write: Option<u64>,
    /// In this write, counted from now, the caller panics.
    pub panic_in_write: Option<u64>,
}

#[derive(Default)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<String, u64>,
    stable_names: BTreeMap<String, u64>,
    faults: Faults,
    crashed: bool,
    usable_bytes: u64,
}

/// The disk. Clones are the same one.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

const TOTAL_BYTES: u64 = 1 << 40;

impl Default for SimDisk {
    fn default() -> Self {
        SimDisk(Arc::new(Mutex::new(State { usable_bytes: TOTAL_BYTES, ..State::default() })))
    }
}

fn gone() -> io::Error {
    io::Error::other("the machine is down")
}

impl SimDisk {
    pub fn set_faults(&self, faults: Faults) {
        self.0.lock().faults = faults;
    }

    pub fn set_usable_bytes(&self, usable_bytes: u64) {
        self.0.lock().usable_bytes = usable_bytes;
    }

    /// Everything after this fails, until [`Self::power_on`].
    pub fn power_off(&self) {
        self.0.lock().crashed = true;
    }

    /// What a power loss leaves, as `random` decides.
    pub fn power_on(&self, random: &mut Random) {
        let mut state = self.0.lock();
        let names: BTreeSet<String> = state.names.keys().chain(state.stable_names.keys()).cloned().collect();
        let mut survivors = BTreeMap::new();
        for name in names {
            let (live, stable) = (state.names.get(&name).copied(), state.stable_names.get(&name).copied());
            let survivor = if random.once_in(2) { live } else { stable };
            survivors.extend(survivor.map(|inode| (name, inode)));
        }
        for inode in state.inodes.values_mut() {
            inode.lose_power(random);
        }
        state.names = survivors.clone();
        state.stable_names = survivors;
        state.restart();
    }

    /// What the end of the process alone leaves: all that was written, synced or not.
    pub fn restart_process(&self) {
        self.0.lock().restart();
    }

    pub fn names(&self) -> Vec<String> {
        self.0.lock().names.keys().cloned().collect()
    }

    pub fn content(&self, name: &str) -> Vec<u8> {
        let state = self.0.lock();
        let Some(inode) = state.names.get(name).and_then(|inode| state.inodes.get(inode)) else { return Vec::new() };
        let mut content = vec![0; inode.length as usize];
        for (number, page) in &inode.pages {
            let start = *number as usize * BLOCK_BYTES;
            let end = (start + BLOCK_BYTES).min(content.len());
            if start < end {
                content[start..end].copy_from_slice(&page[..end - start]);
            }
        }
        content
    }

    /// Puts a file in place, on the medium too.
    pub fn put(&self, name: &str, content: &[u8]) {
        let mut inode = Inode { length: content.len() as u64, stable_length: content.len() as u64, ..Inode::default() };
        for (number, chunk) in content.chunks(BLOCK_BYTES).enumerate() {
            let mut page = [0; BLOCK_BYTES];
            page[..chunk.len()].copy_from_slice(chunk);
            inode.pages.insert(number as u64, page);
        }
        inode.stable_pages = inode.pages.clone();
        let mut state = self.0.lock();
        let number = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(number, inode);
        state.names.insert(name.to_owned(), number);
        state.stable_names.insert(name.to_owned(), number);
    }

    pub fn take_away(&self, name: &str) {
        let mut state = self.0.lock();
        state.names.remove(name);
        state.stable_names.remove(name);
    }
}

impl State {
    fn restart(&mut self) {
        self.crashed = false;
        self.faults = Faults::default();
    }

    /// Counts a changing call down; `true` says that it is the last one that does anything.
    fn last_call(&mut self) -> io::Result<bool> {
        if self.crashed {
            return Err(gone());
        }
        if let Some(left) = &mut self.faults.crash_after_calls {
            if *left == 0 {
                self.crashed = true;
                return Ok(true);
            }
            *left -= 1;
        }
        Ok(false)
    }

    fn inode(&mut self, number: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&number).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Counts a fault down; true when it is due.
fn due(counter: &mut Option<u64>) -> bool {
    match counter {
        Some(0) => {
            *counter = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}

impl Inode {
    fn write(&mut self, bytes: &[u8], position: u64) {
        for (offset, chunk) in bytes.chunks(BLOCK_BYTES).enumerate() {
            let number = position / BLOCK_BYTES as u64 + offset as u64;
            let page = self.pages.entry(number).or_insert([0; BLOCK_BYTES]);
            page[..chunk.len()].copy_from_slice(chunk);
            self.dirty.insert(number);
        }
        self.length = self.length.max(position + bytes.len() as u64);
    }

    fn sync_pages(&mut self, numbers: impl Iterator<Item = u64>) {
        for number in numbers {
            if let Some(page) = self.pages.get(&number) {
                self.stable_pages.insert(number, *page);
            }
            self.dirty.remove(&number);
        }
    }

    fn sync(&mut self) {
        let dirty: Vec<u64> = self.dirty.iter().copied().collect();
        self.sync_pages(dirty.into_iter());
        self.stable_length = self.length;
        let pages = self.length.div_ceil(BLOCK_BYTES as u64);
        self.stable_pages.retain(|number, _| *number < pages);
    }

    fn set_len(&mut self, length: u64) {
        self.length = length;
        let pages = length.div_ceil(BLOCK_BYTES as u64);
        self.pages.retain(|number, _| *number < pages);
        self.dirty.retain(|number| *number < pages);
    }

    fn lose_power(&mut self, random: &mut Random) {
        for number in std::mem::take(&mut self.dirty) {
            match random.below(3) {
                0 => {}
                1 => {
                    self.stable_pages.remove(&number);
                }
                _ => {
                    if let Some(page) = self.pages.get(&number) {
                        self.stable_pages.insert(number, *page);
                    }
                }
            }
        }
        self.length = if random.once_in(2) { self.length } else { self.stable_length };
        self.stable_length = self.length;
        let pages = self.length.div_ceil(BLOCK_BYTES as u64);
        self.stable_pages.retain(|number, _| *number < pages);
        self.pages = self.stable_pages.clone();
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn create(&self, name: &str, size_bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        let last = state.last_call()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(number, Inode { length: size_bytes, ..Inode::default() });
        state.names.insert(name.to_owned(), number);
        if last {
            return Err(gone());
        }
        Ok(Arc::new(SimFile { disk: self.clone(), number }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.0.lock();
        if state.crashed {
            return Err(gone());
        }
        let number = state.names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), number }))
    }

    fn open_for_read(&self, name: &str, _through: Through) -> io::Result<Arc<dyn DiskFile>> {
        self.open(name)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        let last = state.last_call()?;
        state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        if last { Err(gone()) } else { Ok(()) }
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.last_call()? {
            return Err(gone());
        }
        state.stable_names = state.names.clone();
        Ok(())
    }

    fn space(&self) -> io::Result<Space> {
        Ok(Space { total_bytes: TOTAL_BYTES, usable_bytes: self.0.lock().usable_bytes })
    }
}

struct SimFile {
    disk: SimDisk,
    number: u64,
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().inode(self.number)?.length)
    }

    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let mut state = self.disk.0.lock();
        if state.crashed {
            return Err(gone());
        }
        let inode = state.inode(self.number)?;
        let length = inode.length.saturating_sub(position).min(length as u64) as usize;
        let mut buffer = vec![0; length];
        let mut done = 0;
        while done < length {
            let at = position + done as u64;
            let (number, within) = (at / BLOCK_BYTES as u64, at as usize % BLOCK_BYTES);
            let count = (BLOCK_BYTES - within).min(length - done);
            match inode.pages.get(&number) {
                Some(page) => buffer[done..done + count].copy_from_slice(&page[within..within + count]),
                None => buffer[done..done + count].fill(0),
            }
            done += count;
        }
        Ok(Bytes::from(buffer))
    }

    fn write_at(&self, bytes: &[u8], position: u64, durable: bool) -> io::Result<()> {
        assert_eq!((position as usize % BLOCK_BYTES, bytes.len() % BLOCK_BYTES), (0, 0), "an unaligned write");
        assert_eq!(bytes.as_ptr() as usize % BLOCK_BYTES, 0, "an unaligned buffer");
        let mut state = self.disk.0.lock();
        let last = state.last_call()?;
        let no_space = due(&mut state.faults.fail_write);
        assert!(!due(&mut state.faults.panic_in_write), "on purpose");
        let inode = state.inode(self.number)?;
        if no_space {
            let half = bytes.len() / 2 / BLOCK_BYTES * BLOCK_BYTES;
            inode.write(&bytes[..half], position);
            return Err(io::ErrorKind::StorageFull.into());
        }
        inode.write(bytes, position);
        if last {
            return Err(gone());
        }
        if durable {
            let first = position / BLOCK_BYTES as u64;
            inode.sync_pages(first..first + (bytes.len() / BLOCK_BYTES) as u64);
            // The length that is needed to read them back.
            inode.stable_length = inode.stable_length.max(position + bytes.len() as u64);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        if state.last_call()? {
            return Err(gone());
        }
        let fails = due(&mut state.faults.fail_sync);
        let inode = state.inode(self.number)?;
        if fails {
            inode.dirty.clear();
            return Err(io::Error::other("input/output error"));
        }
        inode.sync();
        Ok(())
    }

    fn set_len(&self, length_bytes: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let last = state.last_call()?;
        state.inode(self.number)?.set_len(length_bytes);
        if last { Err(gone()) } else { Ok(()) }
    }

    fn next_data(&self, position: u64) -> io::Result<Option<u64>> {
        let mut state = self.disk.0.lock();
        let inode = state.inode(self.number)?;
        let page = position / BLOCK_BYTES as u64;
        let found = inode.pages.range(page..).next().map(|(number, _)| (number * BLOCK_BYTES as u64).max(position));
        Ok(found.filter(|found| *found < inode.length))
    }

    fn will_need(&self, _: u64, _: u64) {}

    fn into_source(self: Arc<Self>) -> Option<Arc<dyn SendSource>> {
        None
    }

    fn drop_cache(&self) {
        let mut state = self.disk.0.lock();
        let Ok(inode) = state.inode(self.number) else { return };
        let clean: Vec<u64> = inode.pages.keys().filter(|number| !inode.dirty.contains(number)).copied().collect();
        for number in clean {
            match inode.stable_pages.get(&number) {
                Some(page) => inode.pages.insert(number, *page),
                None => inode.pages.remove(&number),
            };
        }
    }
}
