//! The License API of Lemon Squeezy, for products that speak it already (<https://docs.lemonsqueezy.com/api/license-api>). It is no part
//! of the API document: its answers, errors included, are those of that API. An activation here is an instance there, by the same id.

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    guard::fn_guard,
    http::StatusCode,
    web::{self, Data, Payload, ServiceConfig},
};
use portico_kernel::{ActivationId, Fault, FieldError, Timestamp, event::id_of_word};
use portico_licensing::{
    LicensingError,
    activation::Activation,
    check::{CheckedLicense, KeyHolders, LicenseCheck, LicensedMachine, NewActivation, Verdict, VerdictCode},
    license::LicenseStatus,
};
use portico_web::{body::collect, caller::Visitor, host, problem::Problem, write::WithJson};
use serde_json::{Map, Value, json};

use crate::state::App;

/// Most bytes of a body.
const BODY_MAX: usize = 16 * 1024;

/// What a machine is known by that names no fingerprint; the rest is random, because each activation is an instance of its own.
const FINGERPRINT: &str = "lemonsqueezy:";

const LIMIT_REACHED: &str = "This license key has reached the activation limit.";
const KEY_NOT_FOUND: &str = "license_key not found.";
const INSTANCE_NOT_FOUND: &str = "instance_id not found.";
const TOO_MANY_FREED: &str = "This license key has reached the limit of deactivations in a month.";
const EXPIRED: &str = "This license key is expired.";
const DISABLED: &str = "This license key is disabled.";

/// Adds the routes, below `/compat/`.
pub fn configure(config: &mut ServiceConfig) {
    let licenses = web::scope("/compat/lemonsqueezy/v1/licenses")
        .guard(fn_guard(host::is_own))
        .service(web::resource("/activate").route(web::post().to(activate)))
        .service(web::resource("/validate").route(web::post().to(validate)))
        .service(web::resource("/deactivate").route(web::post().to(deactivate)));
    config.service(licenses);
}

/// What is sent, as a form or as JSON. What is not named here is not read.
struct Sent {
    license_key: String,
    instance_name: String,
    instance_id: String,
}

async fn sent(request: &HttpRequest, payload: Payload) -> Result<Sent, Problem> {
    let body = collect(request, payload.into_inner(), BODY_MAX).await?;
    // What cannot be read has no fields, and is told of as that.
    let fields: Map<String, Value> = match request.content_type() {
        "application/json" => serde_json::from_slice(&body).unwrap_or_default(),
        _ => {
            let text = String::from_utf8_lossy(&body);
            web::Query::from_query(&text).map(web::Query::into_inner).unwrap_or_default()
        }
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Sent {
        license_key: text("license_key"),
        instance_name: text("instance_name"),
        instance_id: text("instance_id"),
    })
}

async fn activate(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    const DONE: &str = "activated";
    let sent = sent(&request, payload).await?;
    if let Some(refused) =
        missing(&[("license_key", &sent.license_key), ("instance_name", &sent.instance_name)])
    {
        return Ok(refused);
    }
    let env = &app.core.env;
    let wanted = NewActivation {
        key: sent.license_key.clone(),
        fingerprint: format!("{FINGERPRINT}{}", env.random_uuid().simple()),
        name: Some(sent.instance_name),
        ..NewActivation::default()
    };
    let mut work = app.core.begin().await?;
    let taken = KeyHolders::new(&mut *work, &visitor.0, env, &app.vault).activate(&wanted).await;
    let check = LicenseCheck { key: sent.license_key, ..LicenseCheck::default() };
    let verdict = KeyHolders::new(&mut *work, &visitor.0, env, &app.vault).validate(&check).await;
    match (taken, verdict) {
        (Ok((activation, _)), Ok(verdict)) => {
            work.commit().await?;
            let mut answer = described(&app, &verdict.license)?;
            answer.insert("instance".to_owned(), instance(&activation));
            Ok(told(StatusCode::OK, DONE, None, answer))
        }
        // Nothing was stored: `work` is dropped.
        (Err(error), Ok(verdict)) => match refusal(&error) {
            Some(text) => {
                let about = described(&app, &verdict.license)?;
                Ok(told(StatusCode::BAD_REQUEST, DONE, Some(text), about))
            }
            None => failed(DONE, error),
        },
        (Err(error), Err(_)) | (Ok(_), Err(error)) => failed(DONE, error),
    }
}

