//! Records to lines: kafka-console-consumer's formatters, with the properties and deserializers of Kafka's own.
//!
//! Pure: writes to what it is given. Never guesses a text where the bytes are none: it shows what Java shows.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::group_records::{self, RecordError};
use crate::protocol::record_batch::{NO_TIMESTAMP, TimestampType};
use crate::protocol::records::Record;

/// Where a record was read.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub partition: i32,
    pub timestamp_type: TimestampType,
}

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The output is closed, or full.
    #[error(transparent)]
    Output(#[from] io::Error),
    /// The bytes are not what the deserializer takes; Kafka's sentence.
    #[error("{0}")]
    Deserialize(String),
    /// A record of `__consumer_offsets` that is not like one; Kafka's sentence.
    #[error("{0}")]
    Record(String),
}

/// A record of `__consumer_offsets` of one of these types, without a line's end, as Kafka's formatters do. Others are passed over.
///
/// # Errors
/// When the output does not take it, or it cannot be read.
pub fn write_group_record(types: &[i16], record: &Record<'_>, out: &mut impl Write) -> Result<(), FormatError> {
    let Some(key) = record.key else { return Ok(()) };
    match group_records::read(key, record.value) {
        Ok(found) if types.contains(&found.record_type) => Ok(out.write_all(found.formatted().as_bytes())?),
        Ok(_) | Err(RecordError::UnknownType(_)) => Ok(()),
        Err(error) => {
            Err(FormatError::Record(format!("Could not read record at offset {} due to: {error}", record.offset)))
        }
    }
}

/// The deserializers of Kafka's clients, by what they make of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deserializer {
    String,
    Long,
    Integer,
    Short,
    Double,
    Float,
    Boolean,
    Uuid,
    Bytes,
    ByteArray,
    Void,
}

impl Deserializer {
    /// By the class's name, with or without its package.
    pub fn by_class(class: &str) -> Option<Self> {
        let name = class.strip_prefix("org.apache.kafka.common.serialization.").unwrap_or(class);
        Some(match name {
            "StringDeserializer" => Self::String,
            "LongDeserializer" => Self::Long,
            "IntegerDeserializer" => Self::Integer,
            "ShortDeserializer" => Self::Short,
            "DoubleDeserializer" => Self::Double,
            "FloatDeserializer" => Self::Float,
            "BooleanDeserializer" => Self::Boolean,
            "UUIDDeserializer" => Self::Uuid,
            "BytesDeserializer" => Self::Bytes,
            "ByteArrayDeserializer" => Self::ByteArray,
            "VoidDeserializer" => Self::Void,
            _ => return None,
        })
    }

    /// # Errors
    /// Kafka's sentence when the bytes have the wrong size.
    pub fn show(self, bytes: &[u8]) -> Result<String, String> {
        fn sized<const N: usize>(bytes: &[u8], name: &str) -> Result<[u8; N], String> {
            bytes.try_into().map_err(|_| format!("Size of data received by {name} is not {N}"))
        }
        Ok(match self {
            Self::String => String::from_utf8_lossy(bytes).into_owned(),
            Self::Long => i64::from_be_bytes(sized(bytes, "LongDeserializer")?).to_string(),
            Self::Integer => i32::from_be_bytes(sized(bytes, "IntegerDeserializer")?).to_string(),
            Self::Short => i16::from_be_bytes(sized(bytes, "ShortDeserializer")?).to_string(),
            Self::Double => java_double(f64::from_be_bytes(sized(bytes, "Deserializer")?)),
            Self::Float => java_float(f32::from_be_bytes(sized(bytes, "Deserializer")?)),
            Self::Boolean => match sized::<1>(bytes, "BooleanDeserializer")? {
                [0] => "false".into(),
                [1] => "true".into(),
                [other] => return Err(format!("Unexpected byte received by BooleanDeserializer: {other}")),
            },
            Self::Uuid => String::from_utf8_lossy(bytes).to_lowercase(),
            Self::Bytes => escaped(bytes),
            // Java shows an array by its type and address; the bytes themselves are of more use.
            Self::ByteArray => String::from_utf8_lossy(bytes).into_owned(),
            Self::Void => return Err("Data should be null for a VoidDeserializer.".into()),
        })
    }
}

/// `Double.toString`: always with a fraction or an exponent.
pub fn java_double(value: f64) -> String {
    java_floating(value, value.abs() != 0.0 && !(1e-3..1e7).contains(&value.abs()), format!("{value:e}"))
}

