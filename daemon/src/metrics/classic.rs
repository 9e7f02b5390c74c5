//! The classic text format of Prometheus, version 0.0.4. Unlike OpenMetrics, it names a counter
//! with its `_total` everywhere, and knows neither units nor an end.

use std::fmt::{self, Write};

use super::samples::{Family, Kind, Label, Samples, Unit};

impl Samples {
    pub(super) fn encode_classic(&self, service: &str, text: &mut String) -> fmt::Result {
        for (family, series) in self.families.values() {
            let Family { help, kind, .. } = family;
            let name = full_name(service, family);
            let kind = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            writeln!(text, "# HELP {name} {}.\n# TYPE {name} {kind}", escaped(help, &[]))?;
            for (labels, value) in series {
                text.push_str(&name);
                write_labels(text, labels)?;
                writeln!(text, " {value}")?;
            }
        }
        Ok(())
    }
}

fn full_name(service: &str, family: &Family) -> String {
    let unit = match family.unit {
        None => "",
        Some(Unit::Bytes) => "_bytes",
        Some(Unit::Seconds) => "_seconds",
    };
    let total = if family.kind == Kind::Counter { "_total" } else { "" };
    format!("{service}_{}{unit}{total}", family.name)
}

fn write_labels(text: &mut String, labels: &[Label]) -> fmt::Result {
    for (index, (name, value)) in labels.iter().enumerate() {
        let before = if index == 0 { '{' } else { ',' };
        write!(text, "{before}{name}=\"{}\"", escaped(&value.to_string(), &['"']))?;
    }
    text.push_str(if labels.is_empty() { "" } else { "}" });
    Ok(())
}

/// "label_value can be any sequence of UTF-8 characters, but the backslash, double-quote, and line
/// feed characters have to be escaped"; in a help text only the backslash and the line feed.
fn escaped(value: &str, more: &[char]) -> String {
    let mut escaped = String::new();
    for letter in value.chars() {
        match letter {
            '\n' => escaped.push_str("\\n"),
            _ if letter == '\\' || more.contains(&letter) => escaped.extend(['\\', letter]),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_in_every_line_and_labels_are_escaped() {
        let bytes = Family::counter("relayed", "Bytes relayed").unit(Unit::Bytes);
        let mut samples = Samples::default();
        samples.add(&bytes, &[("direction", "to_peer".into()), ("code", 401.into())], 42);
        samples.add(
            &Family::gauge("odd", "A \\ and\na line"),
            &[("label", "a \"b\" \\ \n".into())],
            7,
        );
        samples.add(&Family::gauge("plain", "Without labels"), &[], 1);
        let mut text = String::new();
        samples.encode_classic("turnd", &mut text).unwrap();
        let lines = [
            r"# HELP turnd_odd A \\ and\na line.",
            "# TYPE turnd_odd gauge",
            r#"turnd_odd{label="a \"b\" \\ \n"} 7"#,
            "# HELP turnd_plain Without labels.",
            "# TYPE turnd_plain gauge",
            "turnd_plain 1",
            "# HELP turnd_relayed_bytes_total Bytes relayed.",
            "# TYPE turnd_relayed_bytes_total counter",
            r#"turnd_relayed_bytes_total{direction="to_peer",code="401"} 42"#,
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
        assert!(text.ends_with('\n'));
    }
}
