//! Tests of batches as a whole: header, records, validation, builder, and kafka-protocol as a second opinion.

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::records::{self as kp, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions};

use super::batch_builder::{BatchBuilder, rebuild};
use super::batch_error::{BatchError, RecordsRefused};
use super::batch_validation::{BatchRules, produced_batch, validate};
use super::compression::Compression;
use super::record_batch::*;
use super::records::{RecordReader, first_at_or_after};

const NOW_MS: i64 = 1_700_000_000_000;
const ROOM: usize = 16 << 20;

fn rules() -> BatchRules {
    BatchRules {
        max_batch_bytes: 1 << 20,
        timestamp_type: TimestampType::CreateTime,
        before_max_ms: i64::MAX,
        after_max_ms: 3_600_000,
        compacted: false,
        open_compressed: false,
        max_decompressed_bytes: ROOM,
        now_ms: NOW_MS,
    }
}

/// A hundred records with falling timestamps, some without key or value, some with headers.
fn sample(compression: Compression) -> BytesMut {
    let mut builder = BatchBuilder::new(compression);
    for i in 0..100i64 {
        let (key, value) = (format!("key-{i}"), vec![i as u8; 50]);
        let headers: &[(&[u8], Option<&[u8]>)] = if i % 3 == 0 { &[(b"h", Some(b"v")), (b"n", None)] } else { &[] };
        builder.add(NOW_MS - i, (i % 5 != 0).then_some(key.as_bytes()), (i % 7 != 0).then_some(&value), headers);
    }
    builder.build().unwrap()
}

fn check(bytes: &[u8], rules: &BatchRules) -> Result<i64, BatchError> {
    validate(&produced_batch(bytes, 13)?, rules).map(|valid| valid.max_timestamp_ms)
}

/// Changes the header and makes the checksum right again.
fn with_header(mut bytes: BytesMut, change: impl FnOnce(&mut BatchHeader)) -> BytesMut {
    let mut batch = BatchMut::new(&mut bytes).unwrap();
    let mut header = *batch.header();
    change(&mut header);
    batch.set_header(header);
    bytes
}

/// Changes a payload byte and makes the checksum right again.
fn with_payload(mut bytes: BytesMut, change: impl FnOnce(&mut [u8])) -> BytesMut {
    change(&mut bytes[61..]);
    with_header(bytes, |_| ())
}

#[test]
fn kafka_protocol_reads_what_is_built() {
    for compression in Compression::ALL {
        let built = sample(compression);
        if compression != Compression::None {
            // The crate is built without codecs here; the header is its to judge all the same.
            continue;
        }
        let set = RecordBatchDecoder::decode(&mut built.freeze()).unwrap();
        assert_eq!(set.records.len(), 100);
        assert_eq!(set.records[1].key.as_deref(), Some(&b"key-1"[..]));
        assert_eq!(set.records[0].value, None);
        assert_eq!(set.records[3].headers.len(), 2);
        assert_eq!(set.records[99].timestamp, NOW_MS - 99);
    }
}

#[test]
fn what_kafka_protocol_writes_is_read() {
    let records: Vec<kp::Record> = (0..10)
        .map(|i| kp::Record {
            transactional: true,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: 3,
            producer_id: 77,
            producer_epoch: 5,
            timestamp_type: kp::TimestampType::Creation,
            offset: 40 + i,
            sequence: 1000 + i as i32,
            timestamp: NOW_MS + i,
            key: Some(Bytes::from_static(b"k")),
            value: None,
            headers: Default::default(),
        })
        .collect();
    let mut out = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: kp::Compression::None };
    RecordBatchEncoder::encode(&mut out, &records, &options).unwrap();
    let view = BatchView::parse(&out).unwrap();
    view.check_crc().unwrap();
    let header = view.header;
    assert_eq!((header.base_offset, header.last_offset(), header.leader_epoch), (40, 49, 3));
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (77, 5, 1000));
    assert_eq!(header.last_sequence(), 1009);
    assert!(header.attributes.is_transactional() && !header.attributes.is_control());
    let mut reader = RecordReader::new(&view, ROOM).unwrap();
    for i in 0..10 {
        let record = reader.next().unwrap().unwrap();
        assert_eq!((record.offset, record.timestamp_ms, record.sequence), (40 + i, NOW_MS + i, 1000 + i as i32));
        assert_eq!((record.key, record.value), (Some(&b"k"[..]), None));
    }
    assert!(reader.next().is_none());
}