fn java_float(value: f32) -> String {
    let scientific = value.abs() != 0.0 && !(1e-3..1e7).contains(&value.abs());
    match scientific || !value.is_finite() {
        true => java_floating(f64::from(value), scientific, format!("{value:e}")),
        false => with_fraction(value.to_string()),
    }
}

fn java_floating(value: f64, scientific: bool, exponent_form: String) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    if !scientific {
        return with_fraction(value.to_string());
    }
    let (mantissa, exponent) = exponent_form.split_once('e').unwrap_or((&exponent_form, "0"));
    format!("{}E{exponent}", with_fraction(mantissa.to_owned()))
}

fn with_fraction(text: String) -> String {
    if text.contains('.') { text } else { text + ".0" }
}

/// `org.apache.kafka.common.utils.Bytes.toString`: ASCII that can be printed as it is, all else as `\xNN`.
fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b' '..=b'~' if *byte != b'\\' => out.push(char::from(*byte)),
            _ => out.push_str(&format!("\\x{byte:02X}")),
        }
    }
    out
}

/// `org.apache.kafka.tools.consumer.DefaultMessageFormatter`.
#[derive(Clone, Debug)]
pub struct DefaultFormatter {
    print_timestamp: bool,
    print_key: bool,
    print_value: bool,
    print_partition: bool,
    print_offset: bool,
    print_delivery: bool,
    print_epoch: bool,
    print_headers: bool,
    key_separator: Vec<u8>,
    line_separator: Vec<u8>,
    headers_separator: Vec<u8>,
    null_literal: Vec<u8>,
    key_deserializer: Option<Deserializer>,
    value_deserializer: Option<Deserializer>,
    headers_deserializer: Option<Deserializer>,
}

impl DefaultFormatter {
    /// Gives the names of deserializers beside it that are none of Kafka's: as in Kafka, they are told of and not used.
    pub fn new(properties: &BTreeMap<String, String>) -> (Self, Vec<String>) {
        let flag = |name: &str, preset: bool| {
            properties.get(name).map_or(preset, |value| value.trim().eq_ignore_ascii_case("true"))
        };
        let bytes = |name: &str, preset: &str| properties.get(name).map_or(preset, String::as_str).as_bytes().to_vec();
        let mut unknown = Vec::new();
        let mut deserializer = |name: &str| {
            let class = properties.get(name)?;
            let found = Deserializer::by_class(class);
            if found.is_none() {
                unknown.push(class.clone());
            }
            found
        };
        let formatter = Self {
            print_timestamp: flag("print.timestamp", false),
            print_key: flag("print.key", false),
            print_value: flag("print.value", true),
            print_partition: flag("print.partition", false),
            print_offset: flag("print.offset", false),
            print_delivery: flag("print.delivery", false),
            print_epoch: flag("print.epoch", false),
            print_headers: flag("print.headers", false),
            key_separator: bytes("key.separator", "\t"),
            line_separator: bytes("line.separator", "\n"),
            headers_separator: bytes("headers.separator", ","),
            null_literal: bytes("null.literal", "null"),
            key_deserializer: deserializer("key.deserializer"),
            value_deserializer: deserializer("value.deserializer"),
            headers_deserializer: deserializer("headers.deserializer"),
        };
        (formatter, unknown)
    }

    /// # Errors
    /// When the output does not take it, or a deserializer not the bytes.
    pub fn write(&self, place: &Place, record: &Record<'_>, out: &mut impl Write) -> Result<(), FormatError> {
        // What follows each column decides whether a column's or the line's separator comes after it.
        let columns = [
            self.print_timestamp,
            self.print_partition,
            self.print_offset,
            self.print_delivery,
            self.print_epoch,
            self.print_headers,
            self.print_key,
            self.print_value,
        ];
        for (index, shown) in columns.iter().enumerate() {
            if !shown {
                continue;
            }
            match index {
                0 if record.timestamp_ms == NO_TIMESTAMP && place.timestamp_type == TimestampType::CreateTime => {
                    write!(out, "CreateTime:-1")?;
                }
                0 => write!(out, "{:?}:{}", place.timestamp_type, record.timestamp_ms)?,
                1 => write!(out, "Partition:{}", place.partition)?,
                2 => write!(out, "Offset:{}", record.offset)?,
                3 => out.write_all(b"Delivery:NOT_PRESENT")?,
                // Kafka's tool leaves the epoch out of what it hands to the formatter.
                4 => out.write_all(b"Epoch:NOT_PRESENT")?,
                5 => self.write_headers(record, out)?,
                6 => self.write_bytes(record.key, self.key_deserializer, out)?,
                _ => self.write_bytes(record.value, self.value_deserializer, out)?,
            }
            let more = columns.iter().skip(index + 1).any(|shown| *shown);
            out.write_all(if more { &self.key_separator } else { &self.line_separator })?;
        }
        Ok(())
    }

