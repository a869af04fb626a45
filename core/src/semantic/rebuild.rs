//! Building the index of a namespace anew from its vectors, beside the one in use.

use super::successor::{Installed, Successor, link};
use super::{Semantic, recover};
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::mutation::KeyGuards;
use crate::record::decode_vector;
use crate::schema::{namespace_end, numbered_key, split_number};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Told, by calls that take long, how many steps are done and how many there are. An error ends the call.
pub type Progress<'a> = dyn FnMut(u64, u64) -> Result<()> + 'a;

/// Vectors linked between two looks at whether the call is to end.
const PAGE: usize = 256;
/// How often a lock that is not free in time is waited for again, by calls that take long.
const PATIENCE: usize = 10;

/// What was done of a scan.
pub(crate) struct Page {
    /// The last object it has looked at.
    pub last: u64,
    /// How many.
    pub looked_at: u64,
}

impl Engine {
    /// Does what may time out again and again: calls that take minutes should not fail for want of some seconds.
    pub(super) fn patiently<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        for _ in 1..PATIENCE {
            match attempt() {
                Err(Error::TimedOut(_)) => {}
                ended => return ended,
            }
        }
        attempt()
    }

    /// Every key stripe: nobody writes while they are held.
    pub(super) fn stop_writers(&self) -> Result<KeyGuards<'_>> {
        Self::patiently(|| self.key_locks.lock_all())
    }

    /// Begins an index of the vectors in use; `None` if the namespace has none.
    pub(crate) fn begin_rebuild(&self, namespace: &Arc<Namespace>) -> Result<Option<Installed>> {
        if namespace.semantic(self)?.is_none() {
            return Ok(None);
        }
        let _nobody_writes = self.stop_writers()?;
        namespace.check_exists()?;
        let Some(stage) = namespace.loaded_semantic() else {
            return Ok(None);
        };
        let installed = Installed::new(namespace, Successor::new(stage.model.clone(), None))?;
        let parameters = recover::parameters(stage.dimension(), &self.options);
        installed.successor.begin_index(parameters)?;
        Ok(Some(installed))
    }

    /// The last object that `family` has of the namespace, and so the last that a scan has to look at: of those that come
    /// later the successor is told. Otherwise there would be no end to it while others put.
    pub(crate) fn last_of(&self, installed: &Installed, family: &str) -> Result<Option<u64>> {
        let id = installed.namespace.id;
        let last = self
            .db
            .last_key(family, &numbered_key(id, 0), &namespace_end(id))?;
        last.map(|key| Ok(split_number(family, &key)?.0))
            .transpose()
    }

    /// The last vector that is to be linked.
    pub(crate) fn last_to_link(&self, installed: &Installed) -> Result<Option<u64>> {
        self.last_of(installed, installed.successor.slot().family())
    }

    /// Links the vectors of the objects in `after..=last` into the index in the making, some of them; `None`: there are no
    /// more.
    pub(crate) fn link_page(
        &self,
        installed: &Installed,
        after: Option<u64>,
        last: u64,
    ) -> Result<Option<Page>> {
        let (namespace, successor) = (&installed.namespace, &installed.successor);
        let Some(index) = successor.index() else {
            return Ok(None);
        };
        namespace.check_exists()?;
        let family = successor.slot().family();
        let first = after.map_or(0, |after| after.saturating_add(1));
        let mut vectors = Vec::with_capacity(PAGE);
        self.db.scan(
            family,
            &numbered_key(namespace.id, first),
            &numbered_key(namespace.id, last.saturating_add(1)),
            None,
            |key, encoded| {
                let (id, _) = split_number(family, key)?;
                vectors.push((id, decode_vector(encoded, successor.model.dimension)?));
                Ok(if vectors.len() < PAGE {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                })
            },
        )?;
        let Some((last, _)) = vectors.last() else {
            return Ok(None);
        };
        for (id, vector) in &vectors {
            link(index, *id, vector)?;
        }
        // Whoever removes one writes first and then tells the index. So a vector that was removed since it was read is
        // either seen to be gone now, or the index is told of it after it was linked.
        let names: Vec<_> = vectors
            .iter()
            .map(|(id, _)| numbered_key(namespace.id, *id))
            .collect();
        for ((id, _), found) in vectors.iter().zip(self.db.multi_get(family, &names)?) {
            if found.is_none() {
                index.remove(*id)?;
            }
        }
        successor.check_followed()?;
        Ok(Some(Page {
            last: *last,
            looked_at: vectors.len() as u64,
        }))
    }

    /// Puts the index in use, all of whose vectors are linked. Returns their number.
    pub(crate) fn end_rebuild(&self, installed: &Installed) -> Result<u64> {
        let (namespace, successor) = (&installed.namespace, &installed.successor);
        let former;
        {
            let _nobody_writes = self.stop_writers()?;
            namespace.check_exists()?;
            successor.check_followed()?;
            let Some(stage) = namespace.loaded_semantic() else {
                return Ok(0);
            };
            former = namespace.succeed(stage.succeeded_by(successor));
        }
        // Freed without a lock: a large graph takes a while.
        drop(former);
        self.checkpoint_successor(namespace)?;
        let stage = namespace.loaded_semantic();
        Ok(stage.map_or(0, |stage| stage.index.len() as u64))
    }

    /// Writes the first checkpoint of a stage that has taken the place of another.
    pub(super) fn checkpoint_successor(&self, namespace: &Namespace) -> Result<()> {
        match namespace.loaded_semantic() {
            Some(stage) if stage.needs_checkpoint(namespace) => stage.checkpoint(self, namespace),
            _ => Ok(()),
        }
    }
}

impl Semantic {
    /// The number of vectors that an index built anew will hold, about.
    pub(crate) fn vectors(&self) -> u64 {
        self.index.len() as u64
    }
}

/// Builds the index of a namespace anew as a graph, however few vectors there are.
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "for tests")]
pub(crate) fn rebuild_as_graph(engine: &Engine, namespace: &Arc<Namespace>) {
    let stage = namespace.semantic(engine).unwrap().unwrap();
    let installed = {
        let _nobody_writes = engine.stop_writers().unwrap();
        let successor = Successor::new(stage.model.clone(), None);
        let parameters = prestige_index::IndexParameters {
            exact_limit: 0,
            ..recover::parameters(stage.dimension(), &engine.options)
        };
        successor.begin_index(parameters).unwrap();
        Installed::new(namespace, successor).unwrap()
    };
    let last = engine.last_to_link(&installed).unwrap().unwrap();
    let mut after = None;
    while let Some(page) = engine.link_page(&installed, after, last).unwrap() {
        after = Some(page.last);
    }
    engine.end_rebuild(&installed).unwrap();
    assert!(namespace.loaded_semantic().unwrap().index.is_graph());
}

#[cfg(test)]
mod tests;
