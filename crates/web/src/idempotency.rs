//! `Idempotency-Key`: a repeated POST is carried out once (draft-ietf-httpapi-idempotency-key-header).
//!
//! A request with a key is claimed first, by a row that conflicts with others. The route makes its change and its response
//! in one step ([`crate::caller::Caller::write`]), and the response is stored in the transaction of the change. So a
//! process that dies leaves both or neither; its claim ends with its lease, and a client that retries has the request
//! carried out, or gets the stored response. A process whose lease expired while it was still running finds another claim
//! when it stores its response, and rolls back.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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
    context::{self, CURRENT},
    core::Core,
    logging,
    store::UnitOfWork,
    traces,
};
use sha2::{Digest, Sha256};
use tokio::{
    sync::oneshot,
    time::{Instant, interval_at},
};

use self::{
    answer::Answer,
    key::{KEY, KeyFault},
};
use crate::{
    api::Api,
    body, credentials,
    openapi::{DocumentedPath, keyed::KeyedOperation},
    problem::Problem,
};

mod answer;
mod key;

/// Purpose of the encryption of responses and of fingerprints.
const PURPOSE: &str = "idempotency";

/// How often a lease is renewed before it would end.
const BEATS: u32 = 3;

/// Middleware that passes a request to its route once for each key.
pub async fn once<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    match keyed(&request) {
        // Boxed, because it is large, and most requests have no key.
        Some(api) => Box::pin(once_for_key(api, request, next)).await,
        None => next.call(request).await.map(ServiceResponse::map_into_left_body),
    }
}

async fn once_for_key<B: MessageBody + 'static>(
    api: Data<Api>,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let path = request.match_info().as_str().to_owned();
    let documented = request.extensions().get::<Arc<DocumentedPath>>().cloned();
    let Some(operation) = documented.as_ref().and_then(|documented| documented.keyed.as_ref()) else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    let response = match begin(&api, operation, &path, &mut request).await {
        Ok(Begun::First(claimed)) => {
            let lease = api.core.settings.idempotency.lease;
            return run(lease, claimed, request, next).await.map(ServiceResponse::map_into_right_body);
        }
        Ok(Begun::Again(response)) => response,
        Err(problem) => problem.error_response(),
    };
    Ok(request.into_response(response).map_into_right_body())
}

/// The application, if a request has a key and is not for a published site.
fn keyed(request: &ServiceRequest) -> Option<Data<Api>> {
    let has_key = *request.method() == Method::POST && request.headers().contains_key(KEY);
    (has_key && request.extensions().contains::<Presented>())
        .then(|| request.app_data::<Data<Api>>().cloned())?
}

/// The result of claiming a request.
enum Begun {
    /// It is to be carried out.
    First(Arc<ClaimedRequest>),
    /// It was carried out before, with this response.
    Again(HttpResponse),
}

/// A request with a key that is carried out by this process.
pub struct ClaimedRequest {
    core: Core,
    scope: Scope,
    claim: Claim,
    /// Whether the response is final: it was stored, or that of another claim must be sent.
    answered: AtomicBool,
}

impl ClaimedRequest {
    /// The caller.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Commits a unit of work together with the response.
    ///
    /// # Errors
    /// When the response cannot be read or stored. If another process has carried out the request meanwhile, nothing is
    /// committed, and its response is returned.
    pub async fn commit(
        &self,
        mut work: Box<dyn UnitOfWork>,
        answer: HttpResponse,
    ) -> Result<HttpResponse, Problem> {
        if !answer.status().is_success() {
            work.commit().await?;
            return Ok(answer);
        }
        let (answer, sealed) = self.seal(answer).await?;
        if work.idempotency().complete(&self.claim, &sealed).await? {
            work.commit().await?;
            self.answered.store(true, Ordering::Relaxed);
            count("first");
            return Ok(answer);
        }
        drop(work);
        self.answer_of_another().await
    }

    /// Stores a response that comes without a change.
    async fn keep(&self, answer: HttpResponse) -> Result<HttpResponse, Problem> {
        let (answer, sealed) = self.seal(answer).await?;
        match self.core.idempotency.complete(&self.claim, &sealed).await? {
            true => {
                count("unchanged");
                Ok(answer)
            }
            false => self.answer_of_another().await,
        }
    }

    /// The response, and its stored form.
    async fn seal(&self, answer: HttpResponse) -> Result<(HttpResponse, Vec<u8>), Problem> {
        let (answer, body) = answer.into_parts();
        let body = to_bytes(body).await.map_err(Problem::internal)?;
        let kept =
            Answer::new(answer.status(), answer.headers(), body.clone(), self.scope.required_permissions());
        let sealed = self.core.sealer.seal(PURPOSE, &context_of(&self.claim.request), &kept.to_bytes());
        Ok((answer.set_body(body).map_into_boxed_body(), sealed.map_err(Problem::internal)?))
    }

    /// The response of another process that took over after this one's lease had expired.
    async fn answer_of_another(&self) -> Result<HttpResponse, Problem> {
        self.answered.store(true, Ordering::Relaxed);
        match self.core.idempotency.find(&self.claim.request, self.core.env.now()).await? {
            Some(record) => self.again(record),
            None => Err(KeyFault::InUse.into()),
        }
    }

