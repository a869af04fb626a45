//! Answers that are written piece by piece, so that a long one takes no more memory than a short one.

use crate::error::Answer;
use crate::state::Context;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use std::io;

/// A piece ends with what makes it this long, in bytes.
pub(crate) const PIECE_BYTES: usize = 1 << 20;

/// Whether more comes after a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum More {
    Yes,
    No,
}

/// What makes the pieces of an answer. Called on a thread that may block, one call at a time; between two calls nothing is
/// held but this.
pub(crate) trait Pieces: Send + 'static {
    /// Appends the next piece: about [`PIECE_BYTES`].
    fn next_piece(&mut self, piece: &mut Vec<u8>) -> Result<More, prestige_core::Error>;
}

/// Answers with all pieces. What fails in the first one is a problem document; later the connection is broken, so that
/// nobody takes half of an answer for the whole.
pub(crate) async fn answer(
    context: &Context,
    content_type: &'static str,
    pieces: impl Pieces,
) -> Answer<Response> {
    begin(context, content_type, move || Ok(pieces)).await
}

/// As [`answer`]; what makes the pieces is made where the first of them is, by a call that may block.
///
/// # Errors
/// Those of `make`, and of the first piece.
pub(crate) async fn begin<P: Pieces>(
    context: &Context,
    content_type: &'static str,
    make: impl FnOnce() -> Answer<P> + Send + 'static,
) -> Answer<Response> {
    let (first, rest) = context.blocking(move || piece_of(make()?)).await?;
    let body = match rest {
        None => Body::from(first),
        Some(mut pieces) => {
            let context = context.clone();
            Body::from_stream(async_stream::stream! {
                yield Ok(first);
                loop {
                    match context.blocking(move || piece_of(pieces)).await {
                        Ok((piece, rest)) => {
                            yield Ok::<Bytes, io::Error>(piece);
                            match rest {
                                Some(left) => pieces = left,
                                None => break,
                            }
                        }
                        Err(problem) => {
                            tracing::warn!(detail = problem.detail(), "an answer was cut off");
                            yield Err(io::Error::other("the answer could not be read to its end"));
                            break;
                        }
                    }
                }
            })
        }
    };
    Ok(([(CONTENT_TYPE, content_type)], body).into_response())
}

/// The next piece, and what makes those after it; `None`: it was the last.
fn piece_of<P: Pieces>(mut pieces: P) -> Answer<(Bytes, Option<P>)> {
    let mut piece = Vec::new();
    let more = pieces.next_piece(&mut piece)?;
    let rest = (more == More::Yes).then_some(pieces);
    Ok((Bytes::from(piece), rest))
}
