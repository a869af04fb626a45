//! The body of `POST /v1/embeddings`.

use super::error::ApiError;
use crate::error::Problem;
use crate::extract::parse_json;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_path_to_error::Segment;
use std::fmt;

/// What a client asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub input: Input,
    pub model: String,
    #[serde(default)]
    pub encoding_format: EncodingFormat,
    #[serde(default)]
    pub dimensions: Option<usize>,
    /// Passed on to an upstream.
    #[serde(default)]
    pub user: Option<String>,
}

/// How vectors are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EncodingFormat {
    /// A list of numbers.
    #[default]
    Float,
    /// Base64 of little-endian float32.
    Base64,
}

/// What is to be embedded.
#[derive(Debug, PartialEq)]
pub(super) enum Input {
    Texts(Vec<String>),
    /// Numbers of tokens of the model's own tokenizer.
    Tokens(Vec<Vec<u32>>),
}

impl Input {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Tokens(lists) => lists.len(),
        }
    }
}

impl Request {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// 400, naming the parameter.
    pub(super) fn parse(body: &[u8], max_inputs: usize) -> Result<Self, ApiError> {
        let request: Self = parse_json(body).map_err(|problem| of_member(problem, body))?;
        request.check(max_inputs)?;
        Ok(request)
    }

    fn check(&self, max_inputs: usize) -> Result<(), ApiError> {
        let refused = |param, message: String| Err(ApiError::invalid(param, message));
        if self.model.is_empty() {
            return refused("model", "model must name a model".to_owned());
        }
        if self.dimensions == Some(0) {
            return refused("dimensions", "dimensions must be at least 1".to_owned());
        }
        let inputs = self.input.len();
        if inputs == 0 {
            return refused("input", "input must not be an empty list".to_owned());
        }
        if inputs > max_inputs {
            return refused(
                "input",
                format!(
                    "input has at most {max_inputs} texts a request, this one has {inputs}; send it in parts"
                ),
            );
        }
        let empty = match &self.input {
            Input::Texts(texts) => texts.iter().position(String::is_empty),
            Input::Tokens(lists) => lists.iter().position(Vec::is_empty),
        };
        match empty {
            Some(place) => refused("input", format!("input[{place}] must not be empty")),
            None => Ok(()),
        }
    }
}

/// An error of a body, with the name of the member that it is about.
fn of_member(problem: Problem, body: &[u8]) -> ApiError {
    let error = ApiError::from(problem);
    match wrong_member(body) {
        Some(name) => error.about(&name),
        None => error,
    }
}

/// Which member of a body cannot be read; `None`: it is no object.
fn wrong_member(body: &[u8]) -> Option<String> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize::<_, Request>(&mut deserializer);
    let error = read.err()?;
    if let Some(Segment::Map { key }) = error.path().iter().next() {
        return Some(key.clone());
    }
    // What is missing has no place of its own, but is named.
    let message = error.inner().to_string();
    let (_, named) = message.split_once("field `")?;
    named.split_once('`').map(|(name, _)| name.to_owned())
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InputVisitor)
    }
}

const EXPECTED: &str = "a string, a list of strings, a list of tokens or a list of lists of tokens";

struct InputVisitor;

