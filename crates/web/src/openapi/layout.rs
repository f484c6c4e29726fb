//! The layout of the document as a file: short objects and lists take one line, so that people can read it and its changes.

/// Most characters of a line that was joined.
const WIDTH: usize = 120;

/// Joins what is on several lines of indented JSON, and holds no further object or list, where it fits on one.
pub fn compact(pretty: &str) -> String {
    let lines: Vec<&str> = pretty.lines().collect();
    let mut text = String::with_capacity(pretty.len());
    let mut next = 0;
    while let Some(line) = lines.get(next) {
        let joined = line.ends_with(['{', '[']).then(|| join(&lines[next..])).flatten();
        let taken = match &joined {
            Some((joined, taken)) => {
                text.push_str(joined);
                *taken
            }
            None => {
                text.push_str(line);
                1
            }
        };
        text.push('\n');
        next += taken;
    }
    text.pop();
    text
}

/// The object or list that begins on the first line, on one line, and how many it was on.
fn join(lines: &[&str]) -> Option<(String, usize)> {
    let mut joined = (*lines.first()?).to_owned();
    let space = if joined.ends_with('{') { " " } else { "" };
    for (number, line) in lines.iter().enumerate().skip(1) {
        if line.ends_with(['{', '[']) || joined.chars().count() > WIDTH {
            return None;
        }
        let line = line.trim_start();
        if line.starts_with(['}', ']']) {
            joined = format!("{joined}{space}{line}");
            return (joined.chars().count() <= WIDTH).then_some((joined, number + 1));
        }
        joined.push_str(if number == 1 { space } else { " " });
        joined.push_str(line);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn what_is_short_takes_one_line_and_means_the_same() {
        let value = serde_json::json!({
            "a": [1, 2, "x {", "y ["], "b": {"c": "}", "d": ["]", {}]}, "e": [], "f": {"g": {"h": null}},
            "long": ["z".repeat(70), "z".repeat(70)],
        });
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let text = compact(&pretty);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value, "{text}");
        assert!(text.contains("\n  \"a\": [1, 2, \"x {\", \"y [\"],\n"), "{text}");
        assert!(text.contains("\"g\": { \"h\": null }"), "{text}");
        assert!(text.lines().all(|line| line.len() < 130));
    }
}
