//! What the rounds of a put need and get without a lock: embeddings, neighbours, answers of the verifier.

use super::prepare::Prepared;
use super::{Dedup, PutOutcome};
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::entered::Entered;
use crate::error::Result;
use crate::locks::StripeNumbers;
use crate::schema::{OBJECTS, numbered_key};
use crate::semantic::{Ahead, Merge, Semantic, Successor, Vectors, Verdicts};
use crate::stats::Timed;
use crate::store::embed_ahead::Embedded;
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

/// What the rounds of a put have gathered without a lock.
#[derive(Default)]
pub(super) struct Gathered {
    /// The semantic stage that `vectors` are of; `None` in exact mode.
    pub stage: Option<Arc<Semantic>>,
    pub vectors: Vectors,
    /// Their neighbours, as they were before a lock was taken.
    pub ahead: Ahead,
    /// What is to take the place of the stage, and vectors of its model.
    pub successor: Option<Arc<Successor>>,
    pub next_vectors: Vectors,
    pub verdicts: Verdicts,
    /// Stripes to lock besides those of the values.
    pub stripes: StripeNumbers,
}

impl Gathered {
    /// The successor, if it is the one still, and the vectors of its model. The caller holds a stripe.
    pub(super) fn next_of(&self, namespace: &Namespace) -> Option<(&Successor, &Vectors)> {
        let own = self.successor.as_ref()?;
        let current = namespace.successor()?;
        Arc::ptr_eq(own, &current).then_some((own, &self.next_vectors))
    }

    /// Has the stage remember the embeddings of what merged, of which nothing was stored.
    pub(super) fn keep_merged(&self, prepared: &[Prepared<'_>], outcomes: &[PutOutcome]) {
        let Some(stage) = &self.stage else { return };
        for (entry, outcome) in prepared.iter().zip(outcomes) {
            if let (Dedup::Similar(_), Some(vector)) =
                (outcome.dedup, self.vectors.get(&entry.digest))
            {
                stage.keep_merged(entry.digest, vector);
            }
        }
    }
}

impl Engine {
    /// What a put needs to begin: the vectors of the values that are not stored yet.
    pub(super) fn gather(
        &self,
        namespace: &Namespace,
        prepared: &[Prepared<'_>],
        embedded: Embedded,
    ) -> Result<Gathered> {
        let mut gathered = Gathered {
            stage: namespace.semantic(self)?,
            vectors: Vectors::default(),
            ahead: Ahead::default(),
            successor: namespace.successor(),
            next_vectors: Vectors::default(),
            verdicts: Verdicts::default(),
            stripes: StripeNumbers::new(),
        };
        let Some(stage) = &gathered.stage else {
            return Ok(gathered);
        };
        gathered.vectors = embedded.of(stage);
        let semantic = &self.options.semantic;
        let (mut wanted, mut new) = (HashSet::new(), Vec::new());
        for entry in prepared {
            // The digest first: a value that is held already costs no look at its tokens either.
            if (gathered.successor.is_none() && !stage.has_room(semantic))
                || self.object_of_digest(namespace, &entry.digest)?.is_some()
            {
                continue;
            }
            if stage.has_room(semantic)
                && !gathered.vectors.contains_key(&entry.digest)
                && stage.embeds(&entry.value, semantic)
            {
                wanted.insert(entry.digest);
            }
            new.push((entry.digest, &*entry.value));
        }
        self.embed_missing(namespace, prepared, &wanted, &mut gathered)?;
        if let Some(stage) = &gathered.stage {
            let (start, vectors) = (Instant::now(), &gathered.vectors);
            let texts = new.iter().map(|(digest, _)| *digest);
            gathered.ahead = stage.search_ahead(texts, vectors, semantic.search_k)?;
            if !gathered.ahead.is_empty() {
                let stats = &namespace.stats;
                stats.add_time(Timed::Search, start.elapsed(), 1);
            }
        }
        if let Some(successor) = &gathered.successor {
            successor.embed_put(self, namespace, &new, &mut gathered.next_vectors)?;
        }
        Ok(gathered)
    }

    /// Embeds the texts of `wanted`, each once, outside all locks.
    pub(super) fn embed_missing(
        &self,
        namespace: &Namespace,
        prepared: &[Prepared<'_>],
        wanted: &HashSet<Digest>,
        gathered: &mut Gathered,
    ) -> Result<()> {
        let Some(stage) = &gathered.stage else {
            return Ok(());
        };
        // In the order in which they come, so that an embedder of the caller's sees what it expects.
        let (mut wanted, mut texts) = (wanted.clone(), Vec::with_capacity(wanted.len()));
        for entry in prepared {
            if wanted.remove(&entry.digest)
                && let Ok(text) = std::str::from_utf8(&entry.value)
            {
                texts.push((entry.digest, text));
            }
        }
        stage.embed(self, namespace, texts, &mut gathered.vectors)
    }

    /// Asks the verifier whether the text of `digest` means the same as the one it would merge with. No lock is held: it
    /// may take long and use the store. Texts never change, so its answer holds however often the put begins anew, and
    /// whether the two are still to merge is decided anew under the lock.
    pub(super) fn ask_verifier(
        &self,
        namespace: &Namespace,
        prepared: &[Prepared<'_>],
        digest: Digest,
        merge: &Merge,
        verdicts: &mut Verdicts,
    ) -> Result<()> {
        let Some(verifier) = &self.options.verifier else {
            return Ok(());
        };
        let of_batch = |wanted: &Digest| {
            let entry = prepared.iter().find(|entry| entry.digest == *wanted);
            entry.and_then(|entry| str::from_utf8(&entry.value).ok())
        };
        let stored = match of_batch(&merge.digest) {
            Some(text) => Some(Cow::Borrowed(text)),
            None => self
                .object_text(namespace, merge.near.object_id)?
                .map(Cow::Owned),
        };
        // Otherwise it was deleted meanwhile, and is found no more.
        if let (Some(new), Some(stored)) = (of_batch(&digest), stored) {
            let entered = Entered::new(self);
            let same = verifier(new, &stored, merge.near.similarity)?;
            drop(entered);
            verdicts.insert((digest, merge.digest), same);
        }
        Ok(())
    }

    /// The text of an object; `None` if it is gone.
    pub(crate) fn object_text(&self, namespace: &Namespace, id: u64) -> Result<Option<String>> {
        let value = self.db.get(OBJECTS, &numbered_key(namespace.id, id))?;
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    }
}