async fn validate(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    const DONE: &str = "valid";
    let sent = sent(&request, payload).await?;
    if let Some(refused) = missing(&[("license_key", &sent.license_key)]) {
        return Ok(refused);
    }
    let mut repositories = app.core.reader();
    let mut holders = KeyHolders::new(&mut *repositories, &visitor.0, &app.core.env, &app.vault);
    let check = LicenseCheck { key: sent.license_key.clone(), ..LicenseCheck::default() };
    let verdict = match holders.validate(&check).await {
        Ok(verdict) => verdict,
        Err(error) => return failed(DONE, error),
    };
    let machine = match named(&mut holders, &sent).await {
        Ok(machine) => machine,
        Err(error) => return failed(DONE, error),
    };
    let verdict = match &machine {
        // There is no heartbeat there: a product that validates its instance goes on using its seat.
        Some(machine) if machine.lease_ends_at.is_some() => {
            match heard(&app, &visitor, &sent.license_key, machine).await {
                Ok(verdict) => verdict,
                Err(error) => return failed(DONE, error),
            }
        }
        _ => verdict,
    };
    let mut answer = described(&app, &verdict.license)?;
    answer.insert("instance".to_owned(), machine.as_ref().map_or(Value::Null, instance));
    Ok(match verdict.license.license.status {
        LicenseStatus::Active if verdict.code == VerdictCode::NoSeat => {
            told(StatusCode::BAD_REQUEST, DONE, Some(LIMIT_REACHED), answer)
        }
        LicenseStatus::Active => told(StatusCode::OK, DONE, None, answer),
        LicenseStatus::Expired => told(StatusCode::BAD_REQUEST, DONE, Some(EXPIRED), answer),
        LicenseStatus::Suspended | LicenseStatus::Revoked => {
            told(StatusCode::BAD_REQUEST, DONE, Some(DISABLED), answer)
        }
    })
}

async fn deactivate(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    const DONE: &str = "deactivated";
    let sent = sent(&request, payload).await?;
    if let Some(refused) = missing(&[("license_key", &sent.license_key), ("instance_id", &sent.instance_id)])
    {
        return Ok(refused);
    }
    let mut work = app.core.begin().await?;
    let mut holders = KeyHolders::new(&mut *work, &visitor.0, &app.core.env, &app.vault);
    let machine = match named(&mut holders, &sent).await {
        Ok(Some(machine)) => machine,
        Ok(None) => return failed(DONE, LicensingError::NoActivation),
        Err(error) => return failed(DONE, error),
    };
    let machine = LicensedMachine { key: sent.license_key.clone(), fingerprint: machine.fingerprint };
    if let Err(error) = holders.deactivate(&machine).await {
        return failed(DONE, error);
    }
    let check = LicenseCheck { key: sent.license_key, ..LicenseCheck::default() };
    let verdict = match holders.validate(&check).await {
        Ok(verdict) => verdict,
        Err(error) => return failed(DONE, error),
    };
    work.commit().await?;
    Ok(told(StatusCode::OK, DONE, None, described(&app, &verdict.license)?))
}

/// The machine that is named by the id of its seat; `None` where none is named.
async fn named(holders: &mut KeyHolders<'_>, sent: &Sent) -> Result<Option<Activation>, LicensingError> {
    if sent.instance_id.is_empty() {
        return Ok(None);
    }
    let Ok(id) = sent.instance_id.parse::<ActivationId>() else { return Err(LicensingError::NoActivation) };
    holders.machine_of(&sent.license_key, id).await.map(Some)
}

/// Renews the lease of a machine, or takes a seat again.
async fn heard(
    app: &App,
    visitor: &Visitor,
    key: &str,
    machine: &Activation,
) -> Result<Verdict, LicensingError> {
    let machine = LicensedMachine { key: key.to_owned(), fingerprint: machine.fingerprint.clone() };
    let mut work = app.core.begin().await?;
    let verdict =
        KeyHolders::new(&mut *work, &visitor.0, &app.core.env, &app.vault).heartbeat(&machine).await?;
    work.commit().await?;
    Ok(verdict)
}

/// What is said about a license that there is and may not be used, or has no free seat.
fn refusal(error: &LicensingError) -> Option<&'static str> {
    Some(match error {
        LicensingError::TooManyActivations { .. } => LIMIT_REACHED,
        LicensingError::TooManyReleases { .. } => TOO_MANY_FREED,
        LicensingError::Expired => EXPIRED,
        LicensingError::Suspended | LicensingError::Revoked => DISABLED,
        _ => return None,
    })
}

