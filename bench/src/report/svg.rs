//! The report as an SVG plot.

use crate::report::{Outcome, Report};

const WIDTH: f64 = 960.0;
/// Horizontal start of the bars.
const LEFT: f64 = 420.0;
const RIGHT: f64 = 90.0;
const ROW: f64 = 26.0;
const TOP: f64 = 64.0;

/// Bars of the ratios of processor time with their quartiles; readable on a light and a dark
/// background.
#[must_use]
pub fn plot(report: &Report) -> String {
    let outcomes: Vec<&Outcome> =
        report.outcomes.iter().filter(|outcome| outcome.ratio.cpu.median.is_finite()).collect();
    let most = outcomes.iter().map(|outcome| outcome.ratio.cpu.third).fold(1.0, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / (most * 1.02);
    let bottom = TOP + ROW * outcomes.len() as f64;
    let mut svg = head(report, bottom + 30.0);
    let mut tick = 0.0;
    while tick <= most {
        let (x, class) =
            (LEFT + tick * scale, if (tick - 1.0_f64).abs() < 1e-9 { "one" } else { "grid" });
        svg.push_str(&format!(
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"/>",
            TOP - 4.0
        ));
        svg.push_str(&format!("<text class=\"small\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{tick:.2}</text>\n", bottom + 16.0));
        tick += 0.25;
    }
    for (place, outcome) in outcomes.iter().enumerate() {
        svg.push_str(&bar(outcome, TOP + ROW * place as f64, scale));
    }
    svg.push_str("</svg>\n");
    svg
}

fn head(report: &Report, height: f64) -> String {
    let names = report
        .outcomes
        .first()
        .map(|outcome| outcome.servers.each_ref().map(|server| escape(&server.name)));
    let [ours, theirs] = names.unwrap_or_default();
    let style = "text{font:12px system-ui,sans-serif;fill:#24292f}.small{font-size:11px;fill:#57606a}.bar{fill:#2f81f7}.whisker{stroke:#24292f;\
                 stroke-width:1.5}.grid{stroke:#8c959f;stroke-width:.5;opacity:.5}.one{stroke:#cf222e;stroke-width:1.5}\
                 @media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9da7b1}.bar{fill:#4493f8}.whisker{stroke:#e6edf3}.one{stroke:#ff7b72}}";
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\">\n<title>{ours} beside {theirs}</title>\n\
         <style>{style}</style>\n<text x=\"8\" y=\"20\" font-weight=\"bold\">Time on the processor for each delivery: {ours} / {theirs}</text>\n\
         <text class=\"small\" x=\"8\" y=\"40\">{}; median and quartiles of {} pairs; left of the line is cheaper</text>\n",
        escape(&report.place),
        report.pairs
    )
}

fn bar(outcome: &Outcome, y: f64, scale: f64) -> String {
    let cpu = &outcome.ratio.cpu;
    let [first, median, third] = [cpu.first, cpu.median, cpu.third].map(|value| value * scale);
    let middle = y + ROW / 2.0;
    let whisker = |x1: f64, x2: f64, y1: f64, y2: f64| {
        format!(
            "<line class=\"whisker\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y1:.1}\" y2=\"{y2:.1}\"/>",
            LEFT + x1,
            LEFT + x2
        )
    };
    let label: String = outcome.about.chars().take(66).collect();
    format!(
        "<text text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text><rect class=\"bar\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{median:.1}\" height=\"{:.1}\"/>\
         {}{}{}<text class=\"small\" x=\"{:.1}\" y=\"{:.1}\">{:.2}</text>\n",
        LEFT - 8.0,
        middle + 4.0,
        escape(&label),
        y + 4.0,
        ROW - 8.0,
        whisker(first, third, middle, middle),
        whisker(first, first, middle - 5.0, middle + 5.0),
        whisker(third, third, middle - 5.0, middle + 5.0),
        LEFT + third.max(median) + 6.0,
        middle + 4.0,
        cpu.median
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
