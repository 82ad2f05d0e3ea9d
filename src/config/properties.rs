//! Reads texts by the rules of `java.util.Properties`, as server.properties files are written.
//!
//! One difference: a file that is UTF-8 is read as UTF-8, where Java takes ISO-8859-1. Never fails on odd text, only on a broken `\u` escape.

/// Reads a file's bytes. Later entries with the same name come later; the caller lets the last one win.
///
/// # Errors
/// A sentence with the line's number when a `\u` escape has no four hexadecimal digits.
pub fn parse(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut entries = Vec::new();
    let mut lines = text.split('\n').enumerate();
    while let Some((number, line)) = lines.next() {
        let line = line.trim_start_matches(is_blank);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = String::new();
        let mut piece = line;
        while is_continued(piece) {
            logical.push_str(&piece[..piece.len() - 1]);
            match lines.next() {
                Some((_, next)) => piece = next.trim_start_matches(is_blank),
                None => piece = "",
            }
        }
        logical.push_str(piece);
        if !logical.is_empty() {
            entries.push(split(&logical).map_err(|wrong| format!("line {}: {wrong}", number + 1))?);
        }
    }
    Ok(entries)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Whether a line ends in an odd number of backslashes.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Splits at the first `=`, `:` or blank that no backslash precedes, and takes the escapes out.
fn split(line: &str) -> Result<(String, String), String> {
    let mut escaped = false;
    let mut end = line.len();
    for (at, c) in line.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if is_blank(c) || c == '=' || c == ':' {
            end = at;
            break;
        }
    }
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(is_blank);
    Ok((unescape(name)?, unescape(value)?))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut buffer = [0u16; 2];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let meant = match (c, c == '\\') {
            (plain, false) => plain,
            (_, true) => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let is_hex = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                    let unit = u16::from_str_radix(&digits, 16).ok().filter(|_| is_hex);
                    units.push(unit.ok_or_else(|| format!("\\u{digits} is not four hexadecimal digits"))?);
                    continue;
                }
                Some(other) => other,
                None => continue,
            },
        };
        units.extend_from_slice(meant.encode_utf16(&mut buffer));
    }
    Ok(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text.as_bytes()).unwrap()
    }

    fn one(text: &str) -> (String, String) {
        let mut all = pairs(text);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn separators_and_blanks() {
        for text in ["a=b", "a:b", "a b", "  a = b", "a\t:\tb", "a   b", "a\u{c}=b", "a =b"] {
            assert_eq!(one(text), ("a".into(), "b".into()), "{text:?}");
        }
        assert_eq!(one("a==b"), ("a".into(), "=b".into()));
        assert_eq!(one("a = : b"), ("a".into(), ": b".into()));
        assert_eq!(one("a"), ("a".into(), String::new()));
        assert_eq!(one("a=b  "), ("a".into(), "b  ".into()));
        assert_eq!(one("a=x=y:z"), ("a".into(), "x=y:z".into()));
        assert_eq!(one("=b"), (String::new(), "b".into()));
    }

    #[test]
    fn comments_and_empty_lines() {
        assert_eq!(pairs("# a=b\n! c=d\n\n   \n  # e=f\r\ng=h\r"), [("g".into(), "h".into())]);
        assert_eq!(one("a=b # not a comment"), ("a".into(), "b # not a comment".into()));
        assert_eq!(pairs("# no \\\na=b").len(), 1, "a comment is never continued");
    }

    #[test]
    fn continued_lines() {
        assert_eq!(one("fruits  apple, \\\n    pear, \\\r\n\tfig"), ("fruits".into(), "apple, pear, fig".into()));
        assert_eq!(one("a=b\\\n#c"), ("a".into(), "b#c".into()));
        assert_eq!(pairs("a=b\\\\\nc=d").len(), 2, "two backslashes are one, not a continuation");
        assert_eq!(pairs("a=b\\\n\nc=d"), [("a".into(), "b".into()), ("c".into(), "d".into())]);
        assert_eq!(one("a=b\\"), ("a".into(), "b".into()));
    }

    #[test]
    fn escapes() {
        assert_eq!(one(r"a\=b\:c\ d=e"), ("a=b:c d".into(), "e".into()));
        assert_eq!(one(r"a=\t\n\r\f\q\\"), ("a".into(), "\t\n\r\u{c}q\\".into()));
        assert_eq!(one(r"a=\u00e9\uD83D\uDE00"), ("a".into(), "é😀".into()));
        assert_eq!(one(r"a=C:\\data"), ("a".into(), r"C:\data".into()));
        for broken in [r"a=\u12", r"a=\u12g4", "b=c\na=\\u+123"] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
        assert!(parse(b"b=c\na=\\u").unwrap_err().starts_with("line 2"));
    }

    #[test]
    fn bytes_of_either_encoding() {
        assert_eq!(one("a=é"), ("a".into(), "é".into()));
        assert_eq!(parse(b"a=\xe9").unwrap(), [("a".into(), "é".into())]);
    }
}
