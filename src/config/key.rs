//! What one configuration key is, and how a text becomes its value: the type rules and checks of Kafka's `ConfigDef`.
//!
//! Knows no particular key, reads no file and no environment. Messages follow Kafka's form, because clients show them.

use super::ConfigError;
use std::collections::HashSet;
use std::fmt;

/// The types of Kafka's `ConfigDef.Type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    /// The name of a Java class. Kept as text: Ottla loads none.
    Class,
    /// Text that is never told to a client nor written to a log.
    Password,
}

impl Kind {
    /// The name in Kafka's messages and documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "BOOLEAN",
            Kind::String => "STRING",
            Kind::Int => "INT",
            Kind::Short => "SHORT",
            Kind::Long => "LONG",
            Kind::Double => "DOUBLE",
            Kind::List => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        }
    }

    /// The `config_type` of DescribeConfigs v3 and later.
    pub const fn wire_code(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }
}

/// What a key holds when nobody sets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preset {
    /// The text that Kafka's documentation gives.
    Is(&'static str),
    /// No value.
    Null,
}

/// Which values of the right type are allowed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Valid {
    Any,
    AtLeast(f64),
    Between(f64, f64),
    OneOf(&'static [&'static str]),
    OneOfIgnoringCase(&'static [&'static str]),
    NonEmpty,
    /// A list without empty entries, from which duplicates are dropped; an empty `allowed` allows any entry.
    ListOf {
        allowed: &'static [&'static str],
        may_be_empty: bool,
    },
    /// 1 to 9, or -1 for the library's own choice.
    GzipLevel,
    /// `*`, or `partition:broker` pairs.
    ThrottledReplicas,
    /// `id@host:port` entries.
    QuorumVoters,
    /// `host:port` entries.
    BootstrapServers,
    /// `latest`, `earliest` or `by_duration:` with an ISO-8601 duration.
    ShareOffsetReset,
    /// `host:port`, `:port`, or nothing.
    HttpAddress,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// How far a broker key can be changed while the broker runs (KIP-226).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    ReadOnly,
    PerBroker,
    ClusterWide,
}

/// What becomes of a key here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It does what it says.
    Works,
    /// Nothing here needs it (a pool of threads that Ottla does not have): setting it changes nothing, and nothing is lost.
    Moot,
    /// It is about what nodes do among themselves. A node that is its whole cluster does nothing of that, so nothing is lost; it takes effect with replication.
    Clustered,
    /// Kafka does something with it that Ottla does not do yet: whoever sets it is told once, at start.
    Missing,
}

/// One key: a row of a table.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ConfigKey {
    pub name: &'static str,
    pub kind: Kind,
    pub preset: Preset,
    pub valid: Valid,
    pub importance: Importance,
    pub update: Update,
    pub effect: Effect,
    /// Not shown by DescribeConfigs unless it was set, nor in the documentation.
    pub internal: bool,
    pub doc: &'static str,
}

impl ConfigKey {
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// What the key means, and whether it does that here.
    pub fn documentation(&self) -> String {
        let effect = match self.effect {
            Effect::Works => "",
            Effect::Moot => " (Accepted; nothing here needs it.)",
            Effect::Clustered => {
                " (Accepted; takes effect with replication over several nodes, which is not there yet.)"
            }
            Effect::Missing => " (Accepted, without effect yet.)",
        };
        format!("{}{effect}", self.doc)
    }

    /// The value when nobody sets the key.
    ///
    /// # Errors
    /// Only when the table itself is wrong, which a test rules out.
    pub fn preset_value(&self) -> Result<Value, ConfigError> {
        match self.preset {
            Preset::Null => Ok(Value::Null),
            Preset::Is(text) => self.parse(text),
        }
    }

