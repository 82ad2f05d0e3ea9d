//! Holds the schemas against kafka-protocol's decoders, and the decoders against hostile bytes.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use super::*;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

/// Counts the bytes that a thread asks for, so that a test can say what a decoder may ask for at most.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting touches a thread-local number without a destructor.
#[allow(unsafe_code, reason = "an allocator cannot be written without; this one exists in tests only")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.with(|bytes| bytes.set(bytes.get().wrapping_add(layout.size())));
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Writes random bodies that a schema allows.
struct Writer<'r> {
    out: Vec<u8>,
    version: i16,
    flexible: bool,
    random: &'r mut Random,
}

impl Writer<'_> {
    fn fields(&mut self, fields: &'static [Field]) {
        for field in fields {
            if field.tag.is_none() && (field.min..=field.max).contains(&self.version) {
                self.shape(&field.shape);
            }
        }
        if !self.flexible {
            return;
        }
        let known: Vec<_> = fields.iter().filter(|field| field.tag.is_some() && field.min <= self.version).collect();
        let known: Vec<_> = known.into_iter().filter(|_| self.random.below(2) == 0).collect();
        let unknown = self.random.below(3) as u32;
        varint::put_unsigned(&mut self.out, known.len() as u32 + unknown);
        for field in known {
            let mut inner =
                Writer { out: Vec::new(), version: self.version, flexible: true, random: &mut *self.random };
            inner.shape(&field.shape);
            let bytes = inner.out;
            varint::put_unsigned(&mut self.out, field.tag.unwrap());
            varint::put_unsigned(&mut self.out, bytes.len() as u32);
            self.out.extend(bytes);
        }
        for tag in 0..unknown {
            varint::put_unsigned(&mut self.out, 1000 + tag);
            varint::put_unsigned(&mut self.out, 3);
            self.out.extend([1, 2, 3]);
        }
    }

    fn shape(&mut self, shape: &'static Shape) {
        let fixed = match shape {
            BOOL => {
                self.out.push((self.random.below(2)) as u8);
                return;
            }
            I8 => 1,
            I16 | U16 => 2,
            I32 => 4,
            I64 => 8,
            UUID => 16,
            F64 => {
                self.out.extend(1.5f64.to_be_bytes());
                return;
            }
            STRING | BYTES => {
                let length = self.random.below(12);
                match (self.flexible, shape) {
                    (true, _) => varint::put_unsigned(&mut self.out, length as u32 + 1),
                    (false, STRING) => self.out.extend((length as i16).to_be_bytes()),
                    (false, _) => self.out.extend((length as i32).to_be_bytes()),
                }
                self.out.extend(std::iter::repeat_n(b'a', length));
                return;
            }
            Shape::Array(element) => {
                let count = self.random.below(4);
                match self.flexible {
                    true => varint::put_unsigned(&mut self.out, count as u32 + 1),
                    false => self.out.extend((count as i32).to_be_bytes()),
                }
                (0..count).for_each(|_| self.shape(element));
                return;
            }
            Shape::Struct(fields) => return self.fields(fields),
            Shape::Optional(fields) => {
                let there = self.random.below(2) == 0;
                self.out.push(if there { 1 } else { 0xff });
                return if there {
                    self.fields(fields)
                };
            }
        };
        for _ in 0..fixed {
            self.out.push(self.random.next() as u8);
        }
    }
}

fn random_body(schema: &'static RequestSchema, version: i16, random: &mut Random) -> Vec<u8> {
    let mut writer = Writer { out: Vec::new(), version, flexible: version >= schema.flexible_from, random };
    writer.fields(schema.fields);
    writer.out
}

fn api(schema: &RequestSchema) -> ApiKey {
    ApiKey::try_from(schema.api_key).unwrap()
}

fn each_version() -> impl Iterator<Item = (&'static RequestSchema, i16)> {
    schemas().flat_map(|schema| (schema.min..=schema.max).map(move |version| (schema, version)))
}

#[test]
fn the_tables_have_kafka_protocols_versions() {
    let mut keys: Vec<_> = schemas().map(|schema| schema.api_key).collect();
    for schema in schemas() {
        for outside in [schema.min - 1, schema.max + 1] {
            let error = RequestKind::decode(api(schema), &mut Bytes::from_static(&[0; 999]), outside).unwrap_err();
            assert!(format!("{error:#}").contains("not supported"), "{:?} {outside}: {error:#}", api(schema));
        }
        for version in schema.min..=schema.max {
            let flexible = api(schema).request_header_version(version) >= 2;
            assert_eq!(version >= schema.flexible_from, flexible, "{:?} {version}", api(schema));
        }
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), schemas().count());
    // What issue 3 asks to be served, and what comes next.
    let served = [
        0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 32, 33, 35, 37, 42,
        43, 44, 47, 55, 57, 60, 61, 62, 63, 65, 66, 68, 69, 74, 75,
    ];
    for key in served {
        assert!(keys.contains(&key), "API key {key}");
    }
}

