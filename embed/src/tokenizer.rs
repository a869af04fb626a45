//! Text to token ids.

use std::borrow::Cow;
use std::fs;

use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Encoding, PostProcessor, Tokenizer, TruncationParams};

use crate::error::catch_panic;
use crate::{EmbedError, ModelSpec};

/// Special tokens of a BERT vocabulary, which every `vocab.txt` must hold.
const BERT_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// How much of a long text is looked at first, for each token the model takes. Words of English
/// have 6 bytes, so this is enough for all but odd texts, and a book costs no more than a page.
const HEAD_BYTES_PER_TOKEN: usize = 64;

/// Turns texts into token ids as the model expects them: prefix before, special tokens around, end
/// cut off at the limit.
#[derive(Debug)]
pub(crate) struct TextTokenizer {
    tokenizer: Tokenizer,
    prefix: String,
    max_tokens: usize,
    special_tokens: usize,
    pad_id: u32,
}

/// The tokens of one text, without padding; both lists have the same length, at least 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tokens {
    pub(crate) ids: Vec<u32>,
    pub(crate) type_ids: Vec<u32>,
}

impl TextTokenizer {
    pub(crate) fn open(spec: &ModelSpec) -> Result<Self, EmbedError> {
        let error = |expected: &str, found: String| EmbedError::Tokenizer {
            path: spec.tokenizer_path.clone(),
            expected: expected.to_owned(),
            found,
            remedy: "copy it again from the model's origin".to_owned(),
        };
        let bytes =
            fs::read(&spec.tokenizer_path).map_err(|e| error("a readable file", e.to_string()))?;
        let (expected, loaded) = if spec.tokenizer_is_vocabulary() {
            let expected = "a BERT vocabulary, one token a line";
            (
                expected,
                catch_panic(|| from_vocabulary(&bytes, spec.lowercase)),
            )
        } else {
            (
                "a tokenizer.json",
                catch_panic(|| Tokenizer::from_bytes(&bytes)),
            )
        };
        let mut tokenizer = loaded
            .and_then(|loaded| loaded.map_err(|e| e.to_string()))
            .map_err(|found| error(expected, found))?;

        // The library subtracts the special tokens from the limit without a check.
        let special = tokenizer
            .get_post_processor()
            .map_or(0, |p| p.added_tokens(false));
        if spec.max_tokens <= special {
            return Err(EmbedError::invalid(
                format!("max_tokens above {special}, the number of special tokens"),
                spec.max_tokens.to_string(),
            ));
        }
        let pad_id = pad_id(&tokenizer);
        // Batches are padded by the caller, to the longest text of the batch.
        tokenizer.with_padding(None);
        let truncation = TruncationParams {
            max_length: spec.max_tokens,
            ..TruncationParams::default()
        };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|e| error("a tokenizer that can truncate", e.to_string()))?;
        Ok(Self {
            tokenizer,
            prefix: spec.prefix.clone(),
            max_tokens: spec.max_tokens,
            special_tokens: special,
            pad_id,
        })
    }

    /// Id that fills the places after a text's end. Models that derive positions from it need the
    /// right one.
    pub(crate) fn pad_id(&self) -> u32 {
        self.pad_id
    }

    /// Whether all tokens of `text` are within `max_tokens`. A text that the tokenizer refuses does not fit.
    pub(crate) fn fits(&self, text: &str) -> bool {
        // No token is shorter than a byte, so most texts are short enough without a look at their tokens.
        let bytes = self.prefix.len() + text.len() + self.special_tokens;
        bytes <= self.max_tokens || self.encode_head(text).is_ok_and(|(_, cut_off)| !cut_off)
    }

    /// Tokens of one text; at most `max_tokens`, the first ones. The error is the tokenizer's
    /// message.
    pub(crate) fn encode(&self, text: &str) -> Result<Tokens, String> {
        let (encoding, _) = self.encode_head(text)?;
        if encoding.is_empty() {
            return Err("the tokenizer found no token in a text".to_owned());
        }
        Ok(Tokens {
            ids: encoding.get_ids().to_vec(),
            type_ids: encoding.get_type_ids().to_vec(),
        })
    }

    /// The tokens that the model gets, and whether some of the text is left out.
    fn encode_head(&self, text: &str) -> Result<(Encoding, bool), String> {
        let text = match self.prefix.as_str() {
            "" => Cow::Borrowed(text),
            prefix => Cow::Owned(format!("{prefix}{text}")),
        };
        let mut limit = self.max_tokens.saturating_mul(HEAD_BYTES_PER_TOKEN);
        loop {
            let head = head(&text, limit);
            let encoding = self
                .tokenizer
                .encode_fast(head, true)
                .map_err(|e| e.to_string())?;
            // The head alone held more tokens than fit, so what follows it cannot change the tokens
            // that are kept.
            let cut_off = !encoding.get_overflowing().is_empty();
            if cut_off || head.len() == text.len() {
                return Ok((encoding, cut_off));
            }
            limit = limit.saturating_mul(4);
        }
    }
}

/// The words of `text` that end within its first `limit` bytes; all of it when it is shorter or one
/// word.
fn head(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let cut = text.floor_char_boundary(limit);
    text.get(..cut)
        .and_then(|start| start.get(..start.rfind(char::is_whitespace)?))
        .unwrap_or(text)
}

/// A BERT WordPiece tokenizer from its list of tokens, as transformers builds it.
fn from_vocabulary(bytes: &[u8], lowercase: bool) -> tokenizers::Result<Tokenizer> {
    let model = WordPiece::builder()
        .vocab(WordPiece::read_bytes(bytes)?)
        .build()?;
    let mut tokenizer = Tokenizer::new(model);
    let mut ids = Vec::with_capacity(BERT_TOKENS.len());
    for token in BERT_TOKENS {
        let id = tokenizer
            .token_to_id(token)
            .ok_or_else(|| format!("no line {token}"))?;
        ids.push((token.to_owned(), id));
    }
    if let [_, _, cls, sep, _] = ids.as_slice() {
        tokenizer.with_post_processor(Some(BertProcessing::new(sep.clone(), cls.clone())));
    }
    tokenizer.add_special_tokens(&BERT_TOKENS.map(|token| AddedToken::from(token, true)));
    tokenizer
        .with_normalizer(Some(BertNormalizer::new(true, true, None, lowercase)))
        .with_pre_tokenizer(Some(BertPreTokenizer));
    Ok(tokenizer)
}

/// The padding token by the tokenizer's own settings, else by its usual names, else 0.
fn pad_id(tokenizer: &Tokenizer) -> u32 {
    tokenizer
        .get_padding()
        .map(|padding| padding.pad_id)
        .or_else(|| tokenizer.token_to_id("[PAD]"))
        .or_else(|| tokenizer.token_to_id("<pad>"))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
