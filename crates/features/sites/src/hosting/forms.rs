//! Contact forms of published sites: receiving submissions, and the pages that answer them.
//!
//! A form belongs to the live deployment, so the deployment determines which forms exist, and what visitors consented to.

use std::{net::IpAddr, sync::Arc};

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
    web::{BytesMut, Payload},
};
use futures_util::StreamExt;
use portico_kernel::{
    Fault, Kind, RequestInfo, Scope, SectionId, SiteId,
    limits::{Quota, RateLimiter},
};
use portico_runtime::{
    context,
    logging::{self, chain},
};
use portico_sites::{
    SitesError,
    ports::{FormRenderer, FormTrouble, LiveSite},
    submission::{
        DeployedForms, FormInput, Submissions,
        form::{FORMS_FILE, FORMS_PATH, MAX_BYTES},
    },
};
use portico_web::{client, limits::network};

use super::{
    files::{POLICY, ReadError},
    unavailable,
};
use crate::{hosting::Hosting, settings::Sites};

/// Seconds after which a visitor may retry.
const RETRY_AFTER: &str = "600";

/// Rate limits of forms. Instances share the counts where they share other rate limits.
pub struct FormLimits {
    limiter: Arc<dyn RateLimiter>,
    per_address: Quota,
    per_site: Quota,
}

impl FormLimits {
    /// `None` when limits are switched off.
    fn new(settings: &Sites, limiter: Option<Arc<dyn RateLimiter>>) -> Option<Self> {
        Some(Self {
            limiter: limiter?,
            per_address: Quota::per_hour(settings.form_per_address),
            per_site: Quota::per_hour(settings.form_per_site),
        })
    }

    /// Counts a valid submission.
    async fn allow(&self, site: SiteId, address: IpAddr) -> bool {
        let sender = format!("form:{site}:{}", network(address));
        self.limiter.count(&sender, self.per_address).await.allowed
            && self.limiter.count(&format!("form:{site}"), self.per_site).await.allowed
    }
}

/// Contact forms, with limits if enabled.
pub struct Forms {
    limits: Option<FormLimits>,
    /// Renders the pages that answer submissions.
    renderer: Arc<dyn FormRenderer>,
}

impl Forms {
    /// As configured; without a limiter there are no limits.
    pub fn new(
        settings: &Sites,
        limiter: Option<Arc<dyn RateLimiter>>,
        renderer: Arc<dyn FormRenderer>,
    ) -> Self {
        Self { limits: FormLimits::new(settings, limiter), renderer }
    }

    /// Counts a valid submission. Returns whether it is within the limits.
    async fn allow(&self, site: SiteId, address: IpAddr) -> bool {
        match &self.limits {
            Some(limits) => limits.allow(site, address).await,
            None => true,
        }
    }
}

/// Whether a request posts a form.
pub(super) fn is_post(request: &HttpRequest) -> bool {
    *request.method() == Method::POST && request.path().starts_with(FORMS_PATH)
}

