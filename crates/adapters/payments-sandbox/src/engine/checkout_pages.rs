//! The checkout page, the bank's question, and the page of an invoice.

use serde_json::{Value, json};

use super::{
    checkout,
    checkout_pay::{self, Step},
    collection::{self, Collected},
    discounts,
    pages::{Page, offered},
    payment_intents::{self, How},
    payment_methods, setup_intents,
    world::World,
};
use crate::{
    calendar, cards,
    errors::ApiError,
    money,
    value::{Read, Write},
};

/// The checkout page.
pub(crate) fn checkout(w: &mut World, id: &str, post: Option<&Value>) -> Option<Page> {
    let session = w.find("checkout.session", id)?;
    if session.is("status", "complete") {
        return Some(Page::Redirect(back(&session)));
    }
    let Some(given) = post.filter(|_| session.is("status", "open")) else {
        return Some(show(w, &session, None, 200));
    };
    if given.is("action", "close") {
        // Nobody tells Stripe when a buyer closes the window: the session stays open.
        return match session.text("cancel_url") {
            Some(url) => Some(Page::Redirect(url.to_owned())),
            None => Some(Page::Html(200, "message.html", json!({"title": "You can close this window"}))),
        };
    }
    match submit(w, id, given) {
        Ok(Step::Done) => {
            let now = w.find("checkout.session", id)?;
            Some(Page::Redirect(back(&now)))
        }
        Ok(Step::Authenticate(url)) => Some(Page::Redirect(url)),
        Err(error) => {
            let now = w.find("checkout.session", id)?;
            Some(show(w, &now, Some(error.body.owned("message")), 402))
        }
    }
}

fn submit(w: &mut World, id: &str, given: &Value) -> Result<Step, ApiError> {
    let mut session = w.need("checkout.session", id, "id")?;
    if let Some(code) =
        given.text("code").filter(|code| !code.is_empty() && session.flag("allow_promotion_codes"))
    {
        let promotion = discounts::by_code(w, code)
            .ok_or_else(|| ApiError::param("code", "This promotion code is not valid."))?;
        session.put("_discounts", json!([{"promotion_code": promotion.at("id")}]));
        checkout::price(w, &mut session)?;
        w.save(&session);
    }
    let text = |name: &str| {
        given
            .text(name)
            .filter(|text| !text.trim().is_empty())
            .map(|text| text.chars().take(200).collect::<String>())
    };
    let email = text("email").filter(|email| email.contains('@'));
    if email.is_none() && session.at("customer_details.email").is_null() && session.at("customer").is_null() {
        return Err(ApiError::param("email", "Your email address is missing."));
    }
    let method = if checkout_pay::is_free(&session) { None } else { Some(method(w, &session, given)?) };
    checkout_pay::pay(w, id, method, &email.into(), &text("name").into())
}

/// The payment method that somebody chose on a page.
fn method(w: &mut World, owner: &Value, given: &Value) -> Result<Value, ApiError> {
    w.enter_owner(owner);
    if let Some(saved) = given.text("saved").filter(|saved| !saved.is_empty()) {
        let method = w.need("payment_method", saved, "saved")?;
        payment_intents::check_owner(Some(&method), owner.at("customer"))?;
        return Ok(method);
    }
    let card = match given.text("number").filter(|number| !number.trim().is_empty()) {
        Some(number) => cards::of_number(number)?,
        None => cards::named(given.text("card").unwrap_or_default())
            .ok_or_else(|| ApiError::param("card", "Choose a test card."))?,
    };
    if card.is_debit() && !owner.is("mode", "payment") {
        return Err(ApiError::param("card", "Bank debits are for single payments only."));
    }
    let mut method = payment_methods::make(w, card, None);
    if let Some(name) = given.text("name").filter(|name| !name.is_empty()) {
        method.put("billing_details.name", name.chars().take(200).collect::<String>());
    }
    let email = given.text("email").or_else(|| owner.text("customer_details.email"));
    method.put("billing_details.email", email.map(str::to_owned));
    w.save(&method);
    Ok(method)
}

