//! One round of a put under its locks: find or make the object of every value, then write.

use super::gather::Gathered;
use super::prepare::Prepared;
use super::{Dedup, PutOutcome};
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::locks::{StripeNumbers, digest_stripe, key_stripe};
use crate::mutation::{DigestGuards, KeyGuards, Mutation};
use crate::record::KeyRecord;
use crate::semantic::{Decided, Decision, Merge, NewText, SemanticGuard};
use crate::store::condition::{self, Condition};
use smallvec::SmallVec;
use std::collections::HashSet;

/// How one round of [`Engine::try_put`] ended.
pub(super) enum Attempt {
    Done(Done),
    /// These digests turned out to be unknown: embed them and come back.
    NeedVectors(HashSet<Digest>),
    /// A value merges with an object whose stripe was taken: come back holding it.
    NeedStripe(usize),
    /// The values of these digests merge if the verifier agrees: ask and come back.
    NeedVerdicts(Vec<(Digest, Merge)>),
    /// Another stage has taken the place of the one that the vectors are of: begin anew.
    OtherStage,
}

/// What a put has done, and how similar the nearest texts were of which it decided.
pub(super) struct Done {
    pub outcomes: Vec<PutOutcome>,
    pub similarities: SmallVec<[f32; 1]>,
}

/// The keys of a put, locked, and their records.
pub(super) struct LockedKeys<'a> {
    guards: KeyGuards<'a>,
    records: SmallVec<[Option<KeyRecord>; 1]>,
}

/// What a round holds besides the keys, and has seen.
struct Round<'a> {
    digests: DigestGuards<'a>,
    /// Taken with the first vector that is compared.
    semantic: Option<SemanticGuard<'a>>,
    similarities: SmallVec<[f32; 1]>,
}

/// Where a value is.
enum Place {
    Object(u64, Dedup),
    NeedVector,
    NeedVerdict(Merge),
    NeedStripe(usize),
}

