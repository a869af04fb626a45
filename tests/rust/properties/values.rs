//! The keys and values the sequences are made of: few of each, so that they meet often, and of awkward shapes.

use prestige_core::{Dedup, Options};
use prestige_tests::{Random, fast_semantic_options};

/// Texts of a group have the same words in another order: one vector, other bytes.
const VARIANTS: u32 = 4;

/// Keys of the namespace that has many, so that scans of it take several pages.
pub const WIDE_KEYS: u64 = 900;
/// Keys of the other namespaces.
pub const NARROW_KEYS: u64 = 80;

/// In which sense two values are the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values {
    /// By their bytes.
    Exact,
    /// Texts by their words, all others by their bytes.
    Semantic,
}

impl Values {
    /// The options of a store whose values are the same in this sense.
    pub fn options(self) -> Options {
        match self {
            Self::Exact => Options::default(),
            Self::Semantic => fast_semantic_options(),
        }
    }

    /// How many values there are.
    pub fn count(self) -> u64 {
        match self {
            Self::Exact => 150,
            Self::Semantic => 240,
        }
    }

    /// The bytes of a value; distinct for distinct numbers.
    pub fn bytes(self, number: u32) -> Vec<u8> {
        match self {
            Self::Exact => exact_bytes(number),
            Self::Semantic if is_text(number) => text(number / VARIANTS, number % VARIANTS),
            Self::Semantic => vec![0xff, 0xfe, (number >> 8) as u8, number as u8],
        }
    }

    /// Values of one group share an object.
    pub fn group(self, number: u32) -> u32 {
        match self {
            Self::Semantic if is_text(number) => number / VARIANTS * VARIANTS,
            _ => number,
        }
    }

    /// Whether `found` is how a value finds the object that holds the value `held` of its group.
    pub fn explains(self, found: Dedup, number: u32, held: u32) -> bool {
        match found {
            Dedup::Identical => number == held,
            Dedup::Similar(similarity) => number != held && similarity >= 0.97,
            _ => false,
        }
    }
}

/// Every seventh group of variants is not UTF-8: such values are deduplicated by their bytes.
fn is_text(number: u32) -> bool {
    number / VARIANTS % 7 != 6
}

/// Empty, short, long, and far longer than the write buffers of the smallest stores take at once.
fn exact_bytes(number: u32) -> Vec<u8> {
    let length = match number {
        0 => return Vec::new(),
        _ if number.is_multiple_of(41) => 150_000,
        _ if number.is_multiple_of(11) => 9000,
        _ => 12 + number as usize * 7,
    };
    let mut value = format!("value {number} ").into_bytes();
    value.resize(length, number as u8);
    value
}

fn text(group: u32, variant: u32) -> Vec<u8> {
    let mut words: Vec<_> = (0..6).map(|word| format!("w{group}x{word}")).collect();
    words.rotate_left(variant as usize);
    words.join(" ").into_bytes()
}

/// A key: of five prefixes, the empty one, and some that bytes and prefixes are easily got wrong with.
pub fn key(number: u64) -> Vec<u8> {
    match number {
        0 => Vec::new(),
        1 => b"\xff\xff".to_vec(),
        2 => b"1/\0".to_vec(),
        3 => b"1/\xff\xff\xff".to_vec(),
        4 => vec![b'k'; 3000],
        _ => format!("{}/{number}", number % 5).into_bytes(),
    }
}

/// A prefix of some keys, of all, or of none.
pub fn prefix(random: &mut Random) -> Vec<u8> {
    match random.below(8) {
        0..3 => Vec::new(),
        3 => b"\xff".to_vec(),
        4 => b"9/".to_vec(),
        number => format!("{}/", number % 5).into_bytes(),
    }
}
