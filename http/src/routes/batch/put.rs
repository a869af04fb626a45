//! Putting many keys: as one document, or as lines that may be any number and come as long as they like.

use super::{check_items, check_key};
use crate::auth::Access;
use crate::bytes::Bytes;
use crate::error::{Answer, Code, Problem, ProblemDocument};
use crate::extract::{Namespace, broken_body, is_json, parse_object, read_body, read_json};
use crate::ndjson::{Lines, NDJSON, TooLong};
use crate::place::hold_body;
use crate::routes::parameters::NamespaceQuery;
use crate::state::Context;
use crate::tokens::Role;
use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use futures_util::StreamExt as _;
use prestige_core::{Entry, Metadata, Store};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A page is one atomic write: of so many items at most, ending with the one that makes it this long, in bytes.
const PAGE_ITEMS: usize = 1000;
const PAGE_BYTES: usize = 4 << 20;

/// A key and its value.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutItem {
    key: Bytes,
    value: Bytes,
    /// Seconds until the key expires; 0: never; null: the default of the store.
    ttl_seconds: Option<u64>,
    /// Pairs to add to the metadata of the value.
    metadata: Option<Metadata>,
}

/// Keys and values to put.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchPut {
    items: Vec<PutItem>,
}

/// What a batch has stored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stored {
    /// Number of items.
    stored: u64,
}

/// Puts many keys.
///
/// Items are stored in their order, up to 1,000 of them in one atomic write. After an error the first `stored` of them are
/// stored, as the problem document says, and none after. As `application/x-ndjson`, an item a line, a batch may have any
/// number of items; it is stored while it comes.
#[utoipa::path(
    post,
    path = "/api/v1/kv:batchPut",
    tag = "batches",
    operation_id = "batchPut",
    params(NamespaceQuery),
    request_body(content((BatchPut = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "They are stored.", body = Stored),
        (status = 400, description = "An item is refused; `stored` of those before it are stored.",
            body = ProblemDocument, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn batch_put(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    request: Request,
) -> Answer<Json<Stored>> {
    access.require(Role::Write, &namespace)?;
    let (parts, body) = request.into_parts();
    let writing = Writing {
        context,
        namespace: namespace.0,
        store: None,
        page: Vec::new(),
        page_bytes: 0,
        stored: 0,
    };
    if is_lines(&parts.headers) {
        return writing.lines(body).await;
    }
    if !is_json(&parts.headers) {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "the body must be JSON: send `Content-Type: application/json`, or `application/x-ndjson` for a line each",
        ));
    }
    writing.document(body).await
}

fn is_lines(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.and_then(|kind| kind.split(|byte| *byte == b';').next())
        .is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(NDJSON.as_bytes()))
}

/// A batch that is being stored. Holds a page at most.
struct Writing {
    context: Context,
    namespace: String,
    /// Found or made with the first page.
    store: Option<Arc<Store>>,
    page: Vec<PutItem>,
    page_bytes: usize,
    stored: u64,
}

impl Writing {
    async fn document(mut self, body: Body) -> Answer<Json<Stored>> {
        let body = read_body(body, self.context.config.limits.body_bytes).await?;
        let BatchPut { items } = read_json(&self.context, body).await?;
        check_items(&self.context, items.len())?;
        // Before anything is stored.
        items
            .iter()
            .try_for_each(|item| check_key(&self.context, &item.key.0))?;
        for item in items {
            self.add(item).await?;
        }
        self.end().await
    }

    async fn lines(mut self, body: Body) -> Answer<Json<Stored>> {
        let limit = self.context.config.limits.body_bytes;
        let mut lines = Lines::new(limit);
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| self.after(broken_body()))?;
            lines.push(&piece);
            let held = hold_body(lines.held_bytes() + self.page_bytes);
            held.map_err(|problem| self.after(problem))?;
            loop {
                let line = lines.next_line();
                match line.map_err(|error| self.after(too_long(error, limit)))? {
                    Some((number, line)) => self.add_line(number, &line).await?,
                    None => break,
                }
            }
        }
        let line = lines.last_line();
        if let Some((number, line)) = line.map_err(|error| self.after(too_long(error, limit)))? {
            self.add_line(number, &line).await?;
        }
        self.end().await
    }

    async fn add_line(&mut self, number: u64, line: &[u8]) -> Answer<()> {
        let item = parse_object::<PutItem>(line).and_then(|item| {
            check_key(&self.context, &item.key.0)?;
            Ok(item)
        });
        // Its own line is the only one that the parser has seen.
        let item = item.map_err(|problem| self.after(problem.with("line", number)))?;
        self.add(item).await
    }

    async fn add(&mut self, item: PutItem) -> Answer<()> {
        self.page_bytes += item.key.0.len() + item.value.0.len();
        self.page.push(item);
        if self.page.len() >= PAGE_ITEMS || self.page_bytes >= PAGE_BYTES {
            self.store_page().await?;
        }
        Ok(())
    }

    async fn store_page(&mut self) -> Answer<()> {
        let page = std::mem::take(&mut self.page);
        self.page_bytes = 0;
        if page.is_empty() {
            return Ok(());
        }
        let items = page.len() as u64;
        self.put(page)
            .await
            .map_err(|problem| self.after(problem))?;
        self.stored += items;
        Ok(())
    }

    async fn put(&mut self, page: Vec<PutItem>) -> Answer<()> {
        let store = match &self.store {
            Some(store) => Arc::clone(store),
            None => {
                let store = self.context.namespace(&self.namespace).await?;
                Arc::clone(self.store.insert(store))
            }
        };
        self.context
            .with(&store, move |store| {
                let entries: Vec<_> = page
                    .iter()
                    .map(|item| Entry {
                        key: &item.key.0,
                        value: &item.value.0,
                        ttl_seconds: item.ttl_seconds,
                        metadata: item.metadata.as_ref(),
                        lent: None,
                    })
                    .collect();
                store.put_many(&entries).map(drop)
            })
            .await
    }

    async fn end(mut self) -> Answer<Json<Stored>> {
        self.store_page().await?;
        let stored = self.stored;
        Ok(Json(Stored { stored }))
    }

    /// A problem that says how far the batch has come.
    fn after(&self, problem: Problem) -> Problem {
        problem.with("stored", self.stored)
    }
}

fn too_long(TooLong { line }: TooLong, limit: usize) -> Problem {
    let detail = format!("line {line} is longer than the {limit} bytes that this server accepts");
    Problem::new(Code::TooLarge, detail)
        .with("line", line)
        .with("limit", limit)
}
