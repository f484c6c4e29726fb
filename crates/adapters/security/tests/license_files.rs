//! License files and manifests of updates, verified as docs/licensing.md tells developers of products to do it.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use portico_licensing::{
    activation::Activation,
    file::{VerifyingKeys, made},
    key::SealedKey,
    license::{License, LicenseStatus, SeatReleases},
    policy::{Channel, catalogue},
    release::{Release, ReleaseFile, ReleaseStatus},
    release_version::ReleaseVersion,
    scan_status::ScanStatus,
    update_manifest::manifest,
};
use portico_security::{Ed25519Signer, system_env};
use secrecy::SecretString;
use serde_json::Value;
use time::Duration;

/// The content of a file that is signed with one of the keys.
fn verified(file: &str, keys: &Value) -> Option<Value> {
    let body = file.trim().strip_prefix("-----BEGIN LICENSE FILE-----")?;
    let body = body.strip_suffix("-----END LICENSE FILE-----")?;
    let body: String = body.split_whitespace().collect();
    content_of(&serde_json::from_slice(&STANDARD.decode(body).ok()?).ok()?, "license/", keys)
}

/// The content of an envelope whose signature with this prefix is by one of the keys.
fn content_of(envelope: &Value, prefix: &str, keys: &Value) -> Option<Value> {
    let text = |name: &str| envelope[name].as_str().unwrap_or_default();
    if text("alg") != "base64+ed25519" {
        return None;
    }
    let key = keys["keys"].as_array()?.iter().find(|key| key["kid"] == envelope["kid"])?;
    let public = UnparsedPublicKey::new(&ED25519, URL_SAFE_NO_PAD.decode(key["x"].as_str()?).ok()?);
    let signature = STANDARD.decode(text("sig")).ok()?;
    public.verify(format!("{prefix}{}", text("enc")).as_bytes(), &signature).ok()?;
    serde_json::from_slice(&STANDARD.decode(text("enc")).ok()?).ok()
}

#[test]
fn a_file_is_verified_with_the_listed_keys_and_with_no_others() {
    let (env, policy) = (system_env(), catalogue().remove(0));
    let license = License {
        id: env.new_id(),
        tenant_id: env.new_id(),
        key: SealedKey { digest: [0; 32], sealed: Vec::new() },
        product_type: policy.product_type,
        product_name: policy.product_name,
        purchase_id: None,
        unit: None,
        status: LicenseStatus::Active,
        suspended_by: None,
        expires_at: None,
        supported_until: None,
        activation_limit: None,
        terms: policy.terms,
        releases: SeatReleases::default(),
        created_at: env.now(),
    };
    let machine = Activation {
        id: env.new_id(),
        tenant_id: license.tenant_id,
        license_id: license.id,
        fingerprint: "ñ \"f1\" \\ 😀".to_owned(),
        name: None,
        platform: None,
        ip: None,
        activated_at: env.now(),
        last_seen_at: env.now(),
        offline_until: None,
        lease_ends_at: None,
        lapsed: false,
    };
    let secret = |letter: &str| SecretString::from(letter.repeat(40));
    let before = Ed25519Signer::new(&secret("a"), &[]).unwrap();
    let signer = Ed25519Signer::new(&secret("b"), &[secret("a")]).unwrap();
    let keys = |signer: &Ed25519Signer| serde_json::to_value(VerifyingKeys::of(Some(signer))).unwrap();
    let now = env.now();
    for by in [&before, &signer] {
        let file = made(by, &license, &machine, Duration::days(30), now).file;
        let content = verified(&file, &keys(&signer)).expect("the keys of earlier secrets are listed, too");
        assert_eq!(content["activation"]["fingerprint"], machine.fingerprint.as_str());
        assert_eq!(content["exp"], (now + Duration::days(30)).unix_seconds());
        assert_eq!(content["license"]["id"], license.id.to_string());
        // Any change of a character is noticed.
        for (place, symbol) in
            file.char_indices().filter(|(_, symbol)| symbol.is_ascii_alphanumeric()).step_by(7)
        {
            let other = if symbol == 'A' { "B" } else { "A" };
            let mut changed = file.clone();
            changed.replace_range(place..=place, other);
            assert_eq!(verified(&changed, &keys(&signer)), None, "character {place}");
        }
    }
    let file = made(&signer, &license, &machine, Duration::HOUR, now).file;
    assert_eq!(verified(&file, &keys(&before)), None);
}

