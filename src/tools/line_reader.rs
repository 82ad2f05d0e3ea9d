//! Lines of text to records: kafka-console-producer's reader (`org.apache.kafka.tools.LineMessageReader`) with its properties.
//!
//! Pure: reads no input itself. Says what Kafka's reader says of a line that does not fit.

use regex::Regex;
use std::collections::BTreeMap;

/// A header: key and value.
pub type OwnedHeader = (String, Option<Vec<u8>>);

/// What a line came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineRecord {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<OwnedHeader>,
}

/// How lines are read.
#[derive(Clone, Debug)]
pub struct LineReader {
    parse_key: bool,
    parse_headers: bool,
    key_separator: String,
    headers_delimiter: String,
    headers_separator: Regex,
    headers_key_separator: String,
    ignore_error: bool,
    null_marker: Option<String>,
}

impl LineReader {
    /// # Errors
    /// Kafka's sentence where two separators are the same, or the headers' separator is no regular expression.
    pub fn new(properties: &BTreeMap<String, String>) -> Result<Self, String> {
        let text = |name: &str, preset: &str| properties.get(name).map_or(preset, String::as_str).to_owned();
        let flag = |name: &str| properties.get(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        let key_separator = text("key.separator", "\t");
        let headers_delimiter = text("headers.delimiter", "\t");
        let headers_separator = text("headers.separator", ",");
        let headers_key_separator = text("headers.key.separator", ":");
        let null_marker = properties.get("null.marker").cloned();
        let pattern = Regex::new(&headers_separator)
            .map_err(|error| format!("headers.separator {headers_separator} is no regular expression: {error}"))?;
        let named = [
            ("headers.delimiter", &headers_delimiter),
            ("headers.separator", &headers_separator),
            ("headers.key.separator", &headers_key_separator),
        ];
        for (index, (name, value)) in named.iter().enumerate() {
            for (other, also) in named.iter().skip(index + 1) {
                if value == also {
                    return Err(format!("{name} and {other} may not be equal"));
                }
            }
        }
        if let Some(marker) = &null_marker {
            let separators = [
                ("key.separator", &key_separator),
                ("headers.separator", &headers_separator),
                ("headers.delimiter", &headers_delimiter),
                ("headers.key.separator", &headers_key_separator),
            ];
            if let Some((name, _)) = separators.iter().find(|(_, value)| *value == marker) {
                return Err(format!("null.marker and {name} may not be equal"));
            }
        }
        Ok(Self {
            parse_key: flag("parse.key"),
            parse_headers: flag("parse.headers"),
            key_separator,
            headers_delimiter,
            headers_separator: pattern,
            headers_key_separator,
            ignore_error: flag("ignore.error"),
            null_marker,
        })
    }

    /// Reads one line, without its end. `number` counts from 1.
    ///
    /// # Errors
    /// Kafka's sentence for a separator that is missing.
    pub fn read(&self, line: &str, number: u64) -> Result<LineRecord, String> {
        let (headers, rest) =
            self.cut(self.parse_headers, line, line, &self.headers_delimiter, "headers delimiter", number)?;
        let (key, value) = self.cut(self.parse_key, line, rest, &self.key_separator, "key separator", number)?;
        let headers = match headers.filter(|headers| !self.is_null(headers)) {
            Some(headers) => self.headers(headers, number)?,
            None => Vec::new(),
        };
        let bytes = |text: &str| (!self.is_null(text)).then(|| text.as_bytes().to_vec());
        Ok(LineRecord { key: key.and_then(bytes), value: bytes(value), headers })
    }

    fn is_null(&self, text: &str) -> bool {
        self.null_marker.as_deref() == Some(text)
    }

    /// What stands before the separator, and what follows it.
    fn cut<'a>(
        &self,
        enabled: bool,
        line: &str,
        rest: &'a str,
        separator: &str,
        name: &str,
        number: u64,
    ) -> Result<(Option<&'a str>, &'a str), String> {
        if !enabled {
            return Ok((None, rest));
        }
        match rest.split_once(separator) {
            Some((before, after)) => Ok((Some(before), after)),
            None if self.ignore_error => Ok((None, rest)),
            None => Err(format!("No {name} found on line number {number}: '{line}'")),
        }
    }

