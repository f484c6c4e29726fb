//! What stands where on a receipt.

use portico_billing::{
    money::in_words,
    payment::Provider,
    receipt::{Paper, Receipt, ReceiptLanguage},
};

use crate::{
    letters,
    page::{Pages, Style},
    widths,
    words::{self, Words},
};

/// Most lines of what was bought; an order has fewer.
const LINES: usize = 100;

/// Most lines of an address.
const ADDRESS: usize = 10;

/// Most characters of the title of the file.
const TITLE_MAX: usize = 100;

/// Characters of the code of a currency.
const CODE: usize = 3;

const TITLE: Style = Style { size: 20.0, bold: true, gray: 0.0 };
const PLAIN: Style = Style { size: 10.0, bold: false, gray: 0.0 };
const STRONG: Style = Style { size: 10.0, bold: true, gray: 0.0 };
const FAINT: Style = Style { size: 8.5, bold: false, gray: 0.45 };

/// Between two lines of text.
const LEADING: f32 = 14.0;

/// The receipt as a PDF.
pub fn write(receipt: &Receipt, paper: Paper, language: ReceiptLanguage) -> Vec<u8> {
    let words = words::of(language);
    let mut pages = Pages::new(paper);
    head(&mut pages, receipt, words);
    table(&mut pages, receipt, words);
    sums(&mut pages, receipt, words);
    let title: String = format!("{} {}", words.title, receipt.number).chars().take(TITLE_MAX).collect();
    pages.finish(&title, language.as_str(), |page, of| letters::line(&format!("{} {page}/{of}", words.page)))
}

/// The parties, and what the receipt is about.
fn head(pages: &mut Pages, receipt: &Receipt, words: &Words) {
    let (left, right) = (pages.left(), pages.right());
    pages.advance(TITLE.size);
    pages.text(left, TITLE, &letters::line(words.title));
    pages.advance(2.0 * LEADING);
    let seller = &receipt.seller;
    paragraph(pages, STRONG, &seller.name);
    for line in seller.address.iter().take(ADDRESS) {
        paragraph(pages, PLAIN, line);
    }
    if let Some(id) = &seller.tax_id {
        paragraph(pages, PLAIN, &format!("{}: {id}", words.tax_id));
    }
    pages.advance(LEADING);
    let paid_at = receipt.paid_at.into_inner();
    let paid_at = format!("{} {:02}:{:02} UTC", paid_at.date(), paid_at.hour(), paid_at.minute());
    let method = match receipt.method {
        Provider::Stripe => "Stripe",
        Provider::Recurrente => "Recurrente",
    };
    for (name, value) in [
        (words.number, receipt.number.clone()),
        (words.paid_at, paid_at),
        (words.method, method.to_owned()),
        (words.reference, receipt.purchase_id.to_string()),
    ] {
        pages.text(left, FAINT, &letters::line(name));
        pages.text(left + 90.0, PLAIN, &letters::line(&value));
        pages.advance(LEADING);
    }
    pages.advance(LEADING);
    pages.text(left, FAINT, &letters::line(words.buyer));
    pages.advance(LEADING);
    paragraph(pages, STRONG, &receipt.buyer.name);
    paragraph(pages, PLAIN, &receipt.buyer.email);
    pages.advance(LEADING);
    pages.text(left, FAINT, &letters::line(words.description));
    pages.text_before(right - 110.0, FAINT, &letters::line(words.quantity));
    pages.text_before(right, FAINT, &letters::line(words.amount));
    pages.advance(6.0);
    pages.rule();
    pages.advance(LEADING);
}

/// A text over the whole width, two lines of it at most. Nothing where it is empty.
fn paragraph(pages: &mut Pages, style: Style, text: &str) {
    // Bold letters are up to a quarter wider than those that are measured.
    let width = (pages.right() - pages.left()) * if style.bold { 0.75 } else { 1.0 };
    for line in widths::wrapped(&letters::line(text), style.size, width, 2) {
        if !line.is_empty() {
            pages.text(pages.left(), style, &line);
            pages.advance(LEADING);
        }
    }
}

fn table(pages: &mut Pages, receipt: &Receipt, words: &Words) {
    let (left, right) = (pages.left(), pages.right());
    for line in receipt.lines.iter().take(LINES) {
        let is_discount = line.amount < 0;
        let description = match is_discount {
            true => format!("{} {}", words.discount, line.description),
            false => line.description.clone(),
        };
        let texts = widths::wrapped(&letters::line(&description), PLAIN.size, right - left - 180.0, 3);
        for (index, text) in texts.iter().enumerate() {
            pages.text(left, PLAIN, text);
            if index == 0 {
                if !is_discount {
                    pages.text_before(right - 110.0, PLAIN, line.quantity.to_string().as_bytes());
                }
                pages.text_before(right, PLAIN, &money(line.amount, &receipt.currency));
            }
            pages.advance(LEADING);
        }
    }
    pages.advance(2.0 - LEADING / 2.0);
    pages.rule();
    pages.advance(LEADING + 2.0);
}

fn sums(pages: &mut Pages, receipt: &Receipt, words: &Words) {
    let mut row = |style: Style, name: &str, amount: i64| {
        pages.text(pages.left(), style, &letters::line(name));
        pages.text_before(pages.right(), style, &money(amount, &receipt.currency));
        pages.advance(LEADING);
    };
    row(STRONG, words.total, receipt.total);
    row(PLAIN, &tax(receipt, words), receipt.tax);
    if receipt.refunded > 0 {
        row(PLAIN, words.refunded, receipt.refunded.saturating_neg());
    }
}

/// `Tax included: IVA 12 %`.
fn tax(receipt: &Receipt, words: &Words) -> String {
    let rate = receipt.seller.tax_rate;
    let name = receipt.seller.tax_name.as_deref().unwrap_or_default();
    let percent = match (rate / 100, rate % 100) {
        (whole, 0) => whole.to_string(),
        (whole, rest) => format!("{whole}.{rest:02}").trim_end_matches('0').to_owned(),
    };
    match name {
        "" => format!("{}: {percent} %", words.tax),
        name => format!("{}: {name} {percent} %", words.tax),
    }
}

fn money(amount: i64, currency: &str) -> Vec<u8> {
    let code: String = currency.chars().take(CODE).collect();
    letters::line(&in_words(amount, &code))
}
