//! The mailbox of a server without a mail server: HTML pages, and JSON for programs. Not part of the API.

use std::fmt::Write;

use actix_web::{
    HttpRequest, HttpResponse,
    guard::fn_guard,
    http::header,
    web::{self, Data, Path, ServiceConfig},
};
use portico_sandbox::{Mailbox, MessageId, StoredMessage};
use portico_web::{headers::PAGE_POLICY, host, problem::Problem, query::Query, write::WithJson};
use serde::{Deserialize, Serialize};

use crate::state::App;

/// Policy of an HTML message: it may only be displayed, in a frame of our own page. Its links leave the frame.
const MESSAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'self'; \
    sandbox allow-top-navigation-by-user-activation";

/// Adds the routes.
pub fn configure(config: &mut ServiceConfig) {
    // There is no sign-in here, and the messages contain links that grant access to accounts.
    let mailbox = web::scope("/dev/mailbox")
        .guard(fn_guard(host::is_own))
        .service(web::resource("").route(web::get().to(list)).route(web::delete().to(clear)))
        .route("/{messageId}", web::get().to(read))
        .route("/{messageId}/html", web::get().to(read_html));
    config.service(mailbox).route("/assets/mailbox.css", web::get().to(style));
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListMessages {
    to: Option<String>,
}

#[derive(Serialize)]
struct Messages {
    items: Vec<StoredMessage>,
}

async fn list(
    app: Data<App>,
    request: HttpRequest,
    query: Query<ListMessages>,
) -> Result<HttpResponse, Problem> {
    let to = query.0.to;
    let items = mailbox(&app)?.list(to.as_deref()).await.map_err(Problem::internal)?;
    Ok(if wants_json(&request) {
        HttpResponse::Ok().with_json(&Messages { items })
    } else {
        page("Mailbox", &list_page(&items, to.as_deref().unwrap_or_default()))
    })
}

async fn read(app: Data<App>, request: HttpRequest, id: Path<String>) -> Result<HttpResponse, Problem> {
    let message = find(&app, &id).await?;
    Ok(if wants_json(&request) {
        HttpResponse::Ok().with_json(&message)
    } else {
        page(&message.subject, &message_page(&message))
    })
}

async fn read_html(app: Data<App>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let message = find(&app, &id).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, MESSAGE_POLICY))
        .insert_header((header::X_FRAME_OPTIONS, "SAMEORIGIN"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(out_of_the_frame(&message.html)))
}

async fn clear(app: Data<App>) -> Result<HttpResponse, Problem> {
    mailbox(&app)?.clear().await.map_err(Problem::internal)?;
    Ok(HttpResponse::NoContent().finish())
}

async fn style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(include_str!("../../assets/mailbox.css"))
}

fn mailbox(app: &App) -> Result<&Mailbox, Problem> {
    app.mailbox.as_deref().ok_or_else(Problem::not_found)
}

async fn find(app: &App, id: &str) -> Result<StoredMessage, Problem> {
    let id: MessageId = id.parse().map_err(|_| Problem::not_found())?;
    mailbox(app)?.get(id).await.map_err(Problem::internal)?.ok_or_else(Problem::not_found)
}

pub(super) fn wants_json(request: &HttpRequest) -> bool {
    let accept =
        request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains("text/html")
}

fn page(title: &str, content: &str) -> HttpResponse {
    let title = escape(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{title} · Portico mailbox</title>\n\
         <link rel=\"stylesheet\" href=\"/assets/mailbox.css\">\n</head>\n<body>\n\
         <header><a class=\"brand\" href=\"/dev/mailbox\">Portico mailbox</a>\
         <p>This server has no mail server: what it would send is kept here.</p></header>\n\
         <main>\n{content}</main>\n</body>\n</html>\n"
    );
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(html)
}

fn list_page(messages: &[StoredMessage], to: &str) -> String {
    let mut html = format!(
        "<h1>Messages</h1>\n<form method=\"get\" action=\"/dev/mailbox\" role=\"search\"><label for=\"to\">Receiver</label>\
         <input id=\"to\" name=\"to\" type=\"search\" value=\"{}\" placeholder=\"ana@example.com\">\
         <button>Show</button></form>\n",
        escape(to)
    );
    if messages.is_empty() {
        html.push_str("<p class=\"quiet\">No messages.</p>\n");
        return html;
    }
    html.push_str("<ol class=\"messages\">\n");
    for StoredMessage { id, received_at, to, subject, .. } in messages {
        // Writing to a String cannot fail.
        let _ = writeln!(
            html,
            "<li><a href=\"/dev/mailbox/{id}\"><strong>{}</strong><span>{}</span>\
             <time datetime=\"{received_at}\">{received_at}</time></a></li>",
            escape(subject),
            escape(to)
        );
    }
    html.push_str("</ol>\n");
    html
}

fn message_page(message: &StoredMessage) -> String {
    let StoredMessage { id, received_at, to, to_name, subject, text, .. } = message;
    let receiver = match to_name {
        Some(name) => format!("{name} <{to}>"),
        None => to.clone(),
    };
    format!(
        "<h1>{}</h1>\n<p class=\"quiet\">To {} · <time datetime=\"{received_at}\">{received_at}</time></p>\n\
         <iframe src=\"/dev/mailbox/{id}/html\" title=\"The message as HTML\"></iframe>\n\
         <h2>As plain text</h2>\n<pre>{}</pre>\n",
        escape(subject),
        escape(&receiver),
        escape(text)
    )
}

/// Makes the links of a message open in the whole window, as they do in a mail program.
fn out_of_the_frame(html: &str) -> String {
    const BASE: &str = "<base target=\"_top\">";
    match html.find("<head>") {
        Some(start) => {
            let (before, after) = html.split_at(start + "<head>".len());
            format!("{before}{BASE}{after}")
        }
        None => format!("{BASE}{html}"),
    }
}

/// A text as it can stand in HTML, also in an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use portico_kernel::Timestamp;

    use super::*;

    fn message() -> StoredMessage {
        StoredMessage {
            id: "0190a5b0-c0d0-7e00-8f00-112233445566".parse().unwrap(),
            received_at: Timestamp::from_unix_seconds(1_790_000_000).unwrap(),
            to: "ana@example.com".into(),
            to_name: Some("\"><script>alert(1)</script>".into()),
            reply_to: Some("<script>alert(2)</script>".into()),
            subject: "<img src=x onerror=alert(1)>".into(),
            html: "<!doctype html><html><head><title>x</title></head><body>Hello</body></html>".into(),
            text: "</pre><script>alert(1)</script>".into(),
        }
    }

    #[test]
    fn what_strangers_wrote_is_text() {
        let pages = [message_page(&message()), list_page(&[message()], "\"><script>")];
        for page in pages {
            assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        }
    }

    #[test]
    fn links_of_a_message_leave_the_frame() {
        assert!(out_of_the_frame(&message().html).contains("<head><base target=\"_top\"><title>"));
        assert_eq!(out_of_the_frame("Hello"), "<base target=\"_top\">Hello");
    }

    #[test]
    fn programs_ask_for_json_and_browsers_do_not() {
        for (accept, json) in [
            ("application/json", true),
            ("application/json, */*;q=0.5", true),
            ("text/html,application/xhtml+xml,application/json;q=0.9", false),
            ("*/*", false),
        ] {
            let request = TestRequest::default().insert_header((header::ACCEPT, accept)).to_http_request();
            assert_eq!(wants_json(&request), json, "{accept}");
        }
        assert!(!wants_json(&TestRequest::default().to_http_request()));
    }
}
