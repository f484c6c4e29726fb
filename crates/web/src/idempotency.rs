//! `Idempotency-Key`: a POST that is sent again is carried out once (draft-ietf-httpapi-idempotency-key-header).
//!
//! A request with a key is claimed first, by a row that others find in their way. What the route commits last is not committed
//! at once, but parked (see [`Parking`]), and committed here in one transaction with the answer. So a process that dies leaves
//! both or neither; its claim ends with its lease, and whoever asks again has the request carried out, or the answer. A process
//! that only seemed dead finds somebody else's claim when it wants to keep its answer, and rolls back.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Arc,
    time::Duration,
};

use actix_web::{
    Error, HttpMessage, HttpResponse, ResponseError,
    body::{EitherBody, MessageBody, to_bytes},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
    rt,
    web::{Bytes, Data},
};
use futures_util::FutureExt;
use portico_kernel::{
    Actor, Env, Scope, StoreError, TenantId, Timestamp,
    idempotency::{Claim, IdempotencyKeys, KeyedRequest, Record},
};
use portico_runtime::{
    access::Presented,
    context::{self, CURRENT, Parking, RequestContext},
    logging, traces,
};
use sha2::{Digest, Sha256};
use tokio::{
    sync::oneshot,
    time::{Instant, interval_at},
};

use self::{
    answer::Answer,
    key::{KEY, KeyFault},
    operations::KeyedOperation,
};
use crate::{api::Api, body, caller, problem::Problem};

mod answer;
mod key;
pub mod operations;

/// What answers are encrypted for, and what fingerprints are made for.
const PURPOSE: &str = "idempotency";

/// How often a lease is extended before it would end.
const BEATS: u32 = 3;

/// Goes on to the route, once for each key.
pub async fn once<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let Some(api) = keyed(&request) else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    let path = request.match_info().as_str().to_owned();
    let Some(operation) = api.document.keyed(&path) else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    let response = match begin(&api, operation, &path, &mut request).await {
        Ok(Begun::First(guest)) => {
            let api = api.get_ref().clone();
            return run(api, guest, request, next).await.map(ServiceResponse::map_into_right_body);
        }
        Ok(Begun::Again(response)) => response,
        Err(problem) => problem.error_response(),
    };
    Ok(request.into_response(response).map_into_right_body())
}

/// The application, when a request has a key and is not for a published site.
fn keyed(request: &ServiceRequest) -> Option<Data<Api>> {
    let has_key = *request.method() == Method::POST && request.headers().contains_key(KEY);
    (has_key && request.extensions().contains::<Presented>())
        .then(|| request.app_data::<Data<Api>>().cloned())?
}

/// What becomes of a request with a key.
enum Begun {
    /// It is carried out.
    First(Guest),
    /// It was carried out before: this was answered.
    Again(HttpResponse),
}

/// Whose request it is, and what they have to be allowed to be told the answer.
struct Guest {
    claim: Claim,
    scope: Scope,
    permissions: Vec<portico_kernel::Permission>,
}

async fn begin(
    api: &Api,
    operation: &KeyedOperation,
    path: &str,
    request: &mut ServiceRequest,
) -> Result<Begun, Problem> {
    let presented = request.extensions().get::<Presented>().cloned().ok_or_else(Problem::unauthenticated)?;
    let named = caller::named(operation.tenant(path), request.headers());
    let scope = api.core.access.admit(presented, named).await?;
    let caller = match scope.actor() {
        Actor::User { id, .. } => id.uuid(),
        Actor::ApiKey { id, .. } => id.uuid(),
        Actor::Anonymous | Actor::System => return Err(Problem::unauthenticated()),
    };
    let key = key::read(request.headers())?;
    let digest = match operation.by_body {
        true => Sha256::digest(whole_body(api, request).await?).to_vec(),
        false => Vec::new(),
    };
    let now = api.core.env.now();
    let claim = Claim {
        request: KeyedRequest { tenant: scope.active_tenant().unwrap_or(TenantId::PLATFORM), caller, key },
        fingerprint: fingerprint(api, &scope, path, request.query_string(), &digest),
        holder: api.core.env.random_uuid(),
        expires_at: now + time_of(api.core.settings.idempotency.retention),
    };
    let until = now + time_of(api.core.settings.idempotency.lease);
    let found = api.core.idempotency.claim(&claim, until, now).await?;
    let guest = Guest { claim, scope, permissions: operation.permissions.clone() };
    match found {
        None => Ok(Begun::First(guest)),
        Some(record) => again(api, &guest, record).map(Begun::Again),
    }
}

/// Tells requests under one key apart. With a key of ours, because a body may hold a password that could be guessed from a mere
/// digest; whoever acts as somebody else is not told what that person was answered.
fn fingerprint(api: &Api, scope: &Scope, path: &str, query: &str, digest: &[u8]) -> String {
    let impersonator = scope.impersonator().map(|user| user.to_string()).unwrap_or_default();
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    // None of the parts but the last has a line break in it.
    let text = format!("{impersonator}\n{digest}\n{query}\n{path}");
    let never = Timestamp::from_unix_seconds(0).unwrap_or_else(|| api.core.env.now());
    api.signer.sign(PURPOSE, &text, never)
}

/// Reads the body, and puts it back for the route.
async fn whole_body(api: &Api, request: &mut ServiceRequest) -> Result<Bytes, Problem> {
    let limit = api.settings.max_body_bytes;
    let payload = request.take_payload();
    let bytes = body::collect(request.request(), payload, limit).await?;
    request.set_payload(Payload::from(bytes.clone()));
    Ok(bytes)
}