fn back(session: &Value) -> String {
    let url = session.text("success_url").or_else(|| session.text("return_url")).unwrap_or("/");
    url.replace("{CHECKOUT_SESSION_ID}", &session.owned("id"))
}

/// Saved cards of a customer, as choices.
fn saved(w: &World, customer: &Value) -> Value {
    let of = |method: &Value| customer.is_string() && method.at("customer") == customer;
    let found = w.store.newest("payment_method", of);
    found.into_iter().map(|one| json!({"id": one.at("id"), "name": name_of(one)})).collect::<Vec<_>>().into()
}

/// `visa … 4242`.
pub(crate) fn name_of(method: &Value) -> String {
    match method.text("card.brand") {
        Some(brand) => format!("{brand} … {}", method.owned("card.last4")),
        None => format!("Bank account … {}", method.owned("sepa_debit.last4")),
    }
}

fn show(w: &World, session: &Value, error: Option<String>, status: u16) -> Page {
    let currency = session.owned("currency");
    let text = |amount: i64| money::text(amount, &currency);
    let lines: Vec<Value> = session
        .list("_line_items")
        .iter()
        .map(|line| json!({"quantity": line.at("quantity"), "description": line.at("description"), "amount": text(line.num("amount_subtotal"))}))
        .collect();
    let off = session.num("total_details.amount_discount");
    let total = text(session.num("amount_total"));
    let (title, verb) = match session.text("mode") {
        Some("setup") => ("Save a card", "Save the card".to_owned()),
        Some("subscription") => ("Subscribe", format!("Subscribe and pay {total}")),
        _ => ("Pay", format!("Pay {total}")),
    };
    let values = json!({
        "title": title,
        "verb": verb,
        "error": error,
        "lines": lines,
        "discount": (off > 0).then(|| text(off)),
        "total": total,
        "is_open": session.is("status", "open"),
        "is_free": checkout_pay::is_free(session),
        "status": session.at("status"),
        "email": session.at("customer_details.email"),
        "promotion": session.flag("allow_promotion_codes"),
        "saved": saved(w, session.at("customer")),
        "cards": offered(session.is("mode", "payment")),
        "link": session.at("cancel_url"),
    });
    Page::Html(status, "checkout.html", values)
}

/// The bank's question. Who has the secret of an intent may answer it.
pub(crate) fn authenticate(w: &mut World, id: &str, query: &Value, post: Option<&Value>) -> Option<Page> {
    let kind = if id.starts_with("pi_") {
        "payment_intent"
    } else if id.starts_with("seti_") {
        "setup_intent"
    } else {
        "checkout.session"
    };
    let found = w.find(kind, id)?;
    let is_session = kind == "checkout.session";
    let waits = if is_session {
        found.at("_method").is_string() && found.is("status", "open")
    } else {
        found.is("status", "requires_action")
    };
    if !waits || (!is_session && found.at("client_secret") != query.at("client_secret")) {
        return None;
    }
    let Some(given) = post else {
        let amount = found.int("amount").or_else(|| found.int("amount_total").filter(|_| is_session));
        let amount = amount.map(|amount| money::text(amount, &found.owned("currency")));
        return Some(Page::Html(200, "authenticate.html", json!({"title": "3-D Secure", "amount": amount})));
    };
    let ok = given.is("action", "confirm");
    if is_session {
        return Some(match checkout_pay::authenticated(w, id, ok) {
            Ok(_) => Page::Redirect(back(&w.find(kind, id)?)),
            Err(error) => show(w, &w.find(kind, id)?, Some(error.body.owned("message")), 402),
        });
    }
    let failed = match kind {
        "payment_intent" => payment_intents::authenticated(w, id, ok).err(),
        _ => setup_intents::authenticated(w, id, ok).err(),
    };
    let now = w.find(kind, id)?;
    let session = w.find("checkout.session", &now.owned("_session"));
    if let Some(session) = session {
        if session.is("status", "complete") {
            return Some(Page::Redirect(back(&session)));
        }
        let last = now.text("last_payment_error.message").or_else(|| now.text("last_setup_error.message"));
        let message = last.unwrap_or("The payment failed.").to_owned();
        return Some(show(w, &session, Some(message), 402));
    }
    if let Some(invoice) = now.text("_invoice") {
        return Some(Page::Redirect(w.url(&format!("/invoices/{invoice}"))));
    }
    if let Some(url) = now.text("_return_url") {
        let joint = if url.contains('?') { '&' } else { '?' };
        let secret = crate::form::encode(&now.owned("client_secret"));
        return Some(Page::Redirect(format!(
            "{url}{joint}{kind}={id}&{kind}_client_secret={secret}&redirect_status={}",
            if now.is("status", "succeeded") { "succeeded" } else { "failed" }
        )));
    }
    let title = if failed.is_none() && now.is("status", "succeeded") { "Confirmed" } else { "Not confirmed" };
    Some(Page::Html(200, "message.html", json!({"title": title})))
}

