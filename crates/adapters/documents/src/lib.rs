//! Receipts as PDF: text in the fonts that every reader of PDF has, so no font is embedded and a receipt has a few kilobytes.
//!
//! Those fonts have the letters of Western Europe (Windows-1252). A letter of another script is written in Latin letters: see [`letters`].

mod letters;
mod page;
mod receipt;
mod widths;
mod words;

use portico_billing::receipt::{Paper, Receipt, ReceiptLanguage, ReceiptRenderer};

/// Writes receipts. A receipt takes less than a millisecond: what is too long is cut, so there is nothing to wait for.
#[derive(Clone, Copy, Debug, Default)]
pub struct PdfReceipts;

impl ReceiptRenderer for PdfReceipts {
    fn pdf(&self, receipt: &Receipt, paper: Paper, language: ReceiptLanguage) -> Vec<u8> {
        receipt::write(receipt, paper, language)
    }
}