    /// The response to a request that was claimed before.
    fn again(&self, record: Record) -> Result<HttpResponse, Problem> {
        if record.fingerprint != self.claim.fingerprint {
            count("reused");
            return Err(KeyFault::Reused.into());
        }
        let Some(sealed) = record.answer else {
            count("in_use");
            return Err(KeyFault::InUse.into());
        };
        let bytes = self.core.sealer.open(PURPOSE, &context_of(&self.claim.request), &sealed);
        let answer = bytes.and_then(|bytes| Answer::from_bytes(&bytes));
        let answer = answer.ok_or_else(|| Problem::internal("an answer that was kept cannot be read"))?;
        // A caller who has lost a permission does not get the response either.
        for permission in answer.permissions.iter() {
            self.scope.require_platform(permission)?;
        }
        count("replayed");
        Ok(answer.replay())
    }

    /// Releases the claim of a request that changed nothing, so that it can be retried at once.
    async fn give_up(&self) {
        if self.answered.load(Ordering::Relaxed) {
            return;
        }
        count("released");
        // The response is sent regardless; the claim expires.
        if let Err(error) = self.core.idempotency.release(&self.claim).await {
            logging::warn("the claim of a request could not be given up", &error);
        }
    }
}

async fn begin(
    api: &Api,
    operation: &KeyedOperation,
    path: &str,
    request: &mut ServiceRequest,
) -> Result<Begun, Problem> {
    let presented = request.extensions().get::<Presented>().cloned().ok_or_else(Problem::unauthenticated)?;
    let named = credentials::named(operation.tenant(path), request.headers());
    let scope = api.core.access.admit(presented, named).await?;
    let caller = match scope.actor() {
        Actor::User { id, .. } => id.uuid(),
        Actor::ApiKey { id, .. } => id.uuid(),
        Actor::Anonymous | Actor::System => return Err(Problem::unauthenticated()),
    };
    let key = key::read(request.headers())?;
    let body = match operation.by_body {
        true => whole_body(api, request).await?,
        false => Bytes::new(),
    };
    let digest = if body.is_empty() { Vec::new() } else { Sha256::digest(body).to_vec() };
    let now = api.core.env.now();
    let claim = Claim {
        request: KeyedRequest { tenant: scope.active_tenant().unwrap_or(TenantId::PLATFORM), caller, key },
        fingerprint: fingerprint(api, &scope, path, request.query_string(), &digest),
        holder: api.core.env.random_uuid(),
        expires_at: now + time_of(api.core.settings.idempotency.retention),
    };
    let until = now + time_of(api.core.settings.idempotency.lease);
    let found = api.core.idempotency.claim(&claim, until, now).await?;
    let claimed = ClaimedRequest { core: api.core.clone(), scope, claim, answered: AtomicBool::new(false) };
    match found {
        None => Ok(Begun::First(Arc::new(claimed))),
        Some(record) => claimed.again(record).map(Begun::Again),
    }
}

/// Fingerprint that distinguishes requests under one key. It is keyed, because a body may contain a password that could be
/// guessed from a plain digest. The impersonator is part of it, so that they do not get responses made for the user
/// themselves.
fn fingerprint(api: &Api, scope: &Scope, path: &str, query: &str, digest: &[u8]) -> String {
    let impersonator = scope.impersonator().map(|user| user.to_string()).unwrap_or_default();
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    // Only the last part may contain a line break.
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

/// Carries out a request to its end, even if the client disconnects.
async fn run<B: MessageBody + 'static>(
    lease: Duration,
    claimed: Arc<ClaimedRequest>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse, Error> {
    request.extensions_mut().insert(claimed.clone());
    let work = async move {
        let _lease = hold(&claimed, lease);
        let called = AssertUnwindSafe(next.call(request)).catch_unwind().await;
        match called {
            Ok(Ok(response)) if response.status().is_success() => {
                if claimed.answered.load(Ordering::Relaxed) {
                    return Ok(response.map_into_boxed_body());
                }
                let (request, response) = response.into_parts();
                let kept = claimed.keep(response.map_into_boxed_body()).await?;
                Ok(ServiceResponse::new(request, kept))
            }
            Ok(Ok(response)) => {
                claimed.give_up().await;
                Ok(response.map_into_boxed_body())
            }
            Ok(Err(error)) => {
                claimed.give_up().await;
                Err(error)
            }
            Err(panic) => {
                claimed.give_up().await;
                resume_unwind(panic)
            }
        }
    };
    match rt::spawn(traces::carry(CURRENT.scope(context::current(), work))).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => Err(Problem::internal(error).into()),
        },
    }
}

/// Renews the lease of a claim until the returned sender is dropped.
fn hold(claimed: &ClaimedRequest, lease: Duration) -> oneshot::Sender<()> {
    let (held, mut dropped) = oneshot::channel();
    let (keys, env) = (claimed.core.idempotency.clone(), claimed.core.env.clone());
    let claim = claimed.claim.clone();
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

/// Associated data of the encryption: a response cannot be decrypted in another row.
fn context_of(request: &KeyedRequest) -> Vec<u8> {
    let (tenant, caller) = (request.tenant.uuid().into_bytes(), request.caller.into_bytes());
    [tenant.as_slice(), caller.as_slice(), request.key.as_bytes()].concat()
}

fn time_of(duration: Duration) -> time::Duration {
    duration.try_into().unwrap_or(time::Duration::DAY)
}

fn count(outcome: &'static str) {
    metrics::counter!("portico_idempotent_requests_total", "outcome" => outcome).increment(1);
}