/// Receives a submission to a live site.
pub(super) async fn receive(
    hosting: &Hosting,
    request: &HttpRequest,
    payload: Payload,
    site: &LiveSite,
) -> HttpResponse {
    let section = request.path().trim_start_matches(FORMS_PATH).parse::<SectionId>().ok();
    let forms = match deployed(hosting, site).await {
        Ok(forms) => forms,
        Err(error) => {
            logging::warn("the forms of a site could not be read", &error);
            return unavailable();
        }
    };
    let Some((section, form)) = section.and_then(|section| Some((section, forms.forms.get(&section)?)))
    else {
        return plain(StatusCode::NOT_FOUND, "There is no such form.");
    };
    if !request.content_type().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return plain(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send the form as application/x-www-form-urlencoded.",
        );
    }
    let body = match read(request, payload).await {
        Ok(body) => body,
        Err(status) => return plain(status, "The form could not be read."),
    };
    let input = FormInput::read(&body);
    let again = |status: StatusCode, trouble: FormTrouble<'_>| match hosting.forms.renderer.form(
        &forms,
        form,
        request.path(),
        &input,
        trouble,
    ) {
        Ok(page) => shown(status, page),
        Err(error) => {
            tracing::error!(error = %chain(&error), "a form could not be rendered");
            unavailable()
        }
    };
    if let Err(errors) = input.checked() {
        return again(StatusCode::UNPROCESSABLE_ENTITY, FormTrouble::Fields(&errors));
    }
    if !hosting.forms.allow(site.site, client::address(request)).await {
        metrics::counter!("portico_forms_refused_total").increment(1);
        return again(StatusCode::TOO_MANY_REQUESTS, FormTrouble::TooMany);
    }
    let stored = async {
        // Recorded without address and user agent: visitors are not users of the portal.
        let scope =
            Scope::anonymous(RequestInfo { id: context::current().info.id, ..RequestInfo::default() });
        let mut work = hosting.core.begin().await?;
        let place = (site.tenant, site.site, section);
        let received =
            Submissions::new(&mut *work, &scope, &hosting.core.env).receive(place, form, &input).await?;
        if received.is_some() {
            work.commit().await?;
        }
        Ok::<_, SitesError>(())
    };
    match stored.await {
        Ok(()) => HttpResponse::SeeOther().insert_header((header::LOCATION, form.thanks.as_str())).finish(),
        Err(error) if error.kind() == Kind::NotFound => {
            plain(StatusCode::NOT_FOUND, "There is no such form.")
        }
        Err(SitesError::Invalid(errors)) => {
            again(StatusCode::UNPROCESSABLE_ENTITY, FormTrouble::Fields(&errors))
        }
        Err(SitesError::TooManySubmissions) => {
            metrics::counter!("portico_forms_refused_total").increment(1);
            again(StatusCode::TOO_MANY_REQUESTS, FormTrouble::TooMany)
        }
        Err(error) => {
            logging::warn("a message of a visitor could not be stored", &error);
            again(StatusCode::SERVICE_UNAVAILABLE, FormTrouble::Unavailable)
        }
    }
}

/// The forms of the live deployment.
async fn deployed(hosting: &Hosting, site: &LiveSite) -> Result<DeployedForms, ReadError> {
    let Some(bytes) = hosting.live.files.content(hosting, site, FORMS_FILE).await? else {
        return Ok(DeployedForms::default());
    };
    serde_json::from_slice(&bytes).map_err(|_| ReadError::Damaged(FORMS_FILE.to_owned()))
}

/// Reads the body, up to its limit.
async fn read(request: &HttpRequest, mut payload: Payload) -> Result<BytesMut, StatusCode> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > MAX_BYTES) {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| StatusCode::BAD_REQUEST)?;
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn shown(status: StatusCode, page: String) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)))
        .content_type("text/html; charset=utf-8");
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
    }
    response.body(page)
}

fn plain(status: StatusCode, text: &'static str) -> HttpResponse {
    HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(text)
}

#[cfg(test)]
mod tests {
    use portico_cache::ProcessLimiter;

    use super::*;

    #[tokio::test]
    async fn an_address_and_a_site_have_their_limits() {
        let settings = Sites { form_per_address: 2, form_per_site: 3, ..Sites::default() };
        let limiter = Arc::new(ProcessLimiter::default());
        let limits = FormLimits::new(&settings, Some(limiter)).unwrap();
        let (site, other) =
            (SiteId::from_uuid(uuid::Uuid::from_u128(1)), SiteId::from_uuid(uuid::Uuid::from_u128(2)));
        let sent = async |site, address: &str| limits.allow(site, address.parse().unwrap()).await;
        for (address, allowed) in [("192.0.2.1", true), ("192.0.2.1", true), ("192.0.2.1", false)] {
            assert_eq!(sent(site, address).await, allowed);
        }
        assert!(sent(other, "192.0.2.1").await, "each site counts for itself");
        assert!(sent(site, "2001:db8::1").await);
        assert!(!sent(site, "2001:db8::2").await, "the site is full");
        assert!(FormLimits::new(&settings, None).is_none());
    }
}
