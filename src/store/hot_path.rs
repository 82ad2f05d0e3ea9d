//! What `benches/hot_paths` runs of this room: a seam for measuring, which nothing else may use.

use super::Write;
use super::group::{GroupBuilder, Place, lay_out};
use super::record_file::{FILE_HEADER_BYTES, Seed};

/// Makes a group of writes as the writer does, up to the bytes of its one positional write; how many they are.
pub fn group_bytes(writes: Vec<Write>) -> usize {
    let mut builder = GroupBuilder::default();
    writes.into_iter().for_each(|write| builder.add(write));
    let place = Place {
        seed: Seed { file_id: 7, salt: 0x5eed },
        position: FILE_HEADER_BYTES as u64,
        sequence: 1,
        synced_through: 0,
        previous_crc: 0,
    };
    lay_out(&mut builder.take(), place).bytes.len()
}