/// The page of an invoice, where it can be paid.
pub(crate) fn invoice(w: &mut World, id: &str, post: Option<&Value>) -> Option<Page> {
    let invoice = w.find("invoice", id).filter(|invoice| !invoice.is("status", "draft"))?;
    if post.is_none() || !invoice.is("status", "open") {
        let intent = w.find("payment_intent", &invoice.owned("_payment_intent")).unwrap_or_default();
        if post.is_some() && intent.is("status", "requires_action") {
            return Some(Page::Redirect(intent.owned("next_action.redirect_to_url.url")));
        }
        return Some(show_invoice(w, &invoice, None, 200));
    }
    let outcome = method(w, &invoice, post?).map(|method| {
        w.enter_owner(&invoice);
        collection::attempt(w, id, Some(method), How { off_session: false, authenticated: false })
    });
    let now = w.find("invoice", id)?;
    match outcome {
        Err(error) | Ok(Collected::Failed(error)) => {
            Some(show_invoice(w, &now, Some(error.body.owned("message")), 402))
        }
        Ok(Collected::Paid) => Some(show_invoice(w, &now, None, 200)),
        Ok(Collected::Waits) => {
            let intent = w.find("payment_intent", &now.owned("_payment_intent")).unwrap_or_default();
            match intent.text("next_action.redirect_to_url.url") {
                Some(url) => Some(Page::Redirect(url.to_owned())),
                None => Some(show_invoice(w, &now, None, 200)),
            }
        }
    }
}

fn show_invoice(w: &World, invoice: &Value, error: Option<String>, status: u16) -> Page {
    let currency = invoice.owned("currency");
    let text = |amount: i64| money::text(amount, &currency);
    let lines: Vec<Value> = invoice
        .list("lines.data")
        .iter()
        .map(|line| json!({"description": line.at("description"), "amount": text(line.num("amount"))}))
        .collect();
    let off = invoice.num("subtotal") - invoice.num("total");
    let is_open = invoice.is("status", "open");
    let values = json!({
        "title": format!("Invoice {}", invoice.owned("number")),
        "error": error,
        "status": invoice.at("status"),
        "date": calendar::day_text(invoice.num("created")),
        "who": invoice.at("customer_email"),
        "lines": lines,
        "discount": (off > 0).then(|| text(off)),
        "sum_name": if is_open { "Due" } else { "Total" },
        "total": text(if is_open { invoice.num("amount_remaining") } else { invoice.num("total") }),
        "pdf": invoice.at("invoice_pdf"),
        "is_open": is_open,
        "saved": saved(w, invoice.at("customer")),
        "cards": offered(false),
    });
    Page::Html(status, "invoice.html", values)
}
