//! The bytes of a checkpoint file, its record, and writing it. Reading it back is in `restore`.
//!
//! ```text
//! file = body, id table, dead slots, footer
//!
//! body        exact scan: slots x dimension values, row after row, little-endian f32 when that is
//!             the precision, else f16
//!             graph: usearch's own serialisation, whose keys are slot numbers
//! id table    slots x u64, little-endian: the id of each row or slot, dead ones included
//! dead slots  (slots - count) x u32, little-endian, ascending: slots whose vector has been
//!             removed; none in an exact scan
//! footer      64 bytes, see `footer`
//! ```
//!
//! The length and the CRC-32C of the whole file stand in the [`CheckpointFile`], outside of it:
//! whoever keeps that record knows which of several files is the right one, and that it is whole,
//! before any of its bytes are believed.

use std::path::Path;

use half::f16;

use crate::error::IndexError;
use crate::footer::{Footer, FormCode};
use crate::form::Form;
use crate::parameters::IndexParameters;
use crate::precision::Precision;
use crate::temporary::{Appending, Temporary};

/// Values converted at a time.
const VALUES_AT_ONCE: usize = 4_096;

/// The record of a saved checkpoint: all that [`VectorIndex::load`] needs to find the file and to
/// trust it.
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
    let (mut file, form_code, body, slot_ids, dead) = match form {
        Form::Exact(rows) => {
            temporary.create()?;
            let mut file = temporary.append(0)?;
            let body = write_values(&mut file, rows.values(), parameters.precision)?;
            (file, FormCode::Exact, body, rows.ids(), [].as_slice())
        }
        Form::Graph(graph) => {
            let body = graph.save(utf8(temporary.path())?)?;
            let (slot_ids, dead) = graph.slots().table();
            (
                temporary.append(body)?,
                FormCode::Graph,
                body,
                slot_ids,
                dead,
            )
        }
    };
    for id in slot_ids {
        file.write(&id.to_le_bytes())?;
    }
    for (slot, _) in dead.iter().enumerate().filter(|(_, dead)| **dead) {
        // usearch counts slots in 32 bits.
        file.write(&(slot as u32).to_le_bytes())?;
    }
    let footer = Footer {
        form: form_code,
        precision: parameters.precision,
        dimension: parameters.dimension as u32,
        connectivity: parameters.connectivity as u32,
        expansion_add: parameters.expansion_add as u32,
        body,
        slots: slot_ids.len() as u64,
        count: form.len() as u64,
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

/// Writes vectors in the precision of a file. Returns the bytes written.
fn write_values(
    file: &mut Appending,
    values: &[f32],
    precision: Precision,
) -> Result<u64, IndexError> {
    let mut bytes = Vec::new();
    for values in values.chunks(VALUES_AT_ONCE) {
        bytes.clear();
        for value in values {
            match precision {
                Precision::F32 => bytes.extend_from_slice(&value.to_le_bytes()),
                Precision::F16 | Precision::I8 => {
                    bytes.extend_from_slice(&f16::from_f32(*value).to_le_bytes());
                }
            }
        }
        file.write(&bytes)?;
    }
    Ok((values.len() * bytes_per_value(precision)) as u64)
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
