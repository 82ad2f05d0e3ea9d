//! The body of a Produce request, with the record batches uncopied: the generated messages would copy them.

use bytes::{BufMut, Bytes, BytesMut};
use std::time::Duration;

use super::connection::Pieces;
use crate::protocol::wire::{put_array_length, put_nullable_string, put_string, put_unsigned_varint};

/// The newest Produce that names topics by their names.
pub const NEWEST_VERSION: i16 = 12;
/// First flexible version.
const FLEXIBLE_VERSION: i16 = 9;

/// A batch and where it goes.
#[derive(Clone, Debug)]
pub struct PartitionBatch<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub batch: Bytes,
}

/// A body for versions up to [`NEWEST_VERSION`]. Batches of one topic have to lie next to each other.
pub fn body(version: i16, acks: i16, timeout: Duration, batches: &[PartitionBatch<'_>]) -> Pieces {
    let flexible = version >= FLEXIBLE_VERSION;
    let mut pieces = Pieces::new();
    let mut out = BytesMut::with_capacity(64);
    put_nullable_string(&mut out, flexible, None);
    out.put_i16(acks);
    out.put_i32(i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
    let topics: Vec<&[PartitionBatch<'_>]> = batches.chunk_by(|a, b| a.topic == b.topic).collect();
    put_array_length(&mut out, flexible, topics.len());
    for of_topic in topics {
        put_string(&mut out, flexible, of_topic.first().map_or("", |batch| batch.topic));
        put_array_length(&mut out, flexible, of_topic.len());
        for partition in of_topic {
            out.put_i32(partition.partition);
            let length = u32::try_from(partition.batch.len()).unwrap_or(u32::MAX);
            match flexible {
                true => put_unsigned_varint(&mut out, length.saturating_add(1)),
                false => out.put_u32(length),
            }
            pieces.push(out.split().freeze());
            pieces.push(partition.batch.clone());
            if flexible {
                out.put_u8(0);
            }
        }
        if flexible {
            out.put_u8(0);
        }
    }
    if flexible {
        out.put_u8(0);
    }
    pieces.push(out.freeze());
    pieces
}