/// What is told without the license: nobody's key, an unknown instance, fields that break rules, what is refused, our own faults.
fn failed(done: &'static str, error: LicensingError) -> Result<HttpResponse, Problem> {
    match error {
        LicensingError::NoLicense => Ok(told(StatusCode::NOT_FOUND, done, Some(KEY_NOT_FOUND), Map::new())),
        LicensingError::NoActivation => {
            Ok(told(StatusCode::NOT_FOUND, done, Some(INSTANCE_NOT_FOUND), Map::new()))
        }
        LicensingError::Invalid(_) => Ok(broken(error.fields())),
        error => match refusal(&error) {
            Some(text) => Ok(told(StatusCode::BAD_REQUEST, done, Some(text), Map::new())),
            None => Err(error.into()),
        },
    }
}

/// Fields that must be there and are not.
fn missing(fields: &[(&str, &String)]) -> Option<HttpResponse> {
    let missing: Vec<FieldError> = fields
        .iter()
        .filter(|(_, value)| value.trim().is_empty())
        .map(|(name, _)| FieldError::new(*name, "required", format!("The {name} field is required.")))
        .collect();
    (!missing.is_empty()).then(|| broken(&missing))
}

/// 422 as that API has it: each field with its sentences.
fn broken(errors: &[FieldError]) -> HttpResponse {
    let mut fields = Map::new();
    for error in errors {
        let name = match error.field.as_str() {
            "key" => "license_key",
            "name" => "instance_name",
            "fingerprint" => "instance_id",
            other => other,
        };
        fields.insert(name.to_owned(), json!([error.message]));
    }
    let message = errors.first().map(|error| error.message.clone()).unwrap_or_default();
    HttpResponse::UnprocessableEntity().with_json(&json!({"message": message, "errors": fields}))
}

/// An answer: whether it was done, why not, and what is known of the license.
fn told(status: StatusCode, done: &str, error: Option<&str>, about: Map<String, Value>) -> HttpResponse {
    let mut answer = Map::new();
    answer.insert(done.to_owned(), error.is_none().into());
    answer.insert("error".to_owned(), error.into());
    answer.extend(about);
    HttpResponse::build(status).with_json(&answer)
}

/// `license_key` and `meta`. Ids are whole numbers there; here they are made of ours, so that they are always the same. Whoever has a key
/// need not have bought it: who has is not told.
fn described(app: &App, checked: &CheckedLicense) -> Result<Map<String, Value>, Problem> {
    let CheckedLicense { license, activations } = checked;
    let status = match license.status {
        LicenseStatus::Active if *activations == 0 => "inactive",
        LicenseStatus::Active => "active",
        LicenseStatus::Expired => "expired",
        LicenseStatus::Suspended | LicenseStatus::Revoked => "disabled",
    };
    let key = app.vault.open(license.id, &license.key)?;
    let product = number(id_of_word("product", &license.product_type).as_u128());
    let mut about = Map::new();
    let license_key = json!({
        "id": number(license.id.uuid().as_u128()),
        "status": status,
        "key": key.as_str(),
        "activation_limit": license.activation_limit,
        "activation_usage": activations,
        "created_at": time_of(license.created_at),
        "expires_at": license.expires_at.map(time_of),
    });
    let meta = json!({
        "store_id": 1,
        "order_id": null,
        "order_item_id": null,
        "product_id": product,
        "product_name": license.product_name,
        "variant_id": product,
        "variant_name": "Default",
        "customer_id": null,
        "customer_name": null,
        "customer_email": null,
    });
    about.insert("license_key".to_owned(), license_key);
    about.insert("meta".to_owned(), meta);
    Ok(about)
}

fn instance(activation: &Activation) -> Value {
    json!({
        "id": activation.id,
        "name": activation.name.as_deref().unwrap_or_default(),
        "created_at": time_of(activation.activated_at),
    })
}

/// A whole number that every JSON library reads exactly: the last 48 bits of an id.
fn number(id: u128) -> u64 {
    (id & 0xffff_ffff_ffff) as u64
}

/// As that API writes times: with six decimals.
fn time_of(at: Timestamp) -> String {
    let at = at.into_inner();
    let (date, month) = (at.date(), u8::from(at.month()));
    format!(
        "{:04}-{month:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        date.year(),
        date.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.microsecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_six_decimals() {
        let at = Timestamp::from_unix_micros(1_790_000_000_000_042).unwrap();
        assert_eq!(time_of(at), "2026-09-21T14:13:20.000042Z");
    }

    #[test]
    fn numbers_are_exact_in_every_language() {
        assert_eq!(number(u128::MAX), 281_474_976_710_655);
        assert!(number(u128::MAX) < 1 << 53);
    }
}
