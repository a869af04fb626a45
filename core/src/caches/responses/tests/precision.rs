//! What an index of few bits hides must be found all the same.

use super::*;
use crate::VectorPrecision;
use crate::record::{decode_vector, encode_vector};
use crate::semantic::dot;
use prestige_index::{IndexParameters, VectorIndex};

const DIMENSION: usize = 48;
const ENTRIES: usize = 3000;

/// Unit vectors whose cosine similarity to the first axis spreads from 0.90 to 0.92.
fn vectors() -> Vec<Vec<f32>> {
    let mut state = 7_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 16_777_216.0 - 0.5
    };
    let one = |_| {
        let similarity = 0.91 + 0.02 * random();
        let mut vector: Vec<f32> = (0..DIMENSION).map(|_| random()).collect();
        vector[0] = 0.0;
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        let rest = (1.0 - similarity * similarity).sqrt();
        vector.iter_mut().for_each(|x| *x *= rest / length);
        vector[0] = similarity;
        vector
    };
    (0..ENTRIES).map(one).collect()
}

#[test]
fn an_entry_behind_expired_ones_is_found_although_eight_bits_make_it_less_similar() {
    let vectors = vectors();
    let mut query = vec![0.0; DIMENSION];
    query[0] = 1.0;
    let parameters = IndexParameters {
        precision: VectorPrecision::I8,
        exact_limit: 0,
        ..IndexParameters::new(DIMENSION)
    };
    let index = VectorIndex::new(parameters).unwrap();
    for (id, vector) in vectors.iter().enumerate() {
        index.add(id as u64, vector).unwrap();
    }
    let approximate = index.search(&query, ENTRIES).unwrap();
    // What a lookup scores: the vector as it is stored.
    let exact: Vec<f32> = vectors
        .iter()
        .map(|vector| {
            let stored = encode_vector(vector, VectorPrecision::I8);
            dot(&query, &decode_vector(&stored, DIMENSION).unwrap())
        })
        .collect();
    // The one that looks worst for what it is.
    let gap = |found: &prestige_index::Neighbour| exact[found.id as usize] - found.similarity;
    let worst = approximate.iter();
    let worst = worst
        .max_by(|one, other| gap(one).total_cmp(&gap(other)))
        .unwrap();
    let threshold = exact[worst.id as usize] - 1e-6;
    // Those that look better and not good enough, of which there are more than a lookup begins with.
    let before: Vec<_> = approximate
        .iter()
        .filter(|found| found.similarity > worst.similarity && found.similarity < threshold)
        .collect();
    assert!(before.len() > 40, "{}", before.len());

    let bench = bench_with(|options| options.semantic.vector_precision = VectorPrecision::I8);
    let put = |id: u64, ttl_seconds| {
        let (query, response) = (format!("query {id}"), text("response"));
        let put = Put {
            ttl_seconds: Some(ttl_seconds),
            embedding: Some(&vectors[id as usize]),
            ..Put::new(&query, &response)
        };
        bench.cache.put(&scope("s"), &put, &bench.source).unwrap();
    };
    put(worst.id, 0);
    before.iter().for_each(|found| put(found.id, 10));
    let engine = bench.store.engine().unwrap();
    let namespace = engine.namespaces.all().pop().unwrap();
    crate::semantic::rebuild_as_graph(&engine, &namespace);
    bench.clock.advance_seconds(11);
    let lookup = Lookup {
        threshold: Some(f64::from(threshold)),
        embedding: Some(&query),
    };
    let hit = bench
        .cache
        .get(&scope("s"), "q", lookup, &bench.source)
        .unwrap();
    assert_eq!(hit.unwrap().query, format!("query {}", worst.id));
}