impl Engine {
    pub(super) fn lock_keys<'k>(
        &self,
        namespace: &Namespace,
        keys: impl ExactSizeIterator<Item = &'k [u8]> + Clone,
    ) -> Result<LockedKeys<'_>> {
        let stripes = keys.clone().map(|key| key_stripe(namespace.id, key));
        let guards = self.key_locks.lock(stripes.collect())?;
        let records = self.key_records(namespace, keys)?;
        Ok(LockedKeys { guards, records })
    }

    /// Puts `prepared`, unless something is missing for it: then nothing has changed. `locked`: the keys, if they are
    /// locked already.
    pub(super) fn try_put<'s>(
        &'s self,
        namespace: &Namespace,
        prepared: &[Prepared<'_>],
        conditions: &[Condition<'_>],
        gathered: &Gathered,
        locked: Option<LockedKeys<'s>>,
    ) -> Result<Attempt> {
        let LockedKeys {
            guards: mut keys,
            records: olds,
        } = match locked {
            Some(locked) => locked,
            None => self.lock_keys(namespace, prepared.iter().map(|entry| entry.key))?,
        };
        if !namespace.has_stage(gathered.stage.as_ref()) {
            return Ok(Attempt::OtherStage);
        }
        let next = gathered.next_of(namespace);
        let mut digest_stripes = StripeNumbers::from_slice(&gathered.stripes);
        digest_stripes.extend(prepared.iter().map(|entry| digest_stripe(&entry.digest)));
        let mut absent = SmallVec::<[bool; 1]>::with_capacity(olds.len());
        for old in &olds {
            let mut current = None;
            if let Some(old) = old {
                // The digest of an object never changes, and this one cannot go while the key is locked.
                let digest = self.object_meta(namespace, old.object_id)?.digest;
                digest_stripes.push(digest_stripe(&digest));
                current = (!self.is_expired(old)).then_some(digest);
            }
            condition::check(conditions, current.as_ref())?;
            absent.push(current.is_none());
        }
        let mut round = Round {
            digests: self.digest_locks.lock(digest_stripes)?,
            semantic: None,
            similarities: SmallVec::new(),
        };

        let bytes = prepared.iter().map(Prepared::bytes_written).sum();
        let mut mutation = Mutation::with_capacity(self, namespace, bytes, prepared.len());
        let stored = prepared.iter().map(|entry| &entry.digest);
        let stored = mutation.stored_objects(&mut round.digests, stored)?;
        let mut outcomes = Vec::with_capacity(prepared.len());
        let mut need_vectors = HashSet::new();
        let mut need_verdicts = Vec::new();
        let found = olds.iter().zip(absent).zip(stored);
        for (entry, ((old, created), stored)) in prepared.iter().zip(found) {
            let now_us = self.now_us();
            let known = mutation.created_object(&entry.digest).or(stored);
            let place = match known {
                Some(id) => Place::Object(id, Dedup::Identical),
                None => self.place(
                    namespace,
                    entry,
                    now_us,
                    gathered,
                    &mut mutation,
                    &mut round,
                )?,
            };
            let (object_id, dedup) = match place {
                Place::Object(id, dedup) => (id, dedup),
                // The others are looked at all the same, to embed all at once, or else to ask of all at once.
                Place::NeedVector => {
                    need_vectors.insert(entry.digest);
                    continue;
                }
                Place::NeedVerdict(merge) => {
                    need_verdicts.push((entry.digest, merge));
                    continue;
                }
                Place::NeedStripe(stripe) => return Ok(Attempt::NeedStripe(stripe)),
            };
            let record = KeyRecord {
                object_id,
                created_us: entry.created_us.unwrap_or(now_us),
                expires_us: entry.expires_us,
                accessed_us: now_us,
            };
            mutation.put_key(entry.key, old.as_ref(), &record)?;
            if let Some(metadata) = entry.metadata {
                mutation.add_metadata(object_id, metadata)?;
            }
            if let Some((successor, next_vectors)) = next
                && dedup == Dedup::New
                && let Some(vector) = next_vectors.get(&entry.digest)
            {
                mutation.set_next_vector(object_id, successor, vector.clone())?;
            }
            let digest = match dedup {
                Dedup::Similar(_) => mutation.digest_of(object_id)?,
                Dedup::New | Dedup::Identical => entry.digest,
            };
            outcomes.push(PutOutcome {
                object_id,
                digest,
                created,
                dedup,
            });
        }
        if !need_vectors.is_empty() {
            return Ok(Attempt::NeedVectors(need_vectors));
        }
        if !need_verdicts.is_empty() {
            return Ok(Attempt::NeedVerdicts(need_verdicts));
        }
        let Round {
            mut digests,
            semantic,
            similarities,
        } = round;
        mutation.commit(&mut keys, &mut digests, self.options.enable_gc, semantic)?;
        Ok(Attempt::Done(Done {
            outcomes,
            similarities,
        }))
    }

    /// The object for a value that is not stored: one of the same meaning, or a new one.
    fn place<'m>(
        &'m self,
        namespace: &'m Namespace,
        entry: &'m Prepared<'_>,
        now_us: u64,
        gathered: &'m Gathered,
        mutation: &mut Mutation<'m>,
        round: &mut Round<'m>,
    ) -> Result<Place> {
        let options = &self.options.semantic;
        let vector = gathered.vectors.get(&entry.digest);
        let stage = gathered.stage.as_ref().filter(|stage| {
            stage.has_room(options) && (vector.is_some() || stage.embeds(&entry.value, options))
        });
        let create = |mutation: &mut Mutation<'m>, vector| {
            let id = mutation.create_object(entry.digest, entry.new_value(), vector, now_us)?;
            Ok(Place::Object(id, Dedup::New))
        };
        let Some(stage) = stage else {
            return create(mutation, None);
        };
        let Some(vector) = vector else {
            return Ok(Place::NeedVector);
        };
        if round.semantic.is_none() {
            round.semantic = Some(stage.lock()?);
        }
        // The last place may have been taken since it was asked for.
        if !stage.has_room_beside(options, || mutation.created_vectors().len()) {
            return create(mutation, None);
        }
        let (ahead, verdicts) = (&gathered.ahead, &gathered.verdicts);
        let new = NewText {
            digest: &entry.digest,
            vector,
            ahead,
        };
        let Decided {
            decision,
            similarity,
        } = stage.decide(self, namespace, &new, mutation, verdicts)?;
        round.similarities.extend(similarity);
        match decision {
            Decision::New => {
                let row = ahead.pairs.row(&entry.digest);
                create(mutation, Some((vector.to_vec(), row)))
            }
            Decision::Ask(merge) => Ok(Place::NeedVerdict(merge)),
            Decision::Merge(Merge { near, digest }) => {
                let stripe = digest_stripe(&digest);
                // Trying to lock never waits, so it cannot close a circle although it comes after the semantic lock.
                if !near.created_here && !self.digest_locks.extend(&mut round.digests, stripe) {
                    return Ok(Place::NeedStripe(stripe));
                }
                let dedup = Dedup::Similar(near.similarity);
                Ok(Place::Object(near.object_id, dedup))
            }
        }
    }
}
