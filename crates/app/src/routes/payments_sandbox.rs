//! The payments sandbox of a server without an account at Stripe: the pages where buyers pay, a list of payments, and its clock. Not part of
//! the API.

use std::{fmt::Write, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    guard::fn_guard,
    http::{StatusCode, header},
    web::{self, Data, Payload, ServiceConfig},
};
use portico_billing::money::in_words;
use portico_kernel::{Kind, Timestamp};
use portico_payments_sandbox::embedded::EmbeddedSandbox;
use portico_runtime::settings::sources::duration;
use portico_web::{body::collect, headers::PAGE_POLICY, host, problem::Problem, write::WithJson};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::mailbox::{escape, wants_json};
use crate::{payments::SANDBOX_PATH, state::App};

/// Most bytes of a form.
const FORM_MAX: usize = 16 << 10;

/// How far the clock is moved on by the buttons of the page.
const STEPS: [(&str, &str); 4] =
    [("1h", "an hour"), ("1d", "a day"), ("31d", "31 days"), ("366d", "366 days")];

/// Adds the routes.
pub fn configure(config: &mut ServiceConfig) {
    // There is no sign-in here: whoever has the address of a page pays with play money.
    let sandbox = web::scope(SANDBOX_PATH)
        .guard(fn_guard(host::is_own))
        .service(web::resource("").route(web::get().to(list)))
        .service(web::resource("/clock").route(web::post().to(move_clock)))
        .service(
            web::resource("/{page:.*}").route(web::get().to(show_page)).route(web::post().to(show_page)),
        );
    config.service(sandbox);
}

/// A payment at the sandbox.
#[derive(Deserialize, Serialize)]
#[serde(rename_all(serialize = "camelCase"))]
struct Listed {
    id: String,
    client_reference_id: Option<String>,
    amount_total: Option<i64>,
    currency: Option<String>,
    status: Option<String>,
    payment_status: String,
    url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    #[serde(deserialize_with = "duration::deserialize")]
    advance: Duration,
}

async fn list(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let sandbox = sandbox(&app)?;
    let checkouts = sandbox.checkouts().await.map_err(Problem::internal)?;
    let items: Vec<Listed> =
        checkouts.into_iter().filter_map(|checkout| serde_json::from_value(checkout).ok()).collect();
    let time = sandbox.time().await.map_err(Problem::internal)?;
    if wants_json(&request) {
        return Ok(HttpResponse::Ok().with_json(&json!({"time": time, "items": items})));
    }
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(list_page(time, &items)))
}

async fn move_clock(app: Data<App>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    let sandbox = sandbox(&app)?;
    let body = collect(&request, payload.into_inner(), FORM_MAX).await?;
    let by_program = serde_json::from_slice::<Advance>(&body).ok();
    let is_program = by_program.is_some();
    let advance = by_program.or_else(|| by_form(&body)).ok_or_else(|| {
        let detail = "Send {\"advance\": \"31d\"}, or the same as a form.";
        Problem::new(Kind::Malformed, "malformed_body", detail)
    })?;
    let time = sandbox.advance(advance.advance).await.map_err(Problem::internal)?;
    Ok(match is_program {
        true => HttpResponse::Ok().with_json(&json!({ "time": time })),
        false => HttpResponse::SeeOther().insert_header((header::LOCATION, SANDBOX_PATH)).finish(),
    })
}

/// What a browser sends.
fn by_form(body: &[u8]) -> Option<Advance> {
    let (_, advance) = url::form_urlencoded::parse(body).find(|(name, _)| name == "advance")?;
    serde_json::from_value(json!({ "advance": advance })).ok()
}

