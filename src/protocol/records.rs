//! The records inside a v2 batch: walking them, plain or compressed, and finding one by its timestamp.
//!
//! Plain records are slices of the batch. Compressed ones are streamed through one buffer that holds a single record and grows only as bytes come,
//! so neither a record's claimed size nor a compression bomb reserves memory. Leniencies (any negative length is null) are Kafka's own.

use std::io::{BufRead, BufReader, Read};

use super::batch_error::BatchError;
use super::compression::Compression;
use super::record_batch::{BatchHeader, BatchView, NO_SEQUENCE, TimestampType, add_sequence};
use super::varint;

/// One record. Bytes are borrowed from the batch or from the reader's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Place in the batch, from 0.
    pub index: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    /// -1 when the batch has none.
    pub sequence: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// A record's headers, whose structure has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    count: i32,
}

impl<'a> Headers<'a> {
    pub fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Key and value of each, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut cursor = Cursor(self.bytes);
        (0..self.count).map_while(move |_| cursor.header())
    }
}

/// Walks over a record's fields. `None` says that the field is not there whole.
#[derive(Clone, Copy)]
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    #[inline]
    fn i32(&mut self) -> Option<i32> {
        let (value, length) = varint::read_i32(self.0)?;
        self.0 = self.0.get(length..)?;
        Some(value)
    }

    #[inline]
    fn i64(&mut self) -> Option<i64> {
        let (value, length) = varint::read_i64(self.0)?;
        self.0 = self.0.get(length..)?;
        Some(value)
    }

    /// Length and bytes; a negative length is null.
    #[inline]
    fn nullable_bytes(&mut self) -> Option<Option<&'a [u8]>> {
        let Ok(length) = usize::try_from(self.i32()?) else { return Some(None) };
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Some(bytes))
    }

    fn header(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let key = self.nullable_bytes()??;
        Some((key, self.nullable_bytes()?))
    }
}

/// What a record takes from its batch.
#[derive(Clone, Copy, Debug)]
struct Base {
    offset: i64,
    timestamp_ms: i64,
    sequence: i32,
    append_time_ms: Option<i64>,
}

impl Base {
    fn of(header: &BatchHeader) -> Self {
        Self {
            offset: header.base_offset,
            timestamp_ms: header.base_timestamp_ms,
            sequence: header.base_sequence,
            append_time_ms: (header.timestamp_type() == TimestampType::LogAppendTime)
                .then_some(header.max_timestamp_ms),
        }
    }

    /// The record whose body (without the size before it) is `body`, every byte of it.
    fn record<'a>(&self, index: i32, body: &'a [u8]) -> Result<Record<'a>, BatchError> {
        let broken = |what| BatchError::Record { index, what };
        let mut cursor = Cursor(body.get(1..).ok_or(broken("it has no attributes"))?);
        let timestamp_delta = cursor.i64().ok_or(broken("its timestamp delta is cut short"))?;
        let offset_delta = cursor.i32().ok_or(broken("its offset delta is cut short"))?;
        let key = cursor.nullable_bytes().ok_or(broken("its key is cut short"))?;
        let value = cursor.nullable_bytes().ok_or(broken("its value is cut short"))?;
        let count = cursor.i32().ok_or(broken("its header count is cut short"))?;
        let headers = Headers { bytes: cursor.0, count };
        match usize::try_from(count) {
            Err(_) => return Err(broken("its header count is negative")),
            Ok(count) if count > cursor.0.len() => return Err(broken("it has fewer bytes than headers")),
            Ok(count) => {
                for _ in 0..count {
                    cursor.header().ok_or(broken("a header is cut short or has a key of negative length"))?;
                }
            }
        }
        if !cursor.0.is_empty() {
            return Err(broken("its size does not match its fields"));
        }
        Ok(Record {
            index,
            offset: self.offset.wrapping_add(i64::from(offset_delta)),
            timestamp_ms: self.append_time_ms.unwrap_or(self.timestamp_ms.wrapping_add(timestamp_delta)),
            sequence: if self.sequence >= 0 { add_sequence(self.sequence, offset_delta) } else { NO_SEQUENCE },
            key,
            value,
            headers,
        })
    }
}

enum Source<'a> {
    Plain(&'a [u8]),
    Stream(Box<Stream<'a>>),
}

/// Decompressed bytes, of which at most `left` more are taken.
struct Stream<'a> {
    reader: BufReader<Box<dyn Read + Send + 'a>>,
    body: Vec<u8>,
    max_bytes: usize,
    left: usize,
}

/// How much of a record's claimed size is read before more room is made.
const BODY_STEP_BYTES: usize = 64 * 1024;

