//! What the port demands: the same bytes for the same receipt, texts as texts, bounds.

#![allow(clippy::unwrap_used, reason = "a test; the lint spares only functions marked #[test]")]

use std::time::{Duration, Instant};

use portico_billing::{
    payment::Provider,
    receipt::{Buyer, Paper, Receipt, ReceiptLanguage, ReceiptRenderer},
    seller::Seller,
    subscription_provider::InvoiceLine,
};
use portico_documents::PdfReceipts;
use portico_kernel::{PurchaseId, Timestamp};

fn receipt() -> Receipt {
    let line = |description: &str, quantity, amount| InvoiceLine {
        description: description.to_owned(),
        quantity,
        amount,
    };
    Receipt {
        number: "R-000012".to_owned(),
        seller: Seller {
            name: "Ejemplo, S. A.".to_owned(),
            address: vec!["6a avenida 1-20, zona 1".to_owned(), "Ciudad de Guatemala".to_owned()],
            tax_id: Some("1234567-8".to_owned()),
            tax_name: Some("IVA".to_owned()),
            tax_rate: 1250,
        },
        buyer: Buyer { name: "Ada Núñez".to_owned(), email: "ada@example.com".to_owned() },
        lines: vec![line("Base Software License", 2, 71800), line("SUMMER", 1, -1800)],
        total: 70000,
        tax: 7778,
        refunded: 0,
        currency: "usd".to_owned(),
        paid_at: Timestamp::from_unix_seconds(1_790_000_000).unwrap(),
        method: Provider::Stripe,
        purchase_id: PurchaseId::from_uuid("0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d".parse().unwrap()),
    }
}

fn pdf(receipt: &Receipt, language: ReceiptLanguage) -> Vec<u8> {
    PdfReceipts.pdf(receipt, Paper::A4, language)
}

/// The texts that are shown, in their order. Pages are not compressed; letters beyond ASCII are written as hexadecimal digits.
fn texts(pdf: &[u8]) -> Vec<String> {
    let text: String = pdf.iter().copied().map(char::from).collect();
    text.lines().filter_map(|line| shown(line.strip_suffix(" Tj")?)).collect()
}

/// The text of a string of PDF.
fn shown(string: &str) -> Option<String> {
    if let Some(digits) = string.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        return Some((0..digits.len()).step_by(2).map(|at| char::from(byte(at))).collect());
    }
    let mut text = String::new();
    let mut depth = 0;
    let mut characters = string.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'))?.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            _ => {
                depth += match character {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                assert!(depth >= 0, "the string ends before its end: {string}");
                text.push(character);
            }
        }
    }
    assert_eq!(depth, 0, "the string does not end: {string}");
    Some(text)
}

/// How many objects there are; checks that each begins where the table at the end says.
fn objects(pdf: &[u8]) -> usize {
    let from = |at: usize| String::from_utf8_lossy(&pdf[at..]);
    let all = from(0);
    assert!(all.starts_with("%PDF-1.") && all.trim_end().ends_with("%%EOF"));
    let (_, end) = all.rsplit_once("startxref\n").unwrap();
    let table = from(end.lines().next().unwrap().parse().unwrap());
    let mut lines = table.lines().skip(1);
    let count: usize = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    for (number, line) in (1..count).zip(lines.skip(1)) {
        let object = format!("{number} 0 obj");
        assert!(from(line[..10].parse().unwrap()).starts_with(&object), "{object}");
    }
    count - 1
}