    fn headers(&self, text: &str, number: u64) -> Result<Vec<OwnedHeader>, String> {
        let mut pairs: Vec<&str> = self.headers_separator.split(text).collect();
        // Java's split drops what is empty at the end, but for a text that has no separator at all.
        while pairs.len() > 1 && pairs.last().is_some_and(|last| last.is_empty()) {
            pairs.pop();
        }
        pairs.into_iter().map(|pair| self.header(pair, number)).collect()
    }

    fn header(&self, pair: &str, number: u64) -> Result<OwnedHeader, String> {
        let Some((key, value)) = pair.split_once(&self.headers_key_separator) else {
            if self.ignore_error {
                return Ok((pair.to_owned(), None));
            }
            return Err(format!("No header key separator found in pair '{pair}' on line number {number}"));
        };
        if let Some(marker) = self.null_marker.as_ref().filter(|marker| *marker == key) {
            return Err(format!("Header keys should not be equal to the null marker '{marker}' as they can't be null"));
        }
        Ok((key.to_owned(), (!self.is_null(value)).then(|| value.as_bytes().to_vec())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(properties: &[(&str, &str)]) -> Result<LineReader, String> {
        LineReader::new(&properties.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    fn read(properties: &[(&str, &str)], line: &str) -> Result<LineRecord, String> {
        reader(properties).unwrap().read(line, 3)
    }

    fn record(key: Option<&str>, value: Option<&str>, headers: &[(&str, Option<&str>)]) -> LineRecord {
        let bytes = |text: &str| text.as_bytes().to_vec();
        LineRecord {
            key: key.map(bytes),
            value: value.map(bytes),
            headers: headers.iter().map(|(key, value)| (key.to_string(), value.map(bytes))).collect(),
        }
    }

    #[test]
    fn a_line_is_a_value_unless_said_otherwise() {
        assert_eq!(read(&[], "a\tb").unwrap(), record(None, Some("a\tb"), &[]));
        assert_eq!(read(&[], "").unwrap(), record(None, Some(""), &[]));
        let keyed = [("parse.key", "true"), ("key.separator", "=")];
        assert_eq!(read(&keyed, "k=v=w").unwrap(), record(Some("k"), Some("v=w"), &[]));
        assert_eq!(read(&keyed, "kv").unwrap_err(), "No key separator found on line number 3: 'kv'");
        let lenient = [("parse.key", " TRUE"), ("ignore.error", "true")];
        assert_eq!(read(&lenient, "kv").unwrap(), record(None, Some("kv"), &[]));
    }

    #[test]
    fn headers_come_first() {
        let both = [("parse.key", "true"), ("parse.headers", "true")];
        assert_eq!(
            read(&both, "a:1,b:\tk\tv").unwrap(),
            record(Some("k"), Some("v"), &[("a", Some("1")), ("b", Some(""))])
        );
        assert_eq!(
            read(&[("parse.headers", "true")], "ab\tv").unwrap_err(),
            "No header key separator found in pair 'ab' on line number 3"
        );
        assert_eq!(read(&both, "a:1 k v").unwrap_err(), "No headers delimiter found on line number 3: 'a:1 k v'");
        let regex = [("parse.headers", "true"), ("headers.separator", "\\|+")];
        assert_eq!(
            read(&regex, "a:1||b:2|\tv").unwrap(),
            record(None, Some("v"), &[("a", Some("1")), ("b", Some("2"))])
        );
    }

    #[test]
    fn the_null_marker_makes_nulls() {
        let both = [("parse.key", "true"), ("parse.headers", "true"), ("null.marker", "<NULL>")];
        assert_eq!(read(&both, "<NULL>\t<NULL>\t<NULL>").unwrap(), record(None, None, &[]));
        assert_eq!(read(&both, "a:<NULL>\tk\tv").unwrap(), record(Some("k"), Some("v"), &[("a", None)]));
        assert!(read(&both, "<NULL>:1\tk\tv").unwrap_err().starts_with("Header keys should not be equal"));
    }

    #[test]
    fn separators_must_differ() {
        assert_eq!(
            reader(&[("headers.delimiter", ":")]).unwrap_err(),
            "headers.delimiter and headers.key.separator may not be equal"
        );
        assert_eq!(reader(&[("null.marker", "\t")]).unwrap_err(), "null.marker and key.separator may not be equal");
    }
}
