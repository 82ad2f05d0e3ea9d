//! Walks over a request's body before it is decoded, so that no length or count is believed before the bytes that it promises are there.
//!
//! kafka-protocol's decoders make room for as many array elements as the wire says; a frame of 30 bytes can ask them for gigabytes. After a walk,
//! what a decoder makes is bounded by [`Walk::decoded_bytes`]. Bytes after the last field are left alone, as Kafka leaves them.

mod admin;
mod clients;
#[cfg(test)]
mod tests;

use thiserror::Error;

use self::Shape::{BOOL, BYTES, F64, I8, I16, I32, I64, STRING, U16, UUID};
use super::varint;

/// What an array element takes once decoded, at most, besides the frame's bytes that it points into. A test holds it against the widest elements.
pub const DECODED_ELEMENT_BYTES: usize = 256;
/// An unknown tagged field counts as so many elements: it makes a tree node.
const ELEMENTS_PER_UNKNOWN_TAG: usize = 3;

/// For [`RequestSchema::flexible_from`]: no version is flexible.
const NEVER: i16 = i16::MAX;

/// One request's fields in all its versions.
#[derive(Debug)]
pub struct RequestSchema {
    pub api_key: i16,
    pub min: i16,
    pub max: i16,
    /// First version with compact lengths and tagged fields (KIP-482).
    flexible_from: i16,
    fields: &'static [Field],
}

/// A field, and the versions that have it.
#[derive(Debug)]
struct Field {
    name: &'static str,
    shape: Shape,
    min: i16,
    max: i16,
    tag: Option<u32>,
}

/// How a field's bytes are laid out. Null is always let through: whether it is allowed is the decoder's question.
#[derive(Debug)]
#[allow(clippy::upper_case_acronyms, reason = "the tables read as the protocol's own type names")]
enum Shape {
    BOOL,
    I8,
    I16,
    U16,
    I32,
    I64,
    F64,
    UUID,
    STRING,
    BYTES,
    Array(&'static Shape),
    Struct(&'static [Field]),
    /// A byte that says whether a struct follows.
    Optional(&'static [Field]),
}

const fn all(name: &'static str, shape: Shape) -> Field {
    within(0, i16::MAX, name, shape)
}

const fn since(min: i16, name: &'static str, shape: Shape) -> Field {
    within(min, i16::MAX, name, shape)
}

const fn within(min: i16, max: i16, name: &'static str, shape: Shape) -> Field {
    Field { name, shape, min, max, tag: None }
}

const fn tag(tag: u32, name: &'static str, shape: Shape, min: i16) -> Field {
    Field { name, shape, min, max: i16::MAX, tag: Some(tag) }
}

/// Why a body is not what its version's schema says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GuardError {
    #[error("API key {api_key} has no version {version} here")]
    NoSchema { api_key: i16, version: i16 },
    #[error("{field}: the request ends within it")]
    CutShort { field: &'static str },
    #[error("{field}: length {length}")]
    Length { field: &'static str, length: i64 },
    #[error("{field}: the tagged field says {said} bytes and has {has}")]
    TagSize { field: &'static str, said: usize, has: usize },
}

/// What a walk found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Bytes of the request's fields.
    pub consumed: usize,
    /// Array elements and their like.
    pub elements: usize,
}

impl Walk {
    /// What the decoded request takes at most, besides the frame.
    pub fn decoded_bytes(&self) -> usize {
        self.elements.saturating_mul(DECODED_ELEMENT_BYTES)
    }
}

/// The schema of an API's requests.
pub fn schema(api_key: i16) -> Option<&'static RequestSchema> {
    schemas().find(|schema| schema.api_key == api_key)
}

/// Every schema there is.
pub fn schemas() -> impl Iterator<Item = &'static RequestSchema> {
    clients::SCHEMAS.iter().chain(admin::SCHEMAS).copied()
}

/// Walks over a request's body (what follows the request header).
pub fn walk(api_key: i16, version: i16, body: &[u8]) -> Result<Walk, GuardError> {
    let schema = schema(api_key)
        .filter(|schema| (schema.min..=schema.max).contains(&version))
        .ok_or(GuardError::NoSchema { api_key, version })?;
    let mut walker = Walker { rest: body, version, flexible: version >= schema.flexible_from, elements: 0 };
    walker.fields(schema.fields)?;
    Ok(Walk { consumed: body.len() - walker.rest.len(), elements: walker.elements })
}

struct Walker<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements: usize,
}

impl Walker<'_> {
    fn fields(&mut self, fields: &'static [Field]) -> Result<(), GuardError> {
        for field in fields {
            if field.tag.is_none() && (field.min..=field.max).contains(&self.version) {
                self.shape(&field.shape, field.name)?;
            }
        }
        if self.flexible { self.tagged(fields) } else { Ok(()) }
    }

