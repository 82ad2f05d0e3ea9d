//! The records of `__consumer_offsets`, in Kafka's own formats: tools and MirrorMaker 2 read them.
//!
//! All versions are read. Written are the versions that Kafka 4.3 writes: offsets in version 4, or 1 when the client gave a retention time
//! (only that version can hold it), and classic groups in version 3.

use bytes::Bytes;
use std::sync::Arc;
use uuid::Uuid;

use crate::coordinator::records::{CoordinatorRecord, FormatError, Reader, Writer};

/// `LegacyOffsetCommitKey`: same fields as [`KEY_OFFSET_COMMIT`].
const KEY_LEGACY_OFFSET_COMMIT: i16 = 0;
const KEY_OFFSET_COMMIT: i16 = 1;
const KEY_GROUP_METADATA: i16 = 2;
/// Highest kind that Kafka 4.3 has (groups of the consumer, share and streams protocols take the ones in between).
pub const KEY_HIGHEST_KNOWN: i16 = 23;

const OFFSET_VALUE_LATEST: i16 = 4;
/// The version with an expiry time.
const OFFSET_VALUE_WITH_EXPIRY: i16 = 1;
const TAG_TOPIC_ID: u32 = 0;
const GROUP_VALUE_LATEST: i16 = 4;
const GROUP_VALUE_WRITTEN: i16 = 3;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Offset {
        group: Arc<str>,
        topic: Arc<str>,
        partition: i32,
    },
    Group {
        group: Arc<str>,
    },
    /// A kind that this broker does not keep (yet).
    Other(i16),
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    pub offset: i64,
    /// -1 when the client gave none.
    pub leader_epoch: i32,
    pub metadata: Arc<str>,
    pub commit_timestamp_ms: i64,
    /// When the offset expires, for clients that give a retention time (OffsetCommit 2 to 4).
    pub expire_timestamp_ms: Option<i64>,
    /// Nil when the record has none.
    pub topic_id: Uuid,
}

/// A member within a stored classic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMember {
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// The member's metadata for the group's chosen protocol.
    pub subscription: Bytes,
    pub assignment: Bytes,
}

/// A stored classic group: what survives a change of coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGroup {
    /// Empty when there is none.
    pub protocol_type: Arc<str>,
    pub generation: i32,
    pub protocol: Option<Arc<str>>,
    pub leader: Option<Arc<str>>,
    /// -1 when unknown (version 1 and older).
    pub state_timestamp_ms: i64,
    pub members: Vec<StoredMember>,
}

fn offset_key(group: &str, topic: &str, partition: i32) -> Bytes {
    Writer::new(KEY_OFFSET_COMMIT).string(group).string(topic).i32(partition).done()
}

fn group_key(group: &str) -> Bytes {
    Writer::new(KEY_GROUP_METADATA).string(group).done()
}

pub fn offset_record(group: &str, topic: &str, partition: i32, value: &CommittedOffset) -> CoordinatorRecord {
    CoordinatorRecord { key: offset_key(group, topic, partition), value: Some(offset_value(value)) }
}

pub fn offset_tombstone(group: &str, topic: &str, partition: i32) -> CoordinatorRecord {
    CoordinatorRecord { key: offset_key(group, topic, partition), value: None }
}

pub fn group_record(group: &str, value: &StoredGroup) -> CoordinatorRecord {
    CoordinatorRecord { key: group_key(group), value: Some(group_value(value)) }
}

pub fn group_tombstone(group: &str) -> CoordinatorRecord {
    CoordinatorRecord { key: group_key(group), value: None }
}

fn offset_value(value: &CommittedOffset) -> Bytes {
    if let Some(expire_timestamp_ms) = value.expire_timestamp_ms {
        return Writer::new(OFFSET_VALUE_WITH_EXPIRY)
            .i64(value.offset)
            .string(&value.metadata)
            .i64(value.commit_timestamp_ms)
            .i64(expire_timestamp_ms)
            .done();
    }
    let topic_id = value.topic_id.as_bytes().as_slice();
    let tagged: &[(u32, &[u8])] = if value.topic_id.is_nil() { &[] } else { &[(TAG_TOPIC_ID, topic_id)] };
    Writer::new(OFFSET_VALUE_LATEST)
        .i64(value.offset)
        .i32(value.leader_epoch)
        .compact_string(&value.metadata)
        .i64(value.commit_timestamp_ms)
        .tagged_fields(tagged)
        .done()
}

