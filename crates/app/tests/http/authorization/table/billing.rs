//! Plans, subscriptions and purchases: who may call which operation.

use super::*;
use crate::{purchases, subscriptions};

/// Admins and owners in person, also before their address is verified.
const ADMIN_IN_PERSON: Rule = Rule::MemberInPerson(TenantRole::Admin);

/// The operations.
pub const RULES: &[Row] = &[
    ("GET", "/api/v1/billing/plans", Everybody),
    ("GET", "/api/v1/billing/subscription", VIEWER),
    // In this order each of them finds what the one before has left, see `audit_coverage`.
    ("POST", "/api/v1/tenants/{tenantId}/subscription", VERIFIED_ADMIN_IN_PERSON),
    ("GET", "/api/v1/tenants/{tenantId}/subscription", VIEWER),
    ("POST", "/api/v1/billing/preview", ADMIN_IN_PERSON),
    ("POST", "/api/v1/billing/upgrade", VERIFIED_ADMIN_IN_PERSON),
    ("POST", "/api/v1/billing/downgrade", VERIFIED_ADMIN_IN_PERSON),
    ("POST", "/api/v1/billing/resume", VERIFIED_ADMIN_IN_PERSON),
    ("PUT", "/api/v1/tenants/{tenantId}/subscription", VERIFIED_ADMIN_IN_PERSON),
    ("POST", "/api/v1/billing/cancel", ADMIN_IN_PERSON),
    ("DELETE", "/api/v1/tenants/{tenantId}/subscription", ADMIN_IN_PERSON),
    ("GET", "/api/v1/billing/invoices", VIEWER),
    ("GET", "/api/v1/billing/invoices/{invoiceId}", VIEWER),
    ("GET", "/api/v1/billing/invoices/{invoiceId}/pdf", VIEWER),
    ("GET", "/api/v1/billing/payment-methods", ADMIN_IN_PERSON),
    ("POST", "/api/v1/billing/payment-methods", VERIFIED_ADMIN_IN_PERSON),
    ("PUT", "/api/v1/billing/payment-method", VERIFIED_ADMIN_IN_PERSON),
    ("DELETE", "/api/v1/billing/payment-methods/{paymentMethodId}", ADMIN_IN_PERSON),
    ("POST", "/api/v1/billing/portal-session", VERIFIED_ADMIN_IN_PERSON),
    ("GET", "/api/v1/billing/usage", VIEWER),
    ("GET", "/api/v1/billing/usage/daily", VIEWER),
    ("POST", "/api/v1/checkout/create-session", VERIFIED_ADMIN_IN_PERSON),
    ("POST", "/api/v1/checkout/success", ADMIN_IN_PERSON),
    ("GET", "/api/v1/purchases", VIEWER),
    ("GET", "/api/v1/purchases/{purchaseId}", VIEWER),
    ("POST", "/api/v1/webhooks/stripe", Everybody),
    ("POST", "/api/v1/webhooks/recurrente", Everybody),
    ("POST", "/api/v1/sites/{siteSlug}/purchase", Everybody),
    ("POST", "/api/v1/site-purchases/claim", VERIFIED_ADMIN_IN_PERSON),
    ("GET", "/api/v1/site-sales", VIEWER),
    ("GET", "/api/v1/products", Everybody),
    ("GET", "/api/v1/admin/products", STAFF),
    ("POST", "/api/v1/admin/products", STAFF),
    ("GET", "/api/v1/admin/products/{productType}", STAFF),
    ("PUT", "/api/v1/admin/products/{productType}", STAFF),
    ("GET", "/api/v1/admin/products/{productType}/license-policy", STAFF),
    ("PUT", "/api/v1/admin/products/{productType}/license-policy", STAFF),
    ("GET", "/api/v1/admin/plans", STAFF),
    ("POST", "/api/v1/admin/plans", STAFF),
    ("GET", "/api/v1/admin/plans/{planId}", STAFF),
    ("PUT", "/api/v1/admin/plans/{planId}", STAFF),
    ("DELETE", "/api/v1/admin/plans/{planId}", STAFF),
    ("GET", "/api/v1/admin/coupons", STAFF),
    ("POST", "/api/v1/admin/coupons", STAFF),
    ("GET", "/api/v1/admin/coupons/{couponId}", STAFF),
    ("PUT", "/api/v1/admin/coupons/{couponId}", STAFF),
    ("DELETE", "/api/v1/admin/coupons/{couponId}", STAFF),
    ("PUT", "/api/v1/admin/customers/{customerId}/plan", STAFF),
    ("GET", "/api/v1/admin/customers/{customerId}/overview", STAFF),
    ("GET", "/api/v1/admin/customers/{customerId}/purchases", STAFF),
    ("GET", "/api/v1/admin/customers/{customerId}/purchases/{purchaseId}", STAFF),
    ("POST", "/api/v1/admin/customers/{customerId}/purchases/{purchaseId}/refunds", STAFF),
    ("GET", "/api/v1/admin/site-sales", STAFF),
    ("GET", "/api/v1/admin/site-sales/{saleId}", STAFF),
    ("POST", "/api/v1/admin/site-sales/{saleId}/refund", STAFF),
    ("GET", "/api/v1/admin/customers/{customerId}/limits", STAFF),
    ("PUT", "/api/v1/admin/customers/{customerId}/limits", STAFF),
    ("GET", "/api/v1/admin/reports/finance", STAFF),
];

