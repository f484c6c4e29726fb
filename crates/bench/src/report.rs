//! Figures, and how they compare with the targets.

use crate::disturbance::Disturbance;

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
    /// The part that it belongs to, if any.
    part: Option<usize>,
    name: String,
    ours: String,
    other: String,
    value: String,
    spread: String,
    aim: String,
    met: String,
}

/// A part of a run.
struct Part {
    name: String,
    disturbance: Option<Disturbance>,
}

/// The tables.
pub struct Report {
    /// What is compared.
    heads: [&'static str; 2],
    lines: Vec<Line>,
    parts: Vec<Part>,
    is_valid: bool,
}

impl Default for Report {
    /// Of ours and of what does the minimum.
    fn default() -> Self {
        Self::of(["ours", "bare"])
    }
}

impl Report {
    /// Of two things.
    pub const fn of(heads: [&'static str; 2]) -> Self {
        Self { heads, lines: Vec::new(), parts: Vec::new(), is_valid: true }
    }

    /// The lines that follow belong to this part, until [`Report::end`].
    pub fn begin(&mut self, part: &str) {
        self.parts.push(Part { name: part.to_owned(), disturbance: None });
    }

    /// Ends a part, and says what else happened meanwhile.
    pub fn end(&mut self, disturbance: Disturbance) {
        if let Some(part) = self.parts.last_mut() {
            part.disturbance = Some(disturbance);
        }
    }

    /// Whether every part measured what it was to measure.
    pub const fn is_valid(&self) -> bool {
        self.is_valid
    }

    /// Adds that a figure could not be measured. Figures that the part has added before stay, as they are doubtful at least.
    pub fn invalid(&mut self, name: &str, why: &str) {
        self.is_valid = false;
        self.add(
            name,
            [String::new(), String::new(), "INVALID".to_owned(), String::new()],
            Aim::None,
            f64::NAN,
        );
        if let Some(line) = self.lines.last_mut() {
            why.clone_into(&mut line.met);
        }
    }

    /// Adds what was measured of both in each round. The value is the median of the ratios of the rounds.
    pub fn compare(&mut self, name: &str, unit: &str, rounds: &[(f64, f64)], aim: Aim) {
        let ratios = ratios(rounds);
        let ratio = median(&ratios);
        let text = |value| format!("{value:.2}");
        self.add(
            name,
            [ours(rounds, unit), other(rounds, unit), text(ratio), spread(&ratios, text)],
            aim,
            ratio,
        );
    }

    /// The same, with an aim that is one of ours and not of the ratio.
    pub fn compare_with_own_aim(&mut self, name: &str, unit: &str, rounds: &[(f64, f64)], aim: Aim) {
        self.compare(name, unit, rounds, Aim::None);
        if let Some(line) = self.lines.last_mut() {
            let value = median(&firsts(rounds));
            line.aim = match aim {
                Aim::None => String::new(),
                _ => format!("{} {unit}", aim.text()),
            };
            line.met = met(aim, value).to_owned();
        }
    }

    /// Adds what was measured of one alone. The value is the median.
    pub fn state(&mut self, name: &str, unit: &str, values: &[f64], aim: Aim) {
        let value = median(values);
        let spread =
            if values.len() > 1 { spread(values, |value| figure(value, unit)) } else { String::new() };
        self.add(name, [amount(value, unit), String::new(), String::new(), spread], aim, value);
    }

    /// Adds how many requests did not get what they asked for.
    pub fn errors(&mut self, ours: u64, other: u64) {
        let counts = [ours.to_string(), other.to_string(), String::new(), String::new()];
        self.add("  errors", counts, Aim::AtMost(0.0), ours as f64);
    }

    fn add(&mut self, name: &str, [ours, other, value, spread]: [String; 4], aim: Aim, decisive: f64) {
        let part = self.parts.iter().rposition(|part| part.disturbance.is_none());
        let met = met(aim, decisive).to_owned();
        self.lines.push(Line {
            part,
            name: name.to_owned(),
            ours,
            other,
            value,
            spread,
            aim: aim.text(),
            met,
        });
    }

    /// The table as Markdown; lines of parts that were disturbed are marked.
    pub fn text(&self) -> String {
        let [ours, other] = self.heads;
        let mut rows = vec![["figure", ours, other, "ratio", "least–most", "aim", "met"].map(str::to_owned)];
        for Line { part, name, ours, other, value, spread, aim, met } in &self.lines {
            let part = part.and_then(|part| self.parts.get(part));
            let is_doubtful = part.and_then(|part| part.disturbance).is_some_and(|found| found.is_large());
            let name = if is_doubtful { format!("{name} †") } else { name.clone() };
            let cells = [&name, ours, other, value, spread, aim, met];
            rows.push(cells.map(|cell| cell.replace('|', "beside")));
        }
        table(&rows)
    }

    /// What disturbed the parts, as Markdown.
    pub fn disturbances(&self) -> String {
        let heads = ["part", "duration", "load", "stolen", "disk waits", "other processes"];
        let mut rows = vec![heads.map(str::to_owned)];
        for Part { name, disturbance } in &self.parts {
            let Some(Disturbance { seconds, load, stolen, waiting, others }) = disturbance else { continue };
            let percent = |share: &f64| format!("{:.1} %", share * 100.0);
            rows.push([
                name.clone(),
                format!("{seconds:.0} s"),
                format!("{:.1}–{:.1}", load.0, load.1),
                percent(stolen),
                percent(waiting),
                percent(others),
            ]);
        }
        format!(
            "{}\n† more than 5 % of the machine was stolen by the hypervisor or used by processes that do not belong to the \
             measurement.\n",
            table(&rows)
        )
    }
}

/// Names to the left, figures to the right.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default().max(4);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(width(column) - cell.chars().count());
            text += &if column == 0 { format!("| {cell}{padding} |") } else { format!(" {padding}{cell} |") };
        }
        text += "\n";
        if number == 0 {
            for column in 0..N {
                let dashes = "-".repeat(width(column) - 1);
                text += &if column == 0 { format!("| {dashes}- |") } else { format!(" {dashes}: |") };
            }
            text += "\n";
        }
    }
    text
}

