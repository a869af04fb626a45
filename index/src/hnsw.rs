//! The graph. The only module that touches usearch, and the list of what it must be protected from.
//!
//! Facts about usearch 2.26 that shape this file (read in its headers, some also in its issue
//! tracker):
//!
//! - A search reads neighbour lists without locks, so it must not overlap an add. Two overlapping
//!   adds may leave a vector that no search reaches. Hence adds take `&mut self`, searches `&self`,
//!   and Rust keeps them apart.
//! - It can remove, but reuses the slot of a removed vector for the next add and thereby cuts the
//!   paths that led through it; recall then decays with every replacement. Hence nothing is ever
//!   removed from the graph: a removed vector stays as a signpost, its slot is marked dead, and
//!   searches pass it over. `growth` builds a new graph when the dead outnumber the living.
//! - Many equal vectors (long texts that a model cuts off after the same beginning) link to each
//!   other only and become islands that no path leads to. Hence equal vectors share one slot: see
//!   `slots`.
//! - It has no listing of its keys. Hence its keys are our slot numbers, counted from 0, and
//!   `slots` says whose vector a slot holds. That also lets an id return after its removal.
//! - It refuses a search when all reserved thread contexts are in use: see `gate`.
//! - An add beyond the reserved capacity fails, and reserving must not overlap anything: `&mut
//!   self` again.
//! - Converting f32 to i8 itself, it uses one scale for all vectors and drops most of the
//!   precision: see [`to_i8`].
//! - Loading bytes it did not write may crash: callers verify the whole file first.

mod search;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::mem::size_of;

use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use crate::error::IndexError;
use crate::gate::Gate;
use crate::parameters::IndexParameters;
use crate::precision::Precision;
use crate::slots::Slots;
use crate::vector::{round_to_half, to_i8, to_unit};

/// Searches that may run at once in one graph. usearch sets aside about 16 KiB of locks for each.
const SEARCHERS: usize = 32;
/// Slots reserved for an empty graph.
const MIN_CAPACITY: usize = 64;
/// An HNSW graph over unit vectors, by id.
pub struct Hnsw {
    graph: Index,
    gate: Gate,
    dimension: usize,
    precision: Precision,
    capacity: usize,
    /// Its slot numbers are usearch's keys.
    slots: Slots,
    /// The slot of a vector, dead or alive, by the hash of its values.
    by_content: HashMap<u64, usize>,
}

impl Hnsw {
    /// An empty graph with room for `capacity` vectors; it grows on demand.
    ///
    /// # Errors
    ///
    /// [`IndexError::Graph`] when memory is short.
    pub fn new(parameters: &IndexParameters, capacity: usize) -> Result<Self, IndexError> {
        let options = IndexOptions {
            dimensions: parameters.dimension,
            metric: MetricKind::Cos,
            quantization: scalar_kind(parameters.precision),
            connectivity: parameters.connectivity,
            expansion_add: parameters.expansion_add,
            expansion_search: parameters.expansion_search,
            multi: false,
        };
        let graph = Index::new(&options).map_err(|error| refused("be created", &error))?;
        let mut hnsw = Self {
            graph,
            gate: Gate::new(SEARCHERS),
            dimension: parameters.dimension,
            precision: parameters.precision,
            capacity: 0,
            slots: Slots::default(),
            by_content: HashMap::new(),
        };
        hnsw.reserve(capacity.max(MIN_CAPACITY))?;
        Ok(hnsw)
    }

    /// Reads a graph that [`save`](Self::save) wrote, with the slots that were saved beside it.
    /// The caller has verified the file's checksum and that `path` is the file.
    ///
    /// # Errors
    ///
    /// [`IndexError::Graph`] when usearch refuses the file, or what it holds is not what was
    /// described.
    pub fn load(
        parameters: &IndexParameters,
        path: &str,
        slots: Slots,
    ) -> Result<Self, IndexError> {
        let mut hnsw = Self::new(parameters, 0)?;
        hnsw.graph
            .load(path)
            .map_err(|error| refused("be loaded", &error))?;
        let graph = &hnsw.graph;
        if graph.dimensions() != parameters.dimension
            || graph.connectivity() != parameters.connectivity
            || graph.scalar_kind() != scalar_kind(parameters.precision)
        {
            return Err(refused("be loaded", &"made with other parameters"));
        }
        // A slot that was used up for nothing has no vector.
        for slot in (0..slots.len()).filter(|slot| graph.contains(*slot as u64)) {
            let content = hash(&hnsw.raw_vector(slot)?);
            hnsw.by_content.insert(content, slot);
        }
        for (id, slot) in slots.by_id() {
            if !graph.contains(*slot as u64) {
                let reason = format!("the vector of id {id} is missing");
                return Err(refused("be loaded", &reason));
            }
        }
        hnsw.slots = slots;
        // A loaded graph has no free slots and has forgotten the reserved contexts.
        hnsw.reserve(hnsw.slots.len() + MIN_CAPACITY)?;
        Ok(hnsw)
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.slots.by_id().len()
    }

    /// Whether more slots are dead than alive.
    pub fn is_mostly_dead(&self) -> bool {
        self.slots.dead_count() > self.slots.len() / 2
    }

