//! The choice of the format of a scrape by its `Accept` header (RFC 9110 §12.5.1).

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own text format, which every scraper reads.
    Classic,
    /// The OpenMetrics 1.0 text format.
    OpenMetrics,
}

impl Format {
    /// The media type of the format, for Content-Type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The best format for a scraper that sends these `Accept` headers: OpenMetrics if it is named
    /// with at least the quality of plain text; otherwise the classic format, also for a scraper
    /// that accepts neither or sends no header.
    pub fn wanted<'a>(accept: impl Iterator<Item = &'a str>) -> Format {
        let (mut open_metrics, mut plain) = (0, 0);
        for range in accept.flat_map(|header| header.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let best = match parts.next().unwrap_or_default() {
                range if range.eq_ignore_ascii_case("application/openmetrics-text") => {
                    &mut open_metrics
                }
                range if range.eq_ignore_ascii_case("text/plain") => &mut plain,
                _ => continue,
            };
            let mut readable = true;
            let mut quality = 1_000;
            for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
                let value = value.trim().trim_matches('"');
                match name.trim() {
                    name if name.eq_ignore_ascii_case("q") => quality = thousandths(value),
                    // Our text is valid in each of these versions.
                    name if name.eq_ignore_ascii_case("version") => {
                        readable = matches!(value, "0.0.1" | "0.0.4" | "1.0.0");
                    }
                    _ => {}
                }
            }
            if readable {
                *best = quality.max(*best);
            }
        }
        if open_metrics > 0 && open_metrics >= plain {
            Format::OpenMetrics
        } else {
            Format::Classic
        }
    }
}

/// "qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )" (RFC 9110 §12.4.2). Other
/// text is 0.
fn thousandths(quality: &str) -> u32 {
    match quality.parse::<f32>() {
        Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * 1_000.0).round() as u32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(accept: &[&str]) -> Format {
        Format::wanted(accept.iter().copied())
    }

    #[test]
    fn rfc9110_12_5_1_a_scraper_gets_the_format_that_it_prefers() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let protobuf_first = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                              application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        for accept in [
            prometheus_2,
            prometheus_3,
            protobuf_first,
            "Application/OpenMetrics-Text ; q = 1",
            "application/openmetrics-text; version=\"1.0.0\"",
            "text/plain, application/openmetrics-text",
        ] {
            assert_eq!(wanted(&[accept]), Format::OpenMetrics, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/*",
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "application/json",
            "application/openmetrics-text;q=0.3,text/plain;q=0.31",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.000, text/plain",
            "application/openmetrics-text;q=yes",
            "application/openmetrics-text;version=9.0.0",
            "application/openmetrics-textual",
            ";;,=,;q=1",
        ] {
            assert_eq!(wanted(&[accept]), Format::Classic, "{accept}");
        }
        assert_eq!(wanted(&[]), Format::Classic);
        assert_eq!(
            wanted(&["text/plain;q=0.5", "application/openmetrics-text"]),
            Format::OpenMetrics,
            "two headers"
        );
    }
}
