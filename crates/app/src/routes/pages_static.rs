//! Small pages of the server itself: targets of links in emails, and the page to which OpenID Connect providers send the browser,
//! where the operator has no own front end for them.

use actix_web::{
    HttpResponse,
    http::header,
    web::{self, ServiceConfig},
};
use portico_web::headers::PAGE_POLICY;

/// Adds the pages and their files.
pub fn configure(config: &mut ServiceConfig) {
    const HTML: &str = "text/html; charset=utf-8";
    config
        .route("/", web::get().to(|| async { redirect("/api/docs/") }))
        // Browsers ask for it beside every page.
        .route("/favicon.ico", web::get().to(|| async { HttpResponse::NoContent().finish() }))
        .route("/verify-email", file(HTML, include_str!("../../assets/verify-email.html")))
        .route("/confirm-email-change", file(HTML, include_str!("../../assets/confirm-email-change.html")))
        .route("/cancel-email-change", file(HTML, include_str!("../../assets/cancel-email-change.html")))
        .route("/accept-invitation", file(HTML, include_str!("../../assets/accept-invitation.html")))
        .route("/claim-site", file(HTML, include_str!("../../assets/claim-site.html")))
        .route(
            "/assets/claim-site.js",
            file("text/javascript; charset=utf-8", include_str!("../../assets/claim-site.js")),
        )
        .route("/auth/callback", file(HTML, include_str!("../../assets/auth-callback.html")))
        .route(
            "/assets/auth-callback.js",
            file("text/javascript; charset=utf-8", include_str!("../../assets/auth-callback.js")),
        )
        .route("/reset-password", file(HTML, include_str!("../../assets/reset-password.html")))
        .route(
            "/assets/account.js",
            file("text/javascript; charset=utf-8", include_str!("../../assets/account.js")),
        )
        .route(
            "/assets/invitation.js",
            file("text/javascript; charset=utf-8", include_str!("../../assets/invitation.js")),
        )
        .route(
            "/assets/account.css",
            file("text/css; charset=utf-8", include_str!("../../assets/account.css")),
        );
}

fn file(content_type: &'static str, content: &'static str) -> actix_web::Route {
    web::get().to(move || async move {
        HttpResponse::Ok()
            .content_type(content_type)
            .insert_header((header::CONTENT_SECURITY_POLICY, PAGE_POLICY))
            .insert_header((header::REFERRER_POLICY, "no-referrer"))
            .body(content)
    })
}

/// Redirects to another URL.
pub fn redirect(location: &'static str) -> HttpResponse {
    HttpResponse::Found().insert_header((header::LOCATION, location)).finish()
}
