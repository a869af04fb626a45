//! Newline-delimited JSON: lines out of the pieces in which a body comes, and no longer than a bound.

use bytes::{Buf as _, Bytes, BytesMut};

/// Media type of newline-delimited JSON.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// Cuts what comes into lines. Holds at most a line and the piece that came last.
#[derive(Debug)]
pub(crate) struct Lines {
    held: BytesMut,
    /// So many bytes of `held` have no end of a line.
    searched: usize,
    most: usize,
    /// Lines so far, blank ones among them.
    number: u64,
}

/// A line of more bytes than are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong {
    /// Its number, from 1.
    pub line: u64,
}

impl Lines {
    /// For lines of at most `most` bytes each, without their end.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            held: BytesMut::new(),
            searched: 0,
            most,
            number: 0,
        }
    }

    /// Bytes that are held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.held.extend_from_slice(piece);
    }

    /// The next whole line that is not blank, and its number, from 1; `None`: more must come.
    ///
    /// # Errors
    /// [`TooLong`], also of a line whose end has not come yet.
    pub(crate) fn next_line(&mut self) -> Result<Option<(u64, Bytes)>, TooLong> {
        loop {
            let rest = self.held.get(self.searched..).unwrap_or_default();
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.held.len();
                if self.searched > self.most {
                    return Err(TooLong {
                        line: self.number + 1,
                    });
                }
                return Ok(None);
            };
            let line = self.held.split_to(self.searched + end);
            self.held.advance(1);
            self.searched = 0;
            if let Some(line) = self.take(line)? {
                return Ok(Some(line));
            }
        }
    }

    /// The last line, which needs no end; `None` if there is none.
    ///
    /// # Errors
    /// [`TooLong`].
    pub(crate) fn last_line(&mut self) -> Result<Option<(u64, Bytes)>, TooLong> {
        let line = self.held.split();
        self.searched = 0;
        if line.is_empty() {
            return Ok(None);
        }
        self.take(line)
    }

    fn take(&mut self, line: BytesMut) -> Result<Option<(u64, Bytes)>, TooLong> {
        self.number += 1;
        if line.len() > self.most {
            return Err(TooLong { line: self.number });
        }
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        Ok(Some((self.number, line.freeze())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn all(pieces: &[&[u8]], most: usize) -> Result<Vec<(u64, Vec<u8>)>, TooLong> {
        let mut lines = Lines::new(most);
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece);
            while let Some((number, line)) = lines.next_line()? {
                found.push((number, line.to_vec()));
            }
        }
        if let Some((number, line)) = lines.last_line()? {
            found.push((number, line.to_vec()));
        }
        Ok(found)
    }

    #[test]
    fn lines_are_numbered_and_blank_ones_left_out() {
        let found = all(&[b"{}\r\n\n", b" \t\n[1", b",2]\n\n5"], 10).unwrap();
        let expected = [(1, &b"{}\r"[..]), (4, b"[1,2]"), (6, b"5")];
        assert_eq!(
            found,
            expected.map(|(number, line)| (number, line.to_vec()))
        );
        assert_eq!(all(&[], 1), Ok(vec![]));
    }

    #[test]
    fn a_long_line_is_refused_before_its_end_has_come() {
        assert_eq!(all(&[b"12345\n1234"], 5).unwrap().len(), 2);
        assert_eq!(all(&[b"1\n123456\n"], 5), Err(TooLong { line: 2 }));
        let mut lines = Lines::new(5);
        lines.push(b"123456");
        assert_eq!(lines.next_line(), Err(TooLong { line: 1 }));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0_usize..200, 0..8),
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let expected: Vec<_> = (1_u64..)
                .zip(text.split(|byte| *byte == b'\n'))
                .filter(|(_, line)| !line.trim_ascii().is_empty())
                .map(|(number, line)| (number, line.to_vec()))
                .collect();
            prop_assert_eq!(all(&pieces, 1000).unwrap(), expected);
        }
    }
}