fn firsts(rounds: &[(f64, f64)]) -> Vec<f64> {
    rounds.iter().map(|(ours, _)| *ours).collect()
}

fn ours(rounds: &[(f64, f64)], unit: &str) -> String {
    amount(median(&firsts(rounds)), unit)
}

fn other(rounds: &[(f64, f64)], unit: &str) -> String {
    amount(median(&rounds.iter().map(|(_, other)| *other).collect::<Vec<_>>()), unit)
}

fn ratios(rounds: &[(f64, f64)]) -> Vec<f64> {
    rounds.iter().map(|(ours, other)| ours / other).collect()
}

fn met(aim: Aim, value: f64) -> &'static str {
    match aim.is_met(value) {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    }
}

fn amount(value: f64, unit: &str) -> String {
    format!("{} {unit}", figure(value, unit))
}

fn figure(value: f64, unit: &str) -> String {
    // Whole microseconds are exact enough, and there are no halves of requests.
    let digits = if value >= 100.0 || unit == "µs" { 0 } else { 1 };
    format!("{value:.digits$}")
}

fn spread(values: &[f64], text: impl Fn(f64) -> String) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{}–{}", text(least), text(most))
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
        assert_eq!(report.lines[0].spread, "0.10–2.00");
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

    #[test]
    fn what_is_invalid_shows_and_makes_the_run_invalid() {
        let mut report = Report::default();
        report.state("start", "ms", &[1.0], Aim::None);
        assert!(report.is_valid());
        report.invalid("creation", "17 answers with another status");
        assert!(!report.is_valid());
        let text = report.text();
        assert!(text.lines().any(|line| line.contains("INVALID") && line.contains("17 answers")), "{text}");
    }

    #[test]
    fn lines_of_a_disturbed_part_are_marked_and_others_are_not() {
        let quiet = Disturbance { seconds: 9.0, load: (1.0, 2.0), stolen: 0.01, waiting: 0.0, others: 0.0 };
        let mut report = Report::of(["new", "old"]);
        report.begin("quiet");
        report.state("one", "ms", &[1.0], Aim::None);
        report.end(quiet);
        report.begin("busy");
        report.compare("two", "/s", &[(1.0, 2.0)], Aim::None);
        report.end(Disturbance { stolen: 0.2, ..quiet });
        report.state("three", "ms", &[1.0], Aim::None);
        let marked: Vec<_> =
            report.text().lines().filter(|line| line.contains('†')).map(str::to_owned).collect();
        assert!(marked.len() == 1 && marked[0].contains("two"), "{marked:?}");
        assert!(report.text().starts_with("| figure"), "{}", report.text());
        assert!(report.disturbances().contains("20.0 %"), "{}", report.disturbances());
    }

    #[test]
    fn an_aim_of_ours_is_not_compared_with_the_ratio() {
        let mut report = Report::default();
        report.compare_with_own_aim(
            "p99",
            "ms",
            &[(80.0, 10.0), (90.0, 10.0), (120.0, 10.0)],
            Aim::AtMost(100.0),
        );
        assert_eq!((report.lines[0].value.as_str(), report.lines[0].met.as_str()), ("9.00", "yes"));
        report.compare_with_own_aim("p99", "ms", &[(120.0, 600.0)], Aim::AtMost(100.0));
        assert_eq!(report.lines[1].met, "NO");
    }
}
