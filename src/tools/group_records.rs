//! The records of `__consumer_offsets` as JSON, in the words of Kafka's formatters and of its decoder: for people and scripts that look into that topic.
//!
//! Pure. Reads every kind of record that Kafka 4.3 writes, of all groups' protocols, out of tables (`schemas.rs`); knows of no kind what it means. Its input comes
//! from logs and networks: lengths are checked against the bytes that are there.

mod json;
mod schemas;

pub use json::Json;

use schemas::{ASSIGNMENT, RECORD_TYPES, SUBSCRIPTION};
use thiserror::Error;

/// What a field is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Int8,
    Uint16,
    Int16,
    Int32,
    Int64,
    Uuid,
    String,
    Bytes,
    List(&'static Kind),
    Struct(&'static [Field]),
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name: &'static str,
    kind: Kind,
    /// The first and the last version that have it.
    from: i16,
    to: i16,
    is_nullable: bool,
    tag: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    highest: i16,
    /// The first version with compact lengths and tagged fields.
    flexible_from: i16,
    fields: &'static [Field],
}

#[derive(Clone, Copy, Debug)]
struct RecordType {
    id: i16,
    /// Keys have one version, which is not flexible.
    key: &'static [Field],
    value: Message,
}

/// Why a record is not shown. The sentences are Kafka's, as far as they do not name Java's own errors.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    #[error("Found an unknown record type {0}")]
    UnknownType(i16),
    #[error("Found an unknown record version {version} for {record_type} type")]
    UnknownVersion { record_type: i16, version: i16 },
    #[error("Could not read version from {0}'s buffer.")]
    NoVersion(&'static str),
    #[error("Could not read record with version {version} from {part}'s buffer due to: {what}.")]
    Broken { version: i16, part: &'static str, what: String },
}

/// A record, taken apart.
#[derive(Clone, Debug)]
pub struct GroupRecord {
    pub record_type: i16,
    pub key: Json,
    /// Version and fields; `None` for a deletion.
    pub value: Option<(i16, Json)>,
}

/// LegacyOffsetCommit and OffsetCommit.
pub const OFFSET_COMMITS: [i16; 2] = [0, 1];
/// GroupMetadata: groups of the classic protocol.
pub const GROUP_METADATA: i16 = 2;

/// Takes a record apart.
///
/// # Errors
/// What is wrong with it.
pub fn read(key: &[u8], value: Option<&[u8]>) -> Result<GroupRecord, RecordError> {
    let (record_type, rest) = version_of(key, "key")?;
    let known = RECORD_TYPES.iter().find(|known| known.id == record_type);
    let known = known.ok_or(RecordError::UnknownType(record_type))?;
    let broken = |version, part| move |what| RecordError::Broken { version, part, what };
    let key = Reader { rest, flexible: false, version: 0 }.fields(known.key).map_err(broken(record_type, "key"))?;
    let Some(value) = value else { return Ok(GroupRecord { record_type, key, value: None }) };
    let (version, rest) = version_of(value, "value")?;
    if !(0..=known.value.highest).contains(&version) {
        return Err(RecordError::UnknownVersion { record_type, version });
    }
    let value = known.value.read(version, rest).map_err(broken(version, "value"))?;
    Ok(GroupRecord { record_type, key, value: Some((version, value)) })
}

fn version_of<'a>(bytes: &'a [u8], part: &'static str) -> Result<(i16, &'a [u8]), RecordError> {
    let (version, rest) = bytes.split_first_chunk().ok_or(RecordError::NoVersion(part))?;
    Ok((i16::from_be_bytes(*version), rest))
}

impl GroupRecord {
    /// As Kafka's formatters of the console consumer write it.
    pub fn formatted(&self) -> String {
        let key = [("type", Json::Number(self.record_type.into())), ("data", self.key.clone())];
        let value = self.value.as_ref().map_or(Json::Null, |(version, fields)| {
            Json::object([("version", Json::Number((*version).into())), ("data", fields.clone())])
        });
        Json::object([("key", Json::object(key)), ("value", value)]).to_string()
    }

    /// The key as kafka-dump-log writes it.
    pub fn dumped_key(&self) -> String {
        Json::object([("type", Json::Text(self.record_type.to_string())), ("data", self.key.clone())]).to_string()
    }

    /// The value as kafka-dump-log writes it: what consumers told each other is taken apart, too.
    pub fn dumped_value(&self) -> String {
        let Some((version, fields)) = &self.value else { return "<DELETE>".into() };
        let mut fields = fields.clone();
        if self.record_type == GROUP_METADATA && fields.get("protocolType") == Some(&Json::Text("consumer".into())) {
            open_members(&mut fields);
        }
        Json::object([("version", Json::Text(version.to_string())), ("data", fields)]).to_string()
    }
}

fn open_members(group: &mut Json) {
    let Some(Json::List(members)) = group.get_mut("members") else { return };
    for member in members {
        for (name, message) in [("subscription", SUBSCRIPTION), ("assignment", ASSIGNMENT)] {
            let Some(field) = member.get_mut(name) else { continue };
            let opened = match field {
                Json::Bytes(bytes) => version_of(bytes, "value").ok().and_then(|(version, rest)| {
                    // Newer versions begin with what this one has; Kafka's tool leaves them as they are.
                    (0..=message.highest).contains(&version).then(|| message.read(version, rest).ok())?
                }),
                _ => None,
            };
            if let Some(opened) = opened {
                *field = opened;
            }
        }
    }
}

impl Message {
    fn read(&self, version: i16, rest: &[u8]) -> Result<Json, String> {
        Reader { rest, flexible: version >= self.flexible_from, version }.fields(self.fields)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    flexible: bool,
    version: i16,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let wanted = || format!("{count} bytes were expected where {} are left", self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(wanted)?;
        self.rest = rest;
        Ok(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "too few bytes".to_owned())
    }

    fn varint(&mut self) -> Result<u32, String> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.chunk()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a length takes more than 5 bytes".into())
    }

    /// `None` is null.
    fn length(&mut self, is_string: bool) -> Result<Option<usize>, String> {
        let length = match (self.flexible, is_string) {
            (true, _) => i64::from(self.varint()?) - 1,
            (false, true) => i64::from(i16::from_be_bytes(self.chunk()?)),
            (false, false) => i64::from(i32::from_be_bytes(self.chunk()?)),
        };
        Ok(usize::try_from(length).ok())
    }

    fn fields(&mut self, fields: &'static [Field]) -> Result<Json, String> {
        let present: Vec<&'static Field> =
            fields.iter().filter(|field| (field.from..=field.to).contains(&self.version)).collect();
        let mut found = Vec::with_capacity(present.len());
        for field in present.iter().filter(|field| field.tag.is_none()) {
            found.push((field.name, self.nullable(field)?));
        }
        if self.flexible {
            // They are the last ones in Kafka's own order, too, and are written only where they are not preset.
            for _ in 0..self.varint()? {
                let tag = self.varint()?;
                let length = self.varint()? as usize;
                let rest = self.take(length)?;
                let Some(field) = present.iter().find(|field| field.tag == Some(tag)) else { continue };
                let mut inner = Reader { rest, flexible: true, version: self.version };
                found.push((field.name, inner.nullable(field)?));
            }
        }
        Ok(Json::Object(found))
    }

    fn nullable(&mut self, field: &'static Field) -> Result<Json, String> {
        if let (Kind::Struct(_), true) = (&field.kind, field.is_nullable) {
            // A byte says whether it follows: as a number that has a sign, or, in a tagged field, as one that has none.
            let [mark] = self.chunk()?;
            let follows = if field.tag.is_some() { mark != 0 } else { mark < 0x80 };
            return if follows { self.value(&field.kind) } else { Ok(Json::Null) };
        }
        match self.value(&field.kind)? {
            Json::Null if !field.is_nullable => {
                Err(format!("non-nullable field {} was serialized as null", field.name))
            }
            value => Ok(value),
        }
    }

    fn value(&mut self, kind: &'static Kind) -> Result<Json, String> {
        Ok(match kind {
            Kind::Int8 => Json::Number(i8::from_be_bytes(self.chunk()?).into()),
            Kind::Uint16 => Json::Number(u16::from_be_bytes(self.chunk()?).into()),
            Kind::Int16 => Json::Number(i16::from_be_bytes(self.chunk()?).into()),
            Kind::Int32 => Json::Number(i32::from_be_bytes(self.chunk()?).into()),
            Kind::Int64 => Json::Number(i64::from_be_bytes(self.chunk()?)),
            Kind::Uuid => Json::Text(json::base64_url(&self.chunk::<16>()?)),
            Kind::String => match self.length(true)? {
                Some(length) => Json::Text(String::from_utf8_lossy(self.take(length)?).into_owned()),
                None => Json::Null,
            },
            Kind::Bytes => match self.length(false)? {
                Some(length) => Json::Bytes(self.take(length)?.to_vec()),
                None => Json::Null,
            },
            Kind::List(kind) => match self.length(false)? {
                // Each takes a byte at least, so a length alone makes no room.
                Some(length) if length <= self.rest.len() => {
                    Json::List((0..length).map(|_| self.value(kind)).collect::<Result<_, _>>()?)
                }
                Some(length) => {
                    let left = self.rest.len();
                    return Err(format!(
                        "Tried to allocate a collection of size {length}, but there are only {left} bytes remaining."
                    ));
                }
                None => Json::Null,
            },
            Kind::Struct(fields) => self.fields(fields)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::group::records::{self, CommittedOffset, StoredGroup, StoredMember};
    use bytes::Bytes;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn offset(topic_id: Uuid, expire_timestamp_ms: Option<i64>) -> GroupRecord {
        let value = CommittedOffset {
            offset: 7,
            leader_epoch: -1,
            metadata: "a\"b\u{1f}ö".into(),
            commit_timestamp_ms: 1_000,
            expire_timestamp_ms,
            topic_id,
        };
        let record = records::offset_record("g", "t", 3, &value);
        read(&record.key, record.value.as_deref()).unwrap()
    }

    #[test]
    fn committed_offsets_are_shown_as_kafka_shows_them() {
        let key = r#"{"group":"g","topic":"t","partition":3}"#;
        assert_eq!(
            offset(Uuid::nil(), None).formatted(),
            format!(
                r#"{{"key":{{"type":1,"data":{key}}},"value":{{"version":4,"data":{{"offset":7,"leaderEpoch":-1,"metadata":"a\"b\u001Fö","commitTimestamp":1000}}}}}}"#
            )
        );
        let with_id = offset(Uuid::from_u128(1), None);
        assert_eq!(with_id.dumped_key(), format!(r#"{{"type":"1","data":{key}}}"#));
        assert!(with_id.dumped_value().ends_with(r#","topicId":"AAAAAAAAAAAAAAAAAAAAAQ"}}"#));
        let old = offset(Uuid::nil(), Some(9)).dumped_value();
        assert!(old.starts_with(r#"{"version":"1""#) && old.ends_with(r#""expireTimestamp":9}}"#), "{old}");
        let gone = records::offset_tombstone("g", "t", 3);
        let gone = read(&gone.key, None).unwrap();
        assert!(gone.formatted().ends_with(r#","value":null}"#));
        assert_eq!(gone.dumped_value(), "<DELETE>");
    }

    #[test]
    fn what_consumers_told_each_other_is_opened_for_the_dump_alone() {
        let member = StoredMember {
            member_id: "m".into(),
            instance_id: None,
            client_id: "c".into(),
            client_host: "/h".into(),
            rebalance_timeout_ms: 1,
            session_timeout_ms: 2,
            // Version 1: topics [t], no user data, owned t: [0].
            subscription: Bytes::from_static(
                b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0",
            ),
            assignment: Bytes::from_static(b"odd"),
        };
        let group = StoredGroup {
            protocol_type: "consumer".into(),
            generation: 4,
            protocol: Some("range".into()),
            leader: None,
            state_timestamp_ms: 5,
            members: vec![member],
        };
        let record = records::group_record("g", &group);
        let found = read(&record.key, record.value.as_deref()).unwrap();
        let (before, after) = (
            r#""data":{"protocolType":"consumer","generation":4,"protocol":"range","leader":null,"currentStateTimestamp":5,"members":[{"memberId":"m","groupInstanceId":null,"clientId":"c","clientHost":"/h","rebalanceTimeout":1,"sessionTimeout":2,"subscription":"#,
            r#","assignment":"b2Rk"}]}}"#,
        );
        let closed = format!(r#"{{"version":3,{before}"AAEAAAABAAF0/////wAAAAEAAXQAAAABAAAAAA=="{after}"#);
        assert_eq!(found.formatted(), format!(r#"{{"key":{{"type":2,"data":{{"group":"g"}}}},"value":{closed}}}"#));
        let opened = r#"{"topics":["t"],"userData":null,"ownedPartitions":[{"topic":"t","partitions":[0]}]}"#;
        assert_eq!(found.dumped_value(), format!(r#"{{"version":"3",{before}{opened}{after}"#));
    }

    /// ConsumerGroupMemberMetadata with a tagged structure, as Kafka's newer groups write it.
    #[test]
    fn flexible_records_with_tagged_structures_are_read() {
        let key = b"\0\x05\0\x01g\0\x01m";
        let mut value = b"\0\0\0\0\x02c\x02h\x02\x02t\0\0\0\0\x09\0".to_vec();
        // One tagged field, 0: a mark, a session time-out, no protocols, no tags.
        value.extend(b"\x01\0\x07\x01\0\0\0\x08\x01\0");
        let found = read(key, Some(&value)).unwrap();
        assert_eq!(
            found.dumped_value(),
            r#"{"version":"0","data":{"instanceId":null,"rackId":null,"clientId":"c","clientHost":"h","subscribedTopicNames":["t"],"subscribedTopicRegex":null,"rebalanceTimeoutMs":9,"serverAssignor":null,"classicMemberMetadata":{"sessionTimeoutMs":8,"supportedProtocols":[]}}}"#
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let told = |key: &[u8], value: Option<&[u8]>| read(key, value).unwrap_err().to_string();
        assert_eq!(told(b"\0\x18", None), "Found an unknown record type 24");
        assert_eq!(told(b"\0", None), "Could not read version from key's buffer.");
        assert!(told(b"\0\x02\0\x09g", None).contains("from key's buffer"));
        let key = b"\0\x02\0\x01g";
        assert_eq!(told(key, Some(b"\0\x05")), "Found an unknown record version 5 for 2 type");
        assert!(told(key, Some(b"\0\0\0\x01p\0\0\0\0\0\x01r\xff\xff\x7f\xff\xff\xff")).contains("Tried to allocate"));
    }

    proptest! {
        #[test]
        fn bytes_from_anywhere_never_panic(id in 0i16..25, key in any::<Vec<u8>>(), version in 0i16..5, value in any::<Vec<u8>>()) {
            let key = [&id.to_be_bytes()[..], &key].concat();
            let value = [&version.to_be_bytes()[..], &value].concat();
            if let Ok(found) = read(&key, Some(&value)) {
                let _ = (found.formatted(), found.dumped_value());
            }
        }
    }
}
