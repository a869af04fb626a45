//! What the tests share: reproducible vectors, and a model that is too simple to be wrong.
#![allow(dead_code, reason = "each test file uses its own share")]

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use half::f16;
use prestige_index::{IndexParameters, Neighbour, Precision, VectorIndex};

/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f32 {
        let uniform = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let (first, second) = (uniform(self.next()), uniform(self.next()));
        ((-2.0 * first.ln()).sqrt() * (std::f64::consts::TAU * second).cos()) as f32
    }

    /// A direction, all equally likely.
    pub fn vector(&mut self, dimension: usize) -> Vec<f32> {
        (0..dimension).map(|_| self.normal()).collect()
    }
}

/// `count` vectors around `clusters` centres, at about `spread` times the centre's length from it.
pub fn clustered(
    count: usize,
    dimension: usize,
    clusters: usize,
    spread: f32,
    seed: u64,
) -> Vec<Vec<f32>> {
    let mut random = Random(99);
    let centres: Vec<_> = (0..clusters).map(|_| random.vector(dimension)).collect();
    let mut random = Random(seed);
    (0..count)
        .map(|_| {
            let centre = &centres[random.below(clusters as u64) as usize];
            centre
                .iter()
                .map(|value| value + spread * random.normal())
                .collect()
        })
        .collect()
}

/// Vectors by id, compared one by one in f64.
#[derive(Clone)]
pub struct Model {
    pub precision: Precision,
    pub vectors: BTreeMap<u64, Vec<f64>>,
}

impl Model {
    pub fn new(parameters: &IndexParameters) -> Self {
        Self {
            precision: parameters.precision,
            vectors: BTreeMap::new(),
        }
    }

    /// Returns whether the id was new.
    pub fn add(&mut self, id: u64, vector: &[f32]) -> bool {
        if self.vectors.contains_key(&id) {
            return false;
        }
        let exact = unit(vector.iter().copied().map(f64::from));
        let stored = exact.into_iter().map(|value| match self.precision {
            Precision::F32 => value,
            Precision::F16 | Precision::I8 => f16::from_f64(value).to_f64(),
        });
        self.vectors.insert(id, unit(stored));
        true
    }

    pub fn ids(&self) -> Vec<u64> {
        self.vectors.keys().copied().collect()
    }

    pub fn similarity(&self, id: u64, query: &[f32]) -> f64 {
        let query = unit(query.iter().copied().map(f64::from));
        self.vectors[&id]
            .iter()
            .zip(query)
            .map(|(left, right)| left * right)
            .sum()
    }

    /// The best `k`: id and similarity.
    pub fn search(&self, query: &[f32], k: usize) -> Vec<(u64, f64)> {
        let mut all: Vec<_> = self
            .vectors
            .keys()
            .map(|id| (*id, self.similarity(*id, query)))
            .collect();
        all.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        all.truncate(k);
        all
    }

    /// Whatever the form: as many as there are, each once, none removed, in order, similarities
    /// within `tolerance`. Returns how many of the best `k` were found, counting one that is as
    /// similar as the last of them.
    pub fn check(&self, query: &[f32], k: usize, found: &[Neighbour], tolerance: f64) -> usize {
        let best = self.search(query, k);
        assert_eq!(
            found.len(),
            best.len(),
            "asked for {k} of {}",
            self.vectors.len()
        );
        let distinct: HashSet<u64> = found.iter().map(|found| found.id).collect();
        assert_eq!(
            distinct.len(),
            found.len(),
            "an id was found twice: {found:?}"
        );
        for pair in found.windows(2) {
            let order = (-pair[0].similarity, pair[0].id) < (-pair[1].similarity, pair[1].id);
            assert!(order, "out of order: {pair:?}");
        }
        for found in found {
            assert!(
                self.vectors.contains_key(&found.id),
                "{} is not in the set",
                found.id
            );
            let expected = self.similarity(found.id, query).clamp(-1.0, 1.0);
            let difference = (f64::from(found.similarity) - expected).abs();
            assert!(difference <= tolerance, "{found:?}, expected {expected}");
        }
        let Some((_, worst)) = best.last() else {
            return 0;
        };
        let enough = worst - tolerance.min(1e-5);
        found
            .iter()
            .filter(|found| self.similarity(found.id, query) >= enough)
            .count()
    }
}

fn unit(vector: impl Iterator<Item = f64>) -> Vec<f64> {
    let vector: Vec<f64> = vector.collect();
    let norm = vector.iter().map(|value| value.powi(2)).sum::<f64>().sqrt();
    vector.into_iter().map(|value| value / norm).collect()
}

/// How far similarities of a graph may be off.
pub fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-5,
        Precision::F16 => 5e-4,
        Precision::I8 => 2e-2,
    }
}

/// Bytes of the footer of a checkpoint file.
pub const FOOTER: usize = 64;

/// Parameters of an exact scan and of a graph, for vectors of 10.
pub fn both_forms() -> [IndexParameters; 2] {
    let exact = IndexParameters::new(10);
    [
        exact,
        IndexParameters {
            exact_limit: 0,
            ..exact
        },
    ]
}

/// Ids 1,000 to 1,059, of which three have been removed again, and three that have the same vector
/// as 1,001.
pub fn sixty(parameters: IndexParameters) -> VectorIndex {
    let index = VectorIndex::new(parameters).unwrap();
    let vectors = clustered(60, parameters.dimension, 5, 0.5, 1);
    for (id, vector) in vectors.iter().enumerate() {
        index.add(1_000 + id as u64, vector).unwrap();
    }
    for id in [1_000, 1_007, 1_059] {
        index.remove(id).unwrap();
    }
    for id in [1_102, 1_101, 1_100] {
        index.add(id, &vectors[1]).unwrap();
    }
    index
}

/// Names of the files in a directory, sorted.
pub fn file_names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
