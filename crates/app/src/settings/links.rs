//! Where links in messages lead.

use documented::DocumentedFields;
use portico_email::Links as MailLinks;
use portico_runtime::settings::Problems;
use serde::{Deserialize, Serialize};
use url::Url;

/// Pages that links in messages lead to. A path starts with a slash, and may have a query or a fragment.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Links {
    /// Base URL of the front end. Default: none, links lead to the small pages of `server.public_url`, and messages that
    /// would lead to the start page have no button.
    pub app_url: Option<Url>,
    /// Start page.
    pub home: String,
    /// Page that sends its `token` to `POST /api/v1/auth/verify-email`.
    pub verify_email: String,
    /// Page that asks for a password, and sends it with its `token` to `POST /api/v1/auth/reset-password`.
    pub reset_password: String,
    /// Page that sends its `token` to `POST /api/v1/auth/confirm-email-change`.
    pub confirm_email_change: String,
    /// Page that sends its `token` to `POST /api/v1/auth/cancel-email-change`.
    pub cancel_email_change: String,
    /// Page that sends its `token` to `POST /api/v1/invitations/accept`.
    pub accept_invitation: String,
    /// Page that signs its visitor in, and sends its `token` to `POST /api/v1/site-purchases/claim`.
    pub claim_site: String,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            app_url: None,
            home: "/".to_owned(),
            verify_email: "/verify-email".to_owned(),
            reset_password: "/reset-password".to_owned(),
            confirm_email_change: "/confirm-email-change".to_owned(),
            cancel_email_change: "/cancel-email-change".to_owned(),
            accept_invitation: "/accept-invitation".to_owned(),
            claim_site: "/claim-site".to_owned(),
        }
    }
}

impl Links {
    /// The paths, by page and by key.
    fn paths(&self) -> [(&'static str, &'static str, &str); 7] {
        [
            ("", "home", &self.home),
            ("verify-email", "verify_email", &self.verify_email),
            ("reset-password", "reset_password", &self.reset_password),
            ("confirm-email-change", "confirm_email_change", &self.confirm_email_change),
            ("cancel-email-change", "cancel_email_change", &self.cancel_email_change),
            ("accept-invitation", "accept_invitation", &self.accept_invitation),
            ("claim-site", "claim_site", &self.claim_site),
        ]
    }

    /// Errors with everything that is wrong.
    pub(super) fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if self.app_url.as_ref().is_some_and(|url| !matches!(url.scheme(), "http" | "https")) {
            problems.add("links.app_url must be a URL such as https://app.example.com");
        }
        for (_, key, path) in self.paths() {
            if !path.starts_with('/') || path.starts_with("//") {
                problems
                    .add(format!("links.{key} must be a path such as /{}: {path:?}", key.replace('_', "-")));
            }
        }
        problems.into_result()
    }

    /// The URL of each page.
    ///
    /// # Errors
    /// What [`Links::check`] would have found.
    pub fn pages(&self, public_url: &Url) -> Result<MailLinks, url::ParseError> {
        let base = self.app_url.as_ref().unwrap_or(public_url).as_str().trim_end_matches('/');
        let mut pages = MailLinks::new();
        for (page, _, path) in self.paths() {
            // The server has no start page for people.
            if self.app_url.is_some() || !page.is_empty() {
                pages.insert(page, format!("{base}{path}").parse()?);
            }
        }
        Ok(pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn pages_are_those_of_the_server_or_of_the_front_end() {
        assert!(Links::default().check().is_ok());
        let own = Links::default().pages(&url("https://portal.example/base/")).unwrap();
        assert_eq!(own["reset-password"].as_str(), "https://portal.example/base/reset-password");
        assert_eq!(own.get(""), None);
        let links = Links {
            app_url: Some(url("https://app.example.com")),
            reset_password: "/#/reset".to_owned(),
            ..Links::default()
        };
        let pages = links.pages(&url("https://portal.example")).unwrap();
        assert_eq!(pages["reset-password"].as_str(), "https://app.example.com/#/reset");
        assert_eq!(pages[""].as_str(), "https://app.example.com/");
    }

    #[test]
    fn other_schemes_and_relative_paths_are_refused() {
        for links in [
            Links { app_url: Some(url("ftp://app.example.com")), ..Links::default() },
            Links { home: "start".to_owned(), ..Links::default() },
            Links { verify_email: "//evil.example/verify".to_owned(), ..Links::default() },
        ] {
            assert!(links.check().is_err(), "{links:?}");
        }
    }
}