#[test]
fn every_codec_gives_the_same_records() {
    let plain = sample(Compression::None);
    let plain = BatchView::parse(&plain).unwrap();
    for compression in Compression::ALL {
        let packed = sample(compression);
        let packed = BatchView::parse(&packed).unwrap();
        assert_eq!(packed.header.attributes.compression(), Ok(compression));
        let (mut a, mut b) = (RecordReader::new(&plain, ROOM).unwrap(), RecordReader::new(&packed, ROOM).unwrap());
        while let Some(record) = a.next() {
            let (record, other) = (record.unwrap(), b.next().unwrap().unwrap());
            assert_eq!(record, other);
            assert!(record.headers.iter().eq(other.headers.iter()));
            assert_eq!(record.headers.len(), record.headers.iter().count());
        }
        assert!(b.next().is_none());
    }
}

#[test]
fn rebuilding_keeps_the_records() {
    for from in Compression::ALL {
        for to in Compression::ALL {
            let old = with_header(sample(from), |h| {
                (h.producer_id, h.producer_epoch, h.base_sequence) = (9, 1, 7);
                h.attributes = h.attributes.with_transactional(true);
            });
            let old = BatchView::parse(&old).unwrap();
            let new = rebuild(&old, to, None, ROOM).unwrap();
            let new = BatchView::parse(&new).unwrap();
            new.check_crc().unwrap();
            assert_eq!(new.header.attributes.compression(), Ok(to));
            let alike = |h: BatchHeader| BatchHeader { length: 0, crc: 0, attributes: Attributes(0), ..h };
            assert_eq!(alike(old.header), alike(new.header));
            let (mut a, mut b) = (RecordReader::new(&old, ROOM).unwrap(), RecordReader::new(&new, ROOM).unwrap());
            while let Some(record) = a.next() {
                assert_eq!(record.unwrap(), b.next().unwrap().unwrap());
            }
        }
    }
}

#[test]
fn offset_and_epoch_are_patched_without_touching_the_checksum() {
    let mut bytes = sample(Compression::Lz4);
    let crc = BatchView::parse(&bytes).unwrap().header.crc;
    let mut batch = BatchMut::new(&mut bytes).unwrap();
    let max = batch.header().max_timestamp_ms;
    batch.assign(5000, 7, TimestampType::CreateTime, max);
    let view = BatchView::parse(&bytes).unwrap();
    assert_eq!((view.header.base_offset, view.header.last_offset(), view.header.leader_epoch), (5000, 5099, 7));
    assert_eq!(view.header.crc, crc);
    view.check_crc().unwrap();

    BatchMut::new(&mut bytes).unwrap().assign(5000, 7, TimestampType::LogAppendTime, NOW_MS + 5);
    let view = BatchView::parse(&bytes).unwrap();
    assert_ne!(view.header.crc, crc);
    view.check_crc().unwrap();
    let mut reader = RecordReader::new(&view, ROOM).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().timestamp_ms, NOW_MS + 5);
}

#[test]
fn batches_are_cut_and_a_partial_one_told() {
    let one = sample(Compression::None);
    let joined = [&one[..], &one, &one[..70]].concat();
    let mut batches = Batches::new(&joined);
    assert_eq!(batches.next().unwrap().unwrap().position, 0);
    assert_eq!(batches.next().unwrap().unwrap().position, one.len());
    assert_eq!(batches.next().unwrap().unwrap_err(), BatchError::Truncated { size: one.len(), have: 70 });
    assert!(batches.next().is_none());
}

#[test]
fn a_producer_sends_one_whole_v2_batch() {
    let one = sample(Compression::None);
    let code = |bytes: &[u8], version| produced_batch(bytes, version).map(|_| ()).map_err(|e| e.code());
    assert_eq!(code(&one, 3), Ok(()));
    assert_eq!(code(b"", 13), Err(ResponseError::InvalidRecord));
    assert_eq!(code(&one[..one.len() - 1], 13), Err(ResponseError::InvalidRecord));
    // Fewer bytes than a header's are dropped; a second batch, of any magic, is not.
    assert_eq!(code(&[&one[..], &[0; 11]].concat(), 13), Ok(()));
    assert_eq!(code(&[&one[..], &one].concat(), 13), Err(ResponseError::InvalidRecord));
    assert_eq!(code(&[&one[..], &[0; 12]].concat(), 13), Err(ResponseError::CorruptMessage));
    let zstd = sample(Compression::Zstd);
    assert_eq!(code(&zstd, 6), Err(ResponseError::UnsupportedCompressionType));
    assert_eq!(code(&zstd, 7), Ok(()));
    for (magic, error) in [
        (0, ResponseError::InvalidRecord),
        (1, ResponseError::InvalidRecord),
        (3, ResponseError::CorruptMessage),
        (0xff, ResponseError::CorruptMessage),
    ] {
        let mut other = one.clone();
        other[16] = magic;
        assert_eq!(code(&other, 13), Err(error), "magic {magic}");
    }
    for (length, error) in [
        (-1i32, ResponseError::CorruptMessage),
        (13, ResponseError::CorruptMessage),
        (48, ResponseError::CorruptMessage),
        (i32::MAX, ResponseError::InvalidRecord),
    ] {
        let mut other = one.clone();
        other[8..12].copy_from_slice(&length.to_be_bytes());
        assert_eq!(code(&other, 13), Err(error), "length {length}");
    }
}