/// A body that is accepted.
pub fn body(call: &Call<'_>, method: &str, path: &str) -> Option<Value> {
    Some(match (method, path) {
        // Another one each time, so that each call changes something; the tests take the limits off every plan.
        ("PUT", "/admin/customers/{customerId}/plan") => {
            let plan = if call.number.is_multiple_of(2) { "enterprise" } else { "professional" };
            json!({"plan": plan, "reason": "Paid by bank transfer"})
        }
        // Not public, so that the offer stays as it is for other tests.
        ("POST", "/admin/plans") => json!({
            "id": format!("plan_{}", call.server.app.core.env.random_uuid().simple()), "name": "Agency", "isPublic": false,
            "prices": [{"interval": "month", "amount": 4900, "currency": "usd"}],
        }),
        // Another version each time.
        ("PUT", "/admin/plans/{planId}") => {
            json!({"limits": {"sites": 100 + call.number}, "moveSubscribers": true})
        }
        ("POST", "/admin/coupons") => {
            json!({"code": format!("C{}", call.server.app.core.env.random_uuid().simple()), "percent": 25})
        }
        // Others each time.
        ("PUT", "/admin/coupons/{couponId}") => json!({"maxRedemptions": 100 + call.number}),
        // Not on sale, so that the offer stays as it is for other tests.
        ("POST", "/admin/products") => json!({
            "id": format!("product_{}", call.server.app.core.env.random_uuid().simple()), "name": "Report Pack", "isActive": false,
            "prices": [{"amount": 4900, "currency": "usd"}],
        }),
        // Another price each time.
        ("PUT", "/admin/products/{productType}") => {
            json!({"prices": [{"amount": 100 + call.number, "currency": "usd"}]})
        }
        ("PUT", "/admin/products/{productType}/license-policy") => json!({
            "productName": "Report Pack", "seats": 1 + call.number, "channels": ["stable"], "graceDays": 0, "offline": true,
            "fileDays": 30, "releasesPerMonth": 5,
        }),
        ("PUT", "/admin/customers/{customerId}/limits") => {
            json!({"limits": {"bandwidth": 1000 + call.number}, "reason": "Agreed on by phone"})
        }
        // That of the fixture is not paid, which is told to those only who may give back.
        ("POST", "/admin/customers/{customerId}/purchases/{purchaseId}/refunds") => {
            json!({"amount": 100, "reason": "Not used"})
        }
        ("POST", "/admin/site-sales/{saleId}/refund") => json!({"reason": "Wrong site"}),
        ("POST", "/checkout/create-session") => purchases::order(),
        // Of a tenant: `/tenants/{tenantId}/subscription`.
        ("POST", "/subscription") => subscriptions::wish("starter"),
        ("POST", "/billing/preview") => subscriptions::wish("professional"),
        ("POST", "/billing/upgrade") => subscriptions::wish("enterprise"),
        ("POST", "/billing/downgrade") | ("PUT", "/subscription") => subscriptions::wish("professional"),
        ("POST", "/billing/cancel") => json!({"reason": "We close our shop"}),
        ("POST", "/billing/payment-methods") => {
            json!({"successUrl": "https://app.example.com/billing", "cancelUrl": "https://app.example.com/"})
        }
        ("PUT", "/billing/payment-method") => json!({"paymentMethodId": call.fixture.ids["paymentMethodId"]}),
        ("POST", "/billing/portal-session") => json!({"returnUrl": "https://app.example.com/billing"}),
        ("POST", "/checkout/success") => json!({"sessionId": call.fixture.ids["checkoutSession"]}),
        // Somebody else each time.
        ("POST", "/sites/{siteSlug}/purchase") => json!({
            "email": format!("buyer-{}@example.com", call.server.app.core.env.random_uuid()), "fullName": "Ada Lovelace",
        }),
        ("POST", "/site-purchases/claim") => json!({"token": "none"}),
        ("POST", "/webhooks/recurrente") => json!({"event_type": "product.created"}),
        // Signed by `call`. Another one each time.
        ("POST", "/webhooks/stripe") => {
            json!({"id": format!("evt_{}", call.server.app.core.env.random_uuid()), "type": "product.created"})
        }
        _ => return None,
    })
}
