//! Samples as text: Prometheus' format 0.0.4, or OpenMetrics 1.0.
use super::{Family, Type};
use std::fmt::Write;

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
pub(super) struct Sample {
    /// What the name ends with beyond the metric's: `_sum`, `_count`, or nothing.
    pub(super) suffix: &'static str,
    /// The labels' values, in the metric's order.
    pub(super) labels: Vec<String>,
    /// The value.
    pub(super) value: f64,
}

/// Write samples. A metric without any is left out.
pub(super) fn write<'a>(
    format: Format,
    samples: impl IntoIterator<Item = (&'a Family, Vec<Sample>)>,
) -> String {
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