#[test]
fn a_walk_ends_where_kafka_protocol_ends() {
    let mut random = Random(0x853c_49e6_748f_ea9b);
    for (schema, version) in each_version() {
        for _ in 0..30 {
            let body = random_body(schema, version, &mut random);
            let what = || format!("{:?} {version}: {body:02x?}", api(schema));
            let walk = walk(schema.api_key, version, &body).unwrap_or_else(|error| panic!("{error} {}", what()));
            assert_eq!(walk.consumed, body.len(), "{}", what());
            let mut left = Bytes::from(body.clone());
            let request = RequestKind::decode(api(schema), &mut left, version)
                .unwrap_or_else(|error| panic!("{error} {}", what()));
            assert!(!left.has_remaining(), "{}", what());
            // The crate's own encoding: another order of tags, defaults left out.
            let mut encoded = BytesMut::new();
            // Bytes that mean nothing in this version (a field that must have its default) do not encode again.
            if request.encode(&mut encoded, version).is_ok() {
                let again = super::walk(schema.api_key, version, &encoded).unwrap();
                assert_eq!(again.consumed, encoded.len(), "{}", what());
            }
        }
    }
}

#[test]
fn every_truncation_is_noticed_and_trailing_bytes_are_left() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for (schema, version) in each_version() {
        let mut body = random_body(schema, version, &mut random);
        for cut in 0..body.len() {
            assert!(walk(schema.api_key, version, &body[..cut]).is_err(), "{:?} {version} cut at {cut}", api(schema));
        }
        let length = body.len();
        body.extend([7; 9]);
        assert_eq!(walk(schema.api_key, version, &body).unwrap().consumed, length);
    }
    assert!(matches!(walk(3, 99, &[]), Err(GuardError::NoSchema { .. })));
    assert!(matches!(walk(-1, 0, &[]), Err(GuardError::NoSchema { .. })));
}

#[test]
fn absurd_lengths_are_refused() {
    for length in [i32::MAX, i32::MIN, -2, 1 << 20] {
        assert!(walk(3, 0, &[&length.to_be_bytes()[..], &[0; 100]].concat()).is_err());
    }
    for length in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0xff; 5], &[0xff; 10]] {
        assert!(walk(3, 9, &[length, &[0; 100]].concat()).is_err());
    }
    // A tagged field that lies about its size: fetch v12's cluster id.
    let mut random = Random(99);
    let schema = schema(1).unwrap();
    let body = loop {
        let body = random_body(schema, 12, &mut random);
        if body.ends_with(&[1, 0, 4, 4, b'a', b'a', b'a']) {
            break body;
        }
    };
    let mut lie = body.clone();
    let at = lie.len() - 5;
    lie[at] = 3;
    assert!(walk(1, 12, &body).is_ok());
    assert!(matches!(walk(1, 12, &lie), Err(GuardError::TagSize { said: 3, has: 4, .. })));
}

/// What decoding may ask for beyond the walk's promise: the error's text, a struct or two.
const SLACK_BYTES: usize = 4096;

/// Decodes as `codec` does, and fails when that takes more than the walk says.
fn decode_within_bounds(schema: &RequestSchema, version: i16, body: Vec<u8>) -> bool {
    let body = Bytes::from(body);
    let Ok(walk) = walk(schema.api_key, version, &body) else { return false };
    let before = ALLOCATED.get();
    let decoded = RequestKind::decode(api(schema), &mut body.clone(), version);
    let taken = ALLOCATED.get().wrapping_sub(before);
    assert!(
        taken <= walk.decoded_bytes() + SLACK_BYTES,
        "{:?} {version}: {taken} bytes for {walk:?}: {body:02x?}",
        api(schema)
    );
    decoded.is_ok()
}

#[test]
fn mutated_requests_neither_panic_nor_take_more_than_the_walk_says() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let all: Vec<_> = each_version().collect();
    let mut decoded = 0;
    for _ in 0..300_000 {
        let (schema, version) = all[random.below(all.len())];
        let mut body = random_body(schema, version, &mut random);
        for _ in 0..=random.below(3) {
            let at = random.below(body.len() + 1);
            match random.below(5) {
                0 => body.truncate(at),
                1 => body.insert(at, random.next() as u8),
                2 => body.extend(std::iter::repeat_n(random.next() as u8, random.below(64))),
                _ if at < body.len() => {
                    body[at] = if random.below(2) == 0 {
                        random.next() as u8
                    } else {
                        [0, 1, 0x7f, 0x80, 0xff][random.below(5)]
                    };
                }
                _ => {}
            }
        }
        decoded += usize::from(decode_within_bounds(schema, version, body));
    }
    // Enough of them get past the guard for this to mean something.
    assert!(decoded > 20_000, "{decoded}");
}

#[test]
fn as_many_elements_as_fit_take_what_the_walk_says() {
    // Bodies of one byte over and over are read as long arrays of small elements in many schemas.
    let mut decoded = 0;
    for (schema, version) in each_version() {
        for fill in [0u8, 1, 2] {
            for first in [0u8, 1, 0x40, 0x7f] {
                let mut body = vec![fill; 20_000];
                for at in 0..12 {
                    body[at] = first;
                    decoded += usize::from(decode_within_bounds(schema, version, body.clone()));
                    body[at] = fill;
                }
            }
        }
    }
    assert!(decoded > 500, "{decoded}");
}
