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
//! Where nothing is left by that, the answer stands below the quotation, or between its lines: then all lines that are not quoted are
//! taken, without the line that introduces the quotation and the signature; and where that is nothing either, the whole text. The mail
//! itself is kept as it came.

/// Stands in the line of our mails above which one answers, in every language.
pub const MARK: &str = "##- ";

/// What somebody wrote in the plain text of a mail. Empty only where the mail is.
pub fn without_quotation(text: &str) -> String {
    let kept = [above_quotation(text), around_quotation(text)].into_iter().find(|kept| !kept.is_empty());
    kept.unwrap_or_else(|| text.trim().to_owned())
}

/// The text up to what it answers to.
fn above_quotation(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    if let Some(at) = lines.iter().position(|line| line.contains(MARK)) {
        lines.truncate(at);
    }
    drop_signature(&mut lines);
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

/// The lines that are not quoted.
fn around_quotation(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let mut is_introduced = false;
    for line in text.lines() {
        if !is_quoted(line) && !line.contains(MARK) {
            lines.push(line);
        } else if !is_introduced {
            // Later ones that end with a colon were written between the quoted lines.
            drop_introduction(&mut lines);
            is_introduced = true;
        }
    }
    drop_signature(&mut lines);
    lines.join("\n").trim().to_owned()
}

fn drop_signature(lines: &mut Vec<&str>) {
    if let Some(at) = lines.iter().position(|line| *line == "-- " || *line == "--") {
        lines.truncate(at);
    }
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
            ("", ""),
            (" \n\n", ""),
        ] {
            assert_eq!(without_quotation(text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_answer_below_the_quotation_is_kept() {
        for (text, expected) in [
            (
                "On Mon, Ada wrote:\r\n> ##- Write above -##\r\n> Which?\r\n\r\nIt is 2.4.1.\r\n",
                "It is 2.4.1.",
            ),
            ("> ##- Write above -##\n> Which?\nIt is 2.4.1.\n\n-- \nAda", "It is 2.4.1."),
            (
                "On Mon, 23 Nov,\nSupport\nwrote:\n\n> ##- Up -##\n> Which?\n\nIt is:\n2.4.1.",
                "It is:\n2.4.1.",
            ),
            // Between the lines, too: what was asked is in the ticket.
            ("> ##- Up -##\n> Which?\nIt says:\n> And where?\nDebian.", "It says:\nDebian."),
            ("From: Support\nSubject: [#3]\n\n##- Up -##\nIt is 2.4.1.", "It is 2.4.1."),
            // Where all of it is quoted, or looks like a signature, it is kept whole.
            ("> only a quotation", "> only a quotation"),
            ("On Mon, Ada wrote:\n> Which?\n", "On Mon, Ada wrote:\n> Which?"),
            ("-- \nAda", "-- \nAda"),
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
            prop_assert_eq!(kept.is_empty(), text.trim().is_empty());
        }
    }
}
