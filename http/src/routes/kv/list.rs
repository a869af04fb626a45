//! Listing keys, with or without their values, in byte order.

use crate::accept;
use crate::auth::Access;
use crate::bytes::{Bytes, EncodedBytes, Encoding};
use crate::cursor;
use crate::error::{Answer, Code, Problem};
use crate::extract::{Namespace, Parameters};
use crate::ndjson::NDJSON;
use crate::routes::parameters::NamespaceQuery;
use crate::state::Context;
use crate::stream::{self, More, Pieces};
use crate::tokens::Role;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use prestige_core::{Details, Metadata, Range, Result, Scan, Store};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

const JSON: &str = "application/json";
const OFFERED: [&str; 2] = [JSON, NDJSON];

/// Most keys of a page, and how many where nothing is said.
const MAX_LIMIT: u64 = 10_000;
const DEFAULT_LIMIT: u64 = 1_000;
/// A page ends early with what makes it this long, in bytes.
const PAGE_BYTES: usize = 8 << 20;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that `Listing` reads")]
pub(in crate::routes) struct ListQuery {
    /// Only keys that begin with these bytes, percent-encoded.
    prefix: Option<String>,
    /// Only keys from this one on, in byte order, percent-encoded.
    start: Option<String>,
    /// At most so many. A page may have fewer although more come: `next_cursor` says so.
    #[param(minimum = 1, maximum = 10000, default = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before, with the same other parameters.
    cursor: Option<String>,
    /// Whether the values are answered, too.
    #[param(default = false)]
    values: Option<bool>,
    /// Whether the items have, beside their values, what is known of their keys. Of a page in JSON.
    #[param(default = false)]
    details: Option<bool>,
    /// How values are written.
    #[param(inline)]
    encoding: Option<Encoding>,
}

/// A page of keys.
#[derive(Serialize, ToSchema)]
#[schema(as = Page)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what is written piece by piece")]
enum Page {
    Keys {
        keys: Vec<Bytes>,
        /// To ask for the next page with; null: this was the last.
        #[schema(required)]
        next_cursor: Option<String>,
    },
    Items {
        items: Vec<Item>,
        /// To ask for the next page with; null: this was the last.
        #[schema(required)]
        next_cursor: Option<String>,
    },
}

/// A key and its value.
#[derive(Serialize, ToSchema)]
#[schema(as = Item)]
struct Item {
    key: Bytes,
    value: Bytes,
    /// With `details`: when the key was put, in microseconds since the Unix epoch.
    created_us: Option<u64>,
    /// With `details`: when the key expires, in microseconds since the Unix epoch; null: it does not.
    expires_us: Option<u64>,
    /// With `details`: metadata of the value.
    metadata: Option<Metadata>,
}

