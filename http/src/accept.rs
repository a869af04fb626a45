//! Which of the media types on offer a request wants (RFC 9110, section 12.5.1).

/// The position in `offered`, names in lower case, of the media type that header lines of `Accept` prefer; `None` if they
/// want none of them. Of equal weight the one that is named more exactly comes first, then the one offered first.
pub(crate) fn choose<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
    offered: &[&str],
) -> Option<usize> {
    let mut ranges = Vec::new();
    let mut present = false;
    for line in lines {
        present = true;
        // What is no text names nothing that is offered.
        let text = std::str::from_utf8(line).unwrap_or_default();
        ranges.extend(text.split(',').filter_map(range));
    }
    if !present || ranges.is_empty() {
        return (!offered.is_empty()).then_some(0);
    }
    let weight = |name: &&str| {
        let fitting = ranges.iter().filter_map(|(range, weight)| {
            exactness(range, name).map(|exactness| (exactness, *weight))
        });
        fitting.max_by_key(|(exactness, _)| *exactness)
    };
    let weights = offered.iter().map(weight).enumerate();
    let wanted = weights.filter_map(|(position, found)| {
        let (exactness, weight) = found.filter(|(_, weight)| *weight > 0)?;
        Some(((weight, exactness, std::cmp::Reverse(position)), position))
    });
    wanted.max().map(|(_, position)| position)
}

/// A media range in lower case and its weight in thousandths.
fn range(element: &str) -> Option<(String, u16)> {
    let mut parts = element.split(';');
    let name = parts.next()?.trim();
    if name.is_empty() {
        return None;
    }
    let mut weight = 1000;
    for parameter in parts {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if key.trim().eq_ignore_ascii_case("q") {
            weight = thousandths(value.trim());
        }
    }
    Some((name.to_ascii_lowercase(), weight))
}

/// `0` to `1` with at most three digits behind the point; anything else counts as 1.
fn thousandths(text: &str) -> u16 {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    if whole != "0" || digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return 1000;
    }
    format!("{digits:0<3}").parse().unwrap_or(1000)
}

/// How exactly a range names a media type; `None` if it does not.
fn exactness(range: &str, name: &str) -> Option<u8> {
    if range == name {
        return Some(2);
    }
    match range.strip_suffix('*')? {
        "*/" => Some(0),
        kind if kind.ends_with('/') && name.starts_with(kind) => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_type_is_chosen() {
        const RAW: Option<usize> = Some(0);
        const JSON: Option<usize> = Some(1);
        for (accept, chosen) in [
            ("", RAW),
            ("*/*", RAW),
            ("application/*", RAW),
            ("application/json", JSON),
            ("Application/JSON;charset=utf-8", JSON),
            ("application/json, */*", JSON),
            ("application/json;q=0.5, */*", RAW),
            ("application/json;q=0.5, */*;q=0.4", JSON),
            ("application/octet-stream;q=0, application/*", JSON),
            ("text/html, application/xhtml+xml, */*;q=0.8", RAW),
            ("application/json;q=0", None),
            ("text/html", None),
            ("*", None),
            ("application/json;q=zero", JSON),
            ("application/json;q=0.1234", JSON),
            (";;,,;q=1", RAW),
        ] {
            let offered = ["application/octet-stream", "application/json"];
            assert_eq!(choose([accept.as_bytes()], &offered), chosen, "{accept}");
        }
        assert_eq!(choose([], &["a/b"]), Some(0));
        assert_eq!(choose([&b"\xff/*"[..]], &["a/b"]), Some(0));
        assert_eq!(choose([], &[]), None);
    }
}