impl<'de> Visitor<'de> for InputVisitor {
    type Value = Input;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(EXPECTED)
    }

    fn visit_str<E>(self, text: &str) -> Result<Input, E> {
        Ok(Input::Texts(vec![text.to_owned()]))
    }

    fn visit_string<E>(self, text: String) -> Result<Input, E> {
        Ok(Input::Texts(vec![text]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Input, A::Error> {
        let mixed = || A::Error::custom(format!("expected {EXPECTED}, found several of these"));
        let Some(first) = items.next_element()? else {
            return Ok(Input::Texts(Vec::new()));
        };
        match first {
            Item::Text(first) => {
                let mut texts = vec![first];
                while let Some(item) = items.next_element()? {
                    let Item::Text(text) = item else {
                        return Err(mixed());
                    };
                    texts.push(text);
                }
                Ok(Input::Texts(texts))
            }
            Item::Token(first) => {
                let mut tokens = vec![first];
                while let Some(item) = items.next_element()? {
                    let Item::Token(token) = item else {
                        return Err(mixed());
                    };
                    tokens.push(token);
                }
                Ok(Input::Tokens(vec![tokens]))
            }
            Item::Tokens(first) => {
                let mut lists = vec![first];
                while let Some(item) = items.next_element()? {
                    let Item::Tokens(tokens) = item else {
                        return Err(mixed());
                    };
                    lists.push(tokens);
                }
                Ok(Input::Tokens(lists))
            }
        }
    }
}

/// An item of a list.
enum Item {
    Text(String),
    Token(u32),
    Tokens(Vec<u32>),
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, a token (0 to 4294967295) or a list of tokens")
    }

    fn visit_str<E>(self, text: &str) -> Result<Item, E> {
        Ok(Item::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Item, E> {
        Ok(Item::Text(text))
    }

    fn visit_u64<E: serde::de::Error>(self, token: u64) -> Result<Item, E> {
        let unsigned = serde::de::Unexpected::Unsigned(token);
        let token = u32::try_from(token).map_err(|_| E::invalid_value(unsigned, &self))?;
        Ok(Item::Token(token))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Item, A::Error> {
        let mut tokens = Vec::new();
        while let Some(token) = items.next_element()? {
            tokens.push(token);
        }
        Ok(Item::Tokens(tokens))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(body: &str) -> Result<Request, ApiError> {
        Request::parse(body.as_bytes(), 3)
    }

    fn input(input: &str) -> Input {
        parse(&format!(r#"{{"model":"m","input":{input}}}"#))
            .unwrap()
            .input
    }

    #[test]
    fn every_form_of_input_is_read() {
        let texts = |texts: &[&str]| Input::Texts(texts.iter().map(|&text| text.into()).collect());
        assert_eq!(input(r#""a""#), texts(&["a"]));
        assert_eq!(input(r#"["a","b\n"]"#), texts(&["a", "b\n"]));
        assert_eq!(input("[1,2]"), Input::Tokens(vec![vec![1, 2]]));
        assert_eq!(
            input("[[1],[2,3]]"),
            Input::Tokens(vec![vec![1], vec![2, 3]])
        );
    }

    #[test]
    fn the_rest_has_defaults() {
        let request = parse(r#"{"model":"m","input":"a"}"#).unwrap();
        assert_eq!(request.encoding_format, EncodingFormat::Float);
        assert_eq!((request.dimensions, request.user), (None, None));
        let request = parse(
            r#"{"model":"m","input":"a","encoding_format":"base64","dimensions":8,"user":"u"}"#,
        )
        .unwrap();
        assert_eq!(request.encoding_format, EncodingFormat::Base64);
        assert_eq!(
            (request.dimensions, request.user.as_deref()),
            (Some(8), Some("u"))
        );
    }

    #[test]
    fn the_parameter_is_that_which_is_wrong() {
        for (body, param) in [
            (r#"{"model":"m"}"#, Some("input")),
            (r#"{"input":"a"}"#, Some("model")),
            (r#"{"model":5,"input":"a"}"#, Some("model")),
            (r#"{"model":"m","input":5}"#, Some("input")),
            (r#"{"model":"m","input":["a",1]}"#, Some("input")),
            (r#"{"model":"m","input":[]}"#, Some("input")),
            (
                r#"{"model":"m","input":"a","dimensions":"8"}"#,
                Some("dimensions"),
            ),
            (
                r#"{"model":"m","input":"a","dimensions":0}"#,
                Some("dimensions"),
            ),
            (
                r#"{"model":"m","input":"a","encoding_format":"hex"}"#,
                Some("encoding_format"),
            ),
            (
                r#"{"model":"m","input":"a","input_type":"query"}"#,
                Some("input_type"),
            ),
            (r#"{"model":"m","model":"m","input":"a"}"#, Some("model")),
            ("[]", None),
            ("", None),
            (r#"{"model":"m","input":"a"} x"#, None),
        ] {
            assert_eq!(parse(body).unwrap_err().param(), param, "{body}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, named) in [
            ("", "JSON"),
            ("[]", "line 1"),
            (r#"{"model":"m"}"#, "input"),
            (r#"{"input":"a"}"#, "model"),
            (r#"{"model":"","input":"a"}"#, "model"),
            (r#"{"model":"m","input":""}"#, "input[0]"),
            (r#"{"model":"m","input":[]}"#, "empty list"),
            (r#"{"model":"m","input":["a",""]}"#, "input[1]"),
            (r#"{"model":"m","input":[[1],[]]}"#, "input[1]"),
            (r#"{"model":"m","input":["a","b","c","d"]}"#, "at most 3"),
            (r#"{"model":"m","input":["a",1]}"#, "several"),
            (r#"{"model":"m","input":[1,"a"]}"#, "several"),
            (r#"{"model":"m","input":[[1],1]}"#, "several"),
            (r#"{"model":"m","input":[-1]}"#, "token"),
            (r#"{"model":"m","input":[1.5]}"#, "token"),
            (r#"{"model":"m","input":[4294967296]}"#, "token"),
            (r#"{"model":"m","input":null}"#, "input"),
            (r#"{"model":"m","input":{"a":1}}"#, "input"),
            (r#"{"model":"m","input":"a","dimensions":0}"#, "dimensions"),
            (r#"{"model":"m","input":"a","dimensions":-1}"#, "dimensions"),
            (
                r#"{"model":"m","input":"a","encoding_format":"hex"}"#,
                "hex",
            ),
            (
                r#"{"model":"m","input":"a","input_type":"query"}"#,
                "input_type",
            ),
        ] {
            let error = parse(body).unwrap_err();
            assert_eq!(error.status().as_u16(), 400, "{body}");
            assert!(
                error.message().contains(named),
                "{body}: {}",
                error.message()
            );
        }
    }
}