    /// Parses and checks a text.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with the key's name, the text (hidden for passwords) and what is allowed.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        let mut value = self.parse_type(text)?;
        if let (Valid::ListOf { .. }, Value::List(entries)) = (self.valid, &mut value) {
            // As Kafka does since KIP-1161.
            let mut seen = HashSet::new();
            entries.retain(|entry| seen.insert(entry.clone()));
        }
        self.check(text, &value)?;
        Ok(value)
    }

    fn parse_type(&self, text: &str) -> Result<Value, ConfigError> {
        let trimmed = text.trim();
        let not_a_number = || self.invalid(text, format!("Not a number of type {}", self.kind.name()));
        match self.kind {
            Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
            Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
            Kind::Boolean => Err(self.invalid(text, "Expected value to be either true or false")),
            Kind::Int => trimmed.parse().map(Value::Int).map_err(|_| not_a_number()),
            Kind::Short => trimmed.parse().map(Value::Short).map_err(|_| not_a_number()),
            Kind::Long => trimmed.parse().map(Value::Long).map_err(|_| not_a_number()),
            Kind::Double => parse_double(trimmed).map(Value::Double).ok_or_else(not_a_number),
            Kind::List => Ok(Value::List(split_list(trimmed))),
            Kind::String | Kind::Class => Ok(Value::Text(trimmed.to_owned())),
            Kind::Password => Ok(Value::Password(trimmed.to_owned())),
        }
    }

    fn check(&self, text: &str, value: &Value) -> Result<(), ConfigError> {
        match (self.valid, value) {
            (Valid::AtLeast(least), _) => self.check_range(text, value, least, f64::INFINITY),
            (Valid::Between(least, most), _) => self.check_range(text, value, least, most),
            (Valid::OneOf(allowed), Value::Text(given)) => {
                if allowed.contains(&given.as_str()) {
                    return Ok(());
                }
                Err(self.invalid(text, format!("String must be one of: {}", allowed.join(", "))))
            }
            (Valid::OneOfIgnoringCase(allowed), Value::Text(given)) => {
                if allowed.iter().any(|one| one.eq_ignore_ascii_case(given)) {
                    return Ok(());
                }
                Err(self.invalid(text, format!("String must be one of (case insensitive): {}", allowed.join(", "))))
            }
            (Valid::NonEmpty, Value::Text(given)) if given.is_empty() => {
                Err(self.invalid(text, "String must be non-empty"))
            }
            (Valid::ListOf { allowed, may_be_empty }, Value::List(given)) => {
                self.check_list(given, allowed, may_be_empty)
            }
            (Valid::GzipLevel, Value::Int(level)) if !(1..=9).contains(level) && *level != -1 => {
                Err(self.invalid(text, "Value must be between 1 and 9 or equal to -1"))
            }
            (Valid::ThrottledReplicas, Value::List(given)) => self.check_throttled(text, given),
            (Valid::QuorumVoters, Value::List(given)) => {
                given.iter().try_for_each(|entry| super::listener::parse_voter(self.name, entry).map(|_| ()))
            }
            (Valid::BootstrapServers, Value::List(given)) => {
                given.iter().try_for_each(|entry| super::listener::parse_host_port(self.name, entry).map(|_| ()))
            }
            (Valid::ShareOffsetReset, Value::Text(given)) if !is_share_offset_reset(given) => Err(self.invalid(
                text,
                "must be latest, earliest or by_duration:PnDTnHnMn.nS with a duration that is not negative",
            )),
            (Valid::HttpAddress, Value::Text(given)) => {
                if super::listener::http_address(given).is_some() {
                    return Ok(());
                }
                Err(self.invalid(text, "must be host:port, :port for every address of the machine, or empty for none"))
            }
            _ => Ok(()),
        }
    }

    fn check_range(&self, text: &str, value: &Value, least: f64, most: f64) -> Result<(), ConfigError> {
        let given = match value {
            Value::Int(number) => f64::from(*number),
            Value::Short(number) => f64::from(*number),
            // The bounds in the tables are small, so the rounding of a large number cannot cross one.
            Value::Long(number) => *number as f64,
            Value::Double(number) => *number,
            _ => return Ok(()),
        };
        if given < least {
            return Err(self.invalid(text, format!("Value must be at least {least}")));
        }
        if given > most {
            return Err(self.invalid(text, format!("Value must be no more than {most}")));
        }
        Ok(())
    }

    fn check_list(&self, given: &[String], allowed: &[&str], may_be_empty: bool) -> Result<(), ConfigError> {
        let name = self.name;
        if given.is_empty() && !may_be_empty {
            let what =
                if allowed.is_empty() { "any non-empty value".into() } else { format!("[{}]", allowed.join(", ")) };
            let said = format!("Configuration '{name}' must not be empty. Valid values include: {what}");
            return Err(ConfigError::Relation(said));
        }
        for entry in given {
            if entry.is_empty() {
                return Err(ConfigError::Relation(format!("Configuration '{name}' values must not be empty.")));
            }
            if !allowed.is_empty() && !allowed.contains(&entry.as_str()) {
                return Err(self.invalid(entry, format!("String must be one of: {}", allowed.join(", "))));
            }
        }
        Ok(())
    }

    fn check_throttled(&self, text: &str, given: &[String]) -> Result<(), ConfigError> {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_pair = |entry: &String| match entry.split_once(':') {
            Some((partition, broker)) => digits(partition) && digits(broker),
            None => entry.is_empty(),
        };
        if given.iter().all(is_pair) || given.concat() == "*" {
            return Ok(());
        }
        let allowed = "must be the literal '*' or a list of replicas in the following format: \
                       [partitionId]:[brokerId],[partitionId]:[brokerId],...";
        Err(self.invalid(&format!("[{}]", split_list(text.trim()).join(", ")), format!("{} {allowed}", self.name)))
    }

    /// The error that says what is wrong with a value of this key.
    pub fn invalid(&self, value: &str, reason: impl Into<String>) -> ConfigError {
        let shown = if self.is_sensitive() { "[hidden]" } else { value };
        ConfigError::Invalid { name: self.name.to_owned(), value: shown.to_owned(), reason: reason.into() }
    }

    /// What is allowed, for the documentation.
    pub fn allowed(&self) -> String {
        match self.valid {
            Valid::Any => String::new(),
            Valid::AtLeast(least) => format!("[{least},...]"),
            Valid::Between(least, most) => format!("[{least},...,{most}]"),
            Valid::OneOf(allowed) => format!("[{}]", allowed.join(", ")),
            Valid::OneOfIgnoringCase(allowed) => format!("(case insensitive) [{}]", allowed.join(", ")),
            Valid::NonEmpty => "non-empty string".into(),
            Valid::ListOf { allowed: [], .. } => String::new(),
            Valid::ListOf { allowed, .. } => format!("[{}]", allowed.join(", ")),
            Valid::GzipLevel => "[1,...,9] or -1".into(),
            Valid::ThrottledReplicas => "* or [partitionId]:[brokerId],...".into(),
            Valid::QuorumVoters => "{id}@{host}:{port},...".into(),
            Valid::BootstrapServers => "{host}:{port},...".into(),
            Valid::ShareOffsetReset => "[latest, earliest, by_duration:PnDTnHnMn.nS]".into(),
            Valid::HttpAddress => "host:port, :port or empty".into(),
        }
    }
}

