//! Small curves as SVG, one beside the other: what is measured upwards from zero, by the size, each ten times the one before.

use std::fmt::Write as _;

const COLUMNS: usize = 4;

/// Of one curve with its title, in pixels.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 150.0;

/// Around the area of a curve: left, right, above, below.
const MARGINS: [f64; 4] = [14.0, 14.0, 44.0, 24.0];

/// One curve.
pub struct Curve<'a> {
    pub title: &'a str,
    /// Size and value.
    pub points: Vec<(u32, f64)>,
    pub unit: &'a str,
    /// How many times the first value the others may be.
    pub band: f64,
    /// Whether to draw it as one that leaves the band and must not.
    pub bad: bool,
}

/// A picture of them all.
pub fn draw(heading: &str, curves: &[Curve<'_>]) -> String {
    let rows = curves.len().div_ceil(COLUMNS);
    let (width, height) = (WIDTH * COLUMNS as f64, HEIGHT * rows as f64 + 34.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"11\" fill=\"#24292f\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"14\" y=\"22\" font-size=\"14\" font-weight=\"600\">{}</text>\n",
        escaped(heading)
    );
    for (number, curve) in curves.iter().enumerate() {
        let (x, y) = ((number % COLUMNS) as f64 * WIDTH, (number / COLUMNS) as f64 * HEIGHT + 34.0);
        let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">{}</g>", one(curve));
    }
    svg + "</svg>\n"
}

fn one(curve: &Curve<'_>) -> String {
    let [left, right, above, below] = MARGINS;
    let (wide, high) = (WIDTH - left - right, HEIGHT - above - below);
    let first = curve.points.first().map_or(0.0, |(_, value)| *value);
    let most = curve
        .points
        .iter()
        .map(|(_, value)| *value)
        .fold(first * curve.band * 1.3, f64::max)
        .max(f64::MIN_POSITIVE);
    let last = curve.points.len().saturating_sub(1).max(1);
    let x = |at: usize| left + wide * at as f64 / last as f64;
    let y = |value: f64| above + high * (1.0 - value / most);
    let (bottom, top) = (y(0.0), y(first * curve.band));
    let colour = if curve.bad { "#cf222e" } else { "#0969da" };
    let mut svg = format!(
        "<text x=\"{left}\" y=\"16\" font-weight=\"600\">{}</text>\
         <rect x=\"{left}\" y=\"{top:.1}\" width=\"{wide}\" height=\"{:.1}\" fill=\"#dafbe1\"/>\
         <line x1=\"{left}\" y1=\"{bottom}\" x2=\"{}\" y2=\"{bottom}\" stroke=\"#8c959f\"/>",
        escaped(curve.title),
        bottom - top,
        left + wide,
    );
    let places: Vec<String> = curve
        .points
        .iter()
        .enumerate()
        .map(|(at, (_, value))| format!("{:.1},{:.1}", x(at), y(*value)))
        .collect();
    let _ = write!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        places.join(" ")
    );
    for (at, (size, value)) in curve.points.iter().enumerate() {
        let anchor = match at {
            0 => "start",
            at if at == last => "end",
            _ => "middle",
        };
        let _ = write!(
            svg,
            "<circle cx=\"{0:.1}\" cy=\"{1:.1}\" r=\"3\" fill=\"{colour}\"/>\
             <text x=\"{0:.1}\" y=\"{2:.1}\" text-anchor=\"{anchor}\" fill=\"#57606a\">{size}×</text>",
            x(at),
            y(*value),
            HEIGHT - 8.0
        );
        if at == 0 || at == last {
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"32\" text-anchor=\"{anchor}\">{} {}</text>",
                x(at),
                short(*value),
                curve.unit
            );
        }
    }
    svg
}

/// A number with three digits that count.
pub fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::{Curve, draw};

    #[test]
    fn a_picture_has_a_line_for_each_curve() {
        let curve =
            |bad| Curve { title: "a < b", points: vec![(1, 1.0), (10, 1.1)], unit: "ms", band: 1.2, bad };
        let svg = draw("Lists", &[curve(false), curve(true)]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("a &lt; b") && svg.contains("#cf222e"));
    }
}
