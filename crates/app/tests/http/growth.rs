//! The usage and growth report of staff.

use portico_feature_tenancy::flows::growth;
use portico_kernel::{Month, PlatformRole};
use portico_tenancy::growth::ACTIVATION;
use portico_testkit::server::{Client, TestServer};
use serde_json::json;

use crate::{fixture::Person, sites::site};

const REPORT: &str = "/api/v1/admin/reports/growth";

async fn staff(server: &TestServer) -> Client {
    Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tenants_did_is_told_by_month_and_cohort() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        site(&ada, "One").await;
        // What the schedule does: all days that are over, which is before all of this.
        growth::record(&server.app.tenancy).await.unwrap();
        growth::record(&server.app.tenancy).await.unwrap();
        let env = &server.app.core.env;
        let (this, today) = (Month::of(env.now()), env.now().into_inner().date());
        let before = staff.get(&format!("{REPORT}?from={this}")).await.expect(200);
        assert_eq!(before["to"], this.to_string());
        assert!(before["through"].as_str() < Some(today.to_string().as_str()), "{before}");
        // And today, as if it were over.
        let mut work = server.app.core.begin().await.unwrap();
        assert!(work.growth().record_day(today).await.unwrap());
        work.growth().count(this, ACTIVATION).await.unwrap();
        work.commit().await.unwrap();
        let report = staff.get(&format!("{REPORT}?from={this}")).await.expect(200);
        assert_eq!(report["through"], today.to_string());
        let month = &report["items"][0];
        assert_eq!(month["month"], this.to_string());
        assert!(
            month["registrations"].as_u64() >= Some(2) && month["newTenants"].as_u64() >= Some(1),
            "{month}"
        );
        assert!(month["activeTenants"].as_u64() >= Some(1), "{month}");
        let features = month["features"].as_array().unwrap();
        assert!(
            features.iter().any(|used| used["resource"] == "site" && used["tenants"].as_u64() >= Some(1)),
            "{month}"
        );
        let cohort = &report["cohorts"][0];
        assert_eq!((&cohort["month"], &cohort["tenants"]), (&json!(this.to_string()), &month["newTenants"]));
        assert!(cohort["months"][0]["active"].as_u64() >= Some(1), "{cohort}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_questions_are_refused() {
    TestServer::shared(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        for (query, field) in
            [("from=2026-02&to=2026-01", "to"), ("from=2020-01&to=2026-01", "to"), ("from=2026-13", "from")]
        {
            let refused = staff.get(&format!("{REPORT}?{query}")).await;
            assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec![field.to_owned()]), "{query}");
        }
        assert_eq!(ada.get(REPORT).await.status.as_u16(), 403);
        assert_eq!(server.client().get(REPORT).await.status.as_u16(), 401);
    })
    .await;
}