    pub fn contains(&self, id: u64) -> bool {
        self.slots.contains(id)
    }

    /// Ids in no order.
    pub fn ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.slots.by_id().keys().copied()
    }

    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Links a vector, as [`to_store`](crate::vector::to_store) makes it, into the graph. Returns
    /// whether it did: not when the id is present already.
    ///
    /// # Errors
    ///
    /// [`IndexError::Graph`] when memory is short; the graph is as before.
    pub fn add(&mut self, id: u64, vector: &[f32]) -> Result<bool, IndexError> {
        if self.contains(id) {
            return Ok(false);
        }
        let small = (self.precision == Precision::I8).then(|| to_i8(vector));
        let raw: Cow<'_, [f32]> = match &small {
            Some(small) => small.iter().copied().map(f32::from).collect(),
            None => vector.into(),
        };
        let content = hash(&raw);
        if let Some(slot) = self.by_content.get(&content)
            && self.raw_vector(*slot)? == *raw
        {
            self.slots.join(id, *slot);
            return Ok(true);
        }
        let slot = self.slots.len();
        if slot == self.capacity {
            self.reserve(slot + slot / 2)?;
        }
        let added = match &small {
            Some(small) => self.graph.add(slot as u64, small),
            None => self.graph.add(slot as u64, vector),
        };
        if let Err(error) = added {
            // Something may have been left under this key: it must not be used again.
            self.slots.push_dead(id);
            return Err(refused("add a vector", &error));
        }
        self.slots.push(id);
        self.by_content.insert(content, slot);
        Ok(true)
    }

    /// Removes an id; its vector is dead when nobody shares it. Returns whether it was there.
    pub fn remove(&mut self, id: u64) -> bool {
        self.slots.remove(id)
    }

    /// The vector of `id`, as [`to_store`](crate::vector::to_store) would have it.
    ///
    /// # Errors
    ///
    /// [`IndexError::Graph`] when usearch does not hand it out.
    pub fn get(&self, id: u64) -> Result<Option<Vec<f32>>, IndexError> {
        let Some(slot) = self.slots.by_id().get(&id) else {
            return Ok(None);
        };
        let mut vector = self.raw_vector(*slot)?;
        if self.precision == Precision::I8 {
            vector = to_unit(&vector, self.dimension)?;
            round_to_half(&mut vector);
        }
        Ok(Some(vector))
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        let stats = self.graph.memory_stats();
        let tapes = [
            (stats.graph_allocated, stats.graph_reserved),
            (stats.vectors_allocated, stats.vectors_reserved),
        ];
        let used = tapes
            .iter()
            .map(|(all, untouched)| all.saturating_sub(*untouched));
        // Per slot: usearch's pointers to node and vector and its entry of a hash table two thirds
        // full.
        let tables = self.capacity * (2 * size_of::<usize>() + 24)
            + self.by_content.capacity() * size_of::<(u64, usize)>()
            + self.slots.memory_bytes();
        used.sum::<usize>() + tables
    }

    /// Writes the graph to `path`, replacing what is there. Returns the bytes it should have.
    ///
    /// usearch does not report a failure of the last buffer; the caller compares the file's length.
    ///
    /// # Errors
    ///
    /// [`IndexError::Graph`] when the file cannot be written.
    pub fn save(&self, path: &str) -> Result<u64, IndexError> {
        self.graph
            .save(path)
            .map_err(|error| refused("be written", &error))?;
        Ok(self.graph.serialized_length() as u64)
    }

    fn reserve(&mut self, capacity: usize) -> Result<(), IndexError> {
        self.graph
            .reserve_capacity_and_threads(capacity, SEARCHERS)
            .map_err(|error| refused("grow", &error))?;
        self.capacity = capacity;
        Ok(())
    }

    /// The vector in a slot as it is stored; eight bits are integers from -127 to 127.
    fn raw_vector(&self, slot: usize) -> Result<Vec<f32>, IndexError> {
        let (copied, vector) = match self.precision {
            Precision::F32 | Precision::F16 => {
                let mut vector = vec![0.0_f32; self.dimension];
                (self.graph.get(slot as u64, &mut vector), vector)
            }
            Precision::I8 => {
                let mut small = vec![0_i8; self.dimension];
                let copied = self.graph.get(slot as u64, &mut small);
                (copied, small.into_iter().map(f32::from).collect())
            }
        };
        match copied {
            Ok(1) => Ok(vector),
            Ok(_) => Err(refused("hand out a vector", &"it is missing")),
            Err(error) => Err(refused("hand out a vector", &error)),
        }
    }
}

/// A hash of a vector's values, the same in every process.
fn hash(raw: &[f32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for value in raw {
        hasher.write_u32(value.to_bits());
    }
    hasher.finish()
}

const fn scalar_kind(precision: Precision) -> ScalarKind {
    match precision {
        Precision::F32 => ScalarKind::F32,
        Precision::F16 => ScalarKind::F16,
        Precision::I8 => ScalarKind::I8,
    }
}

fn refused(action: &'static str, message: &dyn fmt::Display) -> IndexError {
    IndexError::Graph {
        action,
        message: message.to_string(),
    }
}
