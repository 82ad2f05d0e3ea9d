//! The protocol's primitive types, read off the front of a frame and written to the end of a reply: for the few places that do not go through the generated
//! messages. Every read says what is missing instead of panicking.

use bytes::{Buf, BufMut, BytesMut};
use thiserror::Error;
use uuid::Uuid;

/// Why bytes are not what the protocol says.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    #[error("{wanted} bytes wanted for {what}, {have} left")]
    Short { what: &'static str, wanted: usize, have: usize },
    #[error("{what} has length {length}")]
    Length { what: &'static str, length: i64 },
    #[error("{what} is not UTF-8")]
    NotUtf8 { what: &'static str },
    #[error("a variable-length integer in {what} does not end")]
    Varint { what: &'static str },
}

/// Reads a frame from its front; what it takes leaves the buffer.
pub struct Reader<'a> {
    buffer: &'a mut BytesMut,
    /// Compact lengths and tagged fields (KIP-482).
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub fn new(buffer: &'a mut BytesMut, flexible: bool) -> Self {
        Self { buffer, flexible }
    }

    pub fn remaining(&self) -> usize {
        self.buffer.len()
    }

    fn need(&self, what: &'static str, wanted: usize) -> Result<(), WireError> {
        let have = self.buffer.len();
        if have < wanted { Err(WireError::Short { what, wanted, have }) } else { Ok(()) }
    }

    pub fn i16(&mut self, what: &'static str) -> Result<i16, WireError> {
        self.need(what, 2)?;
        Ok(self.buffer.get_i16())
    }

    pub fn i32(&mut self, what: &'static str) -> Result<i32, WireError> {
        self.need(what, 4)?;
        Ok(self.buffer.get_i32())
    }

    pub fn uuid(&mut self, what: &'static str) -> Result<Uuid, WireError> {
        self.need(what, 16)?;
        Ok(Uuid::from_u128(self.buffer.get_u128()))
    }

    pub fn unsigned_varint(&mut self, what: &'static str) -> Result<u32, WireError> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            self.need(what, 1)?;
            let byte = self.buffer.get_u8();
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Varint { what })
    }

    /// A length that may be null, and never exceeds what is left.
    fn length(&mut self, what: &'static str, plain_is_i16: bool) -> Result<Option<usize>, WireError> {
        let length = if self.flexible {
            i64::from(self.unsigned_varint(what)?) - 1
        } else if plain_is_i16 {
            i64::from(self.i16(what)?)
        } else {
            i64::from(self.i32(what)?)
        };
        match usize::try_from(length) {
            Ok(wanted) => self.need(what, wanted).map(|()| Some(wanted)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(WireError::Length { what, length }),
        }
    }

    pub fn nullable_string(&mut self, what: &'static str) -> Result<Option<String>, WireError> {
        let Some(length) = self.length(what, true)? else { return Ok(None) };
        let text = self.buffer.split_to(length);
        std::str::from_utf8(&text).map(|text| Some(text.to_owned())).map_err(|_| WireError::NotUtf8 { what })
    }

    /// As [`Self::nullable_string`], with what is not UTF-8 replaced, as Java does.
    pub fn nullable_string_lossy(&mut self, what: &'static str) -> Result<Option<String>, WireError> {
        let Some(length) = self.length(what, true)? else { return Ok(None) };
        Ok(Some(String::from_utf8_lossy(&self.buffer.split_to(length)).into_owned()))
    }

    /// Bytes of the frame itself, uncopied.
    pub fn nullable_bytes(&mut self, what: &'static str) -> Result<Option<BytesMut>, WireError> {
        Ok(self.length(what, false)?.map(|length| self.buffer.split_to(length)))
    }

    /// How many elements an array has: never more than bytes that are left, each element being at least one.
    pub fn array(&mut self, what: &'static str) -> Result<usize, WireError> {
        self.length(what, false)?.ok_or(WireError::Length { what, length: -1 })
    }

    /// Skips the tagged fields that end a structure in flexible versions.
    pub fn skip_tagged_fields(&mut self, what: &'static str) -> Result<(), WireError> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.unsigned_varint(what)? {
            self.unsigned_varint(what)?;
            let wanted = self.unsigned_varint(what)? as usize;
            self.need(what, wanted)?;
            self.buffer.advance(wanted);
        }
        Ok(())
    }
}

/// Writes an unsigned variable-length integer.
pub fn put_unsigned_varint(out: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Writes an array's length, compact (one more than the length) where flexible.
pub fn put_array_length(out: &mut BytesMut, flexible: bool, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    if flexible {
        put_unsigned_varint(out, length.saturating_add(1));
    } else {
        out.put_u32(length);
    }
}

/// Writes a string, compact where flexible.
pub fn put_string(out: &mut BytesMut, flexible: bool, text: &str) {
    if flexible {
        put_unsigned_varint(out, u32::try_from(text.len()).unwrap_or(u32::MAX).saturating_add(1));
    } else {
        out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    }
    out.put_slice(text.as_bytes());
}

/// Writes a string that may be absent.
pub fn put_nullable_string(out: &mut BytesMut, flexible: bool, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, flexible, text),
        None if flexible => out.put_u8(0),
        None => out.put_i16(-1),
    }
}
