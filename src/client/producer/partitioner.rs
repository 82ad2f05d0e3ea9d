//! Which partition a record goes to, as Kafka's Java producer decides it: by the key's murmur2, else sticky (KIP-794).
//!
//! Never looks at who leads a partition; the hash of a key must never change, or a key's records would lose their order.

/// murmur2 with the seed of Kafka's Java client.
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ (data.len() as u32);
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = chunk.iter().rev().fold(0u32, |word, byte| (word << 8) | u32::from(*byte));
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        k = k.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0u32, |word, byte| (word << 8) | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key, of `partitions` (at least 1).
pub fn of_key(key: &[u8], partitions: usize) -> usize {
    (murmur2(key) & 0x7fff_ffff) as usize % partitions.max(1)
}

/// Chooses for records without a key: one partition until a batch's worth of bytes went there, then another at random.
#[derive(Debug)]
pub struct Sticky {
    current: usize,
    bytes: usize,
    seed: u64,
}

impl Sticky {
    /// `seed`: anything that differs between producers, so that they do not all begin at one partition.
    pub fn new(seed: u64) -> Self {
        let mut sticky = Self { current: 0, bytes: 0, seed: seed | 1 };
        sticky.current = sticky.random();
        sticky
    }

    /// The partition for a record of `record_bytes`, where partitions change every `batch_bytes`.
    pub fn next(&mut self, partitions: usize, record_bytes: usize, batch_bytes: usize) -> usize {
        if self.bytes >= batch_bytes.max(1) {
            self.bytes = 0;
            self.current = self.random();
        }
        self.bytes += record_bytes;
        self.current % partitions.max(1)
    }

    /// xorshift64*: even enough to spread batches.
    fn random(&mut self) -> usize {
        self.seed ^= self.seed >> 12;
        self.seed ^= self.seed << 25;
        self.seed ^= self.seed >> 27;
        (self.seed.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_where_kafkas_java_client_sends_them() {
        // From org.apache.kafka.common.utils.UtilsTest.
        let known = [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
        assert_eq!(of_key(b"21", 1), 0);
    }

    #[test]
    fn a_batch_stays_together_and_all_partitions_get_their_share() {
        let mut sticky = Sticky::new(7);
        let mut counts = [0usize; 4];
        let mut changes = 0;
        let mut last = sticky.next(4, 0, 1000);
        for _ in 0..40_000 {
            let partition = sticky.next(4, 100, 1000);
            changes += usize::from(partition != last);
            last = partition;
            counts[partition] += 1;
        }
        assert!(changes < 4_000, "{changes} changes in 4,000 batches");
        assert!(counts.iter().all(|count| (7_000..13_000).contains(count)), "{counts:?}");
    }
}
