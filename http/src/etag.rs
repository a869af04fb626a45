//! Entity tags, and the headers that name them (RFC 9110, sections 8.8.3, 13.1.1 and 13.1.2).
//!
//! The tag of a value is its digest: `"` ‖ 64 lower-case hexadecimal digits of SHA-256 ‖ `"`, a strong one. Any other tag is
//! allowed, and is that of no value.

/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;

/// What `If-Match` or `If-None-Match` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    /// `*`: whatever is there.
    Any,
    /// Values of these digests; of other tags nothing is left.
    Digests(Vec<[u8; DIGEST_BYTES]>),
}

/// Whether tags that say they are weak can match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// They match nothing: `If-Match`.
    Strong,
    /// They match like others: `If-None-Match`.
    Weak,
}

/// Reads all header lines of one name; `None` if there are none.
///
/// # Errors
/// Says what was expected.
pub(crate) fn parse<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
    comparison: Comparison,
) -> Result<Option<Tags>, &'static str> {
    let mut digests = Vec::new();
    let (mut given, mut any, mut tags) = (false, false, 0);
    for line in lines {
        given = true;
        let mut rest = line.trim_ascii();
        if rest == b"*" {
            any = true;
            continue;
        }
        // Empty elements of a list are allowed.
        while let Some(after) = next_element(rest) {
            let (tag, weak) = match after.strip_prefix(b"W/") {
                Some(tag) => (tag, true),
                None => (after, false),
            };
            let opaque = tag.strip_prefix(b"\"").ok_or(EXPECTED)?;
            let end = opaque
                .iter()
                .position(|byte| *byte == b'"')
                .ok_or(EXPECTED)?;
            let (opaque, after) = opaque.split_at(end);
            let valid = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..=0xff);
            if !opaque.iter().all(valid) {
                return Err(EXPECTED);
            }
            tags += 1;
            if !weak || comparison == Comparison::Weak {
                digests.extend(digest(opaque));
            }
            rest = after
                .strip_prefix(b"\"")
                .ok_or(EXPECTED)?
                .trim_ascii_start();
            if !rest.is_empty() && !rest.starts_with(b",") {
                return Err(EXPECTED);
            }
        }
    }
    match (any, tags) {
        (true, 0) => Ok(Some(Tags::Any)),
        (true, _) => Err(EXPECTED),
        // A condition without tags is a mistake of the client, and no reason to write unconditionally.
        (false, 0) if given => Err(EXPECTED),
        (false, 0) => Ok(None),
        (false, _) => Ok(Some(Tags::Digests(digests))),
    }
}

const EXPECTED: &str = "expected `*`, or entity tags in double quotes with commas between them";

/// What comes after commas and white space; `None` at the end.
fn next_element(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        match rest.split_first()? {
            (b',' | b' ' | b'\t', after) => rest = after,
            _ => return Some(rest),
        }
    }
}

/// The digest that an opaque tag is, in the one form in which it is sent.
fn digest(opaque: &[u8]) -> Option<[u8; DIGEST_BYTES]> {
    let (pairs, rest) = opaque.as_chunks::<2>();
    if pairs.len() != DIGEST_BYTES || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut digest = [0; DIGEST_BYTES];
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        *byte = digit(*high)? * 16 + digit(*low)?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used)]
    use super::*;

    fn read(lines: &[&str], comparison: Comparison) -> Result<Option<Tags>, &'static str> {
        parse(lines.iter().map(|line| line.as_bytes()), comparison)
    }

    #[test]
    fn lists_of_tags_are_read() {
        let one = "00".repeat(31) + "0f";
        let two = "ff".repeat(32);
        let digest = |last| {
            let mut digest = [0; 32];
            digest[31] = last;
            digest
        };
        let strong = |lines: &[&str]| read(lines, Comparison::Strong).unwrap();
        let found = |digests: &[[u8; 32]]| Some(Tags::Digests(digests.to_vec()));
        assert_eq!(strong(&[]), None);
        for empty in [&[""][..], &["", " , "]] {
            assert_eq!(read(empty, Comparison::Strong), Err(EXPECTED));
        }
        assert_eq!(strong(&[" * "]), Some(Tags::Any));
        assert_eq!(strong(&[&format!("\"{one}\"")]), found(&[digest(15)]));
        let list = format!(",  \"{one}\" ,, \"other,\"\t,W/\"{two}\"");
        assert_eq!(strong(&[&list]), found(&[digest(15)]));
        assert_eq!(
            read(&[&list], Comparison::Weak).unwrap(),
            found(&[digest(15), [255; 32]])
        );
        let lines = [format!("\"{one}\""), format!("\"{two}\"")];
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        assert_eq!(strong(&lines), found(&[digest(15), [255; 32]]));
        // A tag in another form is another tag.
        assert_eq!(
            strong(&[&format!("\"{}\"", two.to_uppercase())]),
            found(&[])
        );
        assert_eq!(strong(&["\"\""]), found(&[]));
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for line in [
            "abc",
            "\"abc",
            "abc\"",
            "\"a\" \"b\"",
            "\"a\"b",
            "*, \"a\"",
            "**",
            "w/\"a\"",
            "W/ \"a\"",
            "\"a b\"",
            "\"\u{7f}\"",
        ] {
            assert_eq!(read(&[line], Comparison::Weak), Err(EXPECTED), "{line}");
        }
        assert_eq!(read(&["*", "\"a\""], Comparison::Weak), Err(EXPECTED));
    }
}