    fn write_headers(&self, record: &Record<'_>, out: &mut impl Write) -> Result<(), FormatError> {
        if record.headers.is_empty() {
            return Ok(out.write_all(b"NO_HEADERS")?);
        }
        for (index, (key, value)) in record.headers.iter().enumerate() {
            if index > 0 {
                out.write_all(&self.headers_separator)?;
            }
            out.write_all(String::from_utf8_lossy(key).as_bytes())?;
            out.write_all(b":")?;
            self.write_bytes(value, self.headers_deserializer, out)?;
        }
        Ok(())
    }

    fn write_bytes(
        &self,
        bytes: Option<&[u8]>,
        deserializer: Option<Deserializer>,
        out: &mut impl Write,
    ) -> Result<(), FormatError> {
        // Kafka hands the literal for null to the deserializer, too.
        let bytes = bytes.unwrap_or(&self.null_literal);
        match deserializer {
            None => out.write_all(bytes)?,
            Some(deserializer) => {
                out.write_all(deserializer.show(bytes).map_err(FormatError::Deserialize)?.as_bytes())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::batch_builder::BatchBuilder;
    use crate::protocol::compression::Compression;
    use crate::protocol::record_batch::BatchView;
    use crate::protocol::records::RecordReader;

    fn show(properties: &[(&str, &str)], key: Option<&[u8]>, value: Option<&[u8]>) -> Result<String, FormatError> {
        let map = properties.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let (formatter, unknown) = DefaultFormatter::new(&map);
        assert!(unknown.is_empty());
        let mut builder = BatchBuilder::new(Compression::None).base_offset(7);
        builder.add(1234, key, value, &[(b"h", Some(b"1")), (b"i", None)]);
        let batch = builder.build().unwrap();
        let view = BatchView::parse(&batch).unwrap();
        let mut reader = RecordReader::new(&view, 1 << 20).unwrap();
        let record = reader.next().unwrap().unwrap();
        let place = Place { partition: 2, timestamp_type: TimestampType::CreateTime };
        let mut out = Vec::new();
        formatter.write(&place, &record, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn columns_are_kafkas_in_kafkas_order() {
        assert_eq!(show(&[], Some(b"k"), Some(b"v")).unwrap(), "v\n");
        let all = [
            ("print.timestamp", "true"),
            ("print.partition", "true"),
            ("print.offset", "true"),
            ("print.delivery", "true"),
            ("print.epoch", "true"),
            ("print.headers", "true"),
            ("print.key", "true"),
            ("key.separator", "|"),
        ];
        assert_eq!(
            show(&all, None, Some(b"v")).unwrap(),
            "CreateTime:1234|Partition:2|Offset:7|Delivery:NOT_PRESENT|Epoch:NOT_PRESENT|h:1,i:null|null|v\n"
        );
        let keys = [("print.key", "true"), ("print.value", "false"), ("line.separator", ";")];
        assert_eq!(show(&keys, Some(b"k"), None).unwrap(), "k;");
        assert_eq!(show(&[("null.literal", "-")], None, None).unwrap(), "-\n");
    }

    #[test]
    fn deserializers_show_what_java_shows() {
        let package = "org.apache.kafka.common.serialization.";
        let value = |class: &str, bytes: &[u8]| {
            show(&[("value.deserializer", &format!("{package}{class}"))], None, Some(bytes))
        };
        assert_eq!(value("LongDeserializer", &[0, 0, 0, 0, 0, 0, 1, 0]).unwrap(), "256\n");
        assert_eq!(value("IntegerDeserializer", &[0xff; 4]).unwrap(), "-1\n");
        assert_eq!(value("DoubleDeserializer", &2.0f64.to_be_bytes()).unwrap(), "2.0\n");
        assert_eq!(value("DoubleDeserializer", &1.5e10f64.to_be_bytes()).unwrap(), "1.5E10\n");
        assert_eq!(value("FloatDeserializer", &0.1f32.to_be_bytes()).unwrap(), "0.1\n");
        assert_eq!(value("BytesDeserializer", b"a\\\n").unwrap(), "a\\x5C\\x0A\n");
        let error = value("LongDeserializer", b"four").unwrap_err();
        assert_eq!(error.to_string(), "Size of data received by LongDeserializer is not 8");
        let (_, unknown) =
            DefaultFormatter::new(&BTreeMap::from([("key.deserializer".to_owned(), "com.mine.D".to_owned())]));
        assert_eq!(unknown, ["com.mine.D"]);
    }
}
