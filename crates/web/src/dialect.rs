//! Answers on the documented paths of the site purchase flow: its field names beside ours, and its statuses.
//!
//! Requests need no translation: inputs take its names as aliases.

use actix_web::{
    Error, HttpMessage,
    body::{BoxBody, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    middleware::Next,
};
use serde_json::{Map, Value, json};

/// Its base.
const BASE: &str = "/api/v1/customer/";

/// Field names: ours, and the documented one.
const NAMES: [(&str, &str); 3] =
    [("fullName", "full_name"), ("emailVerified", "email_verified"), ("lastLoginAt", "last_login")];

/// How the answer to a request is translated. An extension of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The documented names are added to an account, and to one beside tokens.
    Account,
    /// 200 with a message.
    Message(&'static str),
}

impl Dialect {
    /// The dialect of an alias, with its canonical path. `None` where the documented answer is ours.
    pub fn of_alias(path: &str, canonical: &str) -> Option<Self> {
        let operation = canonical.strip_prefix("/api/v1/").filter(|_| path.starts_with(BASE))?;
        Some(match operation {
            "auth/register" | "auth/login" | "auth/refresh" | "profile" => Self::Account,
            "auth/verify-email" => Self::Message("The address is verified."),
            "auth/resend-verification" | "auth/forgot-password" => Self::Message("A message is on its way."),
            "auth/reset-password" => Self::Message("The password is set."),
            "auth/change-password" => Self::Message("The password is changed."),
            _ => return None,
        })
    }

    /// The body of a successful answer, translated; `None` for one that is no JSON object.
    fn body(self, body: &[u8]) -> Option<Vec<u8>> {
        let mut answer: Map<String, Value> = match (self, body) {
            (Self::Message(_), b"") => Map::new(),
            _ => serde_json::from_slice(body).ok()?,
        };
        match self {
            Self::Account => {
                if let Some(Value::Object(user)) = answer.get_mut("user") {
                    add_names(user);
                    if let Some(verified) = user.get("email_verified").cloned() {
                        answer.insert("email_verified".to_owned(), verified);
                    }
                } else {
                    add_names(&mut answer);
                }
            }
            Self::Message(message) => {
                add_names(&mut answer);
                answer.entry("message").or_insert_with(|| json!(message));
            }
        }
        serde_json::to_vec(&answer).ok()
    }
}

fn add_names(answer: &mut Map<String, Value>) {
    for (ours, documented) in NAMES {
        if let Some(value) = answer.get(ours).cloned() {
            answer.insert(documented.to_owned(), value);
        }
    }
}

/// Middleware inside of compression: translates successful answers to requests with a [`Dialect`].
pub async fn translate<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let dialect = request.extensions().get::<Dialect>().copied();
    let response = next.call(request).await?;
    let Some(dialect) = dialect.filter(|_| response.status().is_success()) else {
        return Ok(response.map_into_left_body());
    };
    Ok(response.map_body(|head, body| match body.try_into_bytes() {
        Ok(bytes) => {
            let Some(translated) = dialect.body(&bytes) else {
                return EitherBody::right(BoxBody::new(bytes));
            };
            if let Dialect::Message(_) = dialect {
                head.status = StatusCode::OK;
            }
            head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            EitherBody::right(BoxBody::new(translated))
        }
        Err(body) => EitherBody::left(body),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(dialect: Dialect, body: &str) -> Value {
        serde_json::from_slice(&dialect.body(body.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn only_documented_paths_have_a_dialect() {
        let dialect = |path, canonical| Dialect::of_alias(path, canonical);
        assert_eq!(dialect("/api/v1/customer/me", "/api/v1/profile"), Some(Dialect::Account));
        assert_eq!(dialect("/customer/auth/profile", "/api/v1/profile"), None);
        assert_eq!(dialect("/api/v1/customer/sites", "/api/v1/sites"), None);
    }

    #[test]
    fn names_are_added_and_none_is_taken_away() {
        let user = r#"{"fullName": "Ada", "emailVerified": false, "lastLoginAt": null}"#;
        let both = json!({"fullName": "Ada", "emailVerified": false, "lastLoginAt": null,
            "full_name": "Ada", "email_verified": false, "last_login": null});
        assert_eq!(translated(Dialect::Account, user), both);
        let tokens = format!(r#"{{"access_token": "a", "user": {user}}}"#);
        let expected = json!({"access_token": "a", "email_verified": false, "user": both});
        assert_eq!(translated(Dialect::Account, &tokens), expected);
    }

    #[test]
    fn a_message_is_added_where_there_is_none() {
        let message = Dialect::Message("Done.");
        assert_eq!(translated(message, ""), json!({"message": "Done."}));
        assert_eq!(translated(message, r#"{"message": "On its way."}"#), json!({"message": "On its way."}));
        assert_eq!(message.body(b"<html>"), None);
    }
}
