//! What makes a line of Java's output what it is: the order of its hash maps, its form of ids, its regular expressions. Scripts compare such lines, and so do
//! people who change from one tool to the other. Pure.

use regex::Regex;
use uuid::Uuid;

use super::Fault;

/// A text's `hashCode`.
pub fn hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The `hashCode` of a `TopicPartition`.
pub fn partition_hash(topic: &str, partition: i32) -> i32 {
    31i32.wrapping_mul(31i32.wrapping_add(partition)).wrapping_add(hash(topic))
}

/// What a `HashMap` begins with.
pub const HASH_MAP_BUCKETS: usize = 16;

/// Puts items into the order in which a `HashMap` that they were put into one after the other is walked over. `buckets` is what the map began with
/// ([`HASH_MAP_BUCKETS`], or the power of two that its maker asked for); it doubles when it is three quarters full.
pub fn hash_map_order<T>(mut items: Vec<T>, buckets: usize, hash: impl Fn(&T) -> i32) -> Vec<T> {
    let mut buckets = buckets.max(1).next_power_of_two();
    while items.len() * 4 > buckets * 3 {
        buckets *= 2;
    }
    let mask = u32::try_from(buckets - 1).unwrap_or(u32::MAX);
    // Stable: those of one bucket stay in the order in which they were put.
    items.sort_by_key(|item| {
        let hash = hash(item).cast_unsigned();
        (hash ^ (hash >> 16)) & mask
    });
    items
}

/// `Uuid.toString`: 22 characters of URL-safe base64.
pub fn uuid(id: Uuid) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = id.as_u128();
    // 128 bits are 21 times 6 and 2 left over, which stand in front of 4 zeros.
    let digit = |shift: u32, width: u32| {
        let index = (bits >> shift) & ((1 << width) - 1);
        usize::try_from(index << (6 - width))
            .ok()
            .and_then(|index| ALPHABET.get(index))
            .copied()
            .map_or('A', char::from)
    };
    (0..21).map(|at| digit(122 - 6 * at, 6)).chain([digit(0, 2)]).collect()
}

/// `Uuid.fromString`.
///
/// # Errors
/// Kafka's sentences.
pub fn parse_uuid(text: &str) -> Result<Uuid, Fault> {
    if text.len() > 24 {
        let start: String = text.chars().take(24).collect();
        return Err(Fault::thrown(format!(
            "Input string with prefix `{start}` is too long to be decoded as a base64 UUID"
        )));
    }
    let digits = text.trim_end_matches('=');
    let mut bits = 0u128;
    for (at, byte) in digits.bytes().enumerate() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return Err(Fault::thrown(format!("Illegal base64 character {byte:x}"))),
        };
        // The last of 22 digits has 4 bits too many.
        bits = match at {
            21 => (bits << 2) | u128::from(value >> 4),
            _ => (bits << 6) | u128::from(value),
        };
    }
    match digits.len() {
        22 => Ok(Uuid::from_u128(bits)),
        1 => Err(Fault::thrown("Input byte[] should at least have 2 bytes for base64 bytes")),
        length if length % 4 == 1 => Err(Fault::thrown("Last unit does not have enough valid bits")),
        length => Err(Fault::thrown(format!(
            "Input string `{text}` decoded as {} bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID",
            length * 6 / 8
        ))),
    }
}

/// A filter of topics' names: a regular expression, or many with commas (`TopicFilter.IncludeList`).
#[derive(Clone, Debug)]
pub struct TopicFilter(Regex);

impl TopicFilter {
    /// # Errors
    /// Kafka's sentence for what is no regular expression.
    pub fn new(text: &str) -> Result<Self, Fault> {
        let text = text.trim().replace(',', "|").replace(' ', "");
        let text = text.trim_start_matches(['"', '\'']).trim_end_matches(['"', '\'']);
        // Java's `matches` means the whole name.
        match Regex::new(&format!("^(?:{text})$")) {
            Ok(regex) => Ok(Self(regex)),
            Err(_) => Err(Fault::thrown(format!("{text} is an invalid regex."))),
        }
    }

    pub fn allows(&self, topic: &str) -> bool {
        self.0.is_match(topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_java_s() {
        assert_eq!((hash(""), hash("a"), hash("cleanup.policy")), (0, 97, -537_988_164));
        assert_eq!(partition_hash("a", 2), 31 * 33 + 97);
    }

    #[test]
    fn maps_are_walked_over_as_in_java() {
        let order = |words: &[&'static str], buckets| hash_map_order(words.to_vec(), buckets, |word| hash(word));
        // As Java prints new HashMap with these keys put in this order.
        assert_eq!(
            order(&["isFuture", "size", "offsetLag", "partition"], 16),
            ["partition", "size", "offsetLag", "isFuture"]
        );
        assert_eq!(order(&["version", "brokers"], 16), ["brokers", "version"]);
        assert_eq!(order(&["b", "a"], 1), ["a", "b"]);
    }

    #[test]
    fn ids_are_written_and_read() {
        for bits in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
            let id = Uuid::from_u128(bits);
            assert_eq!(uuid(id).len(), 22);
            assert_eq!(parse_uuid(&uuid(id)).unwrap(), id);
        }
        assert_eq!(uuid(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(parse_uuid("short").unwrap_err().message(""), "Last unit does not have enough valid bits");
        assert!(parse_uuid("shorts").unwrap_err().message("").contains("4 bytes"));
        assert!(parse_uuid("AAAAAAAAAAAAAAAAAAAA+Q").is_err());
        assert!(parse_uuid("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").is_err());
    }

    #[test]
    fn filters_take_lists_and_quotes() {
        let filter = TopicFilter::new(" 'a.*, b'").unwrap();
        assert!(filter.allows("abc") && filter.allows("b") && !filter.allows("bc") && !filter.allows("xa"));
        assert_eq!(TopicFilter::new("*").unwrap_err().message(""), "* is an invalid regex.");
    }
}
