//! What arguments are made of: raw bytes, sizes, spans of time, shares, pairs and ranges.

use bytesize::ByteSize;
use clap::builder::{OsStringValueParser, TypedValueParser};
use serde::{Serialize, Serializer};
use std::ffi::OsString;
use std::time::Duration;

/// Largest number of a Python `int` that the store takes.
const MOST: u64 = i64::MAX as u64;

/// An argument as the bytes it came in: a key, a value or a path need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw(pub Vec<u8>);

impl From<OsString> for Raw {
    fn from(argument: OsString) -> Self {
        Self(argument.into_encoded_bytes())
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

/// Parser of an argument whose bytes are taken as they are.
pub(crate) fn raw() -> impl TypedValueParser<Value = Raw> {
    OsStringValueParser::new().map(Raw::from)
}

/// A number of bytes: `1048576`, `64MiB`, `1.5 GB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let expected = || format!("expected bytes, as 1048576, 64MiB or 10GB, up to {MOST}");
    let bytes: ByteSize = text.trim().parse().map_err(|_| expected())?;
    // A saturated number is one that was too large.
    if bytes.0 > MOST {
        return Err(expected());
    }
    Ok(bytes.0)
}

/// Whole seconds: `3600`, `90s`, `12h`, `7days`.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let expected = || format!("expected seconds, as 3600, 90s, 12h or 7days, up to {MOST}");
    let number = match text.parse::<u64>() {
        Ok(number) => number,
        Err(_) => {
            let duration = humantime::parse_duration(text).map_err(|_| expected())?;
            if duration.subsec_nanos() != 0 {
                return Err("expected whole seconds".to_owned());
            }
            duration.as_secs()
        }
    };
    if number > MOST {
        return Err(expected());
    }
    Ok(number)
}

/// Seconds with fractions, over 0 and at most a day: `0.5`, `10`, `250ms`.
pub(crate) fn timeout(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let number = match text.parse::<f64>() {
        Ok(number) => number,
        Err(_) => humantime::parse_duration(text)
            .as_ref()
            .map_or(f64::NAN, Duration::as_secs_f64),
    };
    if number > 0.0 && number <= 86_400.0 {
        return Ok(number);
    }
    Err("expected seconds over 0 and up to 86400, as 0.5, 10, 250ms or 2min".to_owned())
}

/// Seconds with fractions, from 0 on: `0.5`, `60`, `250ms`, `1h`.
pub(crate) fn interval(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let number = match text.parse::<f64>() {
        Ok(number) => number,
        Err(_) => humantime::parse_duration(text)
            .as_ref()
            .map_or(f64::NAN, Duration::as_secs_f64),
    };
    if number >= 0.0 && number.is_finite() {
        return Ok(number);
    }
    Err("expected seconds from 0 on, as 0.5, 60, 250ms or 1h".to_owned())
}

/// Whole milliseconds: `2000`, `500ms`, `2s`.
pub(crate) fn milliseconds(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let number = text.parse::<u64>().ok().or_else(|| {
        let duration = humantime::parse_duration(text).ok()?;
        u64::try_from(duration.as_millis()).ok()
    });
    let number = number.filter(|number| *number <= MOST);
    number.ok_or_else(|| format!("expected milliseconds, as 2000, 500ms or 2s, up to {MOST}"))
}

/// An option of a store, `NAME=VALUE`. A size or time, which the end of the name tells, may have a unit; it is plain
/// afterwards.
pub(crate) fn option(text: &str) -> Result<(String, String), String> {
    let (name, value) = pair(text)?;
    if value.trim().parse::<f64>().is_ok() {
        return Ok((name, value));
    }
    let plain = if name.ends_with("_bytes") {
        size(&value)?.to_string()
    } else if name.ends_with("_seconds") {
        interval(&value)?.to_string()
    } else if name.ends_with("_ms") {
        milliseconds(&value)?.to_string()
    } else {
        value
    };
    Ok((name, plain))
}

/// A share or a similarity, over 0 and at most 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 1.0 => Ok(number),
        _ => Err("expected a number over 0 and up to 1".to_owned()),
    }
}

/// A cosine similarity, -1 to 1.
pub(crate) fn similarity(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(number) if (-1.0..=1.0).contains(&number) => Ok(number),
        _ => Err("expected a number from -1 to 1".to_owned()),
    }
}

/// `NAME=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// A figure and the range in which it is well, in the notation of the Nagios plugins.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Alert {
    /// Name of the figure.
    pub figure: String,
    /// Least number that is well; `None`: no bound.
    pub low: Option<f64>,
    /// Largest number that is well; `None`: no bound.
    pub high: Option<f64>,
    /// Whether it is the numbers within that are not well.
    pub inside: bool,
    /// The range as it was given, for performance data.
    pub range: String,
}

