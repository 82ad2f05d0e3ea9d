//! The four codecs of record batches, in the framings that Kafka's clients write and read.
//!
//! Decompression streams: a reader holds one block (snappy, lz4) or the codec's window, however much comes out of it.

use flate2::bufread::MultiGzDecoder;
use std::io::{self, Read, Write};

/// How a batch's records are compressed: the low three bits of its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Uncompressed bytes in a block of the snappy framing that we write (xerial's default).
const SNAPPY_BLOCK_BYTES: usize = 32 * 1024;
/// What the xerial framing begins with, before two version numbers of 4 bytes.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER_BYTES: usize = 16;
/// No snappy element yields more output per input byte than a 64-byte copy of 3 bytes does.
const SNAPPY_MAX_RATIO: usize = 22;
/// zstd's own default bound for windows, and so Kafka's: 128 MiB of address space, touched only as output comes.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

impl Compression {
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.id() == id)
    }

    pub fn id(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// As `compression.type` spells it (but for `none`, which is `uncompressed` there).
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Decompresses `input` as it is read. The caller bounds how much it reads.
    pub fn reader<'a>(self, input: &'a [u8]) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(MultiGzDecoder::new(input)),
            Self::Snappy => Box::new(SnappyReader::new(input)),
            Self::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(input)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        })
    }

    /// Compresses `input`. `level` is the codec's own (`compression.gzip.level`, `compression.zstd.level`); the others have none here.
    pub fn compress(self, level: Option<i32>, input: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(input.to_vec()),
            Self::Gzip => {
                let level = level.and_then(|level| u32::try_from(level).ok()).filter(|level| *level <= 9);
                let level = level.map_or_else(flate2::Compression::default, flate2::Compression::new);
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(input)?;
                encoder.finish()
            }
            Self::Snappy => snappy_frame(input),
            Self::Lz4 => {
                // Kafka's readers take independent blocks only, and write blocks of 64 KiB.
                let info = lz4_flex::frame::FrameInfo::new()
                    .block_size(lz4_flex::frame::BlockSize::Max64KB)
                    .block_mode(lz4_flex::frame::BlockMode::Independent);
                let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(input)?;
                encoder.finish().map_err(io::Error::other)
            }
            Self::Zstd => zstd::stream::encode_all(input, level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL)),
        }
    }
}

fn snappy_frame(input: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(XERIAL_HEADER_BYTES + input.len() / 2);
    out.extend_from_slice(&XERIAL_MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(SNAPPY_BLOCK_BYTES) {
        let packed = encoder.compress_vec(block).map_err(io::Error::other)?;
        let length = i32::try_from(packed.len()).map_err(io::Error::other)?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&packed);
    }
    Ok(out)
}

/// Reads the xerial framing (blocks behind a length each) or, where its magic is missing, one raw snappy block.
struct SnappyReader<'a> {
    input: &'a [u8],
    framed: bool,
    block: Vec<u8>,
    /// How much of `block` has been read.
    taken: usize,
}

impl<'a> SnappyReader<'a> {
    fn new(input: &'a [u8]) -> Self {
        match input.strip_prefix(&XERIAL_MAGIC).and_then(|rest| rest.get(8..)) {
            Some(rest) => Self { input: rest, framed: true, block: Vec::new(), taken: 0 },
            None => Self { input, framed: false, block: Vec::new(), taken: 0 },
        }
    }

    /// The next compressed block, or nothing at the input's end.
    fn next_packed(&mut self) -> io::Result<Option<&'a [u8]>> {
        if self.input.is_empty() {
            return Ok(None);
        }
        if !self.framed {
            return Ok(Some(std::mem::take(&mut self.input)));
        }
        // Streams that were joined repeat the header.
        while let Some(rest) = self.input.strip_prefix(&XERIAL_MAGIC).and_then(|rest| rest.get(8..)) {
            self.input = rest;
        }
        if self.input.is_empty() {
            return Ok(None);
        }
        let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "a snappy block is cut short");
        let (length, rest) = self.input.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| cut())?;
        let (packed, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        self.input = rest;
        Ok(Some(packed))
    }

    /// Makes the next block that holds anything the current one. False at the end.
    fn advance(&mut self) -> io::Result<bool> {
        while self.taken >= self.block.len() {
            let Some(packed) = self.next_packed()? else { return Ok(false) };
            let length = snap::raw::decompress_len(packed).map_err(io::Error::other)?;
            if length > packed.len().saturating_mul(SNAPPY_MAX_RATIO) {
                return Err(io::Error::other("a snappy block claims more than it can hold"));
            }
            self.block.clear();
            self.block.resize(length, 0);
            self.taken = 0;
            snap::raw::Decoder::new().decompress(packed, &mut self.block).map_err(io::Error::other)?;
        }
        Ok(true)
    }
}

impl Read for SnappyReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || !self.advance()? {
            return Ok(0);
        }
        let mut rest = self.block.get(self.taken..).unwrap_or(&[]);
        let read = rest.read(out)?;
        self.taken += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(length: usize) -> Vec<u8> {
        (0..length).map(|i| ((i / 7) as u8) ^ ((i * i) as u8 & 0x0f)).collect()
    }

    fn read_all(codec: Compression, packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        codec.reader(packed)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn what_is_compressed_decompresses() {
        for codec in Compression::ALL {
            for length in [0, 1, 100, 32 * 1024, 300_001] {
                let input = sample(length);
                let packed = codec.compress(None, &input).unwrap();
                assert_eq!(read_all(codec, &packed).unwrap(), input, "{codec:?} {length}");
                assert_eq!(Compression::from_id(codec.id()), Some(codec));
            }
        }
        assert_eq!(Compression::from_id(5), None);
    }

    #[test]
    fn snappy_is_read_raw_and_joined() {
        let input = sample(70_000);
        let raw = snap::raw::Encoder::new().compress_vec(&input).unwrap();
        assert_eq!(read_all(Compression::Snappy, &raw).unwrap(), input);
        let framed = snappy_frame(&input).unwrap();
        assert_eq!(
            read_all(Compression::Snappy, &[framed.clone(), framed].concat()).unwrap(),
            [&input[..], &input].concat()
        );
    }

    #[test]
    fn a_snappy_block_that_claims_gigabytes_is_refused_before_any_room_is_made() {
        // A length of 4 GiB - 1 as a varint, then hardly anything.
        let raw = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x61];
        assert!(read_all(Compression::Snappy, &raw).is_err());
    }

    #[test]
    fn cut_or_flipped_input_is_an_error_or_other_bytes_but_never_a_panic() {
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            let packed = codec.compress(None, &sample(5_000)).unwrap();
            for cut in 0..packed.len() {
                let _ = read_all(codec, &packed[..cut]);
                let mut flipped = packed.clone();
                flipped[cut] ^= 0x55;
                let mut limited = Vec::new();
                if let Ok(reader) = codec.reader(&flipped) {
                    let _ = reader.take(1 << 20).read_to_end(&mut limited);
                }
            }
        }
    }
}