#[test]
fn a_receipt_says_what_was_paid() {
    let shown = texts(&pdf(&receipt(), ReceiptLanguage::English));
    assert_eq!(
        shown,
        [
            "Receipt",
            "Ejemplo, S. A.",
            "6a avenida 1-20, zona 1",
            "Ciudad de Guatemala",
            "Tax ID: 1234567-8",
            "Number",
            "R-000012",
            "Paid",
            "2026-09-21 14:13 UTC",
            "Paid with",
            "Stripe",
            "Purchase",
            "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d",
            "Sold to",
            "Ada N\u{fa}\u{f1}ez",
            "ada@example.com",
            "Description",
            "Quantity",
            "Amount",
            "Base Software License",
            "2",
            "718.00 USD",
            "Discount SUMMER",
            "-18.00 USD",
            "Total paid",
            "700.00 USD",
            "Tax included: IVA 12.5 %",
            "77.78 USD",
            "Page 1/1",
        ]
    );
    let refunded = Receipt { refunded: 10000, ..receipt() };
    let shown = texts(&pdf(&refunded, ReceiptLanguage::Spanish));
    for text in ["Recibo", "N\u{fa}mero", "Vendido a", "Descripci\u{f3}n", "Descuento SUMMER", "Total pagado"]
    {
        assert!(shown.iter().any(|found| found == text), "{text}: {shown:?}");
    }
    let end = shown.len() - 3;
    assert_eq!(shown[end..], ["Reembolsado", "-100.00 USD", "P\u{e1}gina 1/1"]);
    let free =
        Receipt { seller: Seller { name: "Ada".to_owned(), ..Seller::default() }, tax: 0, ..receipt() };
    let shown = texts(&pdf(&free, ReceiptLanguage::English));
    assert!(shown.contains(&"Tax included: 0 %".to_owned()) && shown.contains(&"0.00 USD".to_owned()));
}

#[test]
fn the_same_receipt_is_the_same_file() {
    for paper in Paper::ALL {
        for language in ReceiptLanguage::ALL {
            let first = PdfReceipts.pdf(&receipt(), paper, language);
            assert_eq!(PdfReceipts.pdf(&receipt(), paper, language), first);
            assert_eq!(objects(&first), 7);
            assert!(first.len() < 8000, "{}", first.len());
        }
    }
    let (a4, letter) = (pdf(&receipt(), ReceiptLanguage::English), Paper::Letter);
    let letter = PdfReceipts.pdf(&receipt(), letter, ReceiptLanguage::English);
    let has = |pdf: &[u8], text: &[u8]| pdf.windows(text.len()).any(|part| part == text);
    assert!(has(&a4, b"[0 0 595.28 841.89]") && has(&letter, b"[0 0 612 792]"));
}

#[test]
fn texts_are_texts() {
    for name in
        ["a) Tj ET (", "\\", "\\051", "((((", ")))", "%PDF", "<< /JS (app.alert(1)) >>", "endstream endobj"]
    {
        let mut evil = receipt();
        evil.buyer = Buyer { name: name.to_owned(), email: name.to_owned() };
        evil.lines[0].description = name.to_owned();
        evil.seller.address = vec![name.to_owned()];
        let made = pdf(&evil, ReceiptLanguage::English);
        let shown = texts(&made);
        assert_eq!(shown.iter().filter(|text| *text == name).count(), 4, "{name}: {shown:?}");
        assert_eq!((shown.len(), objects(&made)), (28, 7), "{name}");
    }
}

#[test]
fn whatever_is_in_it_a_receipt_is_bounded() {
    let mut large = receipt();
    let text = "Ж \u{202e}ñ長 ".repeat(1000);
    large.number.clone_from(&text);
    large.currency.clone_from(&text);
    large.buyer = Buyer { name: text.clone(), email: "x".repeat(100_000) };
    large.seller.address = vec![text.clone(); 1000];
    large.seller.tax_name = Some(text.clone());
    large.lines = vec![InvoiceLine { description: text, quantity: u32::MAX, amount: i64::MAX }; 1000];
    (large.total, large.tax, large.refunded) = (i64::MAX, i64::MIN, i64::MAX);
    let begin = Instant::now();
    let made = pdf(&large, ReceiptLanguage::Spanish);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(made.len() < 500_000, "{}", made.len());
    let pages = (objects(&made) - 5) / 2;
    assert!((2..20).contains(&pages), "{pages} pages");
    let last = texts(&made).pop().unwrap();
    assert!(last.ends_with(&format!(" {pages}/{pages}")), "{last}");
}
