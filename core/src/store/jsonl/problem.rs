//! What is wrong with a line that is no record: what was expected, and what was found.

use serde_json::error::Category;
use serde_json::{Error, Value};

/// An object that would do.
const EXPECTED: &str = r#"expected an object as {"key":"…","value":"…"}"#;

/// What a field holds.
enum Kind {
    Text,
    Time,
    Pairs,
}

fn kind(field: &str) -> Option<Kind> {
    match field {
        "key" | "key_b64" | "value" | "value_b64" => Some(Kind::Text),
        "created_us" | "expires_us" => Some(Kind::Time),
        "metadata" => Some(Kind::Pairs),
        _ => None,
    }
}

/// Why `line` could not be read, which failed with `error`.
pub(super) fn of_line(line: &[u8], error: &Error) -> String {
    match serde_json::from_slice::<Value>(line) {
        Ok(Value::Object(fields)) => {
            let mut problems = fields
                .iter()
                .filter_map(|(name, value)| of_field(name, value));
            problems.next().unwrap_or_else(|| twice(error))
        }
        Ok(other) => format!("{EXPECTED}, found {}", found(&other)),
        Err(_) if std::str::from_utf8(line).is_err() => {
            format!("{EXPECTED}, found bytes that are not UTF-8")
        }
        Err(error) if error.classify() == Category::Eof => {
            format!("{EXPECTED}, found a line that ends too early")
        }
        Err(error) => format!(
            "{EXPECTED}, found what is not JSON at column {}",
            error.column()
        ),
    }
}

/// What is wrong with a field, if anything is.
fn of_field(name: &str, value: &Value) -> Option<String> {
    let Some(kind) = kind(name) else {
        return Some(format!(
            "expected `key` or `key_b64`, `value` or `value_b64`, and perhaps `created_us`, `expires_us` and `metadata`, \
             found the field `{name}`"
        ));
    };
    let expected = match (kind, value) {
        (_, Value::Null) | (Kind::Text, Value::String(_)) => return None,
        (Kind::Time, Value::Number(number)) if number.is_u64() => return None,
        (Kind::Pairs, Value::Object(pairs)) => {
            let (name, text) = pairs.iter().find(|(_, text)| !text.is_string())?;
            return Some(format!(
                "expected a string as `{name}` of `metadata`, found {}",
                found(text)
            ));
        }
        (Kind::Text, _) => "a string",
        (Kind::Time, _) => "an integer from 0 on, microseconds since 1970,",
        (Kind::Pairs, _) => "an object of strings",
    };
    Some(format!(
        "expected {expected} as `{name}`, found {}",
        found(value)
    ))
}

/// All fields are well by themselves: one of them is there more than once.
fn twice(error: &Error) -> String {
    let message = error.to_string();
    let name = message.split('`').nth(1).unwrap_or("a field");
    format!("expected each field once, found `{name}` again")
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::jsonl_problem;

    #[test]
    fn every_problem_says_what_was_expected_and_found() {
        for (line, expected, found) in [
            (
                r#"{"key":1,"value":"v"}"#,
                "a string as `key`",
                "the number 1",
            ),
            (
                r#"{"key":"k","value":["v"]}"#,
                "a string as `value`",
                "a list",
            ),
            (
                r#"{"key":"k","value":"v","expires_us":-5}"#,
                "microseconds",
                "the number -5",
            ),
            (
                r#"{"key":"k","value":"v","created_us":1.5}"#,
                "`created_us`",
                "the number 1.5",
            ),
            (
                r#"{"key":"k","value":"v","metadata":"m"}"#,
                "an object of strings",
                "a string",
            ),
            (
                r#"{"key":"k","value":"v","metadata":{"a":true}}"#,
                "`a` of `metadata`",
                "true",
            ),
            (
                r#"{"key":"k","value":"v","ttl":5}"#,
                "`expires_us`",
                "the field `ttl`",
            ),
            (
                r#"{"key":"k","key":"k","value":"v"}"#,
                "each field once",
                "`key` again",
            ),
            (r#"["k","v"]"#, "an object", "a list"),
            (r#"{"key":"k","#, "an object", "too early"),
            ("key,value", "an object", "column 1"),
        ] {
            let problem = jsonl_problem(line.as_bytes()).unwrap_or_default();
            let (said, after) = problem.split_once(", found ").unwrap_or_default();
            assert!(
                said.contains(expected) && after.contains(found),
                "{line}: {problem}"
            );
            // Nothing of the parser's own terms.
            assert!(
                !problem.contains("invalid type") && !problem.contains("u64"),
                "{problem}"
            );
        }
        assert!(jsonl_problem(b"\"\xff\"").is_some_and(|problem| problem.contains("UTF-8")));
        assert_eq!(
            jsonl_problem(br#"{"key":"k","value_b64":"AA==","expires_us":null}"#),
            None
        );
    }
}
