//! The bytes of a checkpoint file, its record, and writing it. Reading it back is in `restore`.
//!
//! ```text
//! file = body, owners, dead slots, twins, footer; all integers little-endian
//!
//! body        exact scan: slots x dimension values, row after row, f32 when that is the precision,
//!             else f16
//!             graph: usearch's own serialisation, whose keys are slot numbers
//! owners      slots x u64: the id of each row or slot, of a dead slot the last it had
//! dead slots  dead x u32, ascending: slots without an id; none in an exact scan
//! twins       (count - (slots - dead)) x (u32 slot, u64 id), ascending: ids whose vector equals
//!             that of the slot's owner; none in an exact scan
//! footer      64 bytes, see `footer`
//! ```
//!
//! The length and the CRC-32C of the whole file stand in the [`CheckpointFile`], outside of it:
//! whoever keeps that record knows which of several files is the right one, and that it is whole,
//! before any of its bytes are believed.

use std::path::Path;

use half::f16;

use crate::error::IndexError;
use crate::exact::Rows;
use crate::footer::{Footer, FormCode};
use crate::form::Form;
use crate::hnsw::Hnsw;
use crate::parameters::IndexParameters;
use crate::precision::Precision;
use crate::temporary::{Appending, Temporary};

/// Values converted at a time.
const VALUES_AT_ONCE: usize = 4_096;

/// The record of a saved checkpoint: all that [`VectorIndex::load`](crate::VectorIndex::load) needs
/// to find the file and to trust it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointFile {
    /// Name within the directory it was saved to.
    pub file_name: String,
    /// Bytes of the file.
    pub length: u64,
    /// CRC-32C of all its bytes.
    pub crc32c: u32,
    /// Vectors it holds.
    pub count: u64,
    /// What it was made with.
    pub parameters: IndexParameters,
}

/// Writes `form` to `directory`/`file_name`: see [`Frozen::save`](crate::Frozen::save).
pub fn save(
    form: &Form,
    parameters: &IndexParameters,
    directory: &Path,
    file_name: &str,
) -> Result<CheckpointFile, IndexError> {
    let temporary = Temporary::new(directory, file_name)?;
    let (mut file, footer) = match form {
        Form::Exact(rows) => write_exact(temporary, rows, parameters)?,
        Form::Graph(graph) => write_graph(temporary, graph, parameters)?,
    };
    file.write(&footer.to_bytes())?;
    let sum = file.keep()?;
    Ok(CheckpointFile {
        file_name: file_name.to_owned(),
        length: sum.length,
        crc32c: sum.crc32c,
        count: footer.count,
        parameters: *parameters,
    })
}

fn write_exact(
    temporary: Temporary,
    rows: &Rows,
    parameters: &IndexParameters,
) -> Result<(Appending, Footer), IndexError> {
    temporary.create()?;
    let mut file = temporary.append(0)?;
    let mut bytes = Vec::new();
    for values in rows.values().chunks(VALUES_AT_ONCE) {
        bytes.clear();
        for value in values {
            match parameters.precision {
                Precision::F32 => bytes.extend_from_slice(&value.to_le_bytes()),
                Precision::F16 | Precision::I8 => {
                    bytes.extend_from_slice(&f16::from_f32(*value).to_le_bytes());
                }
            }
        }
        file.write(&bytes)?;
    }
    for id in rows.ids() {
        file.write(&id.to_le_bytes())?;
    }
    let body = rows.values().len() * bytes_per_value(parameters.precision);
    let footer = Footer {
        body: body as u64,
        slots: rows.len() as u64,
        count: rows.len() as u64,
        ..Footer::new(FormCode::Exact, parameters)
    };
    Ok((file, footer))
}

fn write_graph(
    temporary: Temporary,
    graph: &Hnsw,
    parameters: &IndexParameters,
) -> Result<(Appending, Footer), IndexError> {
    let body = graph.save(utf8(temporary.path())?)?;
    let mut file = temporary.append(body)?;
    let slots = graph.slots();
    for id in slots.owners() {
        file.write(&id.to_le_bytes())?;
    }
    // usearch counts slots in 32 bits.
    for slot in slots.dead_slots() {
        file.write(&(slot as u32).to_le_bytes())?;
    }
    for (slot, id) in slots.twins() {
        file.write(&(slot as u32).to_le_bytes())?;
        file.write(&id.to_le_bytes())?;
    }
    let footer = Footer {
        body,
        slots: slots.len() as u64,
        count: graph.len() as u64,
        dead: slots.dead_count() as u64,
        ..Footer::new(FormCode::Graph, parameters)
    };
    Ok((file, footer))
}

/// Bytes of a value in the body of an exact scan.
pub const fn bytes_per_value(precision: Precision) -> usize {
    match precision {
        Precision::F32 => 4,
        Precision::F16 | Precision::I8 => 2,
    }
}

/// The path as usearch takes it.
pub fn utf8(path: &Path) -> Result<&str, IndexError> {
    path.to_str().ok_or_else(|| IndexError::PathNotUtf8 {
        path: path.to_owned(),
    })
}