/// `FIGURE=RANGE`: `10` is well from 0 to 10, `10:` from 10 on, `~:10` up to 10, `10:20` between, `@10:20` outside.
/// Numbers may be sizes, and those of figures in seconds, whose names end with `_s`, times.
pub(crate) fn alert(text: &str) -> Result<Alert, String> {
    const EXPECTED: &str =
        "expected FIGURE=RANGE, a range being 10, 10:, ~:10, 10:20 or @10:20 (see the help)";
    let (figure, given) = pair(text).map_err(|_| EXPECTED.to_owned())?;
    let (inside, range) = match given.strip_prefix('@') {
        Some(range) => (true, range),
        None => (false, given.as_str()),
    };
    let bound = |text: &str| match figure.ends_with("_s") {
        true => bound(text, |text| interval(text).ok()),
        false => bound(text, size_of),
    };
    let (low, high) = match range.split_once(':') {
        Some(("~", high)) => (None, bound(high)),
        Some((low, high)) => (bound(low), bound(high)),
        None => (Some(Ok(0.0)), bound(range).or(Some(Err(())))),
    };
    let low = low.transpose().map_err(|()| EXPECTED.to_owned())?;
    let high = high.transpose().map_err(|()| EXPECTED.to_owned())?;
    if low.is_none() && high.is_none() {
        return Err(EXPECTED.to_owned());
    }
    if let (Some(low), Some(high)) = (low, high)
        && low > high
    {
        return Err(format!(
            "the range {given} begins after its end; expected the lower number first"
        ));
    }
    Ok(Alert {
        figure,
        low,
        high,
        inside,
        range: given,
    })
}

/// A bound of a range, a number or what `unit` reads; `None`: open.
fn bound(text: &str, unit: impl Fn(&str) -> Option<f64>) -> Option<Result<f64, ()>> {
    if text.is_empty() {
        return None;
    }
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    Some(number.or_else(|| unit(text)).ok_or(()))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes are compared with figures, which are far below 2^53"
)]
fn size_of(text: &str) -> Option<f64> {
    size(text).ok().map(|bytes| bytes as f64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_have_units_and_a_bound() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("10 GB"), Ok(10_000_000_000));
        assert_eq!(size(&MOST.to_string()), Ok(MOST));
        for wrong in ["", "-1", "many", "1XB", "9223372036854775808", "99999PB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn spans_of_time_have_units() {
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("2h"), Ok(7200));
        assert_eq!(seconds("7days"), Ok(604_800));
        assert_eq!(timeout("250ms"), Ok(0.25));
        assert_eq!(timeout("1.5"), Ok(1.5));
        for wrong in ["", "-1", "1.5", "100ms", "soon", "18446744073709551616"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0", "-1", "nan", "inf", "1e9"] {
            assert!(timeout(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges_are_those_of_nagios() {
        let parsed = |text| {
            let alert = alert(text).unwrap();
            (alert.low, alert.high, alert.inside)
        };
        assert_eq!(parsed("keys=10"), (Some(0.0), Some(10.0), false));
        assert_eq!(parsed("keys=10:"), (Some(10.0), None, false));
        assert_eq!(parsed("keys=~:10"), (None, Some(10.0), false));
        assert_eq!(parsed("keys=10:20"), (Some(10.0), Some(20.0), false));
        assert_eq!(parsed("keys=@10:20"), (Some(10.0), Some(20.0), true));
        assert_eq!(parsed("bytes=~:1KiB"), (None, Some(1024.0), false));
        assert_eq!(parsed("age_s=1h"), (Some(0.0), Some(3600.0), false));
        assert_eq!(parsed("age_s=~:30m"), (None, Some(1800.0), false));
        assert_eq!(
            parsed("age_s=@90s:1day"),
            (Some(90.0), Some(86_400.0), true)
        );
        assert_eq!(parsed("age_s=10"), (Some(0.0), Some(10.0), false));
        for wrong in [
            "keys",
            "=10",
            "keys=",
            "keys=~:",
            "keys=:",
            "keys=20:10",
            "keys=x",
            "keys=nan",
            "keys=1h",
            "age_s=1GiB",
        ] {
            assert!(alert(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_may_have_units() {
        let plain = |text| option(text).unwrap().1;
        assert_eq!(plain("max_store_bytes=10GiB"), (10u64 << 30).to_string());
        assert_eq!(plain("max_store_bytes=10"), "10");
        assert_eq!(plain("default_ttl_seconds=12h"), "43200");
        assert_eq!(plain("reaper_interval_seconds=250ms"), "0.25");
        assert_eq!(plain("lock_timeout_ms=2s"), "2000");
        assert_eq!(plain("dedup_mode=semantic"), "semantic");
        for wrong in [
            "max_store_bytes=10XB",
            "default_ttl_seconds=soon",
            "lock_timeout_ms=",
            "x",
        ] {
            assert!(option(wrong).is_err(), "{wrong}");
        }
        assert_eq!(interval("0"), Ok(0.0));
        for wrong in ["-1", "nan", "inf", "soon", ""] {
            assert!(
                interval(wrong).is_err() && milliseconds(wrong).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn pairs_are_split_at_the_first_sign() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(pair("=b").is_err() && pair("a").is_err());
    }

    #[test]
    fn shares_exclude_zero_and_nan() {
        assert_eq!(share("1"), Ok(1.0));
        assert_eq!(similarity("-1"), Ok(-1.0));
        for wrong in ["0", "1.01", "nan", "much", ""] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        assert!(similarity("nan").is_err());
    }
}
