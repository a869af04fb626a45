//! Headers of keys and values: entity tags, object ids, times to live, metadata, and the conditions of requests.

use crate::error::{Answer, Problem};
use crate::etag::{self, Comparison, Tags};
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use prestige_core::{Condition, Details, Digest, Metadata};
use std::fmt::Write as _;
use std::time::Duration;

/// Seconds until a key expires.
pub(crate) static TTL_SECONDS: HeaderName = HeaderName::from_static("prestige-ttl-seconds");
/// Metadata of a value: a JSON object of strings, in ASCII.
pub(crate) static METADATA: HeaderName = HeaderName::from_static("prestige-metadata");
/// Length of metadata that is too long for a header.
pub(crate) static METADATA_BYTES: HeaderName = HeaderName::from_static("prestige-metadata-bytes");
/// Id of the object that a key points at.
pub(crate) static OBJECT_ID: HeaderName = HeaderName::from_static("prestige-object-id");

/// Longest metadata in a header of an answer: many clients accept 64 KiB of headers in all, some a quarter of that.
const MAX_METADATA_BYTES: usize = 8 << 10;

/// Puts everything that is known of a key and its value into the headers of an answer.
pub(crate) fn describe(headers: &mut HeaderMap, details: &Details) {
    headers.insert(ETAG, etag_of(&details.digest()));
    headers.insert(&OBJECT_ID, HeaderValue::from(details.object_id()));
    if let Some(ttl) = details.ttl() {
        insert(headers, &TTL_SECONDS, &seconds(ttl).to_string());
    }
    if !details.metadata().is_empty() {
        let json = ascii_json(details.metadata());
        if json.len() > MAX_METADATA_BYTES {
            headers.insert(&METADATA_BYTES, HeaderValue::from(json.len()));
        } else {
            insert(headers, &METADATA, &json);
        }
    }
}

fn insert(headers: &mut HeaderMap, name: &'static HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// The entity tag of a value: its digest between quotes.
pub(crate) fn etag_of(digest: &Digest) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut tag = [b'"'; 2 + 2 * prestige_core::DIGEST_BYTES];
    let places = tag.iter_mut().skip(1);
    let nibbles = digest.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    for (place, nibble) in places.zip(nibbles) {
        *place = DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    }
    HeaderValue::from_bytes(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Seconds with the microseconds that the store knows.
pub(crate) fn seconds(ttl: Duration) -> f64 {
    ttl.as_secs_f64()
}

/// JSON with everything but ASCII escaped.
fn ascii_json(metadata: &Metadata) -> String {
    let json = serde_json::to_string(metadata).unwrap_or_default();
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && character != '\u{7f}' {
            ascii.push(character);
            continue;
        }
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            // Writing to a String cannot fail.
            let _ = write!(ascii, "\\u{unit:04x}");
        }
    }
    ascii
}

/// A time to live as headers and queries have it.
pub(crate) fn ttl_of(name: &str, text: &str) -> Answer<u64> {
    text.trim().parse().map_err(|_| {
        Problem::invalid(format!(
            "{name} is a whole number of seconds from 0 on, 0 meaning never, not {text:?}"
        ))
    })
}

/// Metadata as headers and queries have it.
pub(crate) fn metadata_of(name: &str, json: &[u8]) -> Answer<Metadata> {
    serde_json::from_slice(json)
        .map_err(|error| Problem::invalid(format!("{name} is a JSON object of strings: {error}")))
}

/// The text of a header; `None` if it is not there.
pub(crate) fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Answer<Option<&'a str>> {
    let value = headers.get(name).map(HeaderValue::to_str);
    value
        .transpose()
        .map_err(|_| Problem::invalid(format!("the header {name} must be ASCII")))
}

/// `If-Match` and `If-None-Match`.
#[derive(Debug, Default)]
pub(crate) struct Preconditions {
    pub if_match: Option<Matching>,
    pub if_none_match: Option<Matching>,
}

/// What one of them names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Matching {
    Any,
    Digests(Vec<Digest>),
}

impl Preconditions {
    pub(crate) fn of(headers: &HeaderMap) -> Answer<Self> {
        Ok(Self {
            if_match: matching(headers, &IF_MATCH, Comparison::Strong)?,
            if_none_match: matching(headers, &IF_NONE_MATCH, Comparison::Weak)?,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// What must hold of the key for a write.
    pub(crate) fn conditions(&self) -> Vec<Condition<'_>> {
        let present = self.if_match.as_ref().map(|matching| match matching {
            Matching::Any => Condition::Present,
            Matching::Digests(digests) => Condition::OneOf(digests),
        });
        let absent = self.if_none_match.as_ref().map(|matching| match matching {
            Matching::Any => Condition::Absent,
            Matching::Digests(digests) => Condition::NoneOf(digests),
        });
        present.into_iter().chain(absent).collect()
    }
}

fn matching(
    headers: &HeaderMap,
    name: &HeaderName,
    comparison: Comparison,
) -> Answer<Option<Matching>> {
    let lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let tags = etag::parse(lines, comparison)
        .map_err(|expected| Problem::invalid(format!("the header {name}: {expected}")))?;
    Ok(tags.map(|tags| match tags {
        Tags::Any => Matching::Any,
        Tags::Digests(digests) => Matching::Digests(digests.into_iter().map(Digest).collect()),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tag_is_the_digest_between_quotes() {
        let digest = Digest::of(b"value");
        assert_eq!(etag_of(&digest), format!("\"{}\"", digest.to_hex()));
    }

    #[test]
    fn numbers_and_metadata_are_read_strictly() {
        assert_eq!(ttl_of("ttl_seconds", " 60 ").unwrap(), 60);
        for bad in ["", "-1", "1.5", "1e3", "18446744073709551616", "0x10"] {
            assert!(ttl_of("ttl_seconds", bad).is_err(), "{bad}");
        }
        for bad in ["", "[]", "{\"a\": 1}", "{\"a\": null}", "\"a\"", "{"] {
            assert!(metadata_of("metadata", bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn metadata_comes_back_from_a_header(metadata: Metadata) {
            let json = ascii_json(&metadata);
            prop_assert!(json.bytes().all(|byte| (b' '..0x7f).contains(&byte)));
            prop_assert_eq!(metadata_of("metadata", json.as_bytes()).unwrap(), metadata);
        }
    }
}