/// The answer to a request that was claimed before.
fn again(api: &Api, guest: &Guest, record: Record) -> Result<HttpResponse, Problem> {
    let claim = &guest.claim;
    if record.fingerprint != claim.fingerprint {
        count("reused");
        return Err(KeyFault::Reused.into());
    }
    let Some(sealed) = record.answer else {
        count("in_use");
        return Err(KeyFault::InUse.into());
    };
    // Whoever may not do it any more is not told what came of it either.
    for permission in &guest.permissions {
        guest.scope.require_platform(*permission)?;
    }
    let bytes = api.core.sealer.open(PURPOSE, &context_of(&claim.request), &sealed);
    let answer = bytes.and_then(|bytes| Answer::from_bytes(&bytes));
    let answer = answer.ok_or_else(|| Problem::internal("an answer that was kept cannot be read"))?;
    count("replayed");
    Ok(answer.replay())
}

/// Carries out a request to its end, also when the client hangs up meanwhile.
async fn run<B: MessageBody + 'static>(
    api: Api,
    guest: Guest,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse, Error> {
    let parking = Arc::new(Parking::default());
    let context = RequestContext { parking: Some(parking.clone()), ..context::current() };
    let work = async move {
        let _lease = hold(&api, &guest.claim);
        let called = AssertUnwindSafe(next.call(request)).catch_unwind().await;
        let failed = match called {
            Ok(Ok(response)) => return settle(&api, &guest, &parking, response).await,
            Ok(Err(error)) => Ok(error),
            Err(panic) => Err(panic),
        };
        give_up(&api, &guest.claim, &parking).await?;
        Err(failed.unwrap_or_else(|panic| resume_unwind(panic)))
    };
    match rt::spawn(traces::carry(CURRENT.scope(context, work))).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => Err(Problem::internal(error).into()),
        },
    }
}

/// Commits what the route has done, with its answer.
async fn settle<B: MessageBody + 'static>(
    api: &Api,
    guest: &Guest,
    parking: &Parking,
    response: ServiceResponse<B>,
) -> Result<ServiceResponse, Error> {
    if !response.status().is_success() {
        give_up(api, &guest.claim, parking).await?;
        return Ok(response.map_into_boxed_body());
    }
    let (request, response) = response.into_parts();
    let (response, body) = response.into_parts();
    let body = to_bytes(body).await.map_err(|error| Problem::internal(error.into()))?;
    let answer = Answer::new(response.status(), response.headers(), body.clone());
    let response = match keep(api, &guest.claim, parking, &answer).await? {
        true => {
            count("first");
            response.set_body(body).map_into_boxed_body()
        }
        // Rolled back: somebody else was faster after this process seemed dead.
        false => {
            match api
                .core
                .idempotency
                .find(&guest.claim.request, api.core.env.now())
                .await
                .map_err(Problem::from)?
            {
                Some(record) => again(api, guest, record)?,
                None => return Err(Problem::from(KeyFault::InUse).into()),
            }
        }
    };
    Ok(ServiceResponse::new(request, response))
}

/// Keeps the answer in the transaction of what the route did. `false` when the claim was lost, and nothing was done.
async fn keep(api: &Api, claim: &Claim, parking: &Parking, answer: &Answer) -> Result<bool, Problem> {
    let sealed = api.core.sealer.seal(PURPOSE, &context_of(&claim.request), &answer.to_bytes());
    let sealed = sealed.map_err(Problem::internal)?;
    match parking.close().await {
        None => Ok(api.core.idempotency.complete(claim, &sealed).await?),
        Some(mut work) => {
            let kept = work.idempotency().complete(claim, &sealed).await?;
            if kept {
                work.commit().await?;
            }
            Ok(kept)
        }
    }
}

/// Gives a request up that came to nothing, with what its route committed on the way: that it was refused may itself be noted.
async fn give_up(api: &Api, claim: &Claim, parking: &Parking) -> Result<(), Problem> {
    count("released");
    match parking.close().await {
        Some(mut work) => {
            work.idempotency().release(claim).await?;
            Ok(work.commit().await?)
        }
        None => {
            // The answer holds all the same; the claim ends by itself.
            if let Err(error) = api.core.idempotency.release(claim).await {
                logging::warn("the claim of a request could not be given up", &error);
            }
            Ok(())
        }
    }
}

/// Extends the lease of a claim until what is answered is dropped.
fn hold(api: &Api, claim: &Claim) -> oneshot::Sender<()> {
    let (held, mut dropped) = oneshot::channel();
    let (keys, env, claim) = (api.core.idempotency.clone(), api.core.env.clone(), claim.clone());
    let lease = api.core.settings.idempotency.lease;
    tokio::spawn(async move {
        let pause = lease / BEATS;
        let mut beats = interval_at(Instant::now() + pause, pause);
        loop {
            tokio::select! {
                _ = &mut dropped => break,
                _ = beats.tick() => {}
            }
            match extend(&*keys, &env, &claim, lease).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => logging::warn("a lease could not be extended", &error),
            }
        }
    });
    held
}

async fn extend(
    keys: &dyn IdempotencyKeys,
    env: &Env,
    claim: &Claim,
    lease: Duration,
) -> Result<bool, StoreError> {
    keys.extend(claim, env.now() + time_of(lease)).await
}

/// What an answer is encrypted for: in another row it does not open.
fn context_of(request: &KeyedRequest) -> Vec<u8> {
    let (tenant, caller) = (request.tenant.uuid().into_bytes(), request.caller.into_bytes());
    [tenant.as_slice(), caller.as_slice(), request.key.as_bytes()].concat()
}

fn time_of(duration: Duration) -> time::Duration {
    duration.try_into().unwrap_or(time::Duration::DAY)
}

fn count(outcome: &'static str) {
    metrics::counter!("idempotent_requests_total", "outcome" => outcome).increment(1);
}