#[test]
fn a_manifest_of_an_update_is_verified_with_the_keys_of_license_files() {
    let env = system_env();
    let file = ReleaseFile {
        id: env.new_id(),
        name: "setup.exe".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        size: 5 << 30,
        sha256: "ab".repeat(32),
        scan: ScanStatus::Clean,
        signature: None,
        deleted_at: None,
    };
    let release = Release {
        id: env.new_id(),
        slug: "software_v2".to_owned(),
        product_type: "base_product".to_owned(),
        name: "Software \"2\" ñ".to_owned(),
        version: ReleaseVersion::parse("2.0.0").expect("a version"),
        channel: Channel::Stable,
        platform: None,
        notes: String::new(),
        status: ReleaseStatus::Published,
        withdrawal_reason: None,
        released_at: Some(env.now()),
        file: Some(file.clone()),
        created_at: env.now(),
        updated_at: env.now(),
    };
    let secret = |letter: &str| SecretString::from(letter.repeat(40));
    let (signer, other) =
        (Ed25519Signer::new(&secret("a"), &[]).unwrap(), Ed25519Signer::new(&secret("b"), &[]).unwrap());
    let keys = |signer: &Ed25519Signer| serde_json::to_value(VerifyingKeys::of(Some(signer))).unwrap();
    let envelope = serde_json::to_value(manifest(&signer, &release, &file, env.now())).unwrap();
    let content = content_of(&envelope, "update/", &keys(&signer)).expect("it is signed");
    assert_eq!(content["release"]["name"], release.name.as_str());
    assert_eq!(content["release"]["sha256"], file.sha256.as_str());
    assert_eq!(content_of(&envelope, "license/", &keys(&signer)), None, "it is no license file");
    assert_eq!(content_of(&envelope, "update/", &keys(&other)), None);
    let mut altered = envelope.clone();
    altered["enc"] = STANDARD.encode(content.to_string().replace("2.0.0", "9.0.0")).into();
    assert_eq!(content_of(&altered, "update/", &keys(&signer)), None);
}

/// No text is taken for a file, or makes whoever reads it panic. `PROPTEST_CASES` says how many are made up (`scripts/fuzz-parsers`).
#[allow(clippy::unwrap_used, reason = "a test; the lint spares only functions marked #[test]")]
mod parsers {
    use proptest::prelude::*;

    use super::*;

    fn signer() -> Ed25519Signer {
        Ed25519Signer::new(&SecretString::from("a".repeat(40)), &[]).unwrap()
    }

    proptest! {
        #[test]
        fn files_of_any_text_are_refused(frame in any::<bool>(), text in "(?s)([A-Za-z0-9+/=\n]{0,200}|.{0,200})") {
            let keys = serde_json::to_value(VerifyingKeys::of(Some(&signer()))).unwrap();
            let file = match frame {
                true => format!("-----BEGIN LICENSE FILE-----\n{text}\n-----END LICENSE FILE-----\n"),
                false => text.clone(),
            };
            prop_assert_eq!(verified(&file, &keys), None);
            let envelope = STANDARD.encode(format!("{{\"alg\":\"base64+ed25519\",\"enc\":{text:?},\"sig\":{text:?}}}"));
            let file = format!("-----BEGIN LICENSE FILE-----\n{envelope}\n-----END LICENSE FILE-----\n");
            prop_assert_eq!(verified(&file, &keys), None);
        }
    }
}