fn group_value(value: &StoredGroup) -> Bytes {
    let mut writer = Writer::new(GROUP_VALUE_WRITTEN)
        .string(&value.protocol_type)
        .i32(value.generation)
        .nullable_string(value.protocol.as_deref())
        .nullable_string(value.leader.as_deref())
        .i64(value.state_timestamp_ms)
        .i32(value.members.len() as i32);
    for member in &value.members {
        writer = writer
            .string(&member.member_id)
            .nullable_string(member.instance_id.as_deref())
            .string(&member.client_id)
            .string(&member.client_host)
            .i32(member.rebalance_timeout_ms)
            .i32(member.session_timeout_ms)
            .bytes(&member.subscription)
            .bytes(&member.assignment);
    }
    writer.done()
}

/// Errors: a key of a known kind that does not parse.
pub fn parse_key(bytes: &[u8]) -> Result<Key, FormatError> {
    let mut reader = Reader(bytes);
    match reader.i16("the key's kind")? {
        KEY_LEGACY_OFFSET_COMMIT | KEY_OFFSET_COMMIT => Ok(Key::Offset {
            group: reader.string("the group id")?,
            topic: reader.string("the topic")?,
            partition: reader.i32("the partition")?,
        }),
        KEY_GROUP_METADATA => Ok(Key::Group { group: reader.string("the group id")? }),
        other => Ok(Key::Other(other)),
    }
}

/// Errors: a value that does not parse, or of a version yet unknown.
pub fn parse_offset(bytes: &[u8]) -> Result<CommittedOffset, FormatError> {
    let mut reader = Reader(bytes);
    let version = version(&mut reader, "the offset's value", OFFSET_VALUE_LATEST)?;
    let offset = reader.i64("the offset")?;
    let leader_epoch = if version >= 3 { reader.i32("the leader epoch")? } else { -1 };
    let metadata = if version >= 4 { reader.compact_string("the metadata")? } else { reader.string("the metadata")? };
    let commit_timestamp_ms = reader.i64("the commit timestamp")?;
    let expire_timestamp_ms =
        if version == OFFSET_VALUE_WITH_EXPIRY { Some(reader.i64("the expire timestamp")?) } else { None };
    let mut topic_id = Uuid::nil();
    if version >= 4 {
        reader.tagged_fields(|tag, value| {
            if tag == TAG_TOPIC_ID
                && let Ok(id) = Uuid::from_slice(value)
            {
                topic_id = id;
            }
        })?;
    }
    Ok(CommittedOffset {
        offset,
        leader_epoch,
        metadata,
        commit_timestamp_ms,
        expire_timestamp_ms: expire_timestamp_ms.filter(|ms| *ms != -1),
        topic_id,
    })
}

/// Errors: as [`parse_offset`].
pub fn parse_group(bytes: &[u8]) -> Result<StoredGroup, FormatError> {
    let mut reader = Reader(bytes);
    let version = version(&mut reader, "the group's value", GROUP_VALUE_LATEST)?;
    let mut fields = GroupFields { reader, flexible: version >= 4 };
    let protocol_type = fields.string("the protocol type")?;
    let generation = fields.reader.i32("the generation")?;
    let protocol = fields.nullable_string("the protocol")?;
    let leader = fields.nullable_string("the leader")?;
    let state_timestamp_ms = if version >= 2 { fields.reader.i64("the state's timestamp")? } else { -1 };
    let count = fields.count("the number of members")?;
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(stored_member(&mut fields, version)?);
    }
    fields.end()?;
    Ok(StoredGroup { protocol_type, generation, protocol, leader, state_timestamp_ms, members })
}

