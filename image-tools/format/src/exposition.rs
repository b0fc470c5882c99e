//! Metrics as text, of both programs: Prometheus' format 0.0.4, or OpenMetrics 1.0.
//!
//! Text files of node-exporter and push gateways take 0.0.4 only, which the usual library for OpenMetrics does not write.
use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Only rises.
    Counter,
    /// Any value.
    Gauge,
    /// How often and how long: `_count` and `_sum`.
    Summary,
}

impl Type {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Summary => "summary",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name, with the prefix.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// A text format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own, 0.0.4: every reader has it, and so have text files and push gateways.
    #[default]
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The one that a reader with these words in `Accept` takes: OpenMetrics only if it names version 1.
    pub fn accepted<'a>(accept: impl IntoIterator<Item = &'a str>) -> Format {
        let mut types = accept.into_iter().flat_map(|value| value.split(','));
        let named = types.any(|one| {
            let mut parts = one.split(';').map(str::trim);
            parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"))
                && parts.any(|part| part.eq_ignore_ascii_case("version=1.0.0"))
        });
        if named { Format::OpenMetrics } else { Format::Prometheus }
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What the name ends with beyond the metric's: `_sum`, `_count`, or nothing.
    pub suffix: &'static str,
    /// The labels' values, in the metric's order.
    pub labels: Vec<String>,
    /// The value.
    pub value: f64,
}

impl Sample {
    /// A value without labels.
    pub fn one(value: f64) -> Sample {
        Sample { suffix: "", labels: Vec::new(), value }
    }

    /// A value with the values of its labels.
    pub fn labeled<T: Into<String>, const N: usize>(labels: [T; N], value: f64) -> Sample {
        Sample { labels: labels.map(Into::into).into(), ..Sample::one(value) }
    }
}

/// The part of a file system that is in use, as `df` counts: what is reserved for root is not there for others. `None` if it has no
/// blocks to count.
#[expect(clippy::cast_precision_loss, reason = "a ratio")]
pub fn used_ratio(all: u64, free: u64, available: u64) -> Option<f64> {
    let used = all.checked_sub(free)?;
    let known = used.checked_add(available).filter(|known| *known > 0)?;
    Some(used as f64 / known as f64)
}

/// Write samples. A metric without any is left out.
pub fn write<'a>(format: Format, samples: impl IntoIterator<Item = (&'a Family, Vec<Sample>)>) -> String {
    let mut text = String::new();
    for (family, samples) in samples.into_iter().filter(|(_, samples)| !samples.is_empty()) {
        let Family { name, kind, labels, help } = family;
        // There, a counter's name is that of its samples without their suffix.
        let of_family = match (format, kind) {
            (Format::OpenMetrics, Type::Counter) => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        // Writing into a string does not fail.
        let _ = writeln!(text, "# HELP {of_family} {}", escaped(help));
        let _ = writeln!(text, "# TYPE {of_family} {}", kind.name());
        for Sample { suffix, labels: values, value } in samples {
            let pairs: Vec<String> = labels
                .iter()
                .zip(&values)
                .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
                .collect();
            let pairs = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
            let _ = writeln!(text, "{name}{suffix}{pairs} {value}");
        }
    }
    if format == Format::OpenMetrics {
        text += "# EOF\n";
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString, vec};
    use proptest::prelude::*;

    const LABELED: Family =
        Family { name: "bistable_x_total", kind: Type::Counter, labels: &["a", "b"], help: "What \"it\" is" };
    const PLAIN: Family = Family { name: "bistable_y", kind: Type::Gauge, labels: &[], help: "y" };

    fn sample(labels: &[&str], value: f64) -> Sample {
        Sample { suffix: "", labels: labels.iter().map(ToString::to_string).collect(), value }
    }

    #[test]
    fn both_formats_and_a_metric_without_a_value_is_left_out() {
        let samples = || {
            [
                (&LABELED, vec![sample(&["1", "q\"\\\n"], 2.0), sample(&["2", ""], 1e15)]),
                (&PLAIN, vec![sample(&[], 0.25)]),
                (&PLAIN, vec![]),
            ]
        };
        assert_eq!(
            write(Format::Prometheus, samples()),
            "# HELP bistable_x_total What \\\"it\\\" is\n# TYPE bistable_x_total counter\n\
             bistable_x_total{a=\"1\",b=\"q\\\"\\\\\\n\"} 2\nbistable_x_total{a=\"2\",b=\"\"} 1000000000000000\n\
             # HELP bistable_y y\n# TYPE bistable_y gauge\nbistable_y 0.25\n"
        );
        let open = write(Format::OpenMetrics, samples());
        assert!(open.starts_with("# HELP bistable_x What"), "{open}");
        assert!(open.contains("\nbistable_x_total{a=\"1\"") && open.ends_with("\n# EOF\n"), "{open}");
    }

    #[test]
    fn what_is_reserved_for_root_is_not_free() {
        for (all, free, available, expected) in [
            (100, 50, 50, Some(0.5)),
            (100, 50, 30, Some(0.625)),
            (100, 5, 0, Some(1.0)),
            (0, 0, 0, None),
            (10, 20, 5, None),
            (u64::MAX, 0, u64::MAX, None),
        ] {
            assert_eq!(used_ratio(all, free, available), expected, "{all} {free} {available}");
        }
    }

    #[test]
    fn open_metrics_is_for_who_names_its_version() {
        for (accept, format) in [
            ("*/*", Format::Prometheus),
            ("", Format::Prometheus),
            ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", Format::Prometheus),
            ("application/openmetrics-text", Format::Prometheus),
            ("application/openmetrics-text; version=0.0.1,text/plain", Format::Prometheus),
            (
                "application/openmetrics-text; version=1.0.0; charset=utf-8,text/plain;q=0.5",
                Format::OpenMetrics,
            ),
            ("text/plain, Application/OpenMetrics-Text;version=1.0.0", Format::OpenMetrics),
        ] {
            assert_eq!(Format::accepted([accept]), format, "{accept}");
        }
    }

    proptest! {
        #[test]
        fn no_label_breaks_a_line(value: String) {
            let value = [value.as_str(), "b"];
            let text = write(Format::Prometheus, [(&LABELED, vec![sample(&value, 1.0)])]);
            prop_assert_eq!(text.matches('\n').count(), 3);
        }
    }
}
