//! The text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write as _};

/// What a family of metrics is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Metrics, family after family.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.0,
            "# HELP {name} {help}\n# TYPE {name} {}",
            kind.name()
        );
    }

    /// A sample.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            self.0.push(if place == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            for character in text.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// The samples of a histogram: cumulative `buckets` with their bounds, and the bucket of all.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        buckets: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: impl Display,
    ) {
        let bucket = format!("{name}_bucket");
        let mut with_bound = labels.to_vec();
        with_bound.push(("le", ""));
        let last = labels.len();
        for (bound, upto) in buckets {
            let bound = bound.to_string();
            let mut labels: Vec<(&str, &str)> = with_bound.clone();
            if let Some(le) = labels.get_mut(last) {
                le.1 = &bound;
            }
            self.sample(&bucket, &labels, upto);
        }
        if let Some(le) = with_bound.get_mut(last) {
            le.1 = "+Inf";
        }
        self.sample(&bucket, &with_bound, count);
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, count);
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_the_documented_form() {
        let mut text = Text::default();
        text.family("a_total", Kind::Counter, "Some.");
        text.sample("a_total", &[], 5);
        text.family("b", Kind::Gauge, "Names.");
        text.sample("b", &[("x", "1"), ("y", "a\\b\"c\nd")], 0.5);
        text.family("c", Kind::Histogram, "Times.");
        let buckets = [(0.000_001, 1), (10.0, 2)].into_iter();
        text.histogram("c", &[("o", "get")], buckets, 3, 20.5);
        assert_eq!(
            text.into_string(),
            "# HELP a_total Some.\n\
             # TYPE a_total counter\n\
             a_total 5\n\
             # HELP b Names.\n\
             # TYPE b gauge\n\
             b{x=\"1\",y=\"a\\\\b\\\"c\\nd\"} 0.5\n\
             # HELP c Times.\n\
             # TYPE c histogram\n\
             c_bucket{o=\"get\",le=\"0.000001\"} 1\n\
             c_bucket{o=\"get\",le=\"10\"} 2\n\
             c_bucket{o=\"get\",le=\"+Inf\"} 3\n\
             c_sum{o=\"get\"} 20.5\n\
             c_count{o=\"get\"} 3\n"
        );
    }
}
