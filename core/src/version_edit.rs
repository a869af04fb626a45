//! Finds out from a MANIFEST which write-ahead logs RocksDB still needs, since it never looks at the others.
//!
//! Obsolete logs may be left in the directory, and tell nothing about the store: RocksDB deletes them at its leisure and
//! the newest first, so a process that is killed meanwhile leaves them with gaps, and one of them may end in a write that
//! failed.
//!
//! Each record of a MANIFEST is a version edit, a change of one column family, in fields one after the other:
//!
//! ```text
//! │ tag │ value │ tag │ value │ …
//! ```
//! Tags, numbers and lengths are varints (seven bits a byte, the lowest first, the top bit set in all bytes but the last);
//! bytes have their length before them. The tags are those of RocksDB's `db/version_edit.h`. An edit without a family is
//! of the default one, number 0. Edits of an atomic group count when the last of them is there.
//!
//! RocksDB skips a log if its number is below the least log number of all families, or below the least one that an edit
//! said to keep (`DBImpl::SetupLogFilesRecovery`).

use crate::log_file::Content;
use std::collections::BTreeMap;

const COMPARATOR: u32 = 1;
const LOG_NUMBER: u32 = 2;
const NEXT_FILE_NUMBER: u32 = 3;
const LAST_SEQUENCE: u32 = 4;
const COMPACT_CURSOR: u32 = 5;
const DELETED_FILE: u32 = 6;
const PREVIOUS_LOG_NUMBER: u32 = 9;
const OLDEST_LOG_TO_KEEP: u32 = 10;
const NEW_FILE: u32 = 103;
const FAMILY: u32 = 200;
const FAMILY_ADDED: u32 = 201;
const FAMILY_DROPPED: u32 = 202;
const LARGEST_FAMILY: u32 = 203;
const IN_ATOMIC_GROUP: u32 = 300;
const BLOB_FILE_ADDITION: u32 = 400;
const BLOB_FILE_GARBAGE: u32 = 401;
/// Tags with this bit have a length, and may be skipped.
const SKIPPABLE: u32 = 1 << 13;
/// One of them. RocksDB writes it in an edit of its own, of no family, even if it does not keep track of logs otherwise.
const LOGS_DELETED: u32 = 8200;
/// Tags with that bit which older releases wrote without a length, and the one for a log that is kept track of. Our
/// RocksDB writes none of them.
const NOT_SKIPPABLE: [u32; 5] = [8194, 8195, 8196, 8197, 8199];

/// Fields of a new file end with this tag; each of the others has a length.
const END_OF_FILE_FIELDS: u32 = 1;
/// Fields of a new file with this bit must be known.
const FILE_FIELD_NOT_SKIPPABLE: u32 = 1 << 6;
/// The same for blob files, which have no known fields.
const END_OF_BLOB_FIELDS: u32 = 0;

/// What a MANIFEST tells about the logs, after all its edits.
#[derive(Debug)]
pub(crate) struct Edits {
    /// For each column family, the number of the oldest log that may have writes for it which are in no table file.
    log_numbers: BTreeMap<u32, u64>,
    oldest_to_keep: u64,
    /// Edits of an atomic group that is not complete.
    group: Vec<Edit>,
    /// An edit was not understood.
    lost: bool,
}

impl Default for Edits {
    fn default() -> Self {
        Self {
            // The default family is there from the beginning.
            log_numbers: BTreeMap::from([(0, 0)]),
            oldest_to_keep: 0,
            group: Vec::new(),
            lost: false,
        }
    }
}

impl Content for Edits {
    const BYTES: usize = usize::MAX;

    fn add(&mut self, record: &[u8]) {
        let added = Edit::decode(record).and_then(|edit| self.add_edit(edit));
        self.lost |= added.is_none();
    }

    fn is_plausible(&self, _beginning: &[u8], _distance: u64) -> bool {
        true
    }
}

impl Edits {
    /// Number of the oldest log that RocksDB reads. Nothing if an edit was not understood.
    pub(crate) fn oldest_log(&self) -> Option<u64> {
        let oldest = self.log_numbers.values().min()?;
        (!self.lost).then(|| self.oldest_to_keep.max(*oldest))
    }

    fn add_edit(&mut self, edit: Edit) -> Option<()> {
        let Some(remaining) = edit.remaining_in_group else {
            return self.group.is_empty().then(|| self.apply(&edit))?;
        };
        // Each edit of a group tells how many come after it.
        let in_order = self.group.last().is_none_or(|before| {
            before.remaining_in_group.and_then(|it| it.checked_sub(1)) == Some(remaining)
        });
        if !in_order {
            return None;
        }
        self.group.push(edit);
        if remaining == 0 {
            let group = std::mem::take(&mut self.group);
            group.iter().try_for_each(|edit| self.apply(edit))?;
        }
        Some(())
    }

