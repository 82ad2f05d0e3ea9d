//! Times as Kafka's tools take and show them: `--to-datetime`, `--by-duration`, and the patterns of `java.text.SimpleDateFormat`. Pure but for the local zone.

use chrono::{DateTime, FixedOffset, Local, NaiveDate, Offset, TimeZone, Timelike, Utc};
use regex::Regex;

/// Milliseconds since 1970 of `yyyy-MM-ddTHH:mm:ss.SSS`, in UTC unless an offset (`Z`, `+02:00`, `+02`) follows. Nothing is bent to fit: there is no 30th of
/// February.
///
/// # Errors
/// Java's sentence.
pub fn datetime_ms(text: &str) -> Result<i64, String> {
    if !text.contains('T') {
        return Err("Error parsing timestamp. It does not contain a 'T' according to ISO8601 format".into());
    }
    // Java's tools put the zone there before they read on, and show it.
    let has_zone = text.split('T').nth(1).is_some_and(|time| time.contains(['+', '-', 'Z']));
    let zone = if has_zone { "" } else { "Z" };
    let wrong = || format!("Unparseable date: \"{text}{zone}\"");
    let form = Regex::new(r"^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)\.(\d+)(Z|([+-])(\d{1,2})(?::(\d{2}))?)?")
        .map_err(|_| wrong())?;
    let parts = form.captures(text).ok_or_else(wrong)?;
    let number = |index: usize| parts.get(index).and_then(|part| part.as_str().parse::<u32>().ok()).ok_or_else(wrong);
    let date = NaiveDate::from_ymd_opt(i32::try_from(number(1)?).map_err(|_| wrong())?, number(2)?, number(3)?);
    let time = date
        .and_then(|date| date.and_hms_milli_opt(number(4).ok()?, number(5).ok()?, number(6).ok()?, number(7).ok()?));
    let offset_s = match parts.get(9) {
        None => 0,
        Some(sign) => {
            let minutes = if parts.get(11).is_some() { number(11)? } else { 0 };
            let seconds = i32::try_from(number(10)? * 3600 + minutes * 60).map_err(|_| wrong())?;
            if sign.as_str() == "-" { -seconds } else { seconds }
        }
    };
    let zone = FixedOffset::east_opt(offset_s).ok_or_else(wrong)?;
    let time = time.filter(|time| time.nanosecond() < 1_000_000_000).ok_or_else(wrong)?;
    zone.from_local_datetime(&time).single().map(|time| time.timestamp_millis()).ok_or_else(wrong)
}

/// Milliseconds of an ISO 8601 duration of days and less: `PnDTnHnMnS`, each part with a sign of its own if need be.
///
/// # Errors
/// Java's sentence.
pub fn duration_ms(text: &str) -> Result<i64, String> {
    let wrong = || "Text cannot be parsed to a Duration".to_owned();
    let form = r"(?i)^([-+]?)P(?:([-+]?\d+)D)?(T(?:([-+]?\d+)H)?(?:([-+]?\d+)M)?(?:([-+]?\d+)(?:[.,](\d{0,9}))?S)?)?$";
    let parts = Regex::new(form).map_err(|_| wrong())?.captures(text).ok_or_else(wrong)?;
    let part = |index: usize| parts.get(index).map(|part| part.as_str());
    if part(3).is_some_and(|time| time.eq_ignore_ascii_case("T"))
        || [2, 4, 5, 6].iter().all(|index| part(*index).is_none())
    {
        return Err(wrong());
    }
    let mut total_ms: i64 = 0;
    for (index, unit_ms) in [(2, 86_400_000), (4, 3_600_000), (5, 60_000), (6, 1_000)] {
        let Some(text) = part(index) else { continue };
        let value: i64 = text.parse().map_err(|_| wrong())?;
        total_ms = value.checked_mul(unit_ms).and_then(|ms| total_ms.checked_add(ms)).ok_or_else(wrong)?;
    }
    if let Some(fraction) = part(7) {
        let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
        let ms: i64 = thousandths.parse().map_err(|_| wrong())?;
        total_ms += if part(6).is_some_and(|seconds| seconds.starts_with('-')) { -ms } else { ms };
    }
    Ok(if part(1) == Some("-") { -total_ms } else { total_ms })
}

/// A time in the local zone by a pattern of `java.text.SimpleDateFormat`.
///
/// # Errors
/// Java's sentence for a letter that no pattern has, or a quote that does not end.
pub fn format_local(pattern: &str, timestamp_ms: i64) -> Result<String, String> {
    let time = Local.timestamp_millis_opt(timestamp_ms).single();
    let time = time.map_or_else(|| Utc.timestamp_nanos(0).fixed_offset(), |time| time.fixed_offset());
    format_at(pattern, &time)
}

