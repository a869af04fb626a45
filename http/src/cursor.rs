//! Cursors of listings: opaque to clients, and of no use to guess at.
//!
//! ```text
//! URL-safe Base64 without padding of   version:1 ‖ last key
//! ```
//! `version` is 1. A cursor names the last key that was given, so the next page begins after it, whatever was put or removed
//! meanwhile.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const VERSION: u8 = 1;

/// The cursor of a page that ended with `last`.
pub(crate) fn encode(last: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(1 + last.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(last);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key after which the next page begins; `None` for what is no cursor.
pub(crate) fn decode(cursor: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (version, last) = bytes.split_first()?;
    (*version == VERSION).then(|| last.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["", "A", "AA==", "AA", "?", "é", "/w"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn keys_come_back(key: Vec<u8>) {
            let cursor = encode(&key);
            prop_assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(decode(&cursor), Some(key));
        }

        #[test]
        fn any_text_is_a_cursor_or_none(text: String) {
            let _ = decode(&text).map(|key| assert_eq!(encode(&key), text));
        }
    }
}
