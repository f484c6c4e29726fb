//! What scripts/check-clients has the client in Rust do.

use portico_client::{
    apis::{Error, authentication_api, configuration::Configuration, sites_api},
    models::{NewSite, Registration, SignIn, SiteUpdate},
};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (email, password) = ("rust@example.com", "Correct-Horse-7");
    let mut client = Configuration { base_path: std::env::args().nth(1).unwrap(), ..Configuration::default() };
    let registration = Registration::new(email.into(), password.into(), "Ada Lovelace".into());
    authentication_api::register(&client, registration).await.unwrap();

    let refused = authentication_api::login(&client, SignIn::new(email.into(), "Wrong-Horse-7".into())).await;
    let Err(Error::ResponseError(problem)) = refused else { panic!("{refused:?}") };
    assert!(problem.status == 401 && problem.content.contains("invalid_credentials"), "{problem:?}");

    let tokens = authentication_api::login(&client, SignIn::new(email.into(), password.into())).await.unwrap();
    client.bearer_access_token = Some(tokens.access_token);

    let made = sites_api::create_site(&client, NewSite::new("Bäckerei Licht".into()), Some("rust-1"), None).await.unwrap();
    let update = SiteUpdate { name: Some(Some("Bäckerei Sonne".into())), ..SiteUpdate::default() };
    let renamed = sites_api::update_site(&client, &made.id.to_string(), update, None, None).await.unwrap();
    assert_eq!(renamed.name, "Bäckerei Sonne");

    let sites = sites_api::list_sites(&client, Some("sonne"), None, None, None, None, None).await.unwrap();
    assert!(sites.total == 1 && sites.items[0].id == made.id, "{sites:?}");
}