#[test]
fn header_rules() {
    let code = |change: &dyn Fn(&mut BatchHeader)| {
        check(&with_header(sample(Compression::None), |h| change(h)), &rules()).map_err(|e| e.code())
    };
    assert_eq!(code(&|_| ()), Ok(NOW_MS));
    for change in [
        (|h: &mut BatchHeader| h.base_offset = 1) as fn(&mut BatchHeader),
        |h| h.last_offset_delta = -1,
        |h| h.last_offset_delta = i32::MIN,
        |h| h.last_offset_delta = 100,
        |h| h.record_count = 0,
        |h| h.record_count = -5,
        |h| (h.record_count, h.last_offset_delta) = (99, 98),
        |h| (h.record_count, h.last_offset_delta) = (101, 100),
        |h| (h.record_count, h.last_offset_delta) = (i32::MAX, i32::MAX - 1),
        |h| h.attributes = h.attributes.with_control(true),
        |h| (h.producer_id, h.base_sequence) = (5, -1),
    ] {
        assert_eq!(code(&change), Err(ResponseError::InvalidRecord));
    }
    assert_eq!(code(&|h| h.attributes = Attributes(6)), Err(ResponseError::UnknownServerError));
    let mut flipped = sample(Compression::Gzip);
    flipped[80] ^= 1;
    assert_eq!(check(&flipped, &rules()).unwrap_err().code(), ResponseError::CorruptMessage);
    let small = BatchRules { max_batch_bytes: 100, ..rules() };
    assert_eq!(check(&sample(Compression::None), &small).unwrap_err().code(), ResponseError::MessageTooLarge);
}

