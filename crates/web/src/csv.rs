//! CSV (RFC 4180), protected against formula injection in spreadsheets.

use std::borrow::Cow;

use csv::{QuoteStyle, Terminator, WriterBuilder};

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
    fn an_empty_table_is_empty() {
        assert!(lines(Vec::<[&str; 1]>::new()).unwrap().is_empty());
        assert_eq!(text(&[""]), "\"\"\r\n", "a line with one empty cell is a line");
    }
}
