//! Accounts: how one is made. What happens to it later is in [`crate::verification`], [`crate::recovery`] and
//! [`crate::profile`].

use portico_kernel::{
    Actor, Denied, Env, Event, Permission, PlatformRole, Scope, TenantId, UserId, Violations,
};
use secrecy::SecretString;
use serde::Deserialize;
use time::Duration;

use crate::{
    IdentityError, events,
    mail::Recipient,
    password::{PasswordRule, resembles_address},
    ports::{IdentityRepositories, PasswordHash},
    session::{RefreshTokenIn, Session, audit_tenant},
    user::{EmailAddress, User, UserStatus, check_language, check_name, check_phone},
};

/// How long a proof of identity is valid for changes of credentials.
pub const FRESH: Duration = Duration::minutes(10);

/// The use cases of accounts, over one unit of work.
///
/// Hashing a password takes long on purpose, so no method does it: callers hash before they begin a unit of work.
pub struct Accounts<'a> {
    pub(crate) repositories: &'a mut dyn IdentityRepositories,
    pub(crate) scope: &'a Scope,
    pub(crate) env: &'a Env,
}

/// Input of a registration.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "email": "ada@example.com", "password": "Corr3ct-horse", "fullName": "Ada Lovelace", "phone": "+44 20 7946 0018"
})))]
pub struct Registration {
    /// Address to sign in with.
    #[cfg_attr(feature = "openapi", schema(required, format = "email", max_length = 254))]
    pub email: String,
    /// Password; see the password rule.
    #[cfg_attr(feature = "openapi", schema(required, value_type = String, format = "password", default = ""))]
    pub password: SecretString,
    /// Name as the person writes it.
    #[serde(alias = "full_name")]
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 200))]
    pub full_name: String,
    /// Phone number.
    #[cfg_attr(feature = "openapi", schema(max_length = 32))]
    pub phone: Option<String>,
    /// Language of our messages: `en` (the default) or `es`.
    #[cfg_attr(feature = "openapi", schema(max_length = 2))]
    pub language: Option<String>,
    /// Where the refresh token goes: `token` (the default) or `cookie`.
    pub session: Option<RefreshTokenIn>,
}

/// A registration that keeps every rule.
#[derive(Debug)]
pub struct ValidRegistration {
    /// Address, not proven yet.
    pub email: EmailAddress,
    /// To be hashed.
    pub password: SecretString,
    /// Name.
    pub full_name: String,
    /// Phone number.
    pub phone: Option<String>,
    /// Language.
    pub language: String,
}

impl Registration {
    /// Checks every field. Errors: [`IdentityError::Invalid`] with all broken rules; [`IdentityError::Overloaded`].
    pub async fn validate(self, rule: &PasswordRule) -> Result<ValidRegistration, IdentityError> {
        let mut violations = Violations::default();
        let email = violations.take("email", EmailAddress::parse(&self.email));
        let about = [self.email.as_str(), self.full_name.as_str()];
        violations.extend(rule.check("password", &self.password, &about).await?);
        if let Some(email) = &email {
            violations.extend(resembles_address("password", &self.password, email));
        }
        check_name(&mut violations, &self.full_name);
        let phone = self.phone.map(|phone| phone.trim().to_owned()).filter(|phone| !phone.is_empty());
        check_phone(&mut violations, "phone", phone.as_deref());
        let language = self.language.unwrap_or_else(|| "en".into());
        check_language(&mut violations, &language);
        match (email, violations.into_result()) {
            (Some(email), Ok(())) => Ok(ValidRegistration {
                email,
                password: self.password,
                full_name: self.full_name.trim().to_owned(),
                phone,
                language,
            }),
            (_, errors) => Err(IdentityError::Invalid(errors.err().unwrap_or_default())),
        }
    }
}

