//! Figures, and how they compare with the targets.

/// What a figure has to be.
#[derive(Clone, Copy)]
pub enum Aim {
    /// At least so much.
    AtLeast(f64),
    /// At most so much.
    AtMost(f64),
    /// Less than so much.
    Below(f64),
    /// No target: for information.
    None,
}

impl Aim {
    fn is_met(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(value >= least),
            Self::AtMost(most) => Some(value <= most),
            Self::Below(limit) => Some(value < limit),
            Self::None => None,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(value) => format!("≥ {value}"),
            Self::AtMost(value) => format!("≤ {value}"),
            Self::Below(value) => format!("< {value}"),
            Self::None => String::new(),
        }
    }
}

/// One line of the table.
struct Line {
    name: String,
    ours: String,
    bare: String,
    value: String,
    spread: String,
    aim: String,
    met: String,
}

/// The table.
#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
}

impl Report {
    /// Adds what was measured of both servers in each round. The value is the median of the ratios of the rounds.
    pub fn compare(&mut self, name: &str, unit: &str, rounds: &[(f64, f64)], aim: Aim) {
        let ratios: Vec<f64> = rounds.iter().map(|(ours, bare)| ours / bare).collect();
        let ratio = median(&ratios);
        self.lines.push(Line {
            name: name.to_owned(),
            ours: amount(median(&rounds.iter().map(|(ours, _)| *ours).collect::<Vec<_>>()), unit),
            bare: amount(median(&rounds.iter().map(|(_, bare)| *bare).collect::<Vec<_>>()), unit),
            value: format!("{ratio:.2}"),
            spread: spread(&ratios, |ratio| format!("{ratio:.2}")),
            aim: aim.text(),
            met: met(aim, ratio).to_owned(),
        });
    }

    /// Adds what was measured of our server alone. The value is the median.
    pub fn state(&mut self, name: &str, unit: &str, values: &[f64], aim: Aim) {
        let value = median(values);
        self.lines.push(Line {
            name: name.to_owned(),
            ours: amount(value, unit),
            bare: String::new(),
            value: amount(value, unit),
            spread: if values.len() > 1 {
                spread(values, |value| format!("{value:.0}"))
            } else {
                String::new()
            },
            aim: aim.text(),
            met: met(aim, value).to_owned(),
        });
    }

    /// Adds how many requests did not get what they asked for.
    pub fn errors(&mut self, ours: u64, bare: u64) {
        self.lines.push(Line {
            name: "  errors".to_owned(),
            ours: ours.to_string(),
            bare: bare.to_string(),
            value: ours.to_string(),
            spread: String::new(),
            aim: "0".to_owned(),
            met: if ours == 0 { "yes" } else { "NO" }.to_owned(),
        });
    }

    /// The table as text.
    pub fn text(&self) -> String {
        let head = ["", "ours", "bare", "value", "least…most", "aim", "met"];
        let rows: Vec<[&str; 7]> = std::iter::once(head)
            .chain(self.lines.iter().map(|line| {
                let Line { name, ours, bare, value, spread, aim, met } = line;
                [name, ours, bare, value, spread, aim, met].map(|cell| cell.as_str())
            }))
            .collect();
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let mut text = String::new();
        for row in &rows {
            for (column, cell) in row.iter().enumerate() {
                let padding = " ".repeat(width(column) - cell.chars().count());
                // Names to the left, figures to the right.
                text += &if column == 0 { format!("{cell}{padding}") } else { format!("  {padding}{cell}") };
            }
            text = text.trim_end().to_owned() + "\n";
        }
        text
    }
}

fn met(aim: Aim, value: f64) -> &'static str {
    match aim.is_met(value) {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    }
}

fn amount(value: f64, unit: &str) -> String {
    let digits = if value >= 100.0 { 0 } else { 1 };
    format!("{value:.digits$} {unit}")
}

fn spread(values: &[f64], text: impl Fn(f64) -> String) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{}…{}", text(least), text(most))
}

/// The middle one; of an even number, the mean of the middle two.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_the_ratios_counts_not_the_ratio_of_the_medians() {
        let mut report = Report::default();
        // The ratio of the medians (30 and 60) is 0.5; the ratios of the rounds are 0.1, 0.9 and 2.
        report.compare("x", "/s", &[(10.0, 100.0), (54.0, 60.0), (30.0, 15.0)], Aim::AtLeast(0.9));
        assert_eq!(report.lines[0].value, "0.90");
        assert_eq!(report.lines[0].spread, "0.10…2.00");
        assert_eq!(report.lines[0].met, "yes");
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert!((median(&[4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn what_misses_its_aim_says_so() {
        let mut report = Report::default();
        report.state("start", "ms", &[100.0], Aim::Below(100.0));
        report.state("memory", "MB", &[45.0], Aim::AtMost(45.0));
        report.state("other", "MB", &[45.0], Aim::None);
        assert_eq!(report.lines.iter().map(|line| line.met.as_str()).collect::<Vec<_>>(), ["NO", "yes", ""]);
        // No figure at all does not meet an aim either.
        report.state("nothing", "ms", &[], Aim::Below(100.0));
        assert_eq!(report.lines[3].met, "NO");
    }
}
