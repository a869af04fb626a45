//! Paths of this machine, taken out of texts that clients and logs see.

/// What ends a path in a message.
const ENDS: &[char] = &[
    '"', '\'', '`', '(', ')', '[', ']', '<', '>', ',', ';', '=', '…',
];

/// `text` with only the last component of every absolute path: `/srv/data/000012.sst` becomes `…/000012.sst`.
pub(crate) fn without_paths(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(character) = rest.chars().next() {
        let begins = before.is_none_or(|before: char| {
            before.is_whitespace() || before == ':' || ENDS.contains(&before)
        });
        if character == '/' && begins {
            let end = rest
                .find(|character: char| character.is_whitespace() || ENDS.contains(&character))
                .unwrap_or(rest.len());
            let (path, after) = rest.split_at(end);
            let last = path.rsplit('/').next().unwrap_or_default();
            if path.len() > 1 {
                shown.push('…');
            }
            shown.push('/');
            shown.push_str(last);
            before = path.chars().next_back();
            rest = after;
        } else {
            shown.push(character);
            before = Some(character);
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_component_is_left() {
        for (text, shown) in [
            (
                "cannot open /srv/data/store: denied",
                "cannot open …/store: denied",
            ),
            (
                "RocksDB: IO error:/a/b/1.sst, again",
                "RocksDB: IO error:…/1.sst, again",
            ),
            ("path=\"/srv/da ta\" (/x/y)", "path=\"…/da ta\" (…/y)"),
            ("a/b and 5 / 7 stay", "a/b and 5 / 7 stay"),
            ("/", "/"),
            ("", ""),
            ("é /ü/ö", "é …/ö"),
            ("//a//b/", "…/"),
        ] {
            assert_eq!(without_paths(text), shown);
        }
    }
}
