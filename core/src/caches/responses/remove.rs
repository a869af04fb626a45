//! Removing entries: whole scopes, or those that a caller describes.

use super::lookup::unless_damaged;
use super::{Entry, EntryMetadata, Scope, SemanticCache};
use crate::caches::CacheRecord;
use crate::clock::MICROS_PER_SECOND;
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::lifetime::Listed;
use crate::record::KeyRecord;
use crate::schema::{OBJECTS, namespace_end, numbered_key, user_key};
use crate::stats::Count;
use crate::store::remove::REMOVE_BATCH;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Keys that are looked at between two writes.
const PAGE: usize = 512;

/// Which scopes.
#[derive(Clone, Copy, Debug)]
pub enum Scopes<'a> {
    /// This one.
    One(&'a Scope),
    /// Every scope of the store.
    All,
}

impl SemanticCache {
    /// Removes the entries of `scopes` that have all the pairs of `metadata` and, given `older_than_seconds`, were put
    /// longer ago. Returns their number. Without either, whole scopes are removed, in one write each.
    ///
    /// # Errors
    /// As [`crate::Store::delete_many`]; what was removed before the error stays removed.
    pub fn invalidate(
        &self,
        scopes: Scopes<'_>,
        metadata: &EntryMetadata,
        older_than_seconds: Option<f64>,
    ) -> Result<u64> {
        let engine = self.store.writer()?;
        let before_us = older_than_seconds.map(|seconds| before(&engine, seconds));
        let mut removed = 0;
        for namespace in self.namespaces(&engine, scopes)? {
            let entries = if metadata.is_empty() && before_us.is_none() {
                drop_scope(&engine, &namespace)
            } else {
                remove_some(&engine, &namespace, metadata, before_us.unwrap_or(u64::MAX))
            };
            match entries {
                Ok(entries) => removed += entries,
                // Somebody else has dropped it meanwhile.
                Err(_) if namespace.check_exists().is_err() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    /// The scopes that have had an entry and were not removed since, and the number of their entries, without the expired
    /// ones.
    ///
    /// # Errors
    /// As [`crate::Store::count_keys`].
    pub fn scopes(&self) -> Result<Vec<(Scope, u64)>> {
        let engine = self.store.engine()?;
        let mut scopes = Vec::new();
        for namespace in self.namespaces(&engine, Scopes::All)? {
            if let Some(CacheRecord::Responses { scope }) = &namespace.cache
                && let Some(entries) = count(&engine, &namespace)?
            {
                scopes.push((Scope::of_json(scope.clone()), entries));
            }
        }
        Ok(scopes)
    }

    /// Number of entries, without those that have expired.
    ///
    /// # Errors
    /// As [`crate::Store::count_keys`].
    pub fn len(&self, scopes: Scopes<'_>) -> Result<u64> {
        let engine = self.store.engine()?;
        let mut entries = 0;
        for namespace in self.namespaces(&engine, scopes)? {
            entries += count(&engine, &namespace)?.unwrap_or(0);
        }
        Ok(entries)
    }

    fn namespaces(&self, engine: &Engine, scopes: Scopes<'_>) -> Result<Vec<Arc<Namespace>>> {
        match scopes {
            Scopes::One(scope) => Ok(self.namespace(engine, scope)?.into_iter().collect()),
            Scopes::All => {
                let mut found = engine.namespaces.all();
                found.retain(|namespace| {
                    matches!(namespace.cache, Some(CacheRecord::Responses { .. }))
                });
                Ok(found)
            }
        }
    }
}

/// Number of entries; `None`: the namespace was dropped since it was found.
pub(super) fn count(engine: &Engine, namespace: &Namespace) -> Result<Option<u64>> {
    match engine.count_keys(namespace, false) {
        Err(_) if namespace.check_exists().is_err() => Ok(None),
        ended => ended.map(Some),
    }
}

/// The moment `seconds` ago.
fn before(engine: &Engine, seconds: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the conversion saturates, which is what is wanted"
    )]
    let micros = (seconds * MICROS_PER_SECOND as f64) as u64;
    engine.now_us().saturating_sub(micros)
}

fn drop_scope(engine: &Engine, namespace: &Namespace) -> Result<u64> {
    let entries = engine.count_keys(namespace, false)?;
    match engine.drop_namespace(&namespace.name) {
        Err(Error::NotFound(_)) => Ok(0),
        ended => ended.map(|()| entries),
    }
}

/// Removes the live entries that were put before `before_us` and have all pairs of `metadata`.
fn remove_some(
    engine: &Engine,
    namespace: &Namespace,
    metadata: &EntryMetadata,
    before_us: u64,
) -> Result<u64> {
    let end = namespace_end(namespace.id);
    let mut next = user_key(namespace.id, b"");
    let mut removed = 0;
    loop {
        let (mut seen, mut last) = (0, None);
        let mut doomed = Vec::new();
        engine.scan_live(
            namespace,
            &next,
            &end,
            engine.now_us(),
            None,
            |key, record| {
                if record.created_us < before_us && has(engine, namespace, record, metadata)? {
                    doomed.push(Listed {
                        time_us: record.created_us,
                        key: key.to_vec(),
                    });
                }
                seen += 1;
                if seen < PAGE && doomed.len() < REMOVE_BATCH {
                    return Ok(ControlFlow::Continue(()));
                }
                last = Some(user_key(namespace.id, key));
                Ok(ControlFlow::Break(()))
            },
        )?;
        // One that was put anew since it was looked at stays.
        let unchanged = |record: &KeyRecord, created_us| record.created_us == created_us;
        let gc = engine.options.enable_gc;
        let part = engine.remove_keys(namespace, &doomed, gc, unchanged)?;
        namespace.stats.add(Count::Deletes, part.keys);
        removed += part.keys;
        match last {
            Some(mut last) => {
                last.push(0);
                next = last;
            }
            None => return Ok(removed),
        }
    }
}

fn has(
    engine: &Engine,
    namespace: &Namespace,
    record: &KeyRecord,
    metadata: &EntryMetadata,
) -> Result<bool> {
    if metadata.is_empty() {
        return Ok(true);
    }
    let name = numbered_key(namespace.id, record.object_id);
    let Some(value) = engine.db.get(OBJECTS, &name)? else {
        return Ok(false);
    };
    // What is damaged says nothing of its metadata, and stays until its scope goes or its query is put anew.
    let Some(entry) = unless_damaged(Entry::decode(&value).map(Some))? else {
        return Ok(false);
    };
    let found = |(name, text)| entry.metadata.get(name) == Some(text);
    Ok(metadata.iter().all(found))
}
