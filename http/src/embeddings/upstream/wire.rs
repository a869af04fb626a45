//! Bodies of requests and answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prestige_core::embed::Embeddings;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is asked for.
#[derive(Serialize)]
pub(super) struct Question<'a> {
    pub model: &'a str,
    pub input: Inputs<'a>,
    /// Base64: exact, and a third of the bytes. Servers that do not know it answer with lists.
    pub encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Inputs<'a> {
    Texts(&'a [&'a str]),
    Tokens(Vec<Vec<u32>>),
}

/// What comes back.
#[derive(Deserialize)]
struct Reply {
    data: Vec<Item>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vector,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
}

/// Vectors in the order of the texts, and the tokens that they cost.
#[derive(Debug)]
pub(super) struct Computed {
    pub vectors: Embeddings,
    pub prompt_tokens: u64,
}

/// Reads an answer to a question of `texts` texts. The error says what is wrong with it.
pub(super) fn read(
    body: &[u8],
    texts: usize,
    dimensions: Option<usize>,
) -> Result<Computed, String> {
    let reply: Reply = serde_json::from_slice(body)
        .map_err(|error| format!("is no list of embeddings (line {})", error.line()))?;
    if reply.data.len() != texts {
        return Err(format!(
            "has {} embeddings for {texts} texts",
            reply.data.len()
        ));
    }
    let mut items = reply.data;
    items.sort_by_key(|item| item.index);
    if items
        .iter()
        .enumerate()
        .any(|(place, item)| item.index != place)
    {
        return Err("has an index twice".to_owned());
    }
    let dimension = items.first().map_or(0, |item| item.embedding.0.len());
    if dimension == 0 {
        return Err("has an embedding without numbers".to_owned());
    }
    if let Some(wanted) = dimensions.filter(|wanted| *wanted != dimension) {
        return Err(format!(
            "has {dimension} dimensions where {wanted} were asked for"
        ));
    }
    let mut data = Vec::with_capacity(dimension * texts);
    for item in items {
        let vector = item.embedding.0;
        if vector.len() != dimension || !vector.iter().all(|number| number.is_finite()) {
            return Err(
                "has embeddings of several lengths, or numbers that are not finite".to_owned(),
            );
        }
        data.extend(vector);
    }
    let vectors = Embeddings::new(data, dimension).map_err(|error| error.to_string())?;
    let prompt_tokens = reply.usage.map_or(0, |usage| usage.prompt_tokens);
    Ok(Computed {
        vectors,
        prompt_tokens,
    })
}

/// A list of numbers, or base64 of little-endian float32.
struct Vector(Vec<f32>);

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VectorVisitor)
    }
}

struct VectorVisitor;

impl<'de> Visitor<'de> for VectorVisitor {
    type Value = Vector;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of numbers, or base64 of little-endian float32")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vector, E> {
        let refused = || E::invalid_value(serde::de::Unexpected::Other("text"), &self);
        let bytes = STANDARD.decode(text).map_err(|_| refused())?;
        let (numbers, []) = bytes.as_chunks::<4>() else {
            return Err(refused());
        };
        Ok(Vector(
            numbers.iter().map(|n| f32::from_le_bytes(*n)).collect(),
        ))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Vector, A::Error> {
        let mut vector = Vec::new();
        while let Some(number) = numbers.next_element()? {
            vector.push(number);
        }
        Ok(Vector(vector))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_forms_are_read_in_the_order_of_their_index() {
        let body = br#"{"object":"list","data":[
            {"object":"embedding","index":1,"embedding":"AACAPwAAIMA="},
            {"object":"embedding","index":0,"embedding":[0.1,2]}],
            "usage":{"prompt_tokens":9,"total_tokens":9}}"#;
        let read = read(body, 2, Some(2)).unwrap();
        assert_eq!(read.vectors.as_slice(), [0.1, 2.0, 1.0, -2.5]);
        assert_eq!(read.prompt_tokens, 9);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (data, texts, reason) in [
            ("", 1, "0 embeddings"),
            (r#"{"index":0,"embedding":[1]}"#, 2, "1 embeddings"),
            (r#"{"index":1,"embedding":[1]}"#, 1, "index"),
            (r#"{"index":0,"embedding":[]}"#, 1, "without numbers"),
            (r#"{"index":0,"embedding":[1,2]}"#, 1, "2 dimensions"),
            (r#"{"index":0,"embedding":["a"]}"#, 1, "no list"),
            (r#"{"index":0,"embedding":"AAA="}"#, 1, "no list"),
            (r#"{"index":0,"embedding":"%"}"#, 1, "no list"),
            (r#"{"index":0,"embedding":[1e300]}"#, 1, "finite"),
            (r#"{"index":0,"embedding":"AADAfw=="}"#, 1, "finite"),
            (
                r#"{"index":0,"embedding":[1]},{"index":1,"embedding":[1,2]}"#,
                2,
                "several",
            ),
        ] {
            let error = read(format!(r#"{{"data":[{data}]}}"#).as_bytes(), texts, Some(1));
            let error = error.unwrap_err();
            assert!(error.contains(reason), "{data}: {error}");
        }
        assert!(read(b"<html>", 1, None).unwrap_err().contains("no list"));
    }
}
