//! Routes that are built at their first request.
//!
//! Actix compiles a regular expression for the pattern of each route, in each server thread: for hundreds of them half of the memory of a
//! server at rest, and the cores are busy with it while it starts. Here a route is found by its place in a list, and built when a request
//! is for it; then only its own pattern is tried.

use std::{
    cell::{OnceCell, RefCell},
    future::{Ready, ready},
    rc::Rc,
};

use actix_service::{
    IntoServiceFactory,
    boxed::{BoxFuture, BoxService, BoxServiceFactory, RcService},
};
use actix_web::{
    App, Error,
    dev::{
        AppConfig, AppService, HttpServiceFactory, ResourceDef, ResourceMap, Service, ServiceFactory,
        ServiceRequest, ServiceResponse, Transform, always_ready,
    },
};
use futures_util::FutureExt;

use crate::problem::Problem;

/// What answers where no route does.
type Fallback = Rc<BoxServiceFactory<(), ServiceRequest, ServiceResponse, Error, ()>>;

/// What answers at a route.
type Answering = RcService<ServiceRequest, ServiceResponse, Error>;

/// Which route a request is for.
type PlaceOf = fn(&ServiceRequest) -> Option<usize>;

/// The registration of a route of any type.
pub struct Registration(Box<dyn FnOnce(&mut AppService)>);

impl Registration {
    /// Of this route.
    pub(crate) fn new(factory: impl HttpServiceFactory + 'static) -> Self {
        Self(Box::new(move |config: &mut AppService| factory.register(config)))
    }
}

impl HttpServiceFactory for Registration {
    fn register(self, config: &mut AppService) {
        (self.0)(config);
    }
}

/// Routes to be added to an application.
pub(crate) struct LateRoutes {
    routes: Rc<[LateRoute]>,
    place_of: PlaceOf,
}

impl LateRoutes {
    /// Routes by their places in the list. Requests that `place_of` knows no place for are answered by the default service.
    pub(crate) fn new(registrations: Vec<Registration>, place_of: PlaceOf) -> Self {
        Self { routes: registrations.into_iter().map(LateRoute::new).collect(), place_of }
    }
}

impl HttpServiceFactory for LateRoutes {
    fn register(self, config: &mut AppService) {
        let everything = ResourceDef::prefix("");
        // Empty: actix finds no pattern for a path there. The middleware has looked it up anyway.
        let patterns = ResourceMap::new(everything.clone());
        let default = config.default_service();
        let factory = DispatchFactory { routes: self.routes, default, place_of: self.place_of };
        config.register_service(everything, None, factory, Some(Rc::new(patterns)));
    }
}

/// Makes what finds the routes of a server thread.
struct DispatchFactory {
    routes: Rc<[LateRoute]>,
    default: Fallback,
    place_of: PlaceOf,
}

impl ServiceFactory<ServiceRequest> for DispatchFactory {
    type Response = ServiceResponse;
    type Error = Error;
    type Config = ();
    type Service = Dispatch;
    type InitError = ();
    type Future = BoxFuture<Result<Dispatch, ()>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let (routes, default, place_of) = (self.routes.clone(), self.default.clone(), self.place_of);
        Box::pin(async move {
            let missing = default.new_service(()).await?;
            Ok(Dispatch { routes, default, missing, place_of })
        })
    }
}

/// Finds the route of a request.
struct Dispatch {
    routes: Rc<[LateRoute]>,
    default: Fallback,
    missing: BoxService<ServiceRequest, ServiceResponse, Error>,
    place_of: PlaceOf,
}

impl Service<ServiceRequest> for Dispatch {
    type Response = ServiceResponse;
    type Error = Error;
    type Future = BoxFuture<Result<ServiceResponse, Error>>;

    always_ready!();

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let Some(route) = (self.place_of)(&request).and_then(|place| self.routes.get(place)) else {
            return self.missing.call(request);
        };
        match route.built(&self.default) {
            Some(answering) => answering.call(request),
            // As after a panic when it was built: a 404 would pass for an answer.
            None => Box::pin(ready(Err(Problem::internal("a route could not be built").into()))),
        }
    }
}

/// A route, and what it was built to.
struct LateRoute {
    registration: RefCell<Option<Registration>>,
    built: OnceCell<Option<Answering>>,
}

impl LateRoute {
    fn new(registration: Registration) -> Self {
        Self { registration: RefCell::new(Some(registration)), built: OnceCell::new() }
    }

