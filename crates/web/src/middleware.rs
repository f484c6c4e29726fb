//! Middleware of every route: normal form of the path, address of the client, request id, alias, credentials, limits,
//! panics, headers, metrics, access log.

use std::{
    cell::RefCell,
    collections::HashMap,
    net::IpAddr,
    panic::AssertUnwindSafe,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{ResponseHead, ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{
        ConnectionType, Method, StatusCode,
        header::{self, Accept, Header, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web::Data,
};
use futures_util::FutureExt;
use metrics::Histogram;
use portico_kernel::{RequestInfo, limits::Verdict};
use portico_runtime::{
    access::Presented,
    context::{CURRENT, RequestContext},
    failures::Failures,
    key_usage::KeyRequest,
    logging,
    report::{self, Answered},
    traces::Span,
};

use crate::{
    alias,
    api::Api,
    client::{self, ClientAddress},
    connection::Exchange,
    credentials::{self, PresentedTicket},
    devices,
    dialect::Dialect,
    headers,
    host::SiteRequest,
    openapi::DocumentedPath,
    pace::{Answer, HeldRequest, Pace},
    path::{self, PathFault, Spelling},
    problem::Problem,
    request_admission, traces,
};

/// Name of the header with the request id, in requests and responses.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum stored length of `User-Agent`.
const MAX_USER_AGENT: usize = 256;

/// Maximum stored length of method and path.
const MAX_LINE: usize = 300;

/// The outermost middleware.
pub async fn around<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Answer>, Error> {
    let started = Instant::now();
    let Some(api) = request.app_data::<Data<Api>>().cloned() else {
        return Err(Problem::internal("the application has no state").into());
    };
    // First, so that everything below sees the normalised path only.
    let spelling = path::settle(&mut request);
    request.extensions_mut().insert(Spelled(spelling));
    let server = &api.settings;
    let peer = client::peer(request.request());
    let address = client::find(peer, &server.trusted_proxies, server.forwarded_header, request.headers());
    request.extensions_mut().insert(ClientAddress(address));
    let pace = Pace::new(server.min_body_rate, server.body_timeout, server.max_body_bytes);
    let held = HeldRequest::begin(&mut request, pace, &api.connections);
    let mut info = request_info(&api, &request, address);
    let device_mark = devices::recognize(&api, &request, &mut info);
    let (method, path, id) = (request.method().clone(), shown(request.path(), spelling), info.id.clone());
    let mut line = [method.as_str(), " ", path.as_str()].concat();
    line.truncate(headers::first(&line, MAX_LINE).len());
    info.line = Some(line);
    let failures = Failures::for_request(&id);
    let context = RequestContext { info, path: path.clone(), device_mark, failures: Some(failures.clone()) };
    let span = traces::of_request(&api.core.tracer, method.as_str(), &path, request.headers(), &id, started);
    let trace = span.parent().map(|parent| parent.trace_id());
    let seen = Seen { method: &method, path: &path, id: &id, address, started, trace: trace.as_deref() };
    let is_traced = trace.is_some();

    let work = async {
        let answered = match call(request, next).await {
            Ok(response) if held.is_cut() && response.status().is_client_error() => Ok(too_slow(response)),
            Err(_) if held.is_cut() => Err(Problem::request_timeout().into()),
            answered => answered,
        };
        if !held.is_cut() {
            held.drain().await;
        }
        match answered {
            Ok(mut response) => {
                devices::keep(&api, response.headers_mut());
                seal(response.headers_mut(), seen.id, api.is_https());
                close_when_retiring(&api, response.response_mut().head_mut());
                let route = pattern_of(response.request());
                let presented = response.request().extensions().get::<Presented>().cloned();
                seen.report(route.as_deref(), response.status(), presented.as_ref(), &failures, &span);
                Ok(response.map_body(|_, body| held.until_sent(body)))
            }
            Err(error) => {
                let mut response = error.error_response();
                seal(response.headers_mut(), seen.id, api.is_https());
                close_when_retiring(&api, response.head_mut());
                seen.report(None, response.status(), None, &failures, &span);
                let response = response.map_body(|_, body| held.until_sent(body).boxed());
                Err(InternalError::from_response("request failed", response).into())
            }
        }
    };
    // Boxed, because it is large, and each of the wrappers would move all of it.
    let work = Box::pin(work);
    // A span without a trace is not carried along: it would be put in place each time the request continues.
    if is_traced { CURRENT.scope(context, span.run(work)).await } else { CURRENT.scope(context, work).await }
}

/// Middleware of API routes: aliases, credentials, limits, admission, usage of keys.
pub async fn api<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let Some(api) = request.app_data::<Data<Api>>().cloned() else {
        return Err(Problem::internal("the application has no state").into());
    };
    let address = client::address(request.request());
    let spelling = spelling(&request);
    if alias::is_page(request.path()) && prefers_page(&request) {
        return Ok(request.into_response(page_of_portal()).map_into_right_body());
    }
    let canonical = spelling.and_then(|_| match alias::canonical(request.path()) {
        Some(canonical) => {
            if let Some(dialect) = Dialect::of_alias(request.path(), &canonical) {
                request.extensions_mut().insert(dialect);
            }
            path::replace(&mut request, &canonical)
        }
        None => Ok(()),
    });
    if let Err(fault) = canonical {
        return Ok(request.into_response(fault.problem().error_response()).map_into_right_body());
    }
    let documented = api.document.path(request.path());
    if let Some(documented) = documented {
        request.extensions_mut().insert(documented.clone());
    }
    let documented = documented.map(Arc::as_ref);
    if *request.method() == Method::PATCH && documented.is_some_and(|documented| documented.merges) {
        request.head_mut().method = Method::PUT;
    }
    if let Err(refusal) = request_admission::refuse_early(&api, &request, documented, address) {
        return Ok(request.into_response(refusal.error_response()).map_into_right_body());
    }
    let strict = documented.and_then(DocumentedPath::strict);
    let operation = documented.and_then(|documented| documented.operation(request.method()));
    let ticket = match operation {
        Some(operation) if operation.by_ticket && *request.method() == Method::GET => {
            PresentedTicket::read(request.path(), request.query_string())
        }
        _ => None,
    };
    if let Some(ticket) = &ticket
        && let Err(fault) = path::retarget(&mut request, &ticket.target)
    {
        return Ok(request.into_response(fault.problem().error_response()).map_into_right_body());
    }
    let (presented, verdict) = match operation.is_some_and(|operation| operation.signed) {
        true => credentials::admit_signed(&api, address).await,
        false => {
            let (headers, path) = (request.headers(), request.path());
            credentials::admit(&api, headers, path, ticket.as_ref(), strict, address).await
        }
    };
    let needs_caller = operation.is_some_and(|operation| !operation.for_anyone);
    let keyed = presented.key().map(|(key, admitted)| (key.clone(), admitted, request.method().clone()));
    let answered = match verdict {
        Some(Verdict { allowed: false, reset, .. }) => {
            let refusal = Problem::rate_limited(reset).error_response();
            Ok(request.into_response(refusal).map_into_right_body())
        }
        _ if needs_caller && presented.is_anonymous() => {
            let refusal = Problem::unauthenticated().error_response();
            Ok(request.into_response(refusal).map_into_right_body())
        }
        _ if let Err(problem) = name_current_tenant(&api, &mut request, &presented).await => {
            Ok(request.into_response(problem.error_response()).map_into_right_body())
        }
        _ => match request_admission::admit_api(&api, &mut request, documented, &presented, address).await {
            Ok(_admitted) => {
                request.extensions_mut().insert(presented);
                call(request, next).await
            }
            Err(refusal) => Ok(request.into_response(refusal.error_response()).map_into_right_body()),
        },
    };
    if let Some((key, admitted, method)) = &keyed {
        let status = match &answered {
            Ok(answer) => answer.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        let route = documented.map(|documented| documented.pattern.as_str());
        let request = KeyRequest { key, admitted: *admitted, method: method.as_str(), route, address };
        api.core.key_usage.note(&request, status.as_u16(), api.core.env.now());
    }
    let mut response = answered?;
    if let Some(verdict) = verdict {
        add_rate_limit_headers(response.headers_mut(), &verdict);
    }
    Ok(response)
}

/// Whether a browser asks for a page: it names HTML before anything else.
fn prefers_page(request: &ServiceRequest) -> bool {
    *request.method() == Method::GET
        && Accept::parse(request.request()).is_ok_and(|accept| {
            accept.ranked().first().is_some_and(|first| first.essence_str() == "text/html")
        })
}

/// Until the portal has pages, the documentation of the API.
fn page_of_portal() -> HttpResponse {
    HttpResponse::Found()
        .insert_header((header::LOCATION, "/api/docs/"))
        .insert_header((header::VARY, "Accept"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

/// Puts the caller's active tenant into a path that names it as the current one.
///
/// # Errors
/// 404 for a caller without a tenant, and for a header that names none; else what the credentials are refused with.
async fn name_current_tenant(
    api: &Api,
    request: &mut ServiceRequest,
    presented: &Presented,
) -> Result<(), Problem> {
    if !request.path().starts_with(alias::CURRENT_TENANT) {
        return Ok(());
    }
    let named = credentials::named(None, request.headers()).map_err(|_| Problem::not_found())?;
    let Some(tenant) = named.or_else(|| presented.tenant()) else {
        api.core.access.admit(presented.clone(), Ok(None)).await?;
        return Err(Problem::not_found());
    };
    match alias::in_tenant(request.path(), tenant) {
        Some(path) => path::replace(request, &path).map_err(|fault| fault.problem()),
        None => Ok(()),
    }
}

/// The pattern of the route that a request is for; none for what is on a site. Actix would look for it once more.
fn pattern_of(request: &HttpRequest) -> Option<String> {
    if request.extensions().contains::<SiteRequest>() {
        return None;
    }
    let documented = request.extensions().get::<Arc<DocumentedPath>>().cloned();
    documented.map(|documented| documented.pattern.clone()).or_else(|| request.match_pattern())
}

/// The response to a request whose body was aborted, regardless of what its route answered.
fn too_slow<B>(response: ServiceResponse<EitherBody<B>>) -> ServiceResponse<EitherBody<B>> {
    let refusal = Problem::request_timeout().error_response();
    let (request, _) = response.into_parts();
    ServiceResponse::new(request, refusal.map_into_right_body())
}

/// The spelling of the path of a request, determined by the outermost middleware.
struct Spelled(Result<Spelling, PathFault>);

/// The spelling of the path of a request: normal, normalised, or without a normal form.
pub fn spelling(request: &ServiceRequest) -> Result<Spelling, PathFault> {
    request.extensions().get::<Spelled>().map_or(Ok(Spelling::Normal), |spelled| spelled.0)
}

/// Calls the route. A panic there is answered with 500, and the thread continues.
pub async fn call<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(result) => result.map(ServiceResponse::map_into_left_body),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(Problem::internal(format!("panic: {text}")).into())
        }
    }
}

fn request_info(api: &Api, request: &ServiceRequest, address: IpAddr) -> RequestInfo {
    let id = request_id(api, request.headers());
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let user_agent = user_agent.map(|agent| headers::first(agent, MAX_USER_AGENT).to_owned());
    // There is no connection in tests.
    let address = match request.conn_data::<Rc<Exchange>>() {
        Some(exchange) => exchange.text_of(address),
        None => address.to_string(),
    };
    RequestInfo { id, address: Some(address), user_agent, line: None, device: None }
}

/// The id of a request: the one that the client sent, if it is sane, else a new one.
pub(crate) fn request_id(api: &Api, headers: &HeaderMap) -> String {
    let sane = |id: &&str| {
        (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    };
    match headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(sane) {
        Some(id) => id.to_owned(),
        None => api.core.env.new_id::<portico_kernel::EventKind>().to_string(),
    }
}

/// The path for logs: that of a preview grants access, and is cut off. A path without a normal form may be one, too.
fn shown(path: &str, spelling: Result<Spelling, PathFault>) -> String {
    match spelling {
        Err(_) => "/…".to_owned(),
        Ok(_) if path.starts_with("/preview/") => "/preview/…".to_owned(),
        Ok(_) => path.to_owned(),
    }
}

/// Adds the headers of every response.
pub(crate) fn seal(headers: &mut HeaderMap, id: &str, tls: bool) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    // Only set to keep a response from being compressed (again); not to be sent (RFC 9110 section 8.4.1).
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "identity") {
        headers.remove(header::CONTENT_ENCODING);
    }
    headers::secure(headers, tls);
}

/// During shutdown, every response asks the client to close the connection.
fn close_when_retiring(api: &Api, head: &mut ResponseHead) {
    if !api.ready.load(Ordering::Acquire) {
        head.set_connection_type(ConnectionType::Close);
    }
}

fn add_rate_limit_headers(headers: &mut HeaderMap, verdict: &Verdict) {
    for (name, value) in [
        ("x-ratelimit-limit", u64::from(verdict.limit)),
        ("x-ratelimit-remaining", u64::from(verdict.remaining)),
        ("x-ratelimit-reset", verdict.reset),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
}

/// The histograms of a route, by label of the method and status.
type RouteHistograms = Vec<(&'static str, StatusCode, Histogram)>;

thread_local! {
    /// The histograms of the routes that this thread has answered: finding one in the registry takes longer than all other metrics.
    static DURATIONS: RefCell<HashMap<String, RouteHistograms>> = RefCell::default();
}

/// The method as a label of metrics. Clients can invent methods, each of which would be another series that is kept.
fn method_label(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known.into_iter().find(|name| *name == method.as_str()).unwrap_or("other")
}

/// Counts an answer of a route.
fn record_duration(method: &Method, route: &str, status: StatusCode, elapsed: Duration) {
    let method = method_label(method);
    DURATIONS.with_borrow_mut(|durations| {
        let known = durations
            .get(route)
            .and_then(|histograms| histograms.iter().find(|(of, with, _)| (*of, *with) == (method, status)));
        if let Some((.., histogram)) = known {
            return histogram.record(elapsed);
        }
        let histogram = metrics::histogram!(
            "portico_http_request_duration_seconds",
            "method" => method, "route" => route.to_owned(), "status" => status.as_str().to_owned()
        );
        histogram.record(elapsed);
        durations.entry(route.to_owned()).or_default().push((method, status, histogram));
    });
}

/// Fields of the access log and the metrics.
pub(crate) struct Seen<'r> {
    pub(crate) method: &'r Method,
    /// As it may be logged.
    pub(crate) path: &'r str,
    pub(crate) id: &'r str,
    pub(crate) address: IpAddr,
    pub(crate) started: Instant,
    /// Id of its trace.
    pub(crate) trace: Option<&'r str>,
}

impl Seen<'_> {
    fn report(
        &self,
        route: Option<&str>,
        status: StatusCode,
        presented: Option<&Presented>,
        failures: &Failures,
        span: &Span,
    ) {
        let user = presented.and_then(Presented::responsible);
        let answered = Answered {
            method: self.method.as_str(),
            path: self.path,
            route,
            id: self.id,
            trace: self.trace,
            status: status.as_u16(),
            user,
        };
        report::answered(answered, failures);
        traces::answered(span, self.method.as_str(), route, status.as_u16());
        self.record(route, status, presented);
    }

    /// Counts the answer, and writes its line of the access log.
    pub(crate) fn record(&self, route: Option<&str>, status: StatusCode, presented: Option<&Presented>) {
        let elapsed = self.started.elapsed();
        let user = presented.and_then(Presented::responsible);
        let key = presented.and_then(Presented::key).map(|(key, _)| key.id);
        record_duration(self.method, route.unwrap_or("none"), status, elapsed);
        // While a component is unavailable or the server is overloaded, the lines would all be equal.
        let repeated = match status {
            StatusCode::SERVICE_UNAVAILABLE => logging::throttled("access", self.method.as_str()),
            _ => Some(0),
        };
        let Some(repeated) = repeated else { return };
        // The query is left out on purpose: it may carry tokens.
        tracing::info!(
            target: "portico::access",
            method = %self.method, path = %self.path, status = status.as_u16(),
            duration_ms = logging::millis(elapsed), request_id = %self.id, trace_id = self.trace,
            address = %self.address, user_id = user.map(tracing::field::display),
            api_key_id = key.map(tracing::field::display), repeated = (repeated > 0).then_some(repeated),
        );
    }
}
