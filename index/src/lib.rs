//! Vectors in, nearest neighbours out: the vector index of Prestige.
//!
//! A [`VectorIndex`] maps `u64` ids to vectors of one fixed dimension and answers "which k of them
//! have the highest cosine similarity to this query". It knows nothing of texts, keys or RocksDB;
//! whoever owns the vectors can always rebuild it, so its file is a cache.
//!
//! Up to [`IndexParameters::exact_limit`] vectors it is a plain exact scan (fast to open, perfect
//! recall), above that an HNSW graph (Malkov and Yashunin, "Efficient and robust approximate
//! nearest neighbor search using Hierarchical Navigable Small World graphs", 2016) of the `usearch`
//! library.
//!
//! # Layout
//!
//! | module | one idea |
//! |---|---|
//! | `parameters`, `precision` | the options of an index, their ranges and defaults |
//! | `vector` | checks, unit length, rounding, dot product |
//! | `neighbour` | one result, and the order of results |
//! | `exact` | rows that are scanned: the small form, and what newcomers wait in |
//! | `hnsw` | the graph: the only module that touches usearch |
//! | `slots`, `gate` | whose vectors the graph holds; how many may search it at once |
//! | `form` | either of the two, behind one face |
//! | `growth` | building the next form bit by bit, beside the one in use |
//! | `buffer` | what changes while the main form is frozen |
//! | `index` | [`VectorIndex`]: locks, add, remove, search |
//! | `many` | many searches at once |
//! | `freeze` | [`Frozen`]: a set that stands still while it is written to a file |
//! | `checkpoint`, `footer`, `restore` | [`CheckpointFile`], the bytes of a file, reading it back |
//! | `temporary` | the atomic write |
//! | `error` | [`IndexError`] |
//!
//! # Example
//!
//! ```
//! use prestige_index::{IndexParameters, VectorIndex};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let parameters = IndexParameters::new(3);
//! let index = VectorIndex::new(parameters)?;
//! index.add(7, &[1.0, 0.0, 0.0])?;
//! index.add(8, &[0.6, 0.8, 0.0])?;
//!
//! let found = index.search(&[1.0, 0.0, 0.0], 1)?;
//! assert_eq!(found[0].id, 7);
//!
//! // A checkpoint: the set is marked, then written while others go on adding.
//! let directory = tempfile::tempdir()?;
//! let frozen = index.freeze()?;
//! let file = frozen.save(directory.path(), "vectors-1")?;
//! drop(frozen);
//! let loaded = VectorIndex::load(directory.path(), &file, parameters)?;
//! assert_eq!(loaded.ids(), [7, 8]);
//! # Ok(())
//! # }
//! ```

mod buffer;
mod checkpoint;
mod dot;
mod error;
mod exact;
mod footer;
mod form;
mod freeze;
mod gate;
mod growth;
mod hnsw;
mod index;
mod many;
mod neighbour;
mod parameters;
mod precision;
mod restore;
mod slots;
mod temporary;
mod vector;

pub use checkpoint::CheckpointFile;
pub use dot::dot;
pub use error::IndexError;
pub use freeze::Frozen;
pub use index::VectorIndex;
pub use many::{Found, nearest_before};
pub use neighbour::Neighbour;
pub use parameters::IndexParameters;
pub use precision::Precision;
