//! Bytes in JSON: a string where they are UTF-8, otherwise an object with their Base64.
//!
//! ```text
//! "text"                     the bytes of the text in UTF-8
//! {"base64": "/wA="}         any bytes; standard alphabet, padded
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

const BASE64: &str = "base64";

/// How bytes of an answer are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    /// As a string where they are UTF-8.
    #[default]
    Auto,
    /// Always as the object with their Base64.
    Base64,
}

/// Bytes of a request or an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Bytes(pub Vec<u8>);

impl Bytes {
    /// How these bytes are written in an answer.
    pub(crate) fn encoded(&self, encoding: Encoding) -> EncodedBytes<'_> {
        EncodedBytes {
            bytes: &self.0,
            encoding,
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.encoded(Encoding::Auto).serialize(serializer)
    }
}

/// Borrowed bytes of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncodedBytes<'a> {
    pub bytes: &'a [u8],
    pub encoding: Encoding,
}

impl Serialize for EncodedBytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.encoding == Encoding::Auto
            && let Ok(text) = std::str::from_utf8(self.bytes)
        {
            return serializer.serialize_str(text);
        }
        let mut object = serializer.serialize_map(Some(1))?;
        object.serialize_entry(BASE64, &STANDARD.encode(self.bytes))?;
        object.end()
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesVisitor)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, or {\"base64\": \"…\"}")
    }

    fn visit_str<E>(self, text: &str) -> Result<Bytes, E> {
        Ok(Bytes(text.as_bytes().to_vec()))
    }

    fn visit_string<E>(self, text: String) -> Result<Bytes, E> {
        Ok(Bytes(text.into_bytes()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Bytes, A::Error> {
        let wrong = || A::Error::custom("expected an object with the one member \"base64\"");
        match object.next_key::<Cow<'_, str>>()? {
            Some(name) if name == BASE64 => {}
            _ => return Err(wrong()),
        }
        let text = object.next_value::<Cow<'_, str>>()?;
        let bytes = STANDARD.decode(text.as_bytes()).map_err(|error| {
            A::Error::custom(format_args!(
                "\"base64\" must be Base64 of the standard alphabet, padded: {error}"
            ))
        })?;
        match object.next_key::<Cow<'_, str>>()? {
            None => Ok(Bytes(bytes)),
            Some(_) => Err(wrong()),
        }
    }
}

impl PartialSchema for Bytes {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("The bytes of the text in UTF-8."));
        let base64 = ObjectBuilder::new()
            .schema_type(Type::String)
            .content_encoding(BASE64)
            .description(Some("Any bytes; standard alphabet, padded."));
        let object = ObjectBuilder::new()
            .schema_type(Type::Object)
            .property(BASE64, base64)
            .required(BASE64)
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
        OneOfBuilder::new()
            .description(Some(
                "Bytes: a string where they are UTF-8, otherwise an object with their Base64.",
            ))
            .item(text)
            .item(object)
            .into()
    }
}

impl ToSchema for Bytes {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Bytes")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str) -> Result<Vec<u8>, String> {
        serde_json::from_str::<Bytes>(json)
            .map(|bytes| bytes.0)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn both_forms_are_read() {
        assert_eq!(read("\"text\"").unwrap(), b"text");
        assert_eq!(read("\"\"").unwrap(), b"");
        assert_eq!(read("\"\\u0000\\u00e9\"").unwrap(), "\0é".as_bytes());
        assert_eq!(read("{\"base64\": \"/wA=\"}").unwrap(), b"\xff\0");
        assert_eq!(read("{\"base64\": \"\"}").unwrap(), b"");
        assert_eq!(
            read("{\"b\\u0061se64\": \"/w\\u0041=\"}").unwrap(),
            b"\xff\0"
        );
    }

    #[test]
    fn everything_else_is_refused() {
        for json in [
            "5",
            "null",
            "[]",
            "{}",
            "true",
            "{\"base64\": 5}",
            "{\"base64\": \"/wA\"}",
            "{\"base64\": \"_wA=\"}",
            "{\"base64\": \"/wA=\", \"more\": 1}",
            "{\"base64\": \"/wA=\", \"base64\": \"/wA=\"}",
            "{\"other\": \"/wA=\"}",
            "\"\\ud800\"",
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains("line 1"), "{json}: {error}");
        }
        assert!(serde_json::from_slice::<Bytes>(b"\"\xff\"").is_err());
    }

    #[test]
    fn the_form_can_be_asked_for() {
        let bytes = Bytes::from(&b"text"[..]);
        let written = serde_json::to_string(&bytes.encoded(Encoding::Base64)).unwrap();
        assert_eq!(written, "{\"base64\":\"dGV4dA==\"}");
        assert_eq!(serde_json::to_string(&bytes).unwrap(), "\"text\"");
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>, always: bool) {
            let encoding = if always { Encoding::Base64 } else { Encoding::Auto };
            let written = serde_json::to_vec(&Bytes(bytes.clone()).encoded(encoding)).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Bytes>(&written).unwrap().0, bytes);
        }
    }
}
