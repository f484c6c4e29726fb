//! CSV (RFC 4180), protected against formula injection in spreadsheets.

use std::borrow::Cow;

use csv::{Position, QuoteStyle, ReaderBuilder, Terminator, Trim, WriterBuilder};
use portico_kernel::{FieldError, Kind};

use crate::problem::Problem;

/// The content type, with a header line (RFC 4180 section 3).
pub const CONTENT_TYPE: &str = "text/csv; charset=utf-8; header=present";

/// Rows as lines.
pub fn lines<R, C>(rows: impl IntoIterator<Item = R>) -> Result<Vec<u8>, csv::Error>
where
    R: IntoIterator<Item = C>,
    C: AsRef<str>,
{
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .quote_style(QuoteStyle::Necessary)
        .from_writer(Vec::new());
    for row in rows {
        for cell in row {
            writer.write_field(harmless(cell.as_ref()).as_bytes())?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// A line of a table that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the text, from 1; the header has the first one.
    pub number: u64,
    /// Its cells in the order of the columns that were asked for; empty where the table has no such column.
    pub cells: Vec<String>,
}

/// Reads a table (RFC 4180) with a header, which names its columns in any order: each of `required`, and some of `optional`. White space
/// around cells is dropped.
///
/// # Errors
/// 400 where it is no table in UTF-8, with the line; 422 for a column that is missing, unknown, or there twice.
pub fn read(bytes: &[u8], required: &[&str], optional: &[&str]) -> Result<Vec<Line>, Problem> {
    // Spreadsheets write a mark at the beginning.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(bytes);
    let header = reader.headers().map_err(|error| malformed(bytes, &error))?.clone();
    let mut errors = Vec::new();
    for (place, name) in header.iter().enumerate() {
        let column = format!("columns[{place}]");
        if !required.contains(&name) && !optional.contains(&name) {
            let known = [required, optional].concat().join(", ");
            errors.push(FieldError::new(column, "unknown_column", format!("The columns are {known}.")));
        } else if header.iter().take(place).any(|earlier| earlier == name) {
            errors.push(FieldError::new(column, "duplicate", "The column is there twice."));
        }
    }
    for name in required.iter().filter(|name| !header.iter().any(|column| column == **name)) {
        errors.push(FieldError::new("columns", "required", format!("The column {name} is missing.")));
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let wanted = required.iter().chain(optional);
    let places: Vec<Option<usize>> =
        wanted.map(|name| header.iter().position(|column| column == *name)).collect();
    let mut lines = Vec::new();
    let (mut number, mut counted) = (1, 0);
    for record in reader.records() {
        let record = record.map_err(|error| malformed(bytes, &error))?;
        let cell = |place: &Option<usize>| place.and_then(|place| record.get(place)).unwrap_or("").to_owned();
        let begin = beginning(bytes, record.position());
        number += ends(bytes.get(counted..begin));
        counted = begin;
        lines.push(Line { number, cells: places.iter().map(cell).collect() });
    }
    Ok(lines)
}

/// Where a record begins. Its position is where the one before it ended: in the middle of CRLF, and before empty lines.
fn beginning(bytes: &[u8], position: Option<&Position>) -> usize {
    let from = position.and_then(|place| usize::try_from(place.byte()).ok()).unwrap_or(0);
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

/// How many lines end in a part of a text.
fn ends(part: Option<&[u8]>) -> u64 {
    part.unwrap_or_default().iter().filter(|byte| **byte == b'\n').count() as u64
}

fn malformed(bytes: &[u8], error: &csv::Error) -> Problem {
    let line = |place| 1 + ends(bytes.get(..beginning(bytes, Some(place))));
    let at = error.position().map_or_else(String::new, |place| format!(" in line {}", line(place)));
    let detail = format!("The body is no table of comma-separated values in UTF-8{at}.");
    Problem::new(Kind::Malformed, "malformed_body", detail)
}

/// A cell that no spreadsheet takes for a formula: one that starts like it is prefixed with an apostrophe (OWASP, CSV
/// injection). A whole number below zero stays one.
fn harmless(cell: &str) -> Cow<'_, str> {
    let is_number = cell.parse::<i64>().is_ok_and(|_| !cell.starts_with('+'));
    if !is_number && cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(row: &[&str]) -> String {
        String::from_utf8(lines([row]).unwrap()).unwrap()
    }

    #[test]
    fn cells_that_start_formulas_are_made_harmless() {
        for start in ["=", "+", "-", "@", "\t", "\r", "\n"] {
            let cell = format!("{start}HYPERLINK(1)");
            let line = text(&[&cell, "x"]);
            assert!(line.trim_start_matches('"').starts_with(&format!("'{start}")), "{line:?}");
        }
        // Quotes around a cell do not hide its first character.
        assert_eq!(text(&["=1,2", "a"]), "\"'=1,2\",a\r\n");
        assert_eq!(text(&["a=1", "1-2", "'", ""]), "a=1,1-2,',\r\n");
        assert_eq!(text(&["-12", "-1-2", "+3"]), "-12,'-1-2,'+3\r\n");
    }

    #[test]
    fn quotes_and_line_breaks_survive() {
        let cells = ["a\"b", "c,d", "e\r\nf", "ñ 😀", "{\"a\": [1, 2]}"];
        let bytes = lines([cells, cells]).unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*bytes);
        let read: Vec<Vec<String>> =
            reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        assert_eq!(read, [cells.map(str::to_owned), cells.map(str::to_owned)]);
        assert_eq!(text(&["a\"b"]), "\"a\"\"b\"\r\n");
    }

    #[test]
    fn a_table_is_read_by_its_header() {
        let text = "\u{feff}b, a ,c\r\n1,\"x, y\", \r\n\r\n\"2\n3\",z,w\r\n4,5,6\r\n";
        let lines = read(text.as_bytes(), &["a", "b"], &["c", "d"]).unwrap();
        let cells: Vec<_> = lines.iter().map(|line| line.cells.join("|")).collect();
        assert_eq!(cells, ["x, y|1||", "z|2\n3|w|", "5|4|6|"]);
        let numbers = |text: &str| -> Vec<u64> {
            let lines = read(text.as_bytes(), &["a", "b"], &["c", "d"]).unwrap();
            lines.iter().map(|line| line.number).collect()
        };
        assert_eq!(numbers(text), [2, 4, 6]);
        assert_eq!(numbers(&text.replace("\r\n", "\n")), [2, 4, 6]);
        assert_eq!(read(b"a,b\n", &["a", "b"], &[]).unwrap(), []);
    }

    #[test]
    fn what_is_no_such_table_is_refused() {
        for (text, status) in [
            (&b"a,b\n1\n"[..], 400),
            (b"a,b\n\xff,2\n", 400),
            (b"\xff,b\n1,2\n", 400),
            (b"a,x\n1,2\n", 422),
            (b"a,b,a\n1,2,3\n", 422),
            (b"", 422),
        ] {
            let problem = read(text, &["a", "b"], &[]).unwrap_err();
            let answer = actix_web::ResponseError::error_response(&problem);
            assert_eq!(answer.status().as_u16(), status, "{text:?}");
        }
        for text in ["a,b\n1,2\n\n3\n", "a,b\r\n1,2\r\n\r\n3\r\n"] {
            let problem = read(text.as_bytes(), &["a", "b"], &[]).unwrap_err();
            assert!(problem.to_string().ends_with(" in line 4."), "{problem}");
        }
    }

    #[test]
    fn an_empty_table_is_empty() {
        assert!(lines(Vec::<[&str; 1]>::new()).unwrap().is_empty());
        assert_eq!(text(&[""]), "\"\"\r\n", "a line with one empty cell is a line");
    }
}