/// Lists keys in byte order.
///
/// With `Accept: application/x-ndjson` a line for each, a key or an object with key and value, as the store was when the
/// listing began: all of them, unless `limit` is given.
#[utoipa::path(
    get,
    path = "/api/v1/kv",
    tag = "keys",
    operation_id = "list",
    params(NamespaceQuery, ListQuery),
    responses((status = 200, description = "A page of them.", content(
        (Page = "application/json"),
        (String = "application/x-ndjson"),
    ))),
)]
pub(in crate::routes) async fn list(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer<Response> {
    access.require(Role::Read, &namespace)?;
    let listing = Listing::of(&parameters)?;
    let lines = headers.get_all(ACCEPT).iter().map(HeaderValue::as_bytes);
    let form = accept::choose(lines, &OFFERED).ok_or_else(|| {
        Problem::new(
            Code::NotAcceptable,
            "listings are answered as application/json or application/x-ndjson; Accept names neither",
        )
    })?;
    let store = context.existing(&namespace)?;
    if form == 0 {
        let body = match store {
            Some(store) => {
                context
                    .with(&store, move |store| listing.page(store))
                    .await?
            }
            None => listing.ended(Vec::new(), None),
        };
        return Ok(([(CONTENT_TYPE, JSON)], body).into_response());
    }
    match store {
        Some(store) => {
            let scan = context
                .with(&store, {
                    let listing = listing.clone();
                    move |store| listing.scan(store, listing.limit)
                })
                .await?;
            stream::answer(&context, NDJSON, Lines { scan, listing }).await
        }
        None => Ok(([(CONTENT_TYPE, NDJSON)], "").into_response()),
    }
}

/// What is to be listed.
#[derive(Clone, Debug)]
struct Listing {
    prefix: Vec<u8>,
    start: Option<Vec<u8>>,
    limit: Option<u64>,
    values: bool,
    details: bool,
    encoding: Encoding,
}

impl Listing {
    fn of(parameters: &Parameters) -> Answer<Self> {
        let limit = parameters.text("limit")?.map(limit_of).transpose()?;
        let details = switch(parameters, "details")?;
        let values = switch(parameters, "values")? || details;
        let encoding = match parameters.text("encoding")? {
            None | Some("auto") => Encoding::Auto,
            Some("base64") => Encoding::Base64,
            Some(other) => {
                return Err(Problem::invalid(format!(
                    "encoding is auto or base64, not {other:?}"
                )));
            }
        };
        let start = parameters.bytes("start").map(<[u8]>::to_vec);
        let after = parameters.text("cursor")?.map(after).transpose()?;
        Ok(Self {
            prefix: parameters.bytes("prefix").unwrap_or_default().to_vec(),
            start: start.into_iter().chain(after).max(),
            limit,
            values,
            details,
            encoding,
        })
    }

    fn scan(&self, store: &Store, limit: Option<u64>) -> Result<Scan> {
        store.scan(Range {
            prefix: &self.prefix,
            start: self.start.as_deref(),
            limit,
        })
    }

    /// A page as JSON.
    fn page(&self, store: &Store) -> Result<Vec<u8>> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        // One more than wanted tells whether another page comes.
        let mut scan = self.scan(store, Some(limit + 1))?;
        let mut page = Vec::new();
        let (mut listed, mut passed, mut last, mut more) = (0, 0, Vec::new(), false);
        let mut failed = None;
        while !more {
            let read = self.read(&mut scan, |key, value| {
                if passed == limit || page.len() >= PAGE_BYTES {
                    more = true;
                    return;
                }
                // What has gone since the listing began counts too, or the page would seem to be the last.
                passed += 1;
                last.clear();
                last.extend_from_slice(key);
                let known = match self.details.then(|| store.details(key)) {
                    None => None,
                    Some(Ok(Some(known))) => Some(known),
                    // It has gone since the listing began.
                    Some(Ok(None)) => return,
                    Some(Err(error)) => {
                        failed = Some(error);
                        return;
                    }
                };
                if listed > 0 {
                    page.push(b',');
                }
                self.write(&mut page, key, value, known.as_ref());
                listed += 1;
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
            if read == 0 {
                break;
            }
        }
        Ok(self.ended(page, more.then(|| cursor::encode(&last))))
    }

    /// Calls `visit` with the next keys, and their values if they are wanted. Returns their number.
    fn read(&self, scan: &mut Scan, mut visit: impl FnMut(&[u8], Option<&[u8]>)) -> Result<usize> {
        if self.values {
            return scan.next_items(|key, value| visit(key, Some(value)));
        }
        let keys = scan.next_keys()?;
        keys.iter().for_each(|key| visit(key, None));
        Ok(keys.len())
    }

    fn write(&self, text: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>, known: Option<&Details>) {
        let encoded = |bytes, encoding| EncodedBytes { bytes, encoding };
        let key = encoded(key, Encoding::Auto);
        // Writing to memory cannot fail, and neither can these.
        let _ = match value {
            None => serde_json::to_writer(text, &key),
            Some(value) => {
                let value = encoded(value, self.encoding);
                let known = known.map(|known| Known {
                    created_us: known.created_us(),
                    expires_us: known.expires_us(),
                    metadata: known.metadata(),
                });
                serde_json::to_writer(text, &EncodedItem { key, value, known })
            }
        };
    }

    fn ended(&self, elements: Vec<u8>, next_cursor: Option<String>) -> Vec<u8> {
        let name = if self.values { "items" } else { "keys" };
        let mut page = format!("{{\"{name}\":[").into_bytes();
        page.extend(elements);
        page.extend_from_slice(b"],\"next_cursor\":");
        page.extend(serde_json::to_vec(&next_cursor).unwrap_or_default());
        page.push(b'}');
        page
    }
}

#[derive(Serialize)]
struct EncodedItem<'a> {
    key: EncodedBytes<'a>,
    value: EncodedBytes<'a>,
    #[serde(flatten)]
    known: Option<Known<'a>>,
}

#[derive(Serialize)]
struct Known<'a> {
    created_us: u64,
    expires_us: Option<u64>,
    metadata: &'a Metadata,
}

fn switch(parameters: &Parameters, name: &str) -> Answer<bool> {
    match parameters.text(name)? {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(Problem::invalid(format!(
            "{name} is true or false, not {other:?}"
        ))),
    }
}

fn limit_of(text: &str) -> Answer<u64> {
    let limit = text.parse().ok();
    limit
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| Problem::invalid(format!("limit is 1 to {MAX_LIMIT}, not {text:?}")))
}

/// The first key that can come after the page that a cursor ends.
fn after(text: &str) -> Answer<Vec<u8>> {
    let mut next = cursor::decode(text).ok_or_else(|| {
        Problem::invalid(
            "cursor is none that this server gave: pass on next_cursor of the page before",
        )
    })?;
    next.push(0);
    Ok(next)
}

/// A listing as lines.
struct Lines {
    scan: Scan,
    listing: Listing,
}

impl Pieces for Lines {
    fn next_piece(&mut self, piece: &mut Vec<u8>) -> Result<More> {
        while piece.len() < stream::PIECE_BYTES {
            let listing = &self.listing;
            let read = listing.read(&mut self.scan, |key, value| {
                listing.write(piece, key, value, None);
                piece.push(b'\n');
            })?;
            if read == 0 {
                return Ok(More::No);
            }
        }
        Ok(More::Yes)
    }
}