    fn apply(&mut self, edit: &Edit) -> Option<()> {
        if edit.family_added && self.log_numbers.insert(edit.family, 0).is_some() {
            return None;
        }
        let log_number = self.log_numbers.get_mut(&edit.family)?;
        *log_number = edit.log_number.unwrap_or(0).max(*log_number);
        if edit.family_dropped {
            self.log_numbers.remove(&edit.family);
        }
        self.oldest_to_keep = edit.oldest_to_keep.max(self.oldest_to_keep);
        Some(())
    }
}

/// What one edit says about the logs.
#[derive(Debug, Default)]
struct Edit {
    family: u32,
    family_added: bool,
    family_dropped: bool,
    log_number: Option<u64>,
    oldest_to_keep: u64,
    remaining_in_group: Option<u32>,
}

impl Edit {
    /// Nothing if the record is not understood to its last byte.
    fn decode(record: &[u8]) -> Option<Self> {
        let mut edit = Self::default();
        let mut of_no_family = false;
        let mut input = Input(record);
        while !input.0.is_empty() {
            match input.varint32()? {
                LOG_NUMBER => edit.log_number = Some(input.varint()?),
                OLDEST_LOG_TO_KEEP => edit.oldest_to_keep = input.varint()?,
                FAMILY => edit.family = input.varint32()?,
                FAMILY_ADDED => {
                    input.bytes()?;
                    edit.family_added = true;
                }
                FAMILY_DROPPED => edit.family_dropped = true,
                IN_ATOMIC_GROUP => edit.remaining_in_group = Some(input.varint32()?),
                LOGS_DELETED => {
                    input.bytes()?;
                    of_no_family = true;
                }
                other => input.skip_field(other)?,
            }
        }
        (!of_no_family || edit.log_number.is_none()).then_some(edit)
    }
}

/// What is left of a record.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn skip_field(&mut self, tag: u32) -> Option<()> {
        match tag {
            NEXT_FILE_NUMBER | LAST_SEQUENCE | PREVIOUS_LOG_NUMBER | LARGEST_FAMILY => {
                self.skip_varints(1)
            }
            // Level and number.
            DELETED_FILE => self.skip_varints(2),
            COMPARATOR => self.bytes(),
            COMPACT_CURSOR => {
                // Level and key.
                self.skip_varints(1)?;
                self.bytes()
            }
            NEW_FILE => {
                // Level, number and size; least and greatest key; least and greatest sequence number. One of the fields
                // repeats the oldest log to keep.
                self.skip_varints(3)?;
                self.bytes()?;
                self.bytes()?;
                self.skip_varints(2)?;
                self.skip_fields(END_OF_FILE_FIELDS, FILE_FIELD_NOT_SKIPPABLE)
            }
            BLOB_FILE_ADDITION => {
                // Number, count and bytes of the blobs; method and value of the checksum.
                self.skip_varints(3)?;
                self.bytes()?;
                self.bytes()?;
                self.skip_fields(END_OF_BLOB_FIELDS, u32::MAX)
            }
            BLOB_FILE_GARBAGE => {
                self.skip_varints(3)?;
                self.skip_fields(END_OF_BLOB_FIELDS, u32::MAX)
            }
            other if other & SKIPPABLE != 0 && !NOT_SKIPPABLE.contains(&other) => self.bytes(),
            _ => None,
        }
    }

    /// Skips fields with a length, up to the tag `end`. Those that have a bit of `not_skippable` in their tag are not
    /// understood.
    fn skip_fields(&mut self, end: u32, not_skippable: u32) -> Option<()> {
        loop {
            match self.varint32()? {
                tag if tag == end => return Some(()),
                tag if tag & not_skippable != 0 => return None,
                _ => self.bytes()?,
            }
        }
    }

    fn skip_varints(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.varint().map(|_| ()))
    }

    /// Skips bytes that have their length before them.
    fn bytes(&mut self) -> Option<()> {
        let length = usize::try_from(self.varint32()?).ok()?;
        self.0 = self.0.get(length..)?;
        Some(())
    }

    fn varint32(&mut self) -> Option<u32> {
        self.varint()?.try_into().ok()
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << shift;
            if shifted >> shift != bits {
                return None;
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
