//! Memory that reads use again and again: fresh pages cost the system more than a disk's read does, on virtual machines several times as much.
//!
//! Bounded: what does not fit among the kept buffers is given back to the system.

use parking_lot::Mutex;
use std::sync::Arc;

use super::io::BLOCK_BYTES;

/// Kept buffers are as long as a multiple of this, and one serves reads of up to a fifth less.
const STEP_BYTES: usize = 16 * 1024;
/// Shorter ones are the allocator's business, longer ones too rare to keep.
const KEPT_LENGTHS: std::ops::RangeInclusive<usize> = STEP_BYTES..=128 * STEP_BYTES;
/// All kept buffers together.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

#[derive(Default)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

/// Buffers that wait for their next use.
#[derive(Clone, Default)]
pub struct Buffers(Arc<Mutex<Kept>>);

/// A buffer with a part that holds what was read. Goes back when it is dropped.
pub struct Buffer {
    memory: Vec<u8>,
    from: usize,
    to: usize,
    home: Buffers,
}

impl Buffers {
    /// A buffer with room for `bytes` at an address that is a multiple of [`BLOCK_BYTES`]. What it holds is of no meaning.
    pub fn take(&self, bytes: usize) -> Buffer {
        let mut length = bytes + BLOCK_BYTES;
        if length >= *KEPT_LENGTHS.start() {
            length = length.next_multiple_of(STEP_BYTES);
        }
        let memory = self.kept(length).unwrap_or_else(|| zeros(length));
        let from = memory.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
        Buffer { memory, from, to: from + bytes, home: self.clone() }
    }

    fn kept(&self, length: usize) -> Option<Vec<u8>> {
        if !KEPT_LENGTHS.contains(&length) {
            return None;
        }
        let mut kept = self.0.lock();
        // The last ones are the likeliest to be in the processor's caches.
        let fits = length..=length + length / 4;
        let place = kept.buffers.iter().rposition(|buffer| fits.contains(&buffer.len()))?;
        let buffer = kept.buffers.remove(place);
        kept.bytes -= buffer.len();
        Some(buffer)
    }
}

/// Not `vec![0; length]`: for that the allocator gives pages back to the system and takes fresh ones, each with a page fault.
#[expect(clippy::slow_vector_initialization, reason = "slow is what this is not, see above")]
fn zeros(length: usize) -> Vec<u8> {
    let mut memory = Vec::with_capacity(length);
    memory.resize(length, 0);
    memory
}

impl Buffer {
    /// The room that was asked for.
    pub fn room(&mut self) -> &mut [u8] {
        self.memory.get_mut(self.from..self.to).unwrap_or_default()
    }

    /// Leaves of the room the part that holds something.
    pub fn narrow(&mut self, from: usize, to: usize) {
        self.to = (self.from + to).min(self.to);
        self.from = (self.from + from).min(self.to);
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(self.from..self.to).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        if !KEPT_LENGTHS.contains(&memory.len()) {
            return;
        }
        let mut kept = self.home.0.lock();
        if kept.bytes + memory.len() <= KEPT_BYTES {
            kept.bytes += memory.len();
            kept.buffers.push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn memory_is_used_again_once_nobody_reads_it() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take(200_000);
        assert_eq!((buffer.room().len(), buffer.room().as_ptr() as usize % BLOCK_BYTES), (200_000, 0));
        buffer.room().fill(7);
        buffer.narrow(10, 20);
        let bytes = Bytes::from_owner(buffer);
        let slice = bytes.slice(2..4);
        let address = bytes.as_ptr() as usize - 10;
        assert_eq!(bytes, [7; 10].as_slice());
        drop(bytes);
        // A slice keeps it.
        assert_ne!(buffers.take(200_000).room().as_ptr() as usize, address);
        assert_eq!(slice, [7; 2].as_slice());
        drop(slice);
        assert_eq!(buffers.take(199_000).room().as_ptr() as usize, address);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        let many: Vec<Buffer> = (0..40).map(|_| buffers.take(1 << 20)).collect();
        drop(many);
        let kept = buffers.0.lock();
        assert!(kept.bytes <= KEPT_BYTES && kept.bytes > KEPT_BYTES / 2, "{}", kept.bytes);
        assert_eq!(kept.bytes, kept.buffers.iter().map(Vec::len).sum::<usize>());
        drop(kept);
        drop(buffers.take(64 << 20));
        assert!(buffers.0.lock().bytes <= KEPT_BYTES);
    }
}