    fn built(&self, default: &Fallback) -> Option<&Answering> {
        let build = || build(self.registration.take()?, default.clone());
        self.built.get_or_init(build).as_ref()
    }
}

/// What answers at a route. Actix registers routes with an application only: one is made for it, of which only the routing is kept.
/// Requests carry what belongs to the application that they came to.
fn build(registration: Registration, default: Fallback) -> Option<Answering> {
    let kept = Rc::new(OnceCell::new());
    let application = App::new().service(registration).default_service(default).wrap(Keep(kept.clone()));
    made_at_once(application)?;
    kept.get().cloned()
}

/// What the factory makes, which waits for nothing.
fn made_at_once<I, F, R>(factory: I) -> Option<F::Service>
where
    I: IntoServiceFactory<F, R>,
    F: ServiceFactory<R, Config = AppConfig>,
{
    factory.into_factory().new_service(AppConfig::default()).now_or_never()?.ok()
}

/// Keeps the service that it is wrapped around.
struct Keep(Rc<OnceCell<Answering>>);

impl<S> Transform<S, ServiceRequest> for Keep
where
    S: Service<
            ServiceRequest,
            Response = ServiceResponse,
            Error = Error,
            Future = BoxFuture<Result<ServiceResponse, Error>>,
        > + 'static,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Transform = Rc<S>;
    type InitError = ();
    type Future = Ready<Result<Rc<S>, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let service = Rc::new(service);
        let kept: Answering = service.clone();
        let _ = self.0.set(kept);
        ready(Ok(service))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use actix_web::{
        Resource,
        http::{Method, StatusCode},
        test::{TestRequest, call_service, init_service, read_body, try_call_service},
        web,
    };

    use super::*;

    static BUILT: AtomicUsize = AtomicUsize::new(0);

    /// Counts how often it is registered.
    struct Counted(Resource);

    impl HttpServiceFactory for Counted {
        fn register(self, config: &mut AppService) {
            BUILT.fetch_add(1, Ordering::Relaxed);
            self.0.register(config);
        }
    }

    fn registration(resource: Resource) -> Registration {
        Registration::new(Counted(resource))
    }

    async fn named(name: web::Path<String>, greeting: web::Data<String>) -> String {
        format!("{} {name}", **greeting)
    }

    fn place_of(request: &ServiceRequest) -> Option<usize> {
        match request.path() {
            path if path.starts_with("/v1/people/") => Some(0),
            "/v1/things" => Some(1),
            "/v1/late" => Some(7),
            _ => None,
        }
    }

    #[tokio::test]
    async fn a_route_is_built_once_at_its_first_request() {
        let routes = vec![
            registration(web::resource("/people/{name}").route(web::get().to(named))),
            registration(web::resource("/things").guard(actix_web::guard::Post()).to(|| async { "made" })),
        ];
        let app = App::new()
            .app_data(web::Data::new("hello".to_owned()))
            .service(web::scope("/v1").service(LateRoutes::new(routes, place_of)))
            .default_service(web::to(|| async { (String::from("nothing"), StatusCode::NOT_FOUND) }));
        let app = init_service(app).await;
        assert_eq!(BUILT.load(Ordering::Relaxed), 0);

        for (name, built) in [("ann", 1), ("ben", 1)] {
            let request = TestRequest::with_uri(&format!("/v1/people/{name}")).to_request();
            let body = read_body(call_service(&app, request).await).await;
            assert_eq!(body, format!("hello {name}"));
            assert_eq!(BUILT.load(Ordering::Relaxed), built, "{name}");
        }
        let made = TestRequest::with_uri("/v1/things").method(Method::POST).to_request();
        assert_eq!(read_body(call_service(&app, made).await).await, "made");
        assert_eq!(BUILT.load(Ordering::Relaxed), 2);

        // What a guard refuses, what its pattern does not match, what is in no place, and what is known by no place.
        for path in ["/v1/things", "/v1/people/ann/more", "/v1/late", "/v1/else"] {
            let response = call_service(&app, TestRequest::with_uri(path).to_request()).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(BUILT.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_route_that_cannot_be_built_is_a_failure() {
        let taken = LateRoute { registration: RefCell::default(), built: OnceCell::new() };
        let routes = LateRoutes { routes: Rc::new([taken]), place_of: |_| Some(0) };
        let app = init_service(App::new().service(web::scope("/v1").service(routes))).await;
        let request = TestRequest::with_uri("/v1/things").to_request();
        let error = try_call_service(&app, request).await.map(|_| ()).unwrap_err();
        assert_eq!(error.as_response_error().status_code(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