fn stored_member(fields: &mut GroupFields<'_>, version: i16) -> Result<StoredMember, FormatError> {
    let member_id = fields.string("a member id")?;
    let instance_id = if version >= 3 { fields.nullable_string("a group instance id")? } else { None };
    let client_id = fields.string("a client id")?;
    let client_host = fields.string("a client host")?;
    let rebalance_timeout_ms = if version >= 1 { fields.reader.i32("a rebalance timeout")? } else { -1 };
    let session_timeout_ms = fields.reader.i32("a session timeout")?;
    let subscription = Bytes::copy_from_slice(fields.bytes("a subscription")?);
    let assignment = Bytes::copy_from_slice(fields.bytes("an assignment")?);
    fields.end()?;
    Ok(StoredMember {
        member_id,
        instance_id,
        client_id,
        client_host,
        // As Kafka: before there was a rebalance timeout, the session timeout served for it.
        rebalance_timeout_ms: if rebalance_timeout_ms == -1 { session_timeout_ms } else { rebalance_timeout_ms },
        session_timeout_ms,
        subscription,
        assignment,
    })
}

fn version(reader: &mut Reader<'_>, what: &'static str, latest: i16) -> Result<i16, FormatError> {
    let version = reader.i16(what)?;
    if (0..=latest).contains(&version) { Ok(version) } else { Err(FormatError::Version { what, version, latest }) }
}

/// A group's fields in either encoding: the flexible one (version 4) has compact lengths and tagged fields.
struct GroupFields<'a> {
    reader: Reader<'a>,
    flexible: bool,
}

impl<'a> GroupFields<'a> {
    fn string(&mut self, what: &'static str) -> Result<Arc<str>, FormatError> {
        self.nullable_string(what)?.ok_or(FormatError::Null(what))
    }