/// A parsed value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Null,
    Boolean(bool),
    Int(i32),
    Short(i16),
    Long(i64),
    Double(f64),
    Text(String),
    List(Vec<String>),
    Password(String),
}

impl Value {
    /// The text that Kafka would show for it; `None` for null. Passwords come out as they are: the caller hides them.
    pub fn to_text(&self) -> Option<String> {
        match self {
            Value::Null => None,
            Value::Boolean(value) => Some(value.to_string()),
            Value::Int(value) => Some(value.to_string()),
            Value::Short(value) => Some(value.to_string()),
            Value::Long(value) => Some(value.to_string()),
            Value::Double(value) => Some(java_double(*value)),
            Value::Text(value) | Value::Password(value) => Some(value.clone()),
            Value::List(entries) => Some(entries.join(",")),
        }
    }
}

/// A Rust type that a value of a key can be taken as.
pub trait FromValue: Sized {
    /// `None` when the value is of another type.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($type:ty: $pattern:pat => $result:expr;)*) => {
        $(impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    $pattern => Some($result),
                    _ => None,
                }
            }
        })*
    };
}

from_value! {
    bool: Value::Boolean(value) => *value;
    i16: Value::Short(value) => *value;
    i32: Value::Int(value) => *value;
    i64: Value::Long(value) => *value;
    f64: Value::Double(value) => *value;
    String: Value::Text(value) => value.clone();
    Vec<String>: Value::List(value) => value.clone();
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            other => T::from_value(other).map(Some),
        }
    }
}

/// Splits as Kafka does: at commas, with the white space around them; an empty text is an empty list, but empty entries stay.
pub fn split_list(text: &str) -> Vec<String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Vec::new();
    }
    trimmed.split(',').map(|entry| entry.trim().to_owned()).collect()
}

/// Java's `Double.parseDouble`, without its hexadecimal form.
fn parse_double(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let named = unsigned == "NaN" || unsigned == "Infinity";
    if !named && !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let number = if named { text } else { text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text) };
    number.parse().ok()
}