impl<'a> Accounts<'a> {
    /// Over an open unit of work, or a reader for what only reads.
    pub fn new(repositories: &'a mut dyn IdentityRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Makes an account whose address is not proven yet. Any address may be registered, known or not: nothing in the answer
    /// depends on it. [`Accounts::registered`] has to follow in the same unit of work.
    pub async fn register(
        &mut self,
        registration: ValidRegistration,
        password: PasswordHash,
    ) -> Result<User, IdentityError> {
        let now = self.env.now();
        let user = User {
            phone: registration.phone,
            ..User::new(
                self.env.new_id(),
                registration.email,
                registration.full_name,
                registration.language,
                now,
            )
        };
        self.repositories.users().insert(&user, Some(password)).await?;
        Ok(user)
    }

    /// Records `user.registered` in the new user's personal tenant. Apart from [`Accounts::register`], because the
    /// tenant needs its owner before it can be made, and the event needs the tenant.
    pub async fn registered(&mut self, user: &User, tenant: TenantId) -> Result<(), IdentityError> {
        let event = Event::new(self.env, self.scope, &events::USER_REGISTERED, user.id.uuid())
            .in_tenant(tenant)
            .by_user(user.id)
            .after(user);
        Ok(self.repositories.events().append(event).await?)
    }

    /// Makes an account for the buyer of a site who has none: without a password, its address not proven. A link to the address sets the
    /// first password, see [`Accounts::issue_first_password`], and proves the address. [`Accounts::registered_by_purchase`] has to
    /// follow in the same unit of work.
    pub async fn register_buyer(
        &mut self,
        email: EmailAddress,
        full_name: String,
        language: String,
    ) -> Result<User, IdentityError> {
        let user = User::new(self.env.new_id(), email, full_name, language, self.env.now());
        self.repositories.users().insert(&user, None).await?;
        Ok(user)
    }

    /// Records `user.registered_by_purchase` in the new user's personal tenant.
    pub async fn registered_by_purchase(
        &mut self,
        user: &User,
        tenant: TenantId,
    ) -> Result<(), IdentityError> {
        let event = Event::new(self.env, self.scope, &events::USER_REGISTERED_BY_PURCHASE, user.id.uuid());
        Ok(self.repositories.events().append(event.in_tenant(tenant).after(user)).await?)
    }

    /// The account that has proven an address, if one has.
    pub async fn owner_of(&mut self, email: &EmailAddress) -> Result<Option<User>, IdentityError> {
        let named = self.repositories.users().by_email(email).await?;
        Ok(named.into_iter().map(|account| account.user).find(|user| user.email_verified))
    }

    /// Gives an account a platform-wide role and takes its address as proven, on the word of the operator at the command line.
    /// Errors: [`Denied::Forbidden`] for every other caller.
    pub async fn appoint(&mut self, before: User, role: PlatformRole) -> Result<User, IdentityError> {
        if *self.scope.actor() != Actor::System {
            return Err(Denied::Forbidden(Permission::PlatformUsers).into());
        }
        let mut user = User { role, email_verified: true, updated_at: self.env.now(), ..before.clone() };
        self.repositories.users().update(&user).await?;
        user.version += 1;
        let event = Event::new(self.env, self.scope, &events::USER_APPOINTED, user.id.uuid())
            .before(&before)
            .after(&user);
        self.append_about(user.id, event).await?;
        Ok(user)
    }

    /// The recipient of messages; `None` when the account is gone or not in use. For background jobs.
    pub async fn recipient(&mut self, user: UserId) -> Result<Option<Recipient>, IdentityError> {
        let user = self.repositories.users().find(user).await?;
        Ok(user.filter(|user| user.status == UserStatus::Active).map(|user| Recipient::for_user(&user)))
    }

    /// The signed-in person, given that they proved their identity within [`FRESH`]: for changes by which a stolen session could
    /// take the account over. Errors: [`IdentityError::ReauthenticationRequired`]; [`Denied::Impersonated`].
    pub async fn require_fresh(&mut self) -> Result<User, IdentityError> {
        let (id, session) = self.scope.require_not_impersonated()?;
        let session = self.repositories.sessions().find(session).await?;
        let session = session.filter(|session| session.user == id).ok_or(Denied::Unauthenticated)?;
        if self.env.now() - session.authenticated_at > FRESH {
            return Err(IdentityError::ReauthenticationRequired);
        }
        self.caller().await
    }

    /// Like [`Accounts::require_fresh`], given that the address is verified: an account whose address is not has a password or
    /// the linked account that it was made with, and sessions, and no other credential. See ADR 39. Errors: also
    /// [`Denied::EmailUnverified`].
    pub async fn require_fresh_verified(&mut self) -> Result<User, IdentityError> {
        self.scope.require_not_impersonated()?;
        self.scope.require_verified()?;
        self.require_fresh().await
    }

    /// The signed-in person and their session as they are now, with the account's row locked: for whatever adds a credential.
    /// What revokes access at the same moment ([`crate::credentials::revoke`]) either is seen here, or waits and revokes what is
    /// added. Errors: [`Denied::Impersonated`], [`Denied::EmailUnverified`]; [`Denied::Unauthenticated`] when the session has
    /// ended.
    pub(crate) async fn require_holder(&mut self) -> Result<(User, Session), IdentityError> {
        let (id, session) = self.scope.require_not_impersonated()?;
        self.scope.require_verified()?;
        self.repositories.users().lock(id).await?;
        let session = self.repositories.sessions().find(session).await?;
        let session = session.filter(|session| session.user == id && session.is_running(self.env.now()));
        let session = session.ok_or(Denied::Unauthenticated)?;
        let user = self.repositories.users().find(id).await?.ok_or(Denied::Unauthenticated)?;
        Ok((user, session))
    }

    /// The user behind a signed-in request.
    pub(crate) async fn caller(&mut self) -> Result<User, IdentityError> {
        let (id, _) = self.scope.require_user()?;
        self.repositories.users().find(id).await?.ok_or(IdentityError::NotFound("user"))
    }

    /// Appends an event about a user to the audit trail where it belongs.
    pub(crate) async fn append_about(&mut self, user: UserId, event: Event) -> Result<(), IdentityError> {
        let tenant = audit_tenant(self.repositories, user).await?;
        Ok(self.repositories.events().append(event.in_tenant(tenant)).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Store, hash};

    fn registration() -> Registration {
        Registration {
            email: "Ada@Example.com".into(),
            password: "Corr3ct-horse".into(),
            full_name: " Ada Lovelace ".into(),
            ..Registration::default()
        }
    }

    async fn broken(registration: Registration) -> Vec<(String, String)> {
        match registration.validate(&PasswordRule::default()).await {
            Err(IdentityError::Invalid(errors)) => {
                errors.into_iter().map(|error| (error.field, error.code.into_owned())).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_empty_registration_names_every_missing_field() {
        let expected = [("email", "required"), ("password", "required"), ("fullName", "required")];
        let expected = expected.map(|(f, c)| (f.to_owned(), c.to_owned()));
        assert_eq!(broken(Registration::default()).await, expected);
    }

    #[tokio::test]
    async fn optional_fields_are_checked_too() {
        let bad = Registration {
            full_name: "Ada\nLovelace".into(),
            phone: Some("call me".into()),
            language: Some("klingon".into()),
            ..registration()
        };
        let fields: Vec<_> = broken(bad).await.into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["fullName", "phone", "language"]);
    }

    #[test]
    fn fields_are_read_in_both_spellings() {
        let snake: Registration = serde_json::from_str(r#"{"full_name":"Ada"}"#).unwrap();
        let camel: Registration = serde_json::from_str(r#"{"fullName":"Ada"}"#).unwrap();
        assert_eq!((snake.full_name, camel.full_name), ("Ada".to_owned(), "Ada".to_owned()));
    }

    #[tokio::test]
    async fn registers_with_an_event_that_holds_no_secret() {
        let mut store = Store::default();
        let (scope, env) = (store.anonymous(), store.env());
        let tenant = env.new_id();
        let valid = registration().validate(&PasswordRule::default()).await.unwrap();
        let mut accounts = Accounts::new(&mut store, &scope, &env);
        let user = accounts.register(valid, hash("Corr3ct-horse")).await.unwrap();
        accounts.registered(&user, tenant).await.unwrap();

        assert_eq!((user.email.as_str(), user.full_name.as_str()), ("ada@example.com", "Ada Lovelace"));
        let events = store.events();
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].kind.as_ref(), events[0].tenant), ("user.registered", tenant));
        assert_eq!(events[0].actor_id, Some(user.id.uuid()));
        assert!(!events[0].after.as_ref().unwrap().to_string().contains("Corr3ct"));
    }

    #[tokio::test]
    async fn a_buyer_gets_an_account_without_a_password_and_takes_none_over() {
        let mut store = Store::default();
        store.user("eve@example.com", false);
        let (scope, env) = (store.anonymous(), store.env());
        let tenant = env.new_id();
        let email = EmailAddress::parse("Ada@Example.com").unwrap();
        let mut accounts = Accounts::new(&mut store, &scope, &env);
        assert_eq!(accounts.owner_of(&email).await.unwrap(), None);
        let user =
            accounts.register_buyer(email.clone(), "Ada Lovelace".to_owned(), "es".to_owned()).await.unwrap();
        accounts.registered_by_purchase(&user, tenant).await.unwrap();
        assert_eq!(accounts.owner_of(&email).await.unwrap(), None, "nobody has proven the address");
        assert!(!user.email_verified && user.language == "es");
        let credential = store.users().credential(user.id).await.unwrap().unwrap();
        assert!(credential.password.is_none());
        let events = store.events();
        assert_eq!((events[0].kind.as_ref(), events[0].tenant), ("user.registered_by_purchase", tenant));
    }

    #[tokio::test]
    async fn a_known_address_registers_like_an_unknown_one() {
        let mut store = Store::default();
        store.user("ada@example.com", true);
        let (scope, env) = (store.anonymous(), store.env());
        let valid = registration().validate(&PasswordRule::default()).await.unwrap();
        let user = Accounts::new(&mut store, &scope, &env).register(valid, hash("x")).await.unwrap();
        assert!(!user.email_verified);
    }
}