#[test]
fn timestamps() {
    let bytes = sample(Compression::None);
    let late = BatchRules { after_max_ms: 10, now_ms: NOW_MS - 20, ..rules() };
    let BatchError::Refused { reason, errors } = check(&bytes, &late).unwrap_err() else { panic!("refused") };
    assert_eq!(reason, RecordsRefused::InvalidTimestamp);
    assert_eq!(errors.iter().map(|e| e.index).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    let early = BatchRules { before_max_ms: 90, ..rules() };
    for compression in Compression::ALL {
        let BatchError::Refused { errors, .. } = check(&sample(compression), &early).unwrap_err() else { panic!() };
        assert_eq!(errors.iter().map(|e| e.index).collect::<Vec<_>>(), (91..100).collect::<Vec<_>>());
    }
    let append =
        BatchRules { timestamp_type: TimestampType::LogAppendTime, after_max_ms: 0, before_max_ms: 0, ..rules() };
    assert_eq!(check(&bytes, &append), Ok(NOW_MS));
    // A producer that claims append time: its records' time is the header's; refused where the topic has append time too.
    let claims =
        with_header(bytes.clone(), |h| h.attributes = h.attributes.with_timestamp_type(TimestampType::LogAppendTime));
    assert_eq!(check(&claims, &append).unwrap_err().code(), ResponseError::InvalidTimestamp);
    assert_eq!(check(&claims, &rules()), Ok(NOW_MS));
    // What the header says of the largest timestamp is corrected by the records.
    let lies = with_header(bytes, |h| h.max_timestamp_ms = 5);
    assert_eq!(check(&lies, &rules()), Ok(NOW_MS));
    let mut none = BatchBuilder::default();
    none.add(NO_TIMESTAMP, None, None, &[]);
    assert_eq!(check(&none.build().unwrap(), &BatchRules { before_max_ms: 0, ..rules() }), Ok(NO_TIMESTAMP));
}

#[test]
fn a_compacted_topic_needs_keys() {
    for compression in Compression::ALL {
        let compacted = BatchRules { compacted: true, ..rules() };
        let error = check(&sample(compression), &compacted).unwrap_err();
        assert_eq!(error.code(), ResponseError::InvalidRecord);
        assert_eq!(
            error.record_errors().iter().map(|e| e.index).collect::<Vec<_>>(),
            (0..100).step_by(5).collect::<Vec<_>>()
        );
    }
}

#[test]
fn broken_records_are_refused() {
    let mut one = BatchBuilder::default();
    one.add(NOW_MS, Some(b"k"), Some(b"v"), &[(b"h", None)]);
    let one = one.build().unwrap();
    // size, attributes, timestamp delta, offset delta, key length, k, value length, v, header count, key length, h, value length
    assert_eq!(&one[61..], &[22, 0, 0, 0, 2, b'k', 2, b'v', 2, 2, b'h', 1]);
    let code =
        |at: usize, byte: u8| check(&with_payload(one.clone(), |p| p[at] = byte), &rules()).map_err(|e| e.code());
    assert_eq!(code(0, 22), Ok(NOW_MS));
    for (at, byte) in [
        (0, 20),
        (0, 24),
        (0, 1),
        (0, 0x80),
        (4, 40),
        (6, 40),
        (8, 4),
        (8, 1),
        (8, 0),
        (8, 200),
        (9, 1),
        (9, 40),
        (11, 2),
    ] {
        assert_eq!(code(at, byte), Err(ResponseError::InvalidRecord), "byte {at} = {byte}");
    }
    // Any negative length is null, as in Kafka: here the value's, and the byte after it is then the header count.
    assert_eq!(code(11, 5), Ok(NOW_MS));
    let gap = with_payload(one.clone(), |p| p[3] = 8);
    let valid = validate(&produced_batch(&gap, 13).unwrap(), &rules()).unwrap();
    assert!(!valid.consecutive_offsets);
    let mut longer = BytesMut::from(&[&one[..], &[0]].concat()[..]);
    longer[8..12].copy_from_slice(&((one.len() - 11) as i32).to_be_bytes());
    assert_eq!(check(&with_header(longer, |_| ()), &rules()), Err(BatchError::TrailingBytes));
}

#[test]
fn bombs_are_bounded() {
    let mut builder = BatchBuilder::new(Compression::Zstd);
    builder.add(NOW_MS, None, Some(&vec![0; 8 << 20]), &[]);
    let bomb = builder.build().unwrap();
    assert!(bomb.len() < 10_000);
    let open = BatchRules { open_compressed: true, max_decompressed_bytes: 1 << 20, ..rules() };
    assert_eq!(check(&bomb, &open), Err(BatchError::Bomb(1 << 20)));
    assert_eq!(check(&bomb, &BatchRules { max_decompressed_bytes: 9 << 20, ..open }), Ok(NOW_MS));
}

#[test]
fn records_are_found_by_timestamp() {
    let mut builder = BatchBuilder::new(Compression::Snappy).base_offset(10);
    for timestamp in [5, 9, 3, 9, 7] {
        builder.add(timestamp, None, None, &[]);
    }
    let bytes = builder.build().unwrap();
    let batch = BatchView::parse(&bytes).unwrap();
    let found =
        |timestamp, from| first_at_or_after(&batch, timestamp, from, ROOM).unwrap().map(|t| (t.timestamp_ms, t.offset));
    assert_eq!(found(0, 0), Some((5, 10)));
    assert_eq!(found(6, 0), Some((9, 11)));
    assert_eq!(found(6, 12), Some((9, 13)));
    assert_eq!(found(9, 14), None);
    assert_eq!(found(10, 0), None);
}

#[test]
fn sequences_wrap() {
    assert_eq!(add_sequence(i32::MAX, 1), 0);
    assert_eq!(add_sequence(i32::MAX - 1, 3), 1);
    assert_eq!(add_sequence(4, 5), 9);
}

#[test]
fn no_mutation_panics() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let open = BatchRules { open_compressed: true, max_decompressed_bytes: 1 << 20, ..rules() };
    let samples = Compression::ALL.map(sample);
    for _ in 0..20_000 {
        let mut bytes = samples[(random() % 5) as usize].clone();
        for _ in 0..=random() % 4 {
            let at = (random() as usize) % bytes.len();
            bytes[at] = random() as u8;
        }
        if random() % 4 == 0 {
            bytes.truncate(random() as usize % (bytes.len() + 1));
        }
        if BatchMut::new(&mut bytes).is_ok() && random() % 8 != 0 {
            bytes = with_header(bytes, |_| ());
        }
        let _ = check(&bytes, &open);
        if let Ok(view) = BatchView::parse(&bytes) {
            let _ = first_at_or_after(&view, random() as i64, 0, 1 << 20);
        }
    }
}
