//! What somebody wrote in a mail, without what they answer to and without their signature.
//!
//! Programs for mail quote in many ways, and no rule knows them all. Ours are few, and keep too much rather than too little:
//!
//! 1. The text ends where the line of our own mails stands that asks to write above it ([`MARK`]). It is in every mail that can be
//!    answered, so this decides nearly always.
//! 2. Lines that begin with `>` at the end of the text are what is answered to, together with the lines right before them up to the empty
//!    line before that, where these end with a colon (`On Monday, Ada wrote:`) or are the head of a mail (`From: …`, `Subject: …`).
//! 3. The text ends where a line `-- ` stands (RFC 3676, section 4.3: the signature follows).
//!
//! A mail that is taken is kept as it came. One of which nothing is left, because all of it was written below the quotation, is not taken.

/// Stands in the line of our mails above which one answers, in every language.
pub const MARK: &str = "##- ";

/// What somebody wrote in the plain text of a mail.
pub fn without_quotation(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    if let Some(at) = lines.iter().position(|line| line.contains(MARK)) {
        lines.truncate(at);
    }
    if let Some(at) = lines.iter().position(|line| *line == "-- " || *line == "--") {
        lines.truncate(at);
    }
    drop_blank(&mut lines);
    let whole = lines.len();
    while lines.last().is_some_and(|line| is_quoted(line) || line.trim().is_empty()) {
        lines.pop();
    }
    if lines.len() < whole || text.contains(MARK) {
        drop_introduction(&mut lines);
    }
    drop_blank(&mut lines);
    lines.join("\n").trim().to_owned()
}

fn is_quoted(line: &str) -> bool {
    line.trim_start().starts_with('>')
}

/// Takes the last lines up to an empty one away, if they say who wrote what follows: three at most that end with a colon, or the head of a
/// mail with the line that some programs draw above it.
fn drop_introduction(lines: &mut Vec<&str>) {
    drop_blank(lines);
    let block = lines.iter().rev().take_while(|line| !line.trim().is_empty()).count();
    let start = lines.len() - block;
    let Some(last) = lines.last() else { return };
    let is_said = block <= 3 && last.trim_end().ends_with(':');
    let (drawn, head): (Vec<&str>, Vec<&str>) = lines
        .iter()
        .skip(start)
        .copied()
        .partition(|line| line.starts_with("____") || line.starts_with("----"));
    let is_head = head.len() >= 2 && drawn.len() <= 1 && head.iter().all(|line| is_field(line));
    if is_said || is_head {
        lines.truncate(start);
    }
}

/// Whether a line looks like one of the head of a mail: `From: Ada`.
fn is_field(line: &str) -> bool {
    let line = line.trim_start_matches(['*', '>', ' ']);
    line.split_once(':')
        .is_some_and(|(name, _)| !name.is_empty() && name.chars().count() <= 20 && !name.contains(' '))
}

fn drop_blank(lines: &mut Vec<&str>) {
    while lines.last().is_some_and(|line| line.trim().trim_matches('>').trim().is_empty()) {
        lines.pop();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_answered_to_and_signatures_are_left_out() {
        for (text, expected) in [
            ("It is 2.4.1.", "It is 2.4.1."),
            ("  It is 2.4.1.\n\nThanks\n", "It is 2.4.1.\n\nThanks"),
            ("It is 2.4.1.\n\n-- \nAda\nAnalytical Engines", "It is 2.4.1."),
            ("It is 2.4.1.\r\n\r\nOn Mon, Ada wrote:\r\n> Which version?\r\n> \r\n", "It is 2.4.1."),
            (
                "It is 2.4.1.\n\nOn Mon, 23 Nov 2026 at 10:00,\nSupport <s@example.com>\nwrote:\n\n> Which?\n",
                "It is 2.4.1.",
            ),
            (
                "Es 2.4.1.\n\nEl lun, 23 nov, Soporte escribió:\n\n> ##- Escribe tu respuesta -##\n> ¿Cuál?",
                "Es 2.4.1.",
            ),
            ("It is 2.4.1.\n\nFrom: Support\nSubject: [#3]\n\n##- Write above -##\nWhich?", "It is 2.4.1."),
            // Answers between the lines stay with what they answer to.
            (
                "> Which version?\nIt is 2.4.1.\n> Which system?\nDebian.",
                "> Which version?\nIt is 2.4.1.\n> Which system?\nDebian.",
            ),
            // A colon alone is no quotation.
            ("The log says:\n\nError: 7\nand then:", "The log says:\n\nError: 7\nand then:"),
            ("> only a quotation", ""),
            ("", ""),
        ] {
            assert_eq!(without_quotation(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_cut_and_nothing_is_made_up(text in "(?s).{0,300}") {
            let kept = without_quotation(&text);
            prop_assert!(kept.len() <= text.len());
            prop_assert!(kept.lines().all(|line| text.contains(line.trim())));
        }
    }
}
