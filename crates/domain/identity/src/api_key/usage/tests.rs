use portico_kernel::TenantRole;
use time::macros::date;

use super::*;
use crate::{
    api_key::NewApiKey,
    fixture::{Store, tokens},
};

struct Case {
    store: Store,
    scope: Scope,
    key: ApiKeyId,
}

impl Case {
    async fn new() -> Self {
        let mut store = Store::default();
        let user = store.user("ada@example.com", true);
        let signed_in = store.signed_in(&user);
        let permissions = TenantRole::Admin.permissions();
        let scope =
            Scope::user(signed_in.actor().clone(), Some(store.tenant()), permissions, RequestInfo::default());
        let input = NewApiKey {
            name: "Shop import".to_owned(),
            permissions: vec!["pages:read".to_owned()],
            ..NewApiKey::default()
        };
        let env = store.env();
        let (key, _) = ApiKeys::new(&mut store, &scope, &env).create(input, &tokens()).await.unwrap();
        Self { store, scope, key: key.id }
    }

    fn activity(&self) -> Activity {
        Activity::new(self.store.tenant(), self.key)
    }

    async fn record(&mut self, activity: &Activity) {
        let env = self.store.env();
        KeyUsage::new(&mut self.store, &env).record(activity).await.unwrap();
    }

    /// Uses the key from these addresses; answers the events since.
    async fn from(&mut self, addresses: &[&str]) -> Vec<serde_json::Value> {
        let mut activity = self.activity();
        activity.last_used_at = Some(self.store.env().now());
        let now = self.store.env().now();
        activity.addresses = addresses.iter().map(|address| ((*address).to_owned(), now)).collect();
        self.noticed(activity).await
    }

    async fn refused(&mut self, times: u64) -> Vec<serde_json::Value> {
        let mut activity = self.activity();
        activity.refusals.insert(minute(self.store.env().now()), times);
        self.noticed(activity).await
    }

    async fn noticed(&mut self, activity: Activity) -> Vec<serde_json::Value> {
        let before = self.store.events().len();
        self.record(&activity).await;
        let events = &self.store.events()[before..];
        events.iter().map(|event| json!([event.kind.as_str(), event.after])).collect()
    }

    async fn report(
        &mut self,
        from: Option<Date>,
        to: Option<Date>,
    ) -> Result<KeyUsageReport, IdentityError> {
        let env = self.store.env();
        ApiKeys::new(&mut self.store, &self.scope, &env).usage(self.key, from, to).await
    }
}

fn endpoint(day: Date, method: &str, path: &str, status: u16) -> Endpoint {
    Endpoint { day, method: method.to_owned(), path: path.to_owned(), status }
}

#[tokio::test]
async fn a_new_address_is_noticed_but_not_the_first_one() {
    let mut case = Case::new().await;
    assert!(case.from(&["192.0.2.1"]).await.is_empty());
    assert!(case.from(&["192.0.2.1"]).await.is_empty());
    let noticed = case.from(&["192.0.2.1", "192.0.2.2"]).await;
    let after = json!({"name": "Shop import", "address": "192.0.2.2"});
    assert_eq!(noticed, [json!(["api_key.new_address", after])]);
    assert!(case.from(&["192.0.2.2"]).await.is_empty());
    assert_eq!(case.report(None, None).await.unwrap().addresses.len(), 2);
}

#[tokio::test]
async fn a_burst_of_refusals_is_noticed_once_an_hour() {
    let mut case = Case::new().await;
    assert!(case.refused(BURST - 1).await.is_empty());
    case.store.pass(Duration::minutes(BURST_MINUTES));
    assert!(case.refused(BURST - 1).await.is_empty(), "the first ones are too long ago");
    case.store.pass(Duration::minutes(1));
    let noticed = case.refused(1).await;
    let after = json!({"name": "Shop import", "count": BURST});
    assert_eq!(noticed, [json!(["api_key.refusals", after])]);
    case.store.pass(Duration::minutes(59));
    assert!(case.refused(1000).await.is_empty(), "they know");
    case.store.pass(Duration::minutes(1));
    assert_eq!(case.refused(BURST).await.len(), 1);
}

