//! The HTTP server: routes and middleware.

use std::{io, net::TcpListener, rc::Rc, sync::atomic::Ordering, time::Duration};

use actix_cors::Cors;
use actix_http::{HttpService, Request, error::DispatchError};
use actix_service::{ServiceFactoryExt, apply_fn_factory, fn_service, map_config};
use actix_web::{
    App as ActixApp, Error, HttpRequest, HttpResponse, HttpServer, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{
        AppConfig, Payload, Response, Server, ServerHandle, Service, ServiceFactory, ServiceRequest,
        ServiceResponse,
    },
    http::KeepAlive,
    middleware::{Compress, from_fn},
    rt::net::TcpStream,
    web::{self, Data, PathConfig},
};
use futures_util::future::{Either, ready};
use portico_feature_sites::hosting::{self, Fronts, Hosting};
use portico_web::{
    body::BodyLimit,
    connection::{Connection, Exchange, HEAD},
    dialect::translate,
    direct::DirectBody,
    idempotency::once,
    middleware::{api, around},
    openapi, pieces,
    problem::Problem,
    routing::{Routes, Row},
};
use tokio::time::{sleep, timeout};

use crate::{
    api_docs,
    routes::{self, health::MetricsPort},
    state::App,
};

/// Prefix of API paths.
pub(crate) const PREFIX: &str = "/api/v1";

/// Connections waiting to be accepted.
const BACKLOG: i32 = 4096;

/// How long a connection may be idle. Longer than the timeout of proxies, so that the proxy closes it: a request sent while
/// the server closes the connection is lost.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a client may take to notice that its connection is closed.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long an accepted connection has to send its request when the server stops: a round trip.
pub const LAST_CALL: Duration = Duration::from_millis(250);

/// All operations of the API.
pub fn operations() -> Vec<Row> {
    let mut rows = Vec::new();
    Routes::listed(PREFIX, &mut rows, routes::api);
    Routes::listed("", &mut rows, routes::operations);
    rows
}

/// The actix application of one server thread. It remembers front pages of sites in `fronts`.
pub fn application(
    app: App,
    fronts: Rc<Fronts>,
) -> ActixApp<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let cors = cors(&app.settings.cors.origins);
    ActixApp::new()
        .app_data(BodyLimit(app.settings.server.max_body_bytes))
        .app_data(fronts)
        .app_data(Data::new(app.core.clone()))
        .app_data(Data::new(app.api.clone()))
        .app_data(Data::new(app.identity.clone()))
        .app_data(Data::new(app.tenancy.clone()))
        .app_data(Data::new(app.billing.clone()))
        .app_data(Data::new(app.licensing.clone()))
        .app_data(Data::new(app.sites.hosting.clone()))
        .app_data(Data::new(app.sites.clone()))
        .app_data(Data::new(app.support.clone()))
        .app_data(Data::new(app))
        .app_data(PathConfig::default().error_handler(|_, _| Problem::not_found().into()))
        .service(web::scope(PREFIX).configure(|config| Routes::late(config, openapi::place_of, routes::api)))
        .configure(|config| routes::operations(&mut Routes::Plain(config)))
        .configure(routes::pages)
        .configure(api_docs::configure)
        .default_service(web::to(nothing_here))
        .wrap(from_fn(once))
        .wrap(from_fn(translate))
        .wrap(Compress::default())
        .wrap(from_fn(api))
        // Around the layer that refuses, so that the scripts of a front end can read what was refused.
        .wrap(cors)
        .wrap(from_fn(hosting::at_host))
        .wrap(from_fn(around))
}

/// Starts answering on `listener`. The server stops through the handle of the returned value.
///
/// Built from the parts of `actix_web::HttpServer`, which has no hook between the socket and the parser.
pub fn start(app: App, listener: TcpListener) -> io::Result<Server> {
    let settings = app.settings.server.clone();
    let ready = app.api.ready.clone();
    // The backlog that the standard library requests is small.
    socket2::SockRef::from(&listener).listen(BACKLOG)?;
    app.api.connections.set_listener(&listener)?;
    let mut server =
        actix_server::Server::build().disable_signals().shutdown_timeout(settings.shutdown_timeout.as_secs());
    if let Some(workers) = settings.workers {
        server = server.workers(workers);
    }
    let listening = server.listen("http", listener, move || {
        let connections = app.api.connections.clone();
        let patience = app.settings.server.write_timeout;
        let (hosting, fronts) = (app.sites.hosting.clone(), Rc::<Fronts>::default());
        let application = map_config(application(app.clone(), fronts.clone()), |()| AppConfig::default());
        let answers = apply_fn_factory::<_, _, _, _, Request, Request, _, _>(
            application,
            move |request, application| answer(&hosting, &fronts, request, application),
        );
        let http = HttpService::build()
            .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
            .client_request_timeout(HEAD)
            .client_disconnect_timeout(GOODBYE)
            .h1_write_buffer_size(pieces::BUFFER)
            .on_connect_ext(|connection: &Connection, about| drop(about.insert(connection.exchange())))
            .h1(answers);
        fn_service(move |stream: TcpStream| {
            give_up_after(&stream, patience);
            let peer = stream.peer_addr().ok();
            let connection = Connection::new(stream, connections.clone());
            async move { Ok::<_, DispatchError>((connection, peer)) }
        })
        .and_then(http)
    })?;
    let server = listening.run();
    ready.store(true, Ordering::Release);
    Ok(server)
}

