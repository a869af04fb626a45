//! Reading a checkpoint file back, after verifying everything about it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use half::f16;

use crate::checkpoint::{CheckpointFile, bytes_per_value, utf8};
use crate::error::IndexError;
use crate::exact::Rows;
use crate::footer::{FOOTER_BYTES, FORMAT_VERSION, Footer, FooterError, FormCode};
use crate::form::Form;
use crate::hnsw::Hnsw;
use crate::index::VectorIndex;
use crate::parameters::IndexParameters;
use crate::precision::Precision;
use crate::slots::Slots;
use crate::temporary::{Checksum, check_name, failed};
use crate::vector::inverse_norm;

impl VectorIndex {
    /// Reads a checkpoint, verifying existence, length, checksum, format, parameters and count. The
    /// index has the form that was saved.
    ///
    /// # Errors
    ///
    /// [`IndexError::OtherParameters`] when `parameters` ask for what the file was not made with,
    /// [`IndexError::Missing`], [`IndexError::WrongFileLength`], [`IndexError::WrongChecksum`],
    /// [`IndexError::UnknownFormat`], [`IndexError::Corrupt`]: the index must be rebuilt from its
    /// vectors. [`IndexError::Io`], [`IndexError::PathNotUtf8`] and [`IndexError::Graph`] as they
    /// say.
    pub fn load(
        directory: &Path,
        file: &CheckpointFile,
        parameters: IndexParameters,
    ) -> Result<Self, IndexError> {
        parameters.validate()?;
        parameters.must_match(&file.parameters)?;
        check_name(&file.file_name)?;
        let path = directory.join(&file.file_name);
        let mut reader = open_verified(&path, file)?;
        let footer = read_footer(&mut reader, &path)?;
        parameters.must_match(&footer.parameters(&parameters))?;
        if footer.count != file.count {
            let reason = format!("it holds {} vectors, {} recorded", footer.count, file.count);
            return Err(corrupt(&path, reason));
        }
        let twins = footer
            .twins()
            .filter(|_| footer.file_length() == Some(file.length));
        let Some(twins) = twins else {
            return Err(corrupt(&path, "its parts do not add up to its length"));
        };
        let form = match footer.form {
            FormCode::Exact => Form::Exact(read_exact(&mut reader, &path, &footer)?),
            FormCode::Graph => {
                Form::Graph(read_graph(&mut reader, &path, &footer, twins, &parameters)?)
            }
        };
        Ok(Self::with_form(parameters, form))
    }
}

/// Opens the file, at its beginning, after comparing length and checksum.
fn open_verified(path: &Path, file: &CheckpointFile) -> Result<File, IndexError> {
    let mut reader = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => IndexError::Missing {
            path: path.to_owned(),
        },
        _ => failed("open", path)(error),
    })?;
    let found = reader.metadata().map_err(failed("read", path))?.len();
    if found != file.length {
        return Err(IndexError::WrongFileLength {
            path: path.to_owned(),
            expected: file.length,
            found,
        });
    }
    let sum = Checksum::of(&mut reader).map_err(failed("read", path))?;
    if sum.crc32c != file.crc32c {
        return Err(IndexError::WrongChecksum {
            path: path.to_owned(),
            expected: file.crc32c,
            found: sum.crc32c,
        });
    }
    reader.rewind().map_err(failed("read", path))?;
    Ok(reader)
}

fn read_footer(reader: &mut File, path: &Path) -> Result<Footer, IndexError> {
    let mut bytes = [0; FOOTER_BYTES];
    reader
        .seek(SeekFrom::End(-(FOOTER_BYTES as i64)))
        .map_err(|_| corrupt(path, "it is shorter than a footer"))?;
    reader
        .read_exact(&mut bytes)
        .map_err(failed("read", path))?;
    reader.rewind().map_err(failed("read", path))?;
    Footer::from_bytes(&bytes).map_err(|error| match error {
        FooterError::Version(found) => IndexError::UnknownFormat {
            path: path.to_owned(),
            expected: FORMAT_VERSION,
            found,
        },
        FooterError::Magic => corrupt(path, "it is no checkpoint of a vector index"),
        FooterError::Field(field) => corrupt(path, format!("its {field} makes no sense")),
    })
}