fn format_at(pattern: &str, time: &DateTime<FixedOffset>) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' {
            if chars.next_if_eq(&'\'').is_some() {
                out.push('\'');
                continue;
            }
            loop {
                match chars.next() {
                    Some('\'') if chars.next_if_eq(&'\'').is_some() => out.push('\''),
                    Some('\'') => break,
                    Some(quoted) => out.push(quoted),
                    None => return Err("Unterminated quote".into()),
                }
            }
            continue;
        }
        if !c.is_ascii_alphabetic() {
            out.push(c);
            continue;
        }
        let mut count = 1;
        while chars.next_if_eq(&c).is_some() {
            count += 1;
        }
        out.push_str(&field(c, count, time).ok_or_else(|| format!("Illegal pattern character '{c}'"))?);
    }
    Ok(out)
}

fn field(letter: char, count: usize, time: &DateTime<FixedOffset>) -> Option<String> {
    let shown = |pattern: &str| time.format(pattern).to_string();
    let number = |pattern: &str| shown(pattern).trim().parse::<i64>().ok().map(|value| format!("{value:0count$}"));
    let minutes = time.offset().fix().local_minus_utc() / 60;
    Some(match letter {
        'G' => "AD".into(),
        'y' | 'Y' if count == 2 => shown("%y"),
        'y' | 'Y' => number("%Y")?,
        'M' | 'L' if count >= 4 => shown("%B"),
        'M' | 'L' if count == 3 => shown("%b"),
        'M' | 'L' => number("%m")?,
        'd' => number("%d")?,
        'D' => number("%j")?,
        'H' => number("%H")?,
        'k' => format!("{:0count$}", if time.hour() == 0 { 24 } else { time.hour() }),
        'K' => format!("{:0count$}", time.hour() % 12),
        'h' => number("%I")?,
        'm' => number("%M")?,
        's' => number("%S")?,
        'S' => format!("{:0count$}", time.timestamp_subsec_millis()),
        'a' => shown("%p"),
        'E' if count >= 4 => shown("%A"),
        'E' => shown("%a"),
        'u' => shown("%u"),
        'Z' => shown("%z"),
        'z' => shown("GMT%:z"),
        'X' if minutes == 0 => "Z".into(),
        'X' => match count {
            1 => shown("%z").chars().take(3).collect(),
            2 => shown("%z"),
            _ => shown("%:z"),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datetimes() {
        assert_eq!(datetime_ms("1970-01-02T00:00:00.000").unwrap(), 86_400_000);
        assert_eq!(datetime_ms("1970-01-01T02:00:00.007+02:00").unwrap(), 7);
        assert_eq!(datetime_ms("1970-01-01T00:00:00.000-01").unwrap(), 3_600_000);
        assert_eq!(datetime_ms("2017-08-01T12:30:00.000Z").unwrap(), 1_501_590_600_000);
        assert!(datetime_ms("2017-08-01").unwrap_err().contains("does not contain a 'T'"));
        for wrong in
            ["2017-02-30T00:00:00.000", "2017-01-01T00:00:00", "2017-01-01T25:00:00.000", "2017-01-01T00:00:00.12345"]
        {
            assert_eq!(datetime_ms(wrong).unwrap_err(), format!("Unparseable date: \"{wrong}Z\""));
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("PT20.345S", 20_345),
            ("PT15M", 900_000),
            ("P2D", 172_800_000),
            ("P2DT3H4M", 183_840_000),
            ("PT-6H+3M", -21_420_000),
            ("-PT6H", -21_600_000),
            ("pt1s", 1_000),
            ("PT-0.5S", -500),
        ] {
            assert_eq!(duration_ms(text), Ok(ms), "{text}");
        }
        for wrong in ["", "P", "PT", "P1DT", "1D", "P1M", "PT1.0000000000S", "P99999999999999999999D"] {
            assert!(duration_ms(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn patterns_of_simple_date_format() {
        let time = FixedOffset::east_opt(7200).unwrap().with_ymd_and_hms(2024, 3, 9, 14, 5, 6).unwrap();
        let time = time + chrono::Duration::milliseconds(78);
        let shown = |pattern| format_at(pattern, &time).unwrap();
        assert_eq!(shown("yyyy-MM-dd HH:mm:ss:SSS"), "2024-03-09 14:05:06:078");
        assert_eq!(shown("yy/M/d h:mm a 'o''clock' XXX Z"), "24/3/9 2:05 PM o'clock +02:00 +0200");
        assert_eq!(shown("EEE, MMM d"), "Sat, Mar 9");
        assert_eq!(format_at("b", &time).unwrap_err(), "Illegal pattern character 'b'");
        assert_eq!(format_at("'x", &time).unwrap_err(), "Unterminated quote");
    }
}
