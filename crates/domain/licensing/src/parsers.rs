//! No text makes the parsers panic, and what they write they read again. `PROPTEST_CASES` says how many texts are made up
//! (`scripts/fuzz-parsers`).

use std::fmt::Debug;

use portico_kernel::{Env, RequestInfo, Scope};
use proptest::prelude::*;

use crate::{
    LicensingError,
    envelope::Envelope,
    import::{ImportLine, LicenseImports, NamedCustomer},
    key::{LicenseKey, normal_form},
    license::License,
    policy::{Channel, LicensePolicy},
    policy_edit::{LicensePolicyInput, PolicyAdministration},
    release_version::ReleaseVersion,
    testing::{Repositories, Signer, env, vault},
};

/// Runs a use case over repositories in memory.
fn done<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn staff() -> Scope {
    Scope::system(None, RequestInfo::default())
}

/// Any text, or one that is nearly right.
fn texts(right: &'static str) -> impl Strategy<Value = String> {
    prop_oneof!["(?s).{0,80}", right, Just(String::new())]
}

/// Any number, or one that may be right.
fn numbers() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![Just(None), any::<i64>().prop_map(Some), (-2_i64..100_000).prop_map(Some)]
}

fn inputs() -> impl Strategy<Value = LicensePolicyInput> {
    let channels = prop::collection::vec(prop::sample::select(Channel::ALL.to_vec()), 0..4);
    let days = (numbers(), numbers(), numbers(), numbers());
    let others = (numbers(), numbers(), numbers(), numbers(), any::<Option<bool>>());
    (texts("[A-Z][a-z]{1,9}"), channels, days, others).prop_map(|(product_name, channels, days, others)| {
        let (term_days, support_days, grace_days, file_days) = days;
        let (seats, max_major, releases_per_month, lease_seconds, offline) = others;
        LicensePolicyInput {
            product_name,
            seats,
            term_days,
            support_days,
            max_major,
            channels,
            grace_days,
            offline,
            file_days,
            releases_per_month,
            lease_seconds,
        }
    })
}

fn lines(env: &Env) -> impl Strategy<Value = ImportLine> + use<> {
    let customer = prop::sample::select(vec![
        NamedCustomer::Known(env.new_id()),
        NamedCustomer::Unknown,
        NamedCustomer::Ambiguous,
    ]);
    let product = prop_oneof!["base_product", texts("[a-z_]{1,20}")];
    let key = texts("[0-9A-Za-z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}");
    let end = texts(
        "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2})",
    );
    let seats = texts("-?[0-9]{1,20}");
    (any::<u64>(), customer, product, key, end, seats).prop_map(
        |(number, customer, product_type, key, expires_at, seats)| ImportLine {
            number,
            customer,
            product_type,
            key,
            expires_at,
            seats,
        },
    )
}

/// Whether a use case has done it, or said what is wrong; nothing else may come of bad input.
fn is_told<T: Debug>(result: &Result<T, LicensingError>) -> bool {
    matches!(result, Ok(_) | Err(LicensingError::Invalid(_)))
}

proptest! {
    #[test]
    fn keys(text in texts("([0-9A-Za-z]{4}[- ]?){3,5}")) {
        let key = LicenseKey::parse(&text);
        if let Some(key) = &key {
            let again = LicenseKey::parse(key.as_str());
            prop_assert_eq!(again.as_ref(), Some(key));
            prop_assert_eq!(normal_form(key.as_str()), normal_form(&text));
            prop_assert_eq!(key.ending().len(), 4);
        }
        prop_assert_eq!(vault().digests_of(&text).len(), 1);
    }

    #[test]
    fn versions(text in texts("[0-9]{1,20}\\.[0-9]{1,3}\\.[0-9]{1,3}(-[0-9A-Za-z.-]{1,30})?")) {
        if let Some(version) = ReleaseVersion::parse(&text) {
            prop_assert_eq!(ReleaseVersion::parse(version.as_str()), Some(version));
        }
    }

    #[test]
    fn envelopes(text in texts(r#"\{("(alg|enc|kid|sig)":("[a-zA-Z0-9+/=]{0,9}"|null|7),?){0,4}\}"#), content in "(?s).{0,80}") {
        let _ = serde_json::from_str::<Envelope>(&text);
        let _ = serde_json::from_slice::<Envelope>(content.as_bytes());
        let envelope = Envelope::sign(&Signer, "license/", &content);
        let written = serde_json::to_vec(&envelope).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Envelope>(&written).unwrap(), envelope);
    }

    #[test]
    fn policies(text in texts(r#"\{("(seats|channels|offline)":(-?[0-9]{1,30}|null|\["beta"\]|true|"x"),?){0,4}\}"#), input in inputs()) {
        if let Ok(read) = serde_json::from_str::<LicensePolicyInput>(&text) {
            let (scope, env, mut repositories) = (staff(), env(), Repositories::seeded());
            let set = done(PolicyAdministration::new(&mut repositories, &scope, &env).set("base_product", &read));
            prop_assert!(is_told(&set), "{set:?}");
        }
        let (scope, env, mut repositories) = (staff(), env(), Repositories::seeded());
        let mut administration = PolicyAdministration::new(&mut repositories, &scope, &env);
        let set = done(administration.set("base_product", &input));
        prop_assert!(is_told(&set), "{set:?}");
        if let Ok(policy) = set {
            let written: LicensePolicyInput = serde_json::from_value(serde_json::to_value(&policy).unwrap()).unwrap();
            let again: LicensePolicy = done(administration.set("base_product", &written)).unwrap();
            prop_assert_eq!(&again, &policy);
            // Its times can be reckoned with.
            let key = vault().make(&env, env.new_id()).unwrap();
            let license = License::issued(env.new_id(), env.new_id(), key, &policy, env.now());
            prop_assert!(license.expires_at.is_none_or(|end| end > env.now()));
            prop_assert!(license.terms.lease_end(env.now(), None).is_none_or(|end| end > env.now()));
        }
    }

    #[test]
    fn import_lines(lines in prop::collection::vec(lines(&env()), 1..6)) {
        let (scope, env, vault, mut repositories) = (staff(), env(), vault(), Repositories::seeded());
        let result = done(LicenseImports::new(&mut repositories, &scope, &env, &vault).import(&lines));
        prop_assert!(is_told(&result), "{result:?}");
        let issued = repositories.rows().licenses.len();
        prop_assert_eq!(issued, if result.is_ok() { lines.len() } else { 0 }, "all of them, or none");
    }
}
