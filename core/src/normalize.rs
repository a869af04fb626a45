//! Normalisation of values before they are hashed and stored.
//!
//! What is stored is the normalised text, so the result does not depend on which variant came first. Values that are
//! not UTF-8, or longer than `normalization_max_bytes`, are stored as they are.

use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization as _;

/// How text values are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum NormalizationMode {
    /// Stored byte for byte.
    #[default]
    None,
    /// Unicode lower case.
    Lowercase,
    /// Leading and trailing white space removed, every other run of white space one space.
    Whitespace,
    /// Lower case and white space.
    Full,
    /// NFKC, full case folding and white space: variants of width, ligature and case become one.
    Unicode,
}

impl NormalizationMode {
    /// The normalised form of `value`: itself where nothing changes.
    #[must_use]
    pub fn apply<'a>(self, value: &'a [u8], max_bytes: u64) -> Cow<'a, [u8]> {
        if self == Self::None || value.len() as u64 > max_bytes {
            return Cow::Borrowed(value);
        }
        let Ok(text) = std::str::from_utf8(value) else {
            return Cow::Borrowed(value);
        };
        let normalised = match self {
            Self::None => return Cow::Borrowed(value),
            Self::Lowercase => text.to_lowercase(),
            Self::Whitespace => collapse_whitespace(text),
            Self::Full => collapse_whitespace(&text.to_lowercase()),
            Self::Unicode => unicode(text),
        };
        if normalised.as_bytes() == value {
            Cow::Borrowed(value)
        } else {
            Cow::Owned(normalised.into_bytes())
        }
    }
}

fn collapse_whitespace(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    collapsed
}

/// NFKC_Casefold without removal of default ignorables: fold, normalise, fold, normalise (Unicode 16, D146), since
/// either step can undo the other.
fn unicode(text: &str) -> String {
    let folded: String = caseless::default_case_fold_str(text).nfkc().collect();
    let folded: String = caseless::default_case_fold_str(&folded).nfkc().collect();
    collapse_whitespace(&folded)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn normalised(mode: NormalizationMode, text: &str) -> String {
        String::from_utf8(mode.apply(text.as_bytes(), 1 << 20).into_owned()).unwrap()
    }

    #[test]
    fn each_mode_does_what_its_name_says() {
        let text = "  HELLO\t \u{a0}Wörld \n";
        assert_eq!(normalised(NormalizationMode::None, text), text);
        assert_eq!(
            normalised(NormalizationMode::Lowercase, text),
            "  hello\t \u{a0}wörld \n"
        );
        assert_eq!(
            normalised(NormalizationMode::Whitespace, text),
            "HELLO Wörld"
        );
        assert_eq!(normalised(NormalizationMode::Full, text), "hello wörld");
        assert_eq!(
            normalised(NormalizationMode::Unicode, "ＦＵＬＬ ﬁne  Straße"),
            "full fine strasse"
        );
    }

    #[test]
    fn binary_and_oversized_values_stay_as_they_are() {
        assert_eq!(*NormalizationMode::Full.apply(b"\xff A ", 100), *b"\xff A ");
        assert_eq!(*NormalizationMode::Full.apply(b" ABC ", 4), *b" ABC ");
        assert_eq!(*NormalizationMode::Full.apply(b" ABC ", 5), *b"abc");
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,40}") {
            for mode in [
                NormalizationMode::Lowercase, NormalizationMode::Whitespace, NormalizationMode::Full,
                NormalizationMode::Unicode,
            ] {
                let once = normalised(mode, &text);
                prop_assert_eq!(&normalised(mode, &once), &once);
            }
        }
    }
}
