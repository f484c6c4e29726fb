//! Buying a site that is for sale.

use actix_web::{
    HttpResponse, post,
    web::{Data, Path},
};
use portico_billing::site_sale::SiteCheckout;
use portico_kernel::{PurchaseId, Violations};
use portico_web::{
    admission::Class,
    body::{Body, OptionalBody},
    caller::{Caller, MaybeCaller},
    problem::{Problem, ProblemBody},
    routing::{Routes, WRITE},
    write::WithJson,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    flows::site_sales::{self, SitePurchase},
    state::App,
};

/// Most characters of the secret of a link.
const TOKEN_MAX: usize = 500;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        // Whoever is not signed in has no keys. A repeated call is told that the site is reserved.
        .service(WRITE.for_anyone().strict().waiting_in(Class::Outside), purchase)
        .service(WRITE, claim);
}

/// The link of a message about a site that waits.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[schema(example = json!({"token": "VGhlIHRva2VuIG9mIHRoZSBsaW5r"}))]
struct SiteClaim {
    /// The `token` of the link.
    #[schema(required = true, min_length = 1, max_length = 500)]
    token: String,
}

/// A site that was claimed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ClaimedSite {
    /// Id of the sale.
    purchase_id: PurchaseId,
    /// Subdomain of the site, which belongs to the tenant in a moment.
    #[schema(example = "panaderia-luz")]
    slug: String,
}

/// Buy a site
///
/// For everybody, signed in or not: reserves a site that is for sale for half an hour, and answers the page to send the buyer to. Who
/// is signed in with a verified address, and has `billing:write`, buys it for the active tenant, and needs to send nothing. Anybody else
/// says who they are: once it is paid, an account is made for them, or the owner of the account with that address is asked to claim
/// the site.
#[utoipa::path(
    tag = "Sites for sale",
    operation_id = "purchaseSite",
    params(("siteSlug" = String, Path, description = "Subdomain of the site.", example = "panaderia-luz")),
    request_body(content = Option<SitePurchase>),
    responses(
        (status = 201, body = SiteCheckout),
        (status = 404, description = "Nothing is for sale there.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Somebody else is paying for it (`site_reserved`), it was sold (`site_sold`), it is the buyer's own (`own_site`), it is not for sale any more (`not_for_sale`), or nothing can be paid here (`payment_unsupported`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`). Nothing was charged.", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[post("/sites/{siteSlug}/purchase")]
async fn purchase(
    app: Data<App>,
    caller: MaybeCaller,
    path: Path<String>,
    body: OptionalBody<SitePurchase>,
) -> Result<HttpResponse, Problem> {
    let checkout = site_sales::purchase(&app, &caller.0, &path, &body.0).await?;
    Ok(HttpResponse::Created().with_json(&checkout))
}

/// Claim a site
///
/// For the owner of an account whose address was given when a site was bought by somebody who was not signed in: the link in the message
/// to that address gives the site to the active tenant of the caller, whose account must have that address.
#[utoipa::path(
    tag = "Sites for sale",
    operation_id = "claimSite",
    request_body = SiteClaim,
    responses(
        (status = 202, description = "It is handed over in a moment.", body = ClaimedSite),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 404, description = "The link is not valid, was used, or is for another account.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The active tenant is the one that sold it (`own_site`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[post("/site-purchases/claim")]
async fn claim(app: Data<App>, caller: Caller, body: Body<SiteClaim>) -> Result<HttpResponse, Problem> {
    let mut violations = Violations::default();
    violations.line("token", &body.0.token, 1, TOKEN_MAX);
    violations.into_result().map_err(Problem::invalid)?;
    let sale = site_sales::claim(&app, &caller.0, body.0.token.trim()).await?;
    Ok(HttpResponse::Accepted().with_json(&ClaimedSite { purchase_id: sale.id, slug: sale.slug }))
}
