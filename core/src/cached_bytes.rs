//! Bytes of values as the read cache holds them: copies of its own, or bytes that belong to the caller of a put.
//!
//! A binding to another language has the value as an object of that language, which never changes. Held as it is, it costs
//! no copy when it is put, none when it is read again, and no memory twice.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Bytes of the caller's that the read cache may hold in place of a copy.
///
/// They must be the same bytes, at the same place, as long as this lives. It may be dropped by any thread, long after the
/// value was put, and while locks of the store are held.
pub trait LentBytes: Any + Send + Sync {
    /// The bytes.
    fn bytes(&self) -> &[u8];
}

impl fmt::Debug for dyn LentBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LentBytes({} bytes)", self.bytes().len())
    }
}

/// Bytes of a value in memory, which never change. A clone holds the same bytes.
#[derive(Clone)]
pub struct CachedBytes(Place);

#[derive(Clone)]
enum Place {
    Copied(Arc<[u8]>),
    Lent(Arc<dyn LentBytes>),
}

/// What the object of a binding takes besides the bytes: its head, and what holds it here.
const LENT_BYTES: usize = 112;

impl CachedBytes {
    /// Of the object that holds them, which is asked for by those who lent it.
    #[must_use]
    pub fn lent(&self) -> Option<&dyn Any> {
        match &self.0 {
            Place::Copied(_) => None,
            Place::Lent(lent) => Some(&**lent),
        }
    }

    /// About the bytes of memory it takes.
    pub(crate) fn memory(&self) -> usize {
        match &self.0 {
            Place::Copied(bytes) => bytes.len(),
            Place::Lent(lent) => lent.bytes().len() + LENT_BYTES,
        }
    }
}

impl From<&[u8]> for CachedBytes {
    fn from(bytes: &[u8]) -> Self {
        Self(Place::Copied(bytes.into()))
    }
}

impl From<Arc<dyn LentBytes>> for CachedBytes {
    fn from(lent: Arc<dyn LentBytes>) -> Self {
        Self(Place::Lent(lent))
    }
}

impl Deref for CachedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::Copied(bytes) => bytes,
            Place::Lent(lent) => lent.bytes(),
        }
    }
}

impl AsRef<[u8]> for CachedBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for CachedBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CachedBytes({} bytes)", self.len())
    }
}
