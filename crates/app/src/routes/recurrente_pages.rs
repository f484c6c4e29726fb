//! The pages of the stand-in for Recurrente, which a developer clicks. Not part of the API.

use std::fmt::Write;

use actix_web::{
    HttpResponse,
    guard::fn_guard,
    http::header,
    web::{self, Data, Form, Path, ServiceConfig},
};
use portico_billing::payment::Provider;
use portico_feature_billing::flows::payments;
use portico_kernel::Scope;
use portico_recurrente::stand_in::{Act, Page, PageState, StandIn};
use portico_runtime::context;
use portico_web::{headers::PAGE_POLICY, host, problem::Problem};
use serde::Deserialize;

use super::mailbox::escape;
use crate::{recurrente::PAGES, state::App};

/// Adds the routes.
pub fn configure(config: &mut ServiceConfig) {
    let page =
        web::resource("/checkout-session/{checkoutId}").route(web::get().to(show)).route(web::post().to(act));
    config.service(web::scope(PAGES).guard(fn_guard(host::is_own)).service(page));
}

/// What a buyer has clicked.
#[derive(Deserialize)]
struct Click {
    act: String,
}

async fn show(app: Data<App>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let page = stand_in(&app)?.page(&id).await.map_err(Problem::internal)?;
    let page = page.ok_or_else(Problem::not_found)?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(html(&page)))
}

async fn act(app: Data<App>, id: Path<String>, click: Form<Click>) -> Result<HttpResponse, Problem> {
    let act = Act::parse(&click.act).ok_or_else(Problem::not_found)?;
    let webhooks = stand_in(&app)?.act(&id, act).await.map_err(Problem::internal)?;
    // The provider would send them to the route of webhooks, which does the same with them.
    let scope = Scope::anonymous(context::info());
    for webhook in webhooks.unwrap_or_default() {
        payments::receive(&app.billing, &scope, Provider::Recurrente, &webhook.headers, &webhook.body)
            .await?;
    }
    let back = format!("{PAGES}/checkout-session/{}", *id);
    Ok(HttpResponse::SeeOther().insert_header((header::LOCATION, back)).finish())
}

fn stand_in(app: &App) -> Result<&StandIn, Problem> {
    app.recurrente.as_ref().ok_or_else(Problem::not_found)
}

/// An amount in hundredths.
fn amount(amount: i64, currency: &str) -> String {
    format!("{}.{:02} {}", amount / 100, amount % 100, escape(currency))
}

fn html(page: &Page) -> String {
    let mut lines = String::new();
    for line in &page.lines {
        let cost = amount(line.amount, &page.currency);
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "<li>{} × {}: {cost}</li>", line.quantity, escape(&line.name));
    }
    let button =
        |act: Act, label: &str| format!("<button name=\"act\" value=\"{}\">{label}</button>\n", act.as_str());
    let (state, buttons) = match page.state {
        PageState::Open => (
            "Nothing is charged: this page stands in for Recurrente.",
            [
                button(Act::Pay, "Pay by card"),
                button(Act::Decline, "Have the card declined"),
                button(Act::Transfer, "Pay by bank transfer"),
            ]
            .concat(),
        ),
        PageState::InProgress => (
            "The transfer is on its way.",
            [
                button(Act::TransferArrives, "Let the transfer arrive"),
                button(Act::TransferFails, "Let the transfer fail"),
            ]
            .concat(),
        ),
        PageState::Paid => ("Paid.", String::new()),
        PageState::Expired => ("The time to pay is over.", String::new()),
    };
    let back = if page.state == PageState::Paid { &page.success_url } else { &page.cancel_url };
    let back = back.as_ref().filter(|url| url.starts_with("http"));
    let back = back.map(|url| format!("<p><a href=\"{}\">Back to the shop</a></p>\n", escape(url)));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>Checkout · stand-in for Recurrente</title>\n\
         <link rel=\"stylesheet\" href=\"/assets/mailbox.css\">\n</head>\n<body>\n\
         <main>\n<h1>{}</h1>\n<ul>\n{lines}</ul>\n<p role=\"status\">{state}</p>\n\
         <form method=\"post\">\n{buttons}</form>\n{}</main>\n</body>\n</html>\n",
        amount(page.total, &page.currency),
        back.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use portico_recurrente::stand_in::PageLine;

    use super::*;

    fn page(state: PageState) -> Page {
        Page {
            id: "ch_1".to_owned(),
            lines: vec![PageLine {
                name: "<script>alert(1)</script>".to_owned(),
                quantity: 1,
                amount: 150_005,
            }],
            total: 150_005,
            currency: "GTQ".to_owned(),
            state,
            success_url: Some("https://a.example/?x=\"><script>".to_owned()),
            cancel_url: Some("javascript:alert(1)".to_owned()),
        }
    }

    #[test]
    fn names_and_addresses_are_text() {
        for state in [PageState::Open, PageState::InProgress, PageState::Paid, PageState::Expired] {
            let html = html(&page(state));
            assert!(!html.contains("<script") && !html.contains("javascript:"), "{html}");
            assert!(html.contains("1500.05 GTQ"), "{html}");
        }
    }

    #[test]
    fn only_what_can_happen_can_be_clicked() {
        let acts = |state| {
            let html = html(&page(state));
            Act::ALL
                .into_iter()
                .filter(|act| html.contains(&format!("value=\"{}\"", act.as_str())))
                .collect::<Vec<_>>()
        };
        assert_eq!(acts(PageState::Open), [Act::Pay, Act::Decline, Act::Transfer]);
        assert_eq!(acts(PageState::InProgress), [Act::TransferArrives, Act::TransferFails]);
        assert_eq!(acts(PageState::Paid), []);
        assert_eq!(acts(PageState::Expired), []);
    }
}
