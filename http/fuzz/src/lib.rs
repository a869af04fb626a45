//! What the HTTP service makes of bytes that anybody may send: keys in paths, entity tags, `Accept`, cursors, lines, and
//! bytes and vectors in JSON. The very files of `prestige-http`, without the store that they are for, so that an engine for
//! fuzzing need not link RocksDB: it calls [`decode`] with whatever it likes.
//!
//! The test below does so with random bytes and with damaged good ones, 256 of each kind, or as many as `PROPTEST_CASES`
//! says:
//!
//! ```text
//! PROPTEST_CASES=1000000 cargo test --release -p prestige-http-fuzz
//! ```

#![allow(
    dead_code,
    reason = "these files are made for another crate, which uses the rest of them"
)]

#[path = "../../src/accept.rs"]
mod accept;
#[path = "../../src/bytes.rs"]
mod bytes_in_json;
#[path = "../../src/cursor.rs"]
mod cursor;
#[path = "../../src/etag.rs"]
mod etag;
#[path = "../../src/ndjson.rs"]
mod ndjson;
#[path = "../../src/percent.rs"]
mod percent;
#[path = "../../src/vector.rs"]
mod vector;

use bytes_in_json::{Bytes, Encoding};
use etag::Comparison;
use ndjson::Lines;
use vector::Vector;

/// Decodes `input` in every way in which the service decodes what it is sent. What is accepted must be what encoding it
/// gives again.
///
/// # Panics
/// If it is not: that is what fuzzing looks for.
pub fn decode(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        if let Some(key) = cursor::decode(text) {
            assert_eq!(cursor::encode(&key), text);
        }
        if let Some(key) = percent::decode(text) {
            assert!(key.len() <= input.len());
            assert!(text.contains('%') || key == input);
        }
    }
    for comparison in [Comparison::Strong, Comparison::Weak] {
        let _ = etag::parse(input.split(|byte| *byte == b'\n'), comparison);
    }
    let chosen = accept::choose([input], &["application/octet-stream", "application/json"]);
    assert!(chosen.is_none_or(|position| position < 2));

    for encoding in [Encoding::Auto, Encoding::Base64] {
        if let Ok(bytes) = serde_json::from_slice::<Bytes>(input) {
            let written = serde_json::to_vec(&bytes.encoded(encoding)).unwrap_or_default();
            assert_eq!(serde_json::from_slice::<Bytes>(&written).ok(), Some(bytes));
        }
    }
    if let Ok(vector) = serde_json::from_slice::<Vector>(input) {
        let written = serde_json::to_string(&vector).unwrap_or_default();
        let read = serde_json::from_str::<Vector>(&written).ok();
        let bits = |vector: &Vector| vector.0.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(read.map(|read| bits(&read)), Some(bits(&vector)));
    }
    lines(input);
}

/// However a body is cut into pieces, its lines are the same.
fn lines(input: &[u8]) {
    const MOST: usize = 64;
    let whole = cut(input, input.len().max(1), MOST);
    for length in [1, 7] {
        assert_eq!(cut(input, length, MOST), whole);
    }
}

/// The lines of a body up to the first that is too long, and whether there is one.
fn cut(input: &[u8], length: usize, most: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut lines, mut found) = (Lines::new(most), Vec::new());
    for piece in input.chunks(length) {
        lines.push(piece);
        loop {
            match lines.next_line() {
                Ok(Some((_, line))) => found.push(line.to_vec()),
                Ok(None) => break,
                Err(_) => return (found, true),
            }
        }
    }
    match lines.last_line() {
        Ok(line) => {
            found.extend(line.map(|(_, line)| line.to_vec()));
            (found, false)
        }
        Err(_) => (found, true),
    }
}

#[cfg(test)]
mod tests {
    use super::decode;
    use proptest::prelude::*;

    const GOOD: [&[u8]; 10] = [
        b"a%2Fb%00%ff..%2e",
        b"\"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f\", W/\"x\"",
        b"*",
        b"text/html;q=0.5, application/json;q=0.25, */*",
        b"AWtleQ",
        b"{\"key\": \"a\"}\n\n{\"key\": \"b\"}\r\n",
        b"\"te\\u00e9\\ud83d\\ude00xt\"",
        b"{\"base64\": \"/wA=\"}",
        b"\"AACAPwAAAMA=\"",
        b"[[[[[[[[[[",
    ];

    proptest! {
        #[test]
        fn random_bytes(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            decode(&input);
        }

        #[test]
        fn random_text(input in ".{0,80}") {
            decode(input.as_bytes());
        }

        #[test]
        fn damaged_good_bytes(
            seed in 0..GOOD.len(),
            changes in proptest::collection::vec((0_usize..100, 0_u8..4, any::<u8>()), 0..6),
        ) {
            let mut input = GOOD.get(seed).copied().unwrap_or_default().to_vec();
            for (place, change, byte) in changes {
                let place = place % (input.len() + 1);
                match change {
                    0 => input.insert(place, byte),
                    1 => input.truncate(place),
                    2 => input.extend_from_within(place..),
                    _ => input.iter_mut().skip(place).take(1).for_each(|slot| *slot = byte),
                }
            }
            decode(&input);
        }
    }
}
