//! Percent-encoding, of any bytes.

/// Decodes percent-encoding; `None` if a `%` has not two hexadecimal digits after it.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let digits = rest.get(at + 1..at + 3)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        rest = rest.get(at + 3..)?;
    }
    Some(percent_encoding::percent_decode_str(text).collect())
}