/// A page of the sandbox itself.
async fn show_page(app: Data<App>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    let sandbox = sandbox(&app)?;
    let body = collect(&request, payload.into_inner(), FORM_MAX).await?;
    let mut path = request.path().strip_prefix(SANDBOX_PATH).unwrap_or_default().to_owned();
    if !request.query_string().is_empty() {
        path.push('?');
        path.push_str(request.query_string());
    }
    let method = request.method().as_str().to_owned();
    let page = sandbox.page(method, path, body.to_vec()).await.map_err(Problem::internal)?;
    let status = StatusCode::from_u16(page.status).map_err(Problem::internal)?;
    let mut answer = HttpResponse::build(status);
    for pair in page.headers {
        answer.insert_header(pair);
    }
    // The address of a page is what lets somebody pay on it.
    Ok(answer.insert_header((header::REFERRER_POLICY, "no-referrer")).body(page.body))
}

fn sandbox(app: &App) -> Result<&EmbeddedSandbox, Problem> {
    app.payments_sandbox.as_ref().ok_or_else(Problem::not_found)
}

fn list_page(time: Timestamp, items: &[Listed]) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>Payments · Portico sandbox</title>\n\
         <link rel=\"stylesheet\" href=\"/assets/mailbox.css\">\n</head>\n<body>\n\
         <header><a class=\"brand\" href=\"{SANDBOX_PATH}\">Portico payments</a>\
         <p>This server has no account at Stripe: what is bought is paid here, with play money.</p></header>\n<main>\n\
         <h1>Clock</h1>\n<p>It is <time datetime=\"{time}\">{time}</time> here. Payments expire, and money arrives, by this clock.</p>\n\
         <form method=\"post\" action=\"{SANDBOX_PATH}/clock\">"
    );
    for (step, words) in STEPS {
        // Writing to a String cannot fail.
        let _ = write!(html, "<button name=\"advance\" value=\"{step}\">Move on by {words}</button> ");
    }
    html.push_str("</form>\n<h1>Latest payments</h1>\n");
    if items.is_empty() {
        html.push_str("<p class=\"quiet\">None yet.</p>\n");
    } else {
        html.push_str("<ol class=\"messages\">\n");
        for item in items {
            let _ = writeln!(html, "<li>{}</li>", list_entry(item));
        }
        html.push_str("</ol>\n");
    }
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn list_entry(item: &Listed) -> String {
    let amount =
        in_words(item.amount_total.unwrap_or_default(), item.currency.as_deref().unwrap_or_default());
    let status = format!("{}, {}", item.status.as_deref().unwrap_or("unknown"), item.payment_status);
    let words = format!(
        "<strong>{}</strong><span>{}</span><span>{}</span>",
        escape(&amount),
        escape(&status),
        escape(&item.id)
    );
    match &item.url {
        Some(url) => format!("<a href=\"{}\">{words}</a>", escape(url)),
        None => format!("<div>{words}</div>"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_page_shows_what_strangers_entered_as_text() {
        let hostile = Value::from("\"><script>alert(1)</script>");
        let item = json!({
            "id": hostile, "client_reference_id": hostile, "amount_total": 35900, "currency": "usd", "status": hostile,
            "payment_status": hostile, "url": hostile, "object": "checkout.session",
        });
        let items = [serde_json::from_value(item).unwrap()];
        let page = list_page(Timestamp::from_unix_seconds(1_790_000_000).unwrap(), &items);
        assert!(page.contains("359.00 USD") && !page.contains("<script"), "{page}");
    }

    #[test]
    fn the_clock_is_moved_by_programs_and_by_forms() {
        let program = serde_json::from_slice::<Advance>(br#"{"advance": "31d"}"#).unwrap();
        assert_eq!(program.advance, Duration::from_secs(31 * 86_400));
        assert_eq!(by_form(b"advance=1h").unwrap().advance, Duration::from_secs(3600));
        for wrong in [&b""[..], b"advance=", b"advance=soon", b"other=1h", b"{\"advance\": 1}"] {
            assert!(by_form(wrong).is_none(), "{}", String::from_utf8_lossy(wrong));
        }
    }
}