/// Reads an exact scan. The parts add up to the file's length, so none is too large to allocate.
fn read_exact(reader: &mut File, path: &Path, footer: &Footer) -> Result<Rows, IndexError> {
    let dimension = footer.dimension as usize;
    let row_bytes = (dimension * bytes_per_value(footer.precision)) as u64;
    if footer.slots.checked_mul(row_bytes) != Some(footer.body)
        || footer.slots != footer.count
        || footer.dead > 0
    {
        return Err(corrupt(path, "its body does not fit its count"));
    }
    let body = read_bytes(reader, path, footer.body)?;
    let values: Vec<f32> = match footer.precision {
        Precision::F32 => body
            .as_chunks()
            .0
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect(),
        Precision::F16 | Precision::I8 => body
            .as_chunks()
            .0
            .iter()
            .map(|value| f16::from_le_bytes(*value).to_f32())
            .collect(),
    };
    let ids = read_bytes(reader, path, footer.slots * 8)?;
    let mut rows = Rows::new(dimension);
    for (id, row) in ids.as_chunks().0.iter().zip(values.chunks_exact(dimension)) {
        let id = u64::from_le_bytes(*id);
        // Neither zero, nor infinite, nor not a number.
        if !inverse_norm(row).is_normal() {
            return Err(corrupt(
                path,
                format!("the vector of id {id} has no direction"),
            ));
        }
        if !rows.add(id, row) {
            return Err(corrupt(path, format!("id {id} is named twice")));
        }
    }
    Ok(rows)
}

/// Reads a graph. The parts add up to the file's length, so none is too large to allocate.
fn read_graph(
    reader: &mut File,
    path: &Path,
    footer: &Footer,
    twins: u64,
    parameters: &IndexParameters,
) -> Result<Hnsw, IndexError> {
    reader
        .seek(SeekFrom::Start(footer.body))
        .map_err(failed("read", path))?;
    let owners = read_bytes(reader, path, footer.slots * 8)?;
    let owners = owners
        .as_chunks()
        .0
        .iter()
        .map(|id| u64::from_le_bytes(*id))
        .collect();
    let dead_slots = read_bytes(reader, path, footer.dead * 4)?;
    let dead_slots: Vec<u32> = dead_slots
        .as_chunks()
        .0
        .iter()
        .map(|slot| u32::from_le_bytes(*slot))
        .collect();
    let twins = read_bytes(reader, path, twins * 12)?;
    let twins: Vec<(u32, u64)> = twins
        .as_chunks()
        .0
        .iter()
        .map(|[a, b, c, d, id @ ..]: &[u8; 12]| {
            (
                u32::from_le_bytes([*a, *b, *c, *d]),
                u64::from_le_bytes(*id),
            )
        })
        .collect();
    let slots =
        Slots::from_tables(owners, &dead_slots, &twins).map_err(|reason| corrupt(path, reason))?;
    Hnsw::load(parameters, utf8(path)?, slots)
}

fn read_bytes(reader: &mut File, path: &Path, length: u64) -> Result<Vec<u8>, IndexError> {
    let mut bytes = Vec::new();
    let read = reader
        .take(length)
        .read_to_end(&mut bytes)
        .map_err(failed("read", path))?;
    if read as u64 == length {
        return Ok(bytes);
    }
    Err(corrupt(path, "it became shorter while it was read"))
}

fn corrupt(path: &Path, reason: impl Into<String>) -> IndexError {
    IndexError::Corrupt {
        path: path.to_owned(),
        reason: reason.into(),
    }
}
