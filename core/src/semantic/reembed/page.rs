//! Embedding the texts of a namespace anew, some at a time.

use crate::digest::Digest;
use crate::engine::Engine;
use crate::error::Result;
use crate::locks::digest_stripe;
use crate::mutation::Mutation;
use crate::record::ObjectMeta;
use crate::schema::{OBJECT_META, OBJECTS, numbered_key, split_number};
use crate::semantic::rebuild::Page;
use crate::semantic::successor::Installed;
use smallvec::smallvec;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

/// Objects looked at together, and texts given to the model in one call.
const OBJECTS_AT_ONCE: usize = 256;
/// Bytes of text that a call is given, unless a single text has more.
const BYTES_AT_ONCE: u64 = 4 << 20;
/// Objects written together while an index is kept, whose links are made under their locks.
const LINKED_AT_ONCE: usize = 16;

/// An object without a vector of the new model.
struct Lacking {
    id: u64,
    digest: Digest,
}

impl Engine {
    /// The last object that is to be embedded.
    pub(crate) fn last_to_embed(&self, installed: &Installed) -> Result<Option<u64>> {
        self.last_of(installed, OBJECT_META)
    }

    /// Embeds the texts of some objects after `after` and up to `last`, those that have no vector of the new model yet, and
    /// adds their number to `embedded`. `None`: there are no more objects.
    pub(crate) fn embed_page(
        &self,
        installed: &Installed,
        after: Option<u64>,
        last: u64,
        embedded: &mut u64,
    ) -> Result<Option<Page>> {
        let (namespace, successor) = (&installed.namespace, &installed.successor);
        namespace.check_exists()?;
        let first = after.map_or(0, |after| after.saturating_add(1));
        let mut page = Page {
            last: first,
            looked_at: 0,
        };
        let (mut lacking, mut bytes, mut held) = (Vec::new(), 0, 0);
        self.db.scan(
            OBJECT_META,
            &numbered_key(namespace.id, first),
            &numbered_key(namespace.id, last.saturating_add(1)),
            None,
            |key, meta| {
                let (id, _) = split_number(OBJECT_META, key)?;
                let meta = ObjectMeta::decode(meta)?;
                page.last = id;
                page.looked_at += 1;
                if meta.vectors.has(successor.slot()) {
                    held += 1;
                } else if meta.size <= self.options.semantic.max_text_bytes {
                    bytes += meta.size;
                    let digest = meta.digest;
                    lacking.push(Lacking { id, digest });
                }
                let full = lacking.len() >= OBJECTS_AT_ONCE
                    || bytes >= BYTES_AT_ONCE
                    || page.looked_at >= 16 * OBJECTS_AT_ONCE as u64;
                Ok(if full {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            },
        )?;
        successor.vectors.fetch_add(held, Ordering::Relaxed);
        *embedded += self.embed_lacking(installed, &lacking)?;
        Ok((page.looked_at > 0).then_some(page))
    }

    /// As [`Self::embed_page`], of the objects `ids`.
    pub(crate) fn embed_unseen(&self, installed: &Installed, ids: &[u64]) -> Result<u64> {
        let (namespace, successor) = (&installed.namespace, &installed.successor);
        let names: Vec<_> = ids
            .iter()
            .map(|id| numbered_key(namespace.id, *id))
            .collect();
        let mut lacking = Vec::with_capacity(ids.len());
        for (id, meta) in ids.iter().zip(self.db.multi_get(OBJECT_META, &names)?) {
            let meta = meta.map(|meta| ObjectMeta::decode(&meta)).transpose()?;
            // Otherwise deleted meanwhile, or met by the scan.
            if let Some(meta) = meta
                && !meta.vectors.has(successor.slot())
                && meta.size <= self.options.semantic.max_text_bytes
            {
                let digest = meta.digest;
                lacking.push(Lacking { id: *id, digest });
            }
        }
        self.embed_lacking(installed, &lacking)
    }

    /// Embeds those of the objects that are text, without any lock, and writes their vectors. Returns their number.
    fn embed_lacking(&self, installed: &Installed, lacking: &[Lacking]) -> Result<u64> {
        let (namespace, successor) = (&installed.namespace, &installed.successor);
        let names: Vec<_> = lacking
            .iter()
            .map(|object| numbered_key(namespace.id, object.id))
            .collect();
        let values = self.db.multi_get(OBJECTS, &names)?;
        let (mut objects, mut texts) = (Vec::new(), Vec::new());
        for (object, value) in lacking.iter().zip(&values) {
            if let Some(value) = value
                && successor.embeds(value, &self.options.semantic)
                && let Ok(text) = str::from_utf8(value)
            {
                objects.push(object);
                texts.push(text);
            }
        }
        if texts.is_empty() {
            return Ok(0);
        }
        let Some(embeddings) = successor.embed(self, namespace, &texts)? else {
            return Ok(0);
        };
        let rows: Vec<_> = objects.into_iter().zip(embeddings.rows()).collect();
        let at_once = match successor.index() {
            Some(_) => LINKED_AT_ONCE,
            None => OBJECTS_AT_ONCE,
        };
        let mut written = 0;
        for part in rows.chunks(at_once) {
            written += Self::patiently(|| self.write_vectors(installed, part))?;
        }
        successor.check_followed()?;
        Ok(written)
    }

    /// Gives vectors to the objects that are still there, in one write. Returns their number.
    fn write_vectors(&self, installed: &Installed, rows: &[(&Lacking, &[f32])]) -> Result<u64> {
        let (namespace, successor) = (&*installed.namespace, &installed.successor);
        // No key is involved: any one stripe keeps away whoever holds all of them.
        let mut keys = self.key_locks.lock(smallvec![0])?;
        let stripes = rows.iter().map(|(object, _)| digest_stripe(&object.digest));
        let mut digests = self.digest_locks.lock(stripes.collect())?;
        let names: Vec<_> = rows
            .iter()
            .map(|(object, _)| numbered_key(namespace.id, object.id))
            .collect();
        let metas = self.db.multi_get(OBJECT_META, &names)?;
        let mut mutation = Mutation::new(self, namespace);
        let mut written = 0;
        for ((object, vector), meta) in rows.iter().zip(metas) {
            let meta = meta.map(|meta| ObjectMeta::decode(&meta)).transpose()?;
            if meta.is_some_and(|meta| !meta.vectors.has(successor.slot())) {
                mutation.visit_object(object.id)?;
                mutation.set_next_vector(object.id, successor, vector.to_vec())?;
                written += 1;
            }
        }
        mutation.commit(&mut keys, &mut digests, false, None)?;
        Ok(written)
    }
}