#[tokio::test]
async fn counts_add_up_and_days_without_any_are_there() {
    let mut case = Case::new().await;
    let (first, last) = (date!(2026 - 11 - 19), date!(2026 - 11 - 21));
    let mut activity = case.activity();
    activity.requests.insert(endpoint(first, "GET", "/pages", 200), 2);
    activity.requests.insert(endpoint(last, "GET", "/pages", 403), 1);
    activity.requests.insert(endpoint(last, "POST", "/pages", 201), 4);
    activity.requests.insert(endpoint(date!(2026 - 11 - 18), "GET", "/pages", 200), 100);
    let used = case.store.env().now();
    activity.last_used_at = Some(used);
    case.record(&activity).await;
    let mut later = case.activity();
    later.requests.insert(endpoint(last, "GET", "/pages", 200), 3);
    later.last_used_at = Some(used - Duration::HOUR);
    case.record(&later).await;

    let report = case.report(Some(first), Some(last)).await.unwrap();
    let days: Vec<_> = report.days.iter().map(|day| (day.date.to_string(), day.requests)).collect();
    let expected = [("2026-11-19", 2), ("2026-11-20", 0), ("2026-11-21", 8)];
    assert_eq!(days, expected.map(|(day, requests)| (day.to_owned(), requests)));
    assert_eq!((report.total, report.last_used_at), (10, Some(used)));
    let endpoints = serde_json::to_value(&report.endpoints).unwrap();
    assert_eq!(
        endpoints,
        json!([
            {"method": "GET", "path": "/pages", "requests": 6, "statuses": [
                {"status": 200, "requests": 5}, {"status": 403, "requests": 1}]},
            {"method": "POST", "path": "/pages", "requests": 4, "statuses": [{"status": 201, "requests": 4}]},
        ])
    );
}

#[tokio::test]
async fn a_period_has_an_order_and_an_end() {
    let mut case = Case::new().await;
    let (first, last) = (date!(2026 - 01 - 01), date!(2026 - 03 - 31));
    assert_eq!(case.report(Some(first), Some(last)).await.unwrap().days.len(), 90);
    for (from, to, code) in [(last, first, "before_from"), (first, last.next_day().unwrap(), "out_of_range")]
    {
        match case.report(Some(from), Some(to)).await {
            Err(IdentityError::Invalid(errors)) => {
                assert_eq!((errors[0].field.as_str(), errors[0].code.as_ref()), ("to", code))
            }
            other => panic!("{other:?}"),
        }
    }
    let today = case.store.env().now().into_inner().date();
    let report = case.report(None, None).await.unwrap();
    assert_eq!((report.to, report.days.len()), (today, 30));
    let report = case.report(Some(Date::MIN), None).await.unwrap();
    assert_eq!(report.days.len(), 90);
    assert_eq!(case.report(None, Some(Date::MIN)).await.unwrap().days.len(), 1);
}

#[tokio::test]
async fn of_a_key_that_is_gone_nothing_is_recorded() {
    let mut case = Case::new().await;
    case.key = case.store.env().new_id();
    assert!(case.from(&["192.0.2.1"]).await.is_empty());
    assert!(matches!(case.report(None, None).await, Err(IdentityError::NotFound(_))));
}

#[tokio::test]
async fn what_is_too_old_is_forgotten() {
    let mut case = Case::new().await;
    let today = case.store.env().now().into_inner().date();
    let mut activity = case.activity();
    activity.requests.insert(endpoint(today, "GET", "/pages", 200), 1);
    activity.addresses.insert("192.0.2.1".to_owned(), case.store.env().now());
    case.record(&activity).await;
    let env = case.store.env();
    case.store.pass(Duration::days(200));
    KeyUsage::new(&mut case.store, &env).forget().await.unwrap();
    let report = case.report(Some(today), Some(today)).await.unwrap();
    assert_eq!((report.total, report.addresses.len()), (1, 0));
    case.store.pass(Duration::days(201));
    KeyUsage::new(&mut case.store, &env).forget().await.unwrap();
    assert_eq!(case.report(Some(today), Some(today)).await.unwrap().total, 0);
}
