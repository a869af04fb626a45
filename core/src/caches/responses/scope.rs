//! Scopes: whom and what a response is for. What is not of the same scope is not of the same cache.

use crate::digest::Digest;
use crate::error::{Error, Result};
use serde_json::{Value, json};

/// Members of the scopes of a namespace: whose they are, and what was given.
const OWNER: &str = "prestige.namespace";
const GIVEN: &str = "scope";

/// Deepest nesting of a scope.
const MAX_DEPTH: usize = 32;
/// Beginning of the names of the namespaces.
pub(super) const NAMES: &str = "responses/";

/// A scope: any JSON value. Equal values are one scope, whatever the order of the names in their objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Canonical JSON: names of objects in byte order, no white space.
    json: String,
    digest: Digest,
    /// Name of its namespace: the SHA-256 of the JSON, since names are short.
    namespace: String,
}

impl Scope {
    /// The scope that `value` names.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for one that is nested more than 32 deep.
    pub fn new(value: &Value) -> Result<Self> {
        let mut json = String::new();
        write(value, &mut json, 0)?;
        Ok(Self::of_json(json))
    }

    /// The scope that `value` names in a namespace, so that the caches of two namespaces share nothing. That of the empty
    /// name, the default one, is [`Self::new`]'s.
    ///
    /// ```text
    /// namespace ""     value
    /// namespace "n"    {"prestige.namespace": "n", "scope": value}
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for one that is nested more than 31 deep, in the default namespace 32, or that looks like
    /// one of another namespace.
    pub fn within(namespace: &str, value: &Value) -> Result<Self> {
        if !namespace.is_empty() {
            return Self::new(&json!({OWNER: namespace, GIVEN: value}));
        }
        if value.get(OWNER).is_some() {
            return Err(Error::InvalidArgument(format!(
                "a scope cannot have the name {OWNER:?}: name the namespace in the query"
            )));
        }
        Self::new(value)
    }

    /// What [`Self::within`] was given in `namespace`; `None`: the scope is another namespace's.
    #[must_use]
    pub fn given_within(&self, namespace: &str) -> Option<Value> {
        let mut value: Value = serde_json::from_str(&self.json).ok()?;
        match value.get(OWNER) {
            None => namespace.is_empty().then_some(value),
            Some(owner) if owner == namespace => value.get_mut(GIVEN).map(Value::take),
            Some(_) => None,
        }
    }

    /// The scope whose canonical JSON is `json`.
    pub(super) fn of_json(json: String) -> Self {
        let digest = Digest::of(json.as_bytes());
        Self {
            namespace: format!("{NAMES}{}", digest.to_hex()),
            digest,
            json,
        }
    }

    /// The scope as canonical JSON.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.json
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// Whether the scope with this canonical JSON is one of `namespace`.
pub(super) fn is_within(json: &str, namespace: &str) -> bool {
    let name = |text: &str| Value::from(text).to_string();
    let owned = format!("{{{}:", name(OWNER));
    match namespace {
        "" => !json.starts_with(&owned),
        _ => json.starts_with(&format!("{owned}{},{}:", name(namespace), name(GIVEN))),
    }
}

/// Not by the printer of `serde_json`, which keeps the order of names if any crate of the program asks for it.
fn write(value: &Value, json: &mut String, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::InvalidArgument(format!(
            "a scope must be nested at most {MAX_DEPTH} deep"
        )));
    }
    match value {
        Value::Array(items) => {
            json.push('[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    json.push(',');
                }
                write(item, json, depth + 1)?;
            }
            json.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            json.push('{');
            for (number, (name, member)) in members.into_iter().enumerate() {
                if number > 0 {
                    json.push(',');
                }
                json.push_str(&Value::from(name.as_str()).to_string());
                json.push(':');
                write(member, json, depth + 1)?;
            }
            json.push('}');
        }
        leaf => json.push_str(&leaf.to_string()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn equal_values_are_one_scope_and_different_ones_are_not() {
        let scope = |value: Value| Scope::new(&value).unwrap();
        assert_eq!(
            scope(json!({"tenant": "a", "model": "b"})),
            scope(json!({"model": "b", "tenant": "a"}))
        );
        let different = [
            json!(null),
            json!(""),
            json!("a"),
            json!(["a"]),
            json!({"a": "a"}),
            json!(["a", "b"]),
            json!(["b", "a"]),
            json!(["a,b"]),
            json!(["a\",\"b"]),
            json!("[\"a\"]"),
            json!("{\"a\":\"a\"}"),
            json!({"a": "b", "c": "d"}),
            json!({"a": "b,c:d"}),
            json!({"a": ["b"]}),
            json!("A"),
            json!("ä"),
            json!("1"),
            json!(1),
            json!(1.5),
            json!(true),
        ];
        let names: std::collections::HashSet<_> = different
            .iter()
            .map(|value| scope(value.clone()).namespace().to_owned())
            .collect();
        assert_eq!(names.len(), different.len());
        assert!(names.iter().all(|name| name.len() == NAMES.len() + 64));
    }

    #[test]
    fn scopes_of_namespaces_share_nothing() {
        let scopes = [
            json!(null),
            json!("a"),
            json!({"scope": "a"}),
            json!({"a": 1}),
        ];
        let namespaces = ["", "n", "m", "n\"", "n\",\"scope\":"];
        for given in &scopes {
            for namespace in namespaces {
                let scope = Scope::within(namespace, given).unwrap();
                for other in namespaces {
                    let own = other == namespace;
                    assert_eq!(scope.given_within(other).as_ref(), own.then_some(given));
                    assert_eq!(
                        is_within(scope.as_json(), other),
                        own,
                        "{}",
                        scope.as_json()
                    );
                }
            }
        }
        assert!(Scope::within("", &json!({OWNER: "n", GIVEN: "a"})).is_err());
        let inner = json!({OWNER: "m", GIVEN: "a"});
        let scope = Scope::within("n", &inner).unwrap();
        assert_eq!(scope.given_within("n"), Some(inner));
    }

    #[test]
    fn canonical_json_reads_back_and_is_its_own() {
        let value = json!({"b": [1, null, {"y": "\u{7}\n\"", "x": -0.5}], "a": "ß"});
        let scope = Scope::new(&value).unwrap();
        assert_eq!(
            scope.as_json(),
            r#"{"a":"ß","b":[1,null,{"x":-0.5,"y":"\u0007\n\""}]}"#
        );
        let read: Value = serde_json::from_str(scope.as_json()).unwrap();
        assert_eq!(read, value);
        assert_eq!(Scope::of_json(scope.as_json().to_owned()), scope);
    }

    #[test]
    fn depth_is_bounded() {
        let mut value = json!("x");
        for _ in 0..MAX_DEPTH {
            value = json!([value]);
        }
        Scope::new(&value).unwrap();
        assert!(Scope::new(&json!([value])).is_err());
    }
}