impl Stream<'_> {
    fn take(&mut self, bytes: usize) -> Result<(), BatchError> {
        self.left = self.left.checked_sub(bytes).ok_or(BatchError::Bomb(self.max_bytes))?;
        Ok(())
    }

    fn at_end(&mut self) -> Result<bool, BatchError> {
        self.reader.fill_buf().map(<[u8]>::is_empty).map_err(decompress_error)
    }

    /// A record's size varint.
    fn size(&mut self, index: i32) -> Result<i32, BatchError> {
        let mut raw = [0u8; 5];
        for i in 0..raw.len() {
            let Some(&byte) = self.reader.fill_buf().map_err(decompress_error)?.first() else {
                return Err(BatchError::Record { index, what: "it is not there" });
            };
            self.reader.consume(1);
            self.take(1)?;
            if let Some(place) = raw.get_mut(i) {
                *place = byte;
            }
            if byte & 0x80 == 0 {
                break;
            }
        }
        varint::read_i32(&raw).map(|(size, _)| size).ok_or(BatchError::Record { index, what: "its size does not end" })
    }

    fn fill_body(&mut self, index: i32, size: usize) -> Result<(), BatchError> {
        self.take(size)?;
        self.body.clear();
        while self.body.len() < size {
            let have = self.body.len();
            let step = (size - have).min(BODY_STEP_BYTES.max(have));
            let read = (&mut self.reader).take(step as u64).read_to_end(&mut self.body).map_err(decompress_error)?;
            if read < step {
                return Err(BatchError::Record { index, what: "it is cut short" });
            }
        }
        Ok(())
    }
}

fn decompress_error(error: std::io::Error) -> BatchError {
    BatchError::Decompress(error.to_string())
}

/// Reads a batch's records one by one.
pub struct RecordReader<'a> {
    source: Source<'a>,
    base: Base,
    next: i32,
    count: i32,
}

impl<'a> RecordReader<'a> {
    /// At most `max_decompressed_bytes` are taken from a compressed batch.
    /// Errors: [`BatchError::UnknownCompression`], [`BatchError::Decompress`], [`BatchError::RecordCount`] for a negative count.
    pub fn new(batch: &BatchView<'a>, max_decompressed_bytes: usize) -> Result<Self, BatchError> {
        let header = &batch.header;
        if header.record_count < 0 {
            return Err(BatchError::RecordCount(header.record_count));
        }
        let source = match header.attributes.compression()? {
            Compression::None => Source::Plain(batch.payload()),
            // An emptied batch (compaction keeps its header) has nothing to decompress.
            _ if header.record_count == 0 => Source::Plain(&[]),
            compression => Source::Stream(Box::new(Stream {
                reader: BufReader::new(compression.reader(batch.payload()).map_err(decompress_error)?),
                body: Vec::new(),
                max_bytes: max_decompressed_bytes,
                left: max_decompressed_bytes,
            })),
        };
        Ok(Self { source, base: Base::of(header), next: 0, count: header.record_count })
    }

    /// The next record, or why there is none where the header promised one. After an error there is nothing more.
    #[allow(
        clippy::should_implement_trait,
        reason = "the record borrows the reader's buffer, which Iterator cannot say"
    )]
    pub fn next(&mut self) -> Option<Result<Record<'_>, BatchError>> {
        if self.next >= self.count {
            return None;
        }
        let index = self.next;
        self.next += 1;
        let last = self.next == self.count;
        let next = &mut self.next;
        let count = self.count;
        let result = match &mut self.source {
            Source::Plain(bytes) => plain_body(bytes, index, last),
            Source::Stream(stream) => stream_body(stream, index, last),
        }
        .and_then(|body| self.base.record(index, body));
        if result.is_err() {
            *next = count;
        }
        Some(result)
    }
}

fn plain_body<'a>(bytes: &mut &'a [u8], index: i32, last: bool) -> Result<&'a [u8], BatchError> {
    let (size, length) = varint::read_i32(bytes).ok_or(BatchError::Record { index, what: "its size is cut short" })?;
    let body = usize::try_from(size)
        .ok()
        .and_then(|size| bytes.get(length..)?.split_at_checked(size))
        .ok_or(BatchError::Record { index, what: "its size is negative or past the batch's end" })?;
    *bytes = body.1;
    if last && !bytes.is_empty() {
        return Err(BatchError::TrailingBytes);
    }
    Ok(body.0)
}

fn stream_body<'s>(stream: &'s mut Stream<'_>, index: i32, last: bool) -> Result<&'s [u8], BatchError> {
    let size = stream.size(index)?;
    let size = usize::try_from(size).map_err(|_| BatchError::Record { index, what: "its size is negative" })?;
    stream.fill_body(index, size)?;
    if last && !stream.at_end()? {
        return Err(BatchError::TrailingBytes);
    }
    Ok(&stream.body)
}

/// A record found by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    pub timestamp_ms: i64,
    pub offset: i64,
}

/// The first record at or above `from_offset` whose timestamp is `timestamp_ms` or later (ListOffsets by timestamp).
pub fn first_at_or_after(
    batch: &BatchView<'_>,
    timestamp_ms: i64,
    from_offset: i64,
    max_decompressed_bytes: usize,
) -> Result<Option<TimestampOffset>, BatchError> {
    if batch.header.max_timestamp_ms < timestamp_ms {
        return Ok(None);
    }
    let mut records = RecordReader::new(batch, max_decompressed_bytes)?;
    while let Some(record) = records.next() {
        let record = record?;
        if record.timestamp_ms >= timestamp_ms && record.offset >= from_offset {
            return Ok(Some(TimestampOffset { timestamp_ms: record.timestamp_ms, offset: record.offset }));
        }
    }
    Ok(None)
}