/// Java's `Double.toString`.
pub fn java_double(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else if size == 0.0 || (1e-3..1e7).contains(&size) {
        format!("{value:?}")
    } else {
        let scientific = format!("{value:e}");
        match scientific.split_once('e') {
            Some((mantissa, exponent)) if mantissa.contains('.') => format!("{mantissa}E{exponent}"),
            Some((mantissa, exponent)) => format!("{mantissa}.0E{exponent}"),
            None => scientific,
        }
    }
}

fn is_share_offset_reset(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    if lower == "latest" || lower == "earliest" {
        return true;
    }
    lower.strip_prefix("by_duration:").is_some_and(is_iso_duration)
}

/// Whether a lower-case text is a duration of the form `pNdtNhNmN.Ns`, not negative.
fn is_iso_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('p') else { return false };
    let (days, time) = match rest.split_once('t') {
        Some((days, time)) => (days, Some(time)),
        None => (rest, None),
    };
    let whole = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if !days.is_empty() && !days.strip_suffix('d').is_some_and(whole) {
        return false;
    }
    let Some(mut time) = time else { return !days.is_empty() };
    if time.is_empty() {
        return false;
    }
    for unit in ['h', 'm', 's'] {
        if let Some((number, rest)) = time.split_once(unit) {
            let fits = match (unit, number.split_once('.')) {
                ('s', Some((seconds, fraction))) => whole(seconds) && fraction.len() <= 9 && whole(fraction),
                _ => whole(number),
            };
            if !fits {
                return false;
            }
            time = rest;
        }
    }
    time.is_empty()
}

impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Update::ReadOnly => "read-only",
            Update::PerBroker => "per-broker",
            Update::ClusterWide => "cluster-wide",
        })
    }
}

impl fmt::Display for Importance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Importance::High => "high",
            Importance::Medium => "medium",
            Importance::Low => "low",
        })
    }
}

/// Makes a table of keys: `"name", Type, preset, allowed values, importance, update, effect: "documentation";`
/// A brace-delimited macro, so that a row stays on two lines.
macro_rules! keys {
    ($($name:literal, $kind:ident, $preset:expr, $valid:expr, $importance:ident, $update:ident, $effect:ident $($internal:ident)?: $doc:literal;)*) => {
        &[$($crate::config::key::ConfigKey {
            name: $name,
            kind: $crate::config::key::Kind::$kind,
            preset: $preset,
            valid: $valid,
            importance: $crate::config::key::Importance::$importance,
            update: $crate::config::key::Update::$update,
            effect: $crate::config::key::Effect::$effect,
            internal: $crate::config::key::keys!(@internal $($internal)?),
            doc: $doc,
        }),*]
    };
    (@internal) => { false };
    (@internal internal) => { true };
}
pub(crate) use keys;

/// Short names for the rows of a table.
pub(crate) mod row {
    pub use super::Preset::{Is, Null};
    pub use super::Valid::{self, Any, AtLeast, Between, ListOf, NonEmpty, OneOf, OneOfIgnoringCase};

    /// A list of anything, that may be empty.
    pub const LIST: Valid = ListOf { allowed: &[], may_be_empty: true };
    /// The same, but not empty.
    pub const FULL_LIST: Valid = ListOf { allowed: &[], may_be_empty: false };
    /// A list of these.
    pub const fn list_of(allowed: &'static [&'static str]) -> Valid {
        ListOf { allowed, may_be_empty: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_read_and_show_as_in_java() {
        for (text, shown) in [
            ("0.5", "0.5"),
            ("0.90", "0.9"),
            ("1", "1.0"),
            ("1.7976931348623157E308", "1.7976931348623157E308"),
            ("1e7", "1.0E7"),
            ("0.0001", "1.0E-4"),
            ("2.5f", "2.5"),
        ] {
            assert_eq!(parse_double(text).map(java_double).as_deref(), Some(shown), "{text}");
        }
        for wrong in ["", "half", "inf", "0.5.5", "1,5"] {
            assert_eq!(parse_double(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_of_share_groups_are_checked() {
        for good in ["latest", "EARLIEST", "by_duration:PT1H", "by_duration:P1DT2H3M4.5S", "by_duration:P2D"] {
            assert!(is_share_offset_reset(good), "{good}");
        }
        for bad in
            ["", "newest", "by_duration:", "by_duration:PT", "by_duration:1H", "by_duration:PT-1H", "by_duration:P1"]
        {
            assert!(!is_share_offset_reset(bad), "{bad}");
        }
    }
}
