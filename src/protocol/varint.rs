//! Variable-length integers, as Kafka reads them: at most 5 bytes (32 bits) or 10 bytes (64 bits), surplus high bits dropped.

/// An unsigned 32-bit varint and the number of bytes it took. `None` when it is cut short or does not end after 5 bytes.
pub fn read_unsigned(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut value = 0u32;
    for (i, &byte) in bytes.iter().take(5).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, i + 1));
        }
    }
    None
}

/// A zig-zag 32-bit varint and its length in bytes.
pub fn read_i32(bytes: &[u8]) -> Option<(i32, usize)> {
    let (raw, length) = read_unsigned(bytes)?;
    Some((((raw >> 1) as i32) ^ -((raw & 1) as i32), length))
}

/// A zig-zag 64-bit varint and its length in bytes.
pub fn read_i64(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((((value >> 1) as i64) ^ -((value & 1) as i64), i + 1));
        }
    }
    None
}

/// Appends an unsigned varint.
pub fn put_unsigned(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a zig-zag 32-bit varint.
pub fn put_i32(out: &mut Vec<u8>, value: i32) {
    put_unsigned(out, ((value << 1) ^ (value >> 31)) as u32);
}

/// Appends a zig-zag 64-bit varint.
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.push((raw as u8) | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_read_back() {
        for value in [0, 1, -1, 63, -64, 64, -65, 8191, i64::from(i32::MAX), i64::from(i32::MIN), i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_i64(&mut out, value);
            assert_eq!(read_i64(&out), Some((value, out.len())));
            for cut in 0..out.len() {
                assert_eq!(read_i64(&out[..cut]), None);
            }
            if let Ok(small) = i32::try_from(value) {
                out.clear();
                put_i32(&mut out, small);
                assert_eq!(read_i32(&out), Some((small, out.len())));
            }
        }
    }

    #[test]
    fn a_varint_that_does_not_end_is_refused() {
        assert_eq!(read_unsigned(&[0x80; 5]), None);
        assert_eq!(read_i64(&[0x80; 10]), None);
    }
}
