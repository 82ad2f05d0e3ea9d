//! Limits with a name and a reason. Relations between them are proved at compile time.

/// Bytes of a record batch's header (message format v2), up to and including the record count.
pub const RECORD_BATCH_HEADER_BYTES: usize = 61;

/// The longest run that the writer makes of adjacent batches: a read from a run's middle reads the whole run, so a run stays near a
/// consumer's usual fetch size. A single larger append makes a larger run.
pub const RUN_TARGET_BYTES: usize = 1024 * 1024;

/// What a compressed batch may open to: a bound against compression bombs, above anything that `max.message.bytes` lets producers make in earnest.
pub const DECOMPRESSED_BATCH_MAX_BYTES: usize = 256 * 1024 * 1024;

/// What searches by timestamp may have read at a time. A longer run takes all of it.
pub const SEARCH_MEMORY_BYTES: usize = 16 * 1024 * 1024;

/// What coordinators may have read at a time while they load.
pub const LOAD_MEMORY_BYTES: usize = 16 * 1024 * 1024;

/// Up to so many times its length comes out of an ordinary compressed batch: what is taken first to open one in.
pub const USUAL_COMPRESSION_RATIO: usize = 8;

/// Kafka's longest topic name (`Topic.MAX_NAME_LENGTH`).
pub const TOPIC_NAME_MAX_CHARS: usize = 249;

const _: () = assert!(RUN_TARGET_BYTES > RECORD_BATCH_HEADER_BYTES);
const _: () = assert!(SEARCH_MEMORY_BYTES >= RUN_TARGET_BYTES && LOAD_MEMORY_BYTES >= 2 * RUN_TARGET_BYTES);
