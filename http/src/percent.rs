//! Percent-encoding, of any bytes.

use percent_encoding::{AsciiSet, CONTROLS};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// What would end the path of a URL, or read as something else in it.
const NOT_IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?');

/// A path of the machine as that of a URL.
pub(crate) fn encode_path(path: &Path) -> String {
    percent_encoding::percent_encode(path.as_os_str().as_bytes(), NOT_IN_PATHS).to_string()
}

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