/// The front page of a site, if the thread has it, or else the answer of the application, which reads bodies. Its future is boxed: it is
/// large, and would be moved with each front page.
fn answer<S, B>(
    hosting: &Hosting,
    fronts: &Fronts,
    mut request: Request,
    application: &S,
) -> impl Future<Output = Result<Response<EitherBody<DirectBody, B>>, Error>> + use<S, B>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
{
    let has_body = !matches!(request.payload(), Payload::None);
    let connection = request.conn_data::<Rc<Exchange>>();
    let front = if has_body { None } else { hosting::answer(hosting, fronts, request.head(), connection) };
    match front {
        Some(front) => Either::Left(ready(Ok(front.map_body(|_, body| EitherBody::left(body))))),
        None => {
            let answered = application.call(request);
            Either::Right(Box::pin(async move {
                let response: Response<B> = answered.await?.into();
                Ok::<_, Error>(response.map_body(|_, body| EitherBody::right(body)))
            }))
        }
    }
}

/// Sets the timeout after which the system closes a connection whose client does not acknowledge data (RFC 5482). The
/// server itself would wait forever.
fn give_up_after(connection: &TcpStream, patience: Duration) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(connection).set_tcp_user_timeout(Some(patience)) {
        tracing::debug!(%error, "clients that take nothing will be waited for");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (connection, patience);
}

/// Serves only health and metrics of a process on `listener`.
pub fn start_health(app: App, listener: TcpListener) -> std::io::Result<actix_web::dev::Server> {
    let ready = app.api.ready.clone();
    let server = HttpServer::new(move || {
        ActixApp::new()
            .app_data(Data::new(app.clone()))
            .app_data(MetricsPort)
            .configure(|config| routes::health(&mut Routes::Plain(config)))
            .default_service(web::to(|| async { Problem::not_found().error_response() }))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?
    .run();
    ready.store(true, Ordering::Release);
    Ok(server)
}

/// Reports from now on that the server is not ready, and asks clients to close their connections. New requests are still
/// answered.
pub fn retire(app: &App) {
    app.api.ready.store(false, Ordering::Release);
}

/// Finishes requests in progress, then stops.
///
/// New connections are not accepted. Those accepted before have `last_call` to send a request, and are asked to close after
/// its response; then idle connections are closed, and requests are finished within `server.shutdown_timeout`.
pub async fn stop(app: &App, server: ServerHandle, last_call: Duration) {
    retire(app);
    app.api.connections.block_new();
    // Streams do not end by themselves.
    app.core.live.close();
    sleep(last_call).await;
    app.api.connections.close_idle();
    // Actix checks once a second whether all connections are closed, and drops a request that arrives as it closes its
    // connection.
    let all_gone = async {
        while app.api.connections.open() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let gone = timeout(app.settings.server.shutdown_timeout, all_gone).await;
    server.stop(gone.is_ok()).await;
}

async fn nothing_here(app: Data<App>, request: HttpRequest) -> HttpResponse {
    match app.api.document.path(request.path()) {
        Some(path) if !path.methods.split(", ").any(|method| method == request.method().as_str()) => {
            Problem::method_not_allowed(path.methods.clone()).error_response()
        }
        _ => Problem::not_found().error_response(),
    }
}

fn cors(origins: &[String]) -> Cors {
    let mut cors = Cors::default()
        .supports_credentials()
        .allowed_methods(["GET", "POST", "PUT", "PATCH", "DELETE"])
        // Scripts of listed origins may send any: tools for tracing and error reports add theirs.
        .allow_any_header()
        .expose_headers([
            "content-disposition",
            "etag",
            "idempotent-replayed",
            "link",
            "location",
            "retry-after",
            "x-device-id",
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
            "x-request-id",
        ])
        .block_on_origin_mismatch(false)
        .max_age(3600);
    for origin in origins {
        cors = cors.allowed_origin(origin);
    }
    cors
}
