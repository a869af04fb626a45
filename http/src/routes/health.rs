//! Health: a status for machines, figures for people.

use super::Context;
use crate::error::Problem;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use prestige_core::{Figure, Health, Store};
use serde_json::{Map, Value, json};

pub(super) async fn live() -> &'static str {
    "ok\n"
}

pub(super) async fn ready(State(context): State<Context>) -> Result<&'static str, Problem> {
    if context.store.is_closed() {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the store is closed",
        ));
    }
    Ok("ready\n")
}

pub(super) async fn figures(State(context): State<Context>) -> Result<Json<Value>, Problem> {
    let health = context.with_store(Store::health).await?;
    Ok(Json(document(&health)))
}

fn document(health: &Health) -> Value {
    let figures = health.figures().into_iter().map(|(name, figure)| {
        let value = match figure {
            Figure::Integer(number) => json!(number),
            Figure::Float(number) => json!(number),
            Figure::Text(text) => json!(text),
            Figure::Boolean(truth) => json!(truth),
            _ => Value::Null,
        };
        (name.to_owned(), value)
    });
    let mut document = Map::from_iter([
        ("status".to_owned(), json!("ok")),
        ("version".to_owned(), json!(env!("CARGO_PKG_VERSION"))),
    ]);
    document.extend(figures);
    Value::Object(document)
}