    fn nullable_string(&mut self, what: &'static str) -> Result<Option<Arc<str>>, FormatError> {
        if !self.flexible {
            return self.reader.nullable_string(what);
        }
        match self.reader.compact_string(what) {
            Ok(value) => Ok(Some(value)),
            Err(FormatError::Null(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], FormatError> {
        if !self.flexible {
            return self.reader.bytes(what);
        }
        let length = self.reader.unsigned_varint(what)?.checked_sub(1).ok_or(FormatError::Null(what))?;
        self.reader.take(length as usize, what)
    }

    fn count(&mut self, what: &'static str) -> Result<u32, FormatError> {
        if self.flexible {
            return self.reader.unsigned_varint(what)?.checked_sub(1).ok_or(FormatError::Null(what));
        }
        u32::try_from(self.reader.i32(what)?).map_err(|_| FormatError::Null(what))
    }

    fn end(&mut self) -> Result<(), FormatError> {
        if self.flexible { self.reader.tagged_fields(|_, _| ()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn committed() -> CommittedOffset {
        CommittedOffset {
            offset: 42,
            leader_epoch: 3,
            metadata: "meta".into(),
            commit_timestamp_ms: 1000,
            expire_timestamp_ms: None,
            topic_id: Uuid::from_u128(1),
        }
    }

    fn stored(version: i16) -> StoredGroup {
        StoredGroup {
            protocol_type: "consumer".into(),
            generation: 5,
            protocol: Some("range".into()),
            leader: Some("m".into()),
            state_timestamp_ms: if version >= 2 { 77 } else { -1 },
            members: vec![StoredMember {
                member_id: "m".into(),
                instance_id: (version >= 3).then(|| "i".into()),
                client_id: "c".into(),
                client_host: "/h".into(),
                rebalance_timeout_ms: if version >= 1 { 9 } else { 8 },
                session_timeout_ms: 8,
                subscription: Bytes::from_static(b"sub"),
                assignment: Bytes::from_static(b"as"),
            }],
        }
    }

    #[test]
    fn keys_are_kafkas() {
        let key = hex("0001 0001 67 0001 74 00000003");
        let record = offset_record("g", "t", 3, &committed());
        assert_eq!(record.key, key);
        assert_eq!(offset_tombstone("g", "t", 3), CoordinatorRecord { key: key.clone().into(), value: None });
        let expected = Key::Offset { group: "g".into(), topic: "t".into(), partition: 3 };
        assert_eq!(parse_key(&key), Ok(expected.clone()));
        assert_eq!(parse_key(&hex("0000 0001 67 0001 74 00000003")), Ok(expected), "the key of old");
        assert_eq!(group_tombstone("g").key, hex("0002 0001 67"));
        assert_eq!(parse_key(&hex("0002 0001 67")), Ok(Key::Group { group: "g".into() }));
        assert_eq!(parse_key(&hex("0003 0001 67")), Ok(Key::Other(3)));
        assert_eq!(parse_key(&hex("0002 0002 67")), Err(FormatError::Truncated("the group id")));
    }

    #[test]
    fn offsets_of_all_versions_are_read() {
        let start = "000000000000002a";
        let newest =
            format!("0004 {start} 00000003 05 6d657461 00000000000003e8 01 00 10 00000000000000000000000000000001");
        assert_eq!(offset_value(&committed()), hex(&newest));
        let no_id = CommittedOffset { topic_id: Uuid::nil(), ..committed() };
        let plain = CommittedOffset { leader_epoch: -1, ..no_id.clone() };
        let expiring = CommittedOffset { expire_timestamp_ms: Some(2000), ..plain.clone() };
        let with_expiry = format!("0001 {start} 0004 6d657461 00000000000003e8 00000000000007d0");
        assert_eq!(offset_value(&expiring), hex(&with_expiry));
        for (bytes, expected) in [
            (newest, committed()),
            (format!("0004 {start} ffffffff 05 6d657461 00000000000003e8 00"), plain.clone()),
            (format!("0003 {start} 00000003 0004 6d657461 00000000000003e8"), no_id),
            (format!("0002 {start} 0004 6d657461 00000000000003e8"), plain.clone()),
            (with_expiry, expiring),
            (format!("0001 {start} 0004 6d657461 00000000000003e8 ffffffffffffffff"), plain.clone()),
            (format!("0000 {start} 0004 6d657461 00000000000003e8"), plain),
        ] {
            assert_eq!(parse_offset(&hex(&bytes)), Ok(expected), "{bytes}");
        }
        let unknown = FormatError::Version { what: "the offset's value", version: 5, latest: 4 };
        assert_eq!(parse_offset(&hex("0005 00")), Err(unknown));
    }

    #[test]
    fn groups_of_all_versions_are_read() {
        let start = "0008 636f6e73756d6572 00000005 0005 72616e6765 0001 6d";
        let end = "00000003 737562 00000002 6173";
        let client = "0001 63 0002 2f68";
        let flexible = "09 636f6e73756d6572 00000005 06 72616e6765 02 6d 000000000000004d";
        let versions = [
            format!("0000 {start} 00000001 0001 6d {client} 00000008 {end}"),
            format!("0001 {start} 00000001 0001 6d {client} 00000009 00000008 {end}"),
            format!("0002 {start} 000000000000004d 00000001 0001 6d {client} 00000009 00000008 {end}"),
            format!("0003 {start} 000000000000004d 00000001 0001 6d 0001 69 {client} 00000009 00000008 {end}"),
            format!("0004 {flexible} 02 02 6d 02 69 02 63 03 2f68 00000009 00000008 04 737562 03 6173 00 00"),
        ];
        for (version, bytes) in (0..).zip(&versions) {
            assert_eq!(parse_group(&hex(bytes)), Ok(stored(version)), "version {version}");
        }
        assert_eq!(group_value(&stored(3)), hex(&versions[3]));
        let empty = StoredGroup { protocol: None, leader: None, members: Vec::new(), ..stored(3) };
        assert_eq!(parse_group(&group_value(&empty)), Ok(empty));
    }

    proptest! {
        #[test]
        fn bytes_from_anywhere_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 0u8..6) {
            for prefix in [vec![], vec![0, version]] {
                let bytes = [prefix, bytes.clone()].concat();
                let _ = parse_key(&bytes);
                let _ = parse_offset(&bytes);
                let _ = parse_group(&bytes);
            }
        }
    }
}
