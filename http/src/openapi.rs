//! The description of the interface, OpenAPI 3.1: made from the routes themselves.

use crate::error::{PROBLEM_JSON, ProblemDocument};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

/// What is not about single routes. These add themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Prestige",
        description = "A store that keeps one copy of every distinct value, over HTTP.\n\nErrors are problem documents \
                       (RFC 9457) with a `code` for programs. Keys in paths are percent-encoded bytes.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(ProblemDocument)),
    tags(
        (name = "keys", description = "Keys and their values."),
        (name = "batches", description = "Many keys at once."),
        (name = "namespaces", description = "Hard partitions: keys, values, vectors and figures of their own."),
        (name = "values", description = "Values by what they are."),
        (name = "outcomes", description = "What clients decided about candidates."),
        (name = "cache", description = "Responses to queries, found by the meaning of the query."),
        (name = "embeddings", description = "Vectors of texts."),
        (name = "health", description = "Whether the server works, and how much there is."),
        (name = "embeddings", description = "Vectors of texts, in OpenAI's interface and with its errors."),
        (name = "admin", description = "Maintenance. Long work goes on in the background as a job."),
    ),
)]
struct Document;

/// The document without routes.
pub(crate) fn beginning() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The whole document, of what the routes have added.
pub(crate) fn complete(collected: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(collected).unwrap_or_default();
    let Some(root) = document.as_object_mut() else {
        return document;
    };
    // A token is needed only where the server has some.
    root.insert("security".to_owned(), json!([{}, {"bearer": []}]));
    if let Some(components) = root.get_mut("components").and_then(Value::as_object_mut) {
        components.insert(
            "securitySchemes".to_owned(),
            json!({"bearer": {"type": "http", "scheme": "bearer"}}),
        );
        components.insert(
            "responses".to_owned(),
            json!({"Problem": {
                "description": "What went wrong.",
                "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }}),
        );
    }
    if let Some(paths) = root.get_mut("paths").and_then(Value::as_object_mut) {
        *paths = std::mem::take(paths)
            .into_iter()
            // A parameter that takes the rest of the path: OpenAPI knows no such thing.
            .map(|(path, item)| (path.replace("{*", "{"), item))
            .collect();
        for operation in paths.values_mut().flat_map(operations) {
            add_problems(operation);
        }
    }
    document
}

fn operations(item: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    const METHODS: [&str; 6] = ["get", "put", "post", "delete", "head", "patch"];
    item.as_object_mut()
        .into_iter()
        .flatten()
        .filter(|(name, _)| METHODS.contains(&name.as_str()))
        .filter_map(|(_, operation)| operation.as_object_mut())
}

/// Every operation can be refused; only those that say more than "a problem document" describe it themselves.
fn add_problems(operation: &mut Map<String, Value>) {
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    if let Some(responses) = responses.as_object_mut() {
        responses
            .entry("default")
            .or_insert_with(|| json!({"$ref": "#/components/responses/Problem"}));
    }
}
