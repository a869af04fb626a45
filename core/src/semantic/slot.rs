//! The two families of vectors: one that a namespace works with, and one that is filled when its texts are embedded anew
//! by another model. They take turns, so no vector is ever moved.

use crate::schema::{VECTORS, VECTORS_B};
use serde::{Deserialize, Serialize};

/// One of the two families of vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Slot {
    /// `vectors`: where a namespace begins.
    #[default]
    A,
    /// `vectors_b`.
    B,
}

impl Slot {
    pub(crate) const BOTH: [Self; 2] = [Self::A, Self::B];

    /// Name of the family.
    pub(crate) fn family(self) -> &'static str {
        match self {
            Self::A => VECTORS,
            Self::B => VECTORS_B,
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// Whether it is the one that a record leaves unsaid.
    pub(crate) fn is_first(&self) -> bool {
        *self == Self::A
    }
}

/// In which of the families an object has a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slots {
    a: bool,
    b: bool,
}

impl Slots {
    pub(crate) fn has(self, slot: Slot) -> bool {
        match slot {
            Slot::A => self.a,
            Slot::B => self.b,
        }
    }

    pub(crate) fn set(&mut self, slot: Slot, has: bool) {
        match slot {
            Slot::A => self.a = has,
            Slot::B => self.b = has,
        }
    }
}
