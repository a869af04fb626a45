//! Building indexes anew, and embedding all texts by another model. Both take long, so they work page by page and keep
//! nobody from closing the store in between.

use super::Store;
use crate::error::{Error, Result};
use crate::semantic::{Installed, Job, Progress};
use prestige_embed::Embedder;
use std::sync::Arc;

/// Rounds of catching up with puts before these bring both vectors.
const ROUNDS: usize = 2;

/// How far a call is.
struct Steps<'a, 'b> {
    done: u64,
    total: u64,
    progress: &'a mut Progress<'b>,
}

impl Steps<'_, '_> {
    fn add(&mut self, done: u64) -> Result<()> {
        self.done += done;
        // What is put meanwhile was not known at the beginning.
        self.total = self.total.max(self.done);
        (self.progress)(self.done, self.total)
    }

    fn end(mut self) -> Result<()> {
        let left = self.total.saturating_sub(self.done);
        if left == 0 { Ok(()) } else { self.add(left) }
    }
}

impl Store {
    /// Builds the vector index of this namespace anew from its vectors, and writes a checkpoint of it. Returns the number
    /// of vectors; 0 in exact mode.
    ///
    /// Puts and searches go on meanwhile, with the index in use, so both are in memory for a while. `progress` is called
    /// after every few hundred vectors, without any lock, with those linked and those there are; an error of its ends the
    /// call. Until the new index is complete nothing has changed, whatever ends the call, a crash included.
    ///
    /// # Errors
    /// [`Error::Busy`] if another call builds this index; [`Error::Closed`] if the store is closed meanwhile;
    /// [`Error::ReadOnly`]; [`Error::TimedOut`]; what `progress` returns.
    pub fn rebuild_index(&self, progress: &mut Progress<'_>) -> Result<u64> {
        let (installed, total) = {
            let engine = self.writer()?;
            let namespace = self.namespace_of(&engine)?;
            let Some(installed) = engine.begin_rebuild(&namespace)? else {
                return Ok(0);
            };
            let stage = namespace.loaded_semantic();
            (installed, stage.map_or(0, |stage| stage.vectors()))
        };
        let done = 0;
        let mut steps = Steps {
            done,
            total,
            progress,
        };
        self.link_all(&installed, &mut steps)?;
        steps.end()?;
        self.writer()?.end_rebuild(&installed)
    }

    /// Embeds every text of the store by another model, and makes it the model of the store. Returns the number of texts
    /// embedded. The caches of the store have models of their own and stay as they are.
    ///
    /// Puts and searches go on meanwhile by the old model and its index; at the end, puts embed their texts with both for a
    /// moment. One write makes the switch for all namespaces: vectors, dimension, fingerprint and index. From then on the
    /// store is opened with the new model. What has merged stays merged, and what has not stays apart: texts are compared
    /// when they are put.
    ///
    /// Both indexes are in memory for a while, both sets of vectors on the disk. `progress` is called after every few
    /// hundred steps, without any lock, with the steps done and those there are: one for each value looked at, and one for
    /// each vector linked. If anything ends the call before the switch, an error of `progress` or a crash, the store works
    /// with the old model as before, and the next call with the same model goes on from there; one with another model
    /// begins anew, and one with the model of the store gives up what was begun.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] in exact mode and on a view; [`Error::Busy`] if another call does this, or rebuilds an
    /// index; [`Error::Closed`] if the store is closed meanwhile; [`Error::Model`] and [`Error::Callback`] if the new model
    /// fails; [`Error::ReadOnly`]; [`Error::TimedOut`]; [`Error::Io`]; what `progress` returns.
    pub fn reembed(&self, embedder: Arc<dyn Embedder>, progress: &mut Progress<'_>) -> Result<u64> {
        self.reembed_by(|| Ok(embedder), progress)
    }

