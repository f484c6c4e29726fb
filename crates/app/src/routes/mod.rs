//! The routes of all features, and those that belong to the process itself.

pub mod health;
pub mod jobs;
pub mod mailbox;
pub mod pages_static;
pub mod payments_sandbox;
pub mod public_config;
pub mod recurrente_pages;

use actix_web::web::ServiceConfig as PlainConfig;
use portico_feature_billing::routes as billing;
use portico_feature_identity::routes as identity;
use portico_feature_licensing::routes as licensing;
use portico_feature_sites::routes as sites;
use portico_feature_support::routes as support;
use portico_feature_tenancy::routes as tenancy;
use portico_web::routing::{READ, Routes};

/// Everything under `/api/v1`.
pub fn api(config: &mut Routes<'_, '_>) {
    config
        .configure(identity::api)
        .configure(tenancy::api)
        .configure(billing::api)
        .configure(licensing::api)
        .configure(sites::api)
        .configure(support::api)
        .configure(jobs::configure)
        .configure(public_config::configure);
}

/// Routes for operators and monitoring.
pub fn operations(config: &mut Routes<'_, '_>) {
    config.configure(sites::outside).configure(health);
}

/// Health and metrics of the process.
pub fn health(config: &mut Routes<'_, '_>) {
    config
        .service(READ.for_anyone().unqueued(), health::overall)
        .service(READ.for_anyone().unqueued(), health::live)
        .service(READ.for_anyone().unqueued(), health::ready)
        .service(READ.for_anyone().unqueued(), health::metrics);
}

/// What is outside of the API document: HTML pages, such as targets of links in emails, and other products' APIs.
pub fn pages(config: &mut PlainConfig) {
    pages_static::configure(config);
    mailbox::configure(config);
    payments_sandbox::configure(config);
    recurrente_pages::configure(config);
    sites::pages(config);
    licensing::outside(config);
}

#[cfg(test)]
mod tests {
    use actix_web::http::Method;
    use std::sync::Arc;

    use portico_web::{admission::Class, openapi::Document, request_admission::class_of};

    use crate::{document, server};

    #[test]
    fn work_is_told_apart_by_method_and_path() {
        let document = Document::new(&server::operations()).unwrap();
        use Class::{Logins, Outside, Reads, Writes};
        for (method, path, class) in [
            (Method::GET, "/api/v1/sites", Some(Reads)),
            (Method::HEAD, "/api/v1/sites", Some(Reads)),
            (Method::POST, "/api/v1/sites", Some(Writes)),
            (Method::DELETE, "/api/v1/users/1", Some(Writes)),
            (Method::POST, "/api/v1/auth/login", Some(Logins)),
            (Method::GET, "/api/v1/users", Some(Reads)),
            (Method::POST, "/api/v1/users", Some(Logins)),
            (Method::PUT, "/api/v1/users/1/password", Some(Logins)),
            (Method::POST, "/api/v1/ai/generate-page", Some(Outside)),
            (Method::POST, "/api/v1/sites/1/domains/2/verify", Some(Outside)),
            (Method::POST, "/api/v1/auth/refresh", Some(Writes)),
            (Method::GET, "/files/1/2/original", Some(Reads)),
            (Method::GET, "/preview/abc/", Some(Reads)),
            (Method::GET, "/api/v1/events", None),
            (Method::POST, "/api/v1/tenants/1/assets/upload", None),
            (Method::PUT, "/api/v1/profile/avatar", None),
            (Method::OPTIONS, "/api/v1/sites", None),
            (Method::GET, "/api/health/live", None),
            (Method::GET, "/api/health/ready", None),
            (Method::GET, "/api/metrics", None),
            (Method::GET, "/api/openapi.json", None),
        ] {
            assert_eq!(
                class_of(document.path(path).map(Arc::as_ref), &method, path),
                class,
                "{method} {path}"
            );
        }
    }

    #[test]
    fn every_operation_is_declared_as_its_documentation_says() {
        let document = serde_json::to_value(document::collected()).unwrap();
        let rows = server::operations();
        let documented =
            document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len());
        assert_eq!(documented.sum::<usize>(), rows.len(), "each operation is listed once");
        for row in rows {
            let operation = &document["paths"][&row.path][row.method.to_lowercase()];
            assert!(operation.is_object(), "{} {} is documented", row.method, row.path);
            let is_secured = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
            assert_ne!(row.operation.for_anyone, is_secured, "{} {}", row.method, row.path);
            let takes_files = operation["requestBody"]["content"]["multipart/form-data"].is_object();
            assert_eq!(row.operation.takes_files, takes_files, "{} {}", row.method, row.path);
        }
    }
}
