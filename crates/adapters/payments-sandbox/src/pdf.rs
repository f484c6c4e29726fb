//! An invoice as a PDF of one page: text in a font that every reader has (ISO 32000-1, 9.6.2.2).

use serde_json::Value;

use crate::{calendar, money, value::Read};

/// Lines that fit the page.
const LINES: usize = 45;

/// The PDF of an invoice.
pub(crate) fn of_invoice(invoice: &Value) -> Vec<u8> {
    let currency = invoice.owned("currency");
    let mut lines = vec![
        format!("Invoice {}", invoice.text("number").unwrap_or("(draft)")),
        "Payments sandbox: this is no real invoice, and no money has moved.".to_owned(),
        format!("Date: {}", calendar::day_text(invoice.num("created"))),
        format!(
            "For: {}",
            invoice.text("customer_name").or_else(|| invoice.text("customer_email")).unwrap_or("-")
        ),
        format!("Status: {}", invoice.owned("status")),
        String::new(),
    ];
    for line in invoice.list("lines.data").iter().take(LINES - 12) {
        let amount = money::text(line.num("amount"), &line.owned("currency"));
        lines.push(format!("{amount:>16}   {}", line.owned("description")));
    }
    lines.push(String::new());
    for (name, field) in
        [("Subtotal", "subtotal"), ("Total", "total"), ("Paid", "amount_paid"), ("Due", "amount_remaining")]
    {
        lines.push(format!("{:>16}   {name}", money::text(invoice.num(field), &currency)));
    }
    write(&lines)
}

fn write(lines: &[String]) -> Vec<u8> {
    let mut content = b"BT /F1 10 Tf 50 790 Td 16 TL\n".to_vec();
    for line in lines.iter().take(LINES) {
        content.push(b'(');
        for letter in line.chars().take(90) {
            // WinAnsi has the letters of Latin 1 at their numbers; parentheses and backslashes are escaped.
            let byte = u8::try_from(u32::from(letter)).ok().filter(|byte| *byte >= 32).unwrap_or(b'?');
            if matches!(byte, b'(' | b')' | b'\\') {
                content.push(b'\\');
            }
            content.push(byte);
        }
        content.extend_from_slice(b") Tj T*\n");
    }
    content.extend_from_slice(b"ET");
    let mut stream = format!("<< /Length {} >>\nstream\n", content.len()).into_bytes();
    stream.extend_from_slice(&content);
    stream.extend_from_slice(b"\nendstream");
    let objects: [&[u8]; 5] = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        &stream,
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
    ];
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        file.extend_from_slice(format!("{} 0 obj\n", index + 1).as_bytes());
        file.extend_from_slice(object);
        file.extend_from_slice(b"\nendobj\n");
    }
    let start = file.len();
    file.extend_from_slice(b"xref\n0 6\n0000000000 65535 f \n");
    for offset in offsets {
        file.extend_from_slice(format!("{offset:010} 00000 n \n").as_bytes());
    }
    file.extend_from_slice(
        format!("trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n").as_bytes(),
    );
    file
}
