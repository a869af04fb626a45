//! The body of the answer.

use super::request::EncodingFormat;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

/// Vectors in the order of the texts, as they are written.
pub(super) struct Answer<'a> {
    pub model: &'a str,
    /// Rows of `dimension` components.
    pub data: &'a [f32],
    pub dimension: usize,
    pub format: EncodingFormat,
    /// Tokens that this request has had computed.
    pub prompt_tokens: u64,
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let usage = Usage(self.prompt_tokens);
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("object", "list")?;
        map.serialize_entry("data", &Rows(self))?;
        map.serialize_entry("model", self.model)?;
        map.serialize_entry("usage", &usage)?;
        map.end()
    }
}

struct Rows<'a>(&'a Answer<'a>);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = self.0.data.chunks_exact(self.0.dimension.max(1));
        let mut list = serializer.serialize_seq(Some(rows.len()))?;
        for (index, row) in rows.enumerate() {
            let format = self.0.format;
            list.serialize_element(&Row { index, row, format })?;
        }
        list.end()
    }
}

struct Row<'a> {
    index: usize,
    row: &'a [f32],
    format: EncodingFormat,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("object", "embedding")?;
        map.serialize_entry("index", &self.index)?;
        match self.format {
            EncodingFormat::Float => map.serialize_entry("embedding", self.row)?,
            EncodingFormat::Base64 => map.serialize_entry("embedding", &to_base64(self.row))?,
        }
        map.end()
    }
}

struct Usage(u64);

impl Serialize for Usage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("prompt_tokens", &self.0)?;
        map.serialize_entry("total_tokens", &self.0)?;
        map.end()
    }
}

/// Little-endian float32.
fn to_base64(row: &[f32]) -> String {
    let bytes: Vec<u8> = row.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

/// The beginnings of rows, at unit length again. Of models that are trained for it they are embeddings as well; of a
/// beginning of zeros, which has no direction, nothing is made.
pub(super) fn shortened(data: &[f32], dimension: usize, wanted: usize) -> Vec<f32> {
    let mut shortened = Vec::with_capacity(data.len() / dimension.max(1) * wanted);
    for row in data.chunks_exact(dimension.max(1)) {
        let row = row.get(..wanted).unwrap_or(row);
        let squares: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let scale = if squares > 0.0 {
            squares.sqrt().recip()
        } else {
            1.0
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "to the precision of vectors"
        )]
        shortened.extend(row.iter().map(|&x| (f64::from(x) * scale) as f32));
    }
    shortened
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn answer(format: EncodingFormat) -> serde_json::Value {
        let answer = Answer {
            model: "m",
            data: &[1.0, -2.5, 0.1, 0.0],
            dimension: 2,
            format,
            prompt_tokens: 7,
        };
        serde_json::from_str(&serde_json::to_string(&answer).unwrap()).unwrap()
    }

    #[test]
    fn the_body_is_that_of_openai() {
        assert_eq!(
            answer(EncodingFormat::Float),
            json!({
                "object": "list",
                "data": [
                    {"object": "embedding", "index": 0, "embedding": [1.0, -2.5]},
                    {"object": "embedding", "index": 1, "embedding": [0.1, 0.0]},
                ],
                "model": "m",
                "usage": {"prompt_tokens": 7, "total_tokens": 7},
            })
        );
        // 1.0 is 00 00 80 3f and -2.5 is 00 00 20 c0, lowest byte first.
        let encoded = answer(EncodingFormat::Base64);
        assert_eq!(
            encoded.pointer("/data/0/embedding").unwrap(),
            "AACAPwAAIMA="
        );
    }

    #[test]
    fn beginnings_have_unit_length() {
        let rows = [3.0, 4.0, 9.0, 0.0, 0.0, 1.0];
        assert_eq!(shortened(&rows, 3, 2), [0.6, 0.8, 0.0, 0.0]);
        assert_eq!(shortened(&[5.0, 1.0], 2, 1), [1.0]);
    }
}