    /// As [`Store::reembed`], by the model that `load` gives. It is called once nothing but the model is a reason to refuse
    /// the call, without any lock.
    ///
    /// # Errors
    /// As [`Store::reembed`], and those of `load`.
    pub fn reembed_by(
        &self,
        load: impl FnOnce() -> Result<Arc<dyn Embedder>>,
        progress: &mut Progress<'_>,
    ) -> Result<u64> {
        self.check_reembed()?;
        let claim = self.writer()?.wait_for_claim()?;
        let mut job = Job::new(claim, load()?);
        if self.writer()?.has_leftovers(&job)? {
            self.remove_left_behind()?;
        }
        let mut steps = Steps {
            done: 0,
            total: 0,
            progress,
        };
        let mut embedded = 0;
        let mut rounds = 0;
        loop {
            self.embed_all(&mut job, &mut steps, &mut embedded)?;
            if job.installed.is_empty() {
                // It is the model of the store already.
                return Ok(0);
            }
            if self.writer()?.switch_model(&job)? {
                break;
            }
            rounds += 1;
            if rounds >= ROUNDS {
                job.embed_puts();
            }
        }
        self.writer()?.checkpoint_new_indexes(&job)?;
        self.remove_left_behind()?;
        steps.end()?;
        Ok(embedded)
    }

    /// Refuses what [`Store::reembed`] refuses of this store, whatever the model. Never waits.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] in exact mode and on a view; as [`Store::check_writable`].
    pub fn check_reembed(&self) -> Result<()> {
        if let Some(view) = &self.view {
            return Err(Error::InvalidArgument(format!(
                "a store has one model for all its namespaces: call reembed on the store, not on a view of its namespace \
                 {:?}",
                view.name
            )));
        }
        self.writer()?.check_has_model()
    }

    /// Embeds what has no vector of the new model yet, and links what is not in its index.
    fn embed_all(
        &self,
        job: &mut Job,
        steps: &mut Steps<'_, '_>,
        embedded: &mut u64,
    ) -> Result<()> {
        let new = self.writer()?.prepare_namespaces(job)?;
        let new = job.installed.get(new).unwrap_or_default();
        steps.total += new.iter().map(Installed::steps).sum::<u64>();
        for installed in new {
            let Some(last) = self.writer()?.last_to_embed(installed)? else {
                continue;
            };
            let mut after = None;
            while let Some(page) = self.unless_dropped(installed, |engine| {
                engine.embed_page(installed, after, last, embedded)
            })? {
                after = Some(page.last);
                steps.add(page.looked_at)?;
            }
        }
        for installed in &job.installed {
            if self.writer()?.begin_index(installed)? {
                self.link_all(installed, steps)?;
            }
            let unseen = installed.take_unseen();
            for part in unseen.chunks(64) {
                let ended = self.unless_dropped(installed, |engine| {
                    engine.embed_unseen(installed, part).map(Some)
                })?;
                *embedded += ended.unwrap_or(0);
                steps.add(0)?;
            }
        }
        Ok(())
    }

    /// Links all vectors into an index in the making.
    fn link_all(&self, installed: &Installed, steps: &mut Steps<'_, '_>) -> Result<()> {
        let Some(last) = self.writer()?.last_to_link(installed)? else {
            return Ok(());
        };
        let mut after = None;
        while let Some(page) =
            self.unless_dropped(installed, |engine| engine.link_page(installed, after, last))?
        {
            after = Some(page.last);
            steps.add(page.looked_at)?;
        }
        Ok(())
    }

    fn remove_left_behind(&self) -> Result<()> {
        let namespaces = self.writer()?.namespaces.all();
        for namespace in namespaces {
            let mut after = None;
            while let Some(last) = self.writer()?.remove_other_vectors(&namespace, after)? {
                after = Some(last);
            }
        }
        self.writer()?.end_leftovers()
    }

    /// What `work` gives for a namespace; nothing if that was dropped meanwhile.
    fn unless_dropped<T>(
        &self,
        installed: &Installed,
        work: impl FnOnce(&crate::engine::Engine) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let engine = self.writer()?;
        match work(&engine) {
            Err(_) if installed.namespace.check_exists().is_err() => Ok(None),
            ended => ended,
        }
    }
}
