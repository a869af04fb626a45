//! Reading many keys, piece by piece: an answer takes no more memory than a piece and the values that one look into the
//! store brings.

use super::{check_keys, references};
use crate::accept;
use crate::auth::Access;
use crate::bytes::{Bytes, EncodedBytes, Encoding};
use crate::error::{Answer, Code, Problem};
use crate::extract::{JsonBody, Namespace};
use crate::ndjson::NDJSON;
use crate::routes::parameters::NamespaceQuery;
use crate::state::Context;
use crate::stream::{self, More, PIECE_BYTES, Pieces};
use crate::tokens::Role;
use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use prestige_core::{Result, Store};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

const OFFERED: [&str; 2] = ["application/json", NDJSON];

/// Keys that are looked up at first: nobody knows yet how long their values are.
const FIRST_KEYS: usize = 16;
/// Most keys that are looked up at once.
const MOST_KEYS: usize = 64;

/// Keys of a batch to be read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchGet {
    keys: Vec<Bytes>,
    /// How values are written.
    #[serde(default)]
    encoding: Encoding,
}

/// The values of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Values {
    /// For each of the keys, in their order; null: it is absent or has expired.
    values: Vec<Option<Bytes>>,
}

/// Reads the values of many keys.
///
/// With `Accept: application/x-ndjson` a line for each. The answer is written piece by piece; if a later piece cannot be
/// read, the connection breaks.
#[utoipa::path(
    post,
    path = "/api/v1/kv:batchGet",
    tag = "batches",
    operation_id = "batchGet",
    params(NamespaceQuery),
    request_body = BatchGet,
    responses((status = 200, description = "Their values.", content(
        (Values = "application/json"),
        (String = "application/x-ndjson"),
    ))),
)]
pub(super) async fn batch_get(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    headers: HeaderMap,
    JsonBody(BatchGet { keys, encoding }): JsonBody<BatchGet>,
) -> Answer<Response> {
    access.require(Role::Read, &namespace)?;
    check_keys(&context, &keys)?;
    let lines = headers.get_all(ACCEPT).iter().map(HeaderValue::as_bytes);
    let form = accept::choose(lines, &OFFERED)
        .and_then(|position| OFFERED.get(position).copied())
        .ok_or_else(|| {
            Problem::new(
                Code::NotAcceptable,
                "values are answered as application/json or application/x-ndjson; Accept names neither",
            )
        })?;
    let reading = Reading {
        store: context.existing(&namespace)?,
        keys,
        encoding,
        lines: form == NDJSON,
        done: 0,
        step: FIRST_KEYS,
    };
    stream::answer(&context, form, reading).await
}

/// A batch that is being read.
struct Reading {
    /// `None`: there is no such namespace.
    store: Option<Arc<Store>>,
    keys: Vec<Bytes>,
    encoding: Encoding,
    lines: bool,
    /// Keys whose values are written.
    done: usize,
    /// Keys to look up next.
    step: usize,
}

impl Pieces for Reading {
    fn next_piece(&mut self, piece: &mut Vec<u8>) -> Result<More> {
        if self.done == 0 && !self.lines {
            piece.extend_from_slice(b"{\"values\":[");
        }
        while self.done < self.keys.len() && piece.len() < PIECE_BYTES {
            let before = piece.len();
            let end = self.keys.len().min(self.done + self.step);
            let keys = self.keys.get(self.done..end).unwrap_or_default();
            let mut written = keys.len();
            match &self.store {
                None => keys
                    .iter()
                    .enumerate()
                    .for_each(|(offset, _)| self.write(piece, self.done + offset, None)),
                Some(store) => {
                    let reader = store.reader()?;
                    let values = reader.get_many(&references(keys))?;
                    for (offset, value) in values.iter().enumerate() {
                        self.write(piece, self.done + offset, value.as_deref());
                        // Values may be longer than those before; what is too much is read again.
                        if piece.len() >= PIECE_BYTES {
                            written = offset + 1;
                            break;
                        }
                    }
                }
            }
            let average = (piece.len() - before) / written.max(1);
            let fitting = PIECE_BYTES / average.max(1);
            self.done += written;
            self.step = fitting.clamp(1, MOST_KEYS).min(self.step * 8);
        }
        if self.done < self.keys.len() {
            return Ok(More::Yes);
        }
        if !self.lines {
            piece.extend_from_slice(b"]}");
        }
        Ok(More::No)
    }
}

impl Reading {
    fn write(&self, piece: &mut Vec<u8>, number: usize, value: Option<&[u8]>) {
        if number > 0 && !self.lines {
            piece.push(b',');
        }
        match value {
            None => piece.extend_from_slice(b"null"),
            Some(bytes) => {
                let encoding = self.encoding;
                // Writing to memory cannot fail, and neither can this.
                let _ = serde_json::to_writer(&mut *piece, &EncodedBytes { bytes, encoding });
            }
        }
        if self.lines {
            piece.push(b'\n');
        }
    }
}
