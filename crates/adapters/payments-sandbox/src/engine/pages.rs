//! The pages that a person clicks: checkout, the bank's question, invoice, receipt, portal. Plain HTML without script.

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment};
use serde_json::{Value, json};

use super::{
    checkout_pages, portal_page,
    sandbox::{PageRequest, PageResponse},
    world::World,
};
use crate::{cards, form, money, pdf, value::Read};

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let templates = [
        ("base.html", include_str!("../../templates/base.html")),
        ("card.html", include_str!("../../templates/card.html")),
        ("checkout.html", include_str!("../../templates/checkout.html")),
        ("authenticate.html", include_str!("../../templates/authenticate.html")),
        ("invoice.html", include_str!("../../templates/invoice.html")),
        ("portal.html", include_str!("../../templates/portal.html")),
        ("message.html", include_str!("../../templates/message.html")),
    ];
    for (name, text) in templates {
        // They are compiled in; the tests render each of them.
        let _ = environment.add_template(name, text);
    }
    environment
});

/// What a page answers.
pub(crate) enum Page {
    /// A template with its values and a status.
    Html(u16, &'static str, Value),
    Redirect(String),
    Pdf(Vec<u8>),
}

/// Cards that the pages offer, with what they do.
const OFFERED: [(&str, &str); 13] = [
    ("visa", "Visa that pays (… 4242)"),
    ("mastercard", "Mastercard that pays (… 4444)"),
    ("visa_chargeDeclined", "Visa that is declined (… 0002)"),
    ("visa_chargeDeclinedInsufficientFunds", "Visa without funds (… 9995)"),
    ("chargeCustomerFail", "Visa that can be saved, and is declined later (… 0341)"),
    ("threeDSecure2Required", "Visa that asks for 3-D Secure (… 3220)"),
    ("authenticationRequired", "Visa that asks for 3-D Secure until it is saved (… 3155)"),
    ("createDispute", "Visa whose payment is disputed (… 0259)"),
    ("createDisputeInquiry", "Visa whose bank only inquires (… 1976)"),
    ("pendingRefund", "Visa whose refund takes a day (… 7726)"),
    ("refundFail", "Visa whose refund fails a day later (… 5126)"),
    ("sepa", "Bank debit that is settled a day later"),
    ("sepa_fail", "Bank debit that fails a day later"),
];

/// The offered cards; debits only where somebody pays once.
pub(crate) fn offered(with_debits: bool) -> Value {
    let offered = OFFERED
        .iter()
        .filter(|(name, _)| with_debits || cards::named(name).is_some_and(|card| !card.is_debit()));
    offered.map(|(name, title)| json!({"name": name, "title": title})).collect::<Vec<_>>().into()
}

/// Answers a browser.
pub(crate) fn answer(w: &mut World, request: PageRequest<'_>) -> PageResponse {
    let (path, query) = request.path.split_once('?').unwrap_or((request.path, ""));
    let given = match form::parse(if request.method == "POST" { request.body } else { b"" }) {
        Ok(given) => given,
        Err(_) => return respond(gone()),
    };
    let query = form::parse(query.as_bytes()).unwrap_or_default();
    let post = match request.method {
        "POST" => Some(&given),
        "GET" | "HEAD" => None,
        _ => {
            return respond(Page::Html(
                405,
                "message.html",
                json!({"title": "This method is not known here"}),
            ));
        }
    };
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let page = match parts.as_slice() {
        ["checkout", id] => checkout_pages::checkout(w, id, post),
        ["authenticate", id] => checkout_pages::authenticate(w, id, &query, post),
        ["portal", secret] => portal_page::portal(w, secret, post),
        ["invoices", id] => checkout_pages::invoice(w, id, post),
        ["invoices", id, "pdf"] => w.find("invoice", id).map(|invoice| Page::Pdf(pdf::of_invoice(&invoice))),
        ["receipts", id] => receipt(w, id),
        _ => None,
    };
    w.now = w.wall;
    respond(page.unwrap_or_else(gone))
}

fn gone() -> Page {
    Page::Html(404, "message.html", json!({"title": "There is no such page"}))
}

fn respond(page: Page) -> PageResponse {
    let mut headers = vec![("cache-control".to_owned(), "no-store".to_owned())];
    match page {
        Page::Redirect(to) => {
            headers.push(("location".into(), to));
            PageResponse { status: 303, headers, body: Vec::new() }
        }
        Page::Pdf(body) => {
            headers.push(("content-type".into(), "application/pdf".into()));
            PageResponse { status: 200, headers, body }
        }
        Page::Html(status, template, values) => {
            headers.push(("content-type".into(), "text/html; charset=utf-8".into()));
            headers.push((
                "content-security-policy".into(),
                "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
                    .into(),
            ));
            let rendered = TEMPLATES
                .get_template(template)
                .and_then(|template| template.render(minijinja::value::Serde(&values)));
            match rendered {
                Ok(body) => PageResponse { status, headers, body: body.into_bytes() },
                Err(_) => {
                    PageResponse { status: 500, headers, body: b"The page could not be made.".to_vec() }
                }
            }
        }
    }
}

fn receipt(w: &mut World, id: &str) -> Option<Page> {
    let charge = w.find("charge", id)?;
    let currency = charge.owned("currency");
    let text = |amount: i64| money::text(amount, &currency);
    let mut lines = vec![json!({
        "description": charge.text("description").unwrap_or("Payment"), "amount": text(charge.num("amount")),
    })];
    if charge.num("amount_refunded") > 0 {
        lines.push(json!({"description": "Refunded", "amount": text(-charge.num("amount_refunded"))}));
    }
    let values = json!({
        "title": "Receipt",
        "status": charge.at("status"),
        "date": crate::calendar::day_text(charge.num("created")),
        "who": charge.at("billing_details.name"),
        "lines": lines,
        "sum_name": "Paid",
        "total": text(charge.num("amount_captured") - charge.num("amount_refunded")),
    });
    Some(Page::Html(200, "invoice.html", values))
}
