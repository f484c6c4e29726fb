use base64::{Engine, engine::general_purpose::STANDARD};
use portico_kernel::Fault;
use serde_json::Value;

use super::*;
use crate::testing::{Repositories, Signer, env, release};

fn asked(version: Option<&str>, platform: Option<&str>, channel: Option<Channel>) -> UpdateQuery {
    UpdateQuery {
        product_type: "base_product".to_owned(),
        version: version.map(str::to_owned),
        platform: platform.map(str::to_owned),
        channel,
    }
}

fn content(envelope: &Envelope) -> Value {
    serde_json::from_slice(&STANDARD.decode(&envelope.enc).unwrap()).unwrap()
}

#[tokio::test]
async fn the_newest_release_for_the_program_is_told() {
    let env = env();
    let mut repositories = Repositories::seeded();
    let for_platform = Release { platform: Some("linux-x64".to_owned()), ..release(&env, "linux", "2.2.0") };
    let beta = Release { channel: Channel::Beta, ..release(&env, "beta", "3.0.0-beta.1") };
    let gone = release(&env, "gone", "9.0.0").withdrawn("Loses settings", env.now());
    repositories.rows().releases =
        vec![release(&env, "old", "2.0.0"), release(&env, "new", "2.10.0"), for_platform, beta, gone];
    let mut updates = Updates::new(&mut repositories, &env);
    for (version, platform, channel, expected) in [
        (Some("2.0.0"), None, None, Some("new")),
        (None, None, None, Some("new")),
        (Some("2.10.0"), None, Some(Channel::Stable), None),
        (Some("2.10.0-rc.1"), None, None, Some("new")),
        (Some("2.1.0"), Some("linux-x64"), None, Some("new")),
        (Some("2.10.0"), None, Some(Channel::Beta), Some("beta")),
        (Some("3.0.0"), None, Some(Channel::Beta), None),
    ] {
        let found = updates.newest(asked(version, platform, channel), Some(&Signer)).await.unwrap();
        let id = found.map(|envelope| content(&envelope)["release"]["id"].as_str().unwrap().to_owned());
        assert_eq!(id.as_deref(), expected, "{version:?} {platform:?} {channel:?}");
    }
    let refused = updates.newest(asked(Some("two"), Some("Linux X"), None), Some(&Signer)).await.unwrap_err();
    let fields: Vec<_> = refused.fields().iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["version", "platform"]);
    let other = UpdateQuery { product_type: "mug".to_owned(), ..asked(None, None, None) };
    assert!(matches!(updates.newest(other, Some(&Signer)).await, Err(LicensingError::NoPolicy)));
    let unsigned = updates.newest(asked(None, None, None), None).await;
    assert!(matches!(unsigned, Err(LicensingError::FilesUnavailable)));
}

#[test]
fn a_manifest_is_canonical_and_signed_with_its_prefix() {
    let env = env();
    let release = Release { notes: "Prints \"ñ\"".to_owned(), ..release(&env, "software_v2", "2.0.0") };
    let envelope = manifest(&Signer, &release, release.file.as_ref().unwrap(), env.now());
    assert_eq!((envelope.alg.as_str(), envelope.kid.as_str()), ("base64+ed25519", "test-key"));
    let signed = format!("update/{}", envelope.enc);
    assert_eq!(STANDARD.decode(&envelope.sig).unwrap(), Signer.sign(signed.as_bytes()));
    let now = env.now();
    assert_eq!(
        String::from_utf8(STANDARD.decode(&envelope.enc).unwrap()).unwrap(),
        format!(
            "{{\"exp\":{},\"issued\":\"{now}\",\"kid\":\"test-key\",\"productType\":\"base_product\",\
             \"release\":{{\"channel\":\"stable\",\"fileName\":\"setup.exe\",\"id\":\"software_v2\",\
             \"name\":\"Software 2.0.0\",\"notes\":\"Prints \\\"ñ\\\"\",\"platform\":null,\
             \"releasedAt\":\"{now}\",\"sha256\":\"{}\",\"size\":1000,\"version\":\"2.0.0\"}},\"version\":1}}",
            now.unix_seconds() + 86400,
            "ab".repeat(32)
        )
    );
}