    fn tagged(&mut self, fields: &'static [Field]) -> Result<(), GuardError> {
        const TAGS: &str = "tagged fields";
        for _ in 0..self.varint(TAGS)? {
            let tag = self.varint(TAGS)?;
            let said = self.varint(TAGS)? as usize;
            let before = self.rest.len();
            match fields.iter().find(|field| field.tag == Some(tag) && field.min <= self.version) {
                Some(field) => {
                    self.shape(&field.shape, field.name)?;
                    let has = before - self.rest.len();
                    if has != said {
                        return Err(GuardError::TagSize { field: field.name, said, has });
                    }
                }
                None => {
                    self.elements += ELEMENTS_PER_UNKNOWN_TAG;
                    self.skip(said, TAGS)?;
                }
            }
        }
        Ok(())
    }

    fn shape(&mut self, shape: &'static Shape, field: &'static str) -> Result<(), GuardError> {
        match shape {
            BOOL | I8 => self.skip(1, field),
            I16 | U16 => self.skip(2, field),
            I32 => self.skip(4, field),
            I64 | F64 => self.skip(8, field),
            UUID => self.skip(16, field),
            STRING => {
                let length = if self.flexible { self.compact_length(field)? } else { self.length16(field)? };
                self.skip(length, field)
            }
            BYTES => {
                let length = self.length(field)?;
                self.skip(length, field)
            }
            Shape::Array(element) => {
                let count = self.length(field)?;
                // No element takes less than a byte: Kafka's own test, and it ends this loop.
                if count > self.rest.len() {
                    return Err(GuardError::CutShort { field });
                }
                self.elements += count;
                (0..count).try_for_each(|_| self.shape(element, field))
            }
            Shape::Struct(fields) => self.fields(fields),
            Shape::Optional(fields) => match self.i8(field)? {
                1 => self.fields(fields),
                absent if absent < 0 => Ok(()),
                other => Err(GuardError::Length { field, length: other.into() }),
            },
        }
    }

    /// The length of bytes or an array; null is 0.
    fn length(&mut self, field: &'static str) -> Result<usize, GuardError> {
        if self.flexible {
            return self.compact_length(field);
        }
        let (bytes, rest) = self.rest.split_first_chunk::<4>().ok_or(GuardError::CutShort { field })?;
        self.rest = rest;
        length(i32::from_be_bytes(*bytes).into(), field)
    }

    fn length16(&mut self, field: &'static str) -> Result<usize, GuardError> {
        let (bytes, rest) = self.rest.split_first_chunk::<2>().ok_or(GuardError::CutShort { field })?;
        self.rest = rest;
        length(i16::from_be_bytes(*bytes).into(), field)
    }

    fn compact_length(&mut self, field: &'static str) -> Result<usize, GuardError> {
        length(i64::from(self.varint(field)?) - 1, field)
    }

    fn varint(&mut self, field: &'static str) -> Result<u32, GuardError> {
        let (value, taken) = varint::read_unsigned(self.rest).ok_or(GuardError::CutShort { field })?;
        self.skip(taken, field)?;
        Ok(value)
    }

    fn i8(&mut self, field: &'static str) -> Result<i8, GuardError> {
        let (&byte, rest) = self.rest.split_first().ok_or(GuardError::CutShort { field })?;
        self.rest = rest;
        Ok(byte as i8)
    }

    fn skip(&mut self, bytes: usize, field: &'static str) -> Result<(), GuardError> {
        self.rest = self.rest.get(bytes..).ok_or(GuardError::CutShort { field })?;
        Ok(())
    }
}

/// Null (-1) is nothing; anything below is no length.
fn length(said: i64, field: &'static str) -> Result<usize, GuardError> {
    if said == -1 {
        return Ok(0);
    }
    usize::try_from(said).map_err(|_| GuardError::Length { field, length: said })
}
