//! Signing in: finding the account whose password it is, without revealing anything else.
//!
//! Two accounts may match an address: the one that proved it, and the newest that did not. Two verifications are made for every
//! attempt, whatever the address, so that the time of the answer reveals nothing.

use futures_util::future::try_join;
use portico_kernel::{Event, Resource, RuleMessage, TenantId, UserId, Violations};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    Accounts, IdentityError, events,
    ports::{Credential, PasswordHasher},
    session::RefreshTokenIn,
    user::EmailAddress,
};

/// No account has a longer password.
const LONGEST_PASSWORD: usize = 4096;

/// Input of a sign-in.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"email": "ada@example.com", "password": "Corr3ct-horse"})))]
pub struct SignIn {
    /// Address of the account.
    #[cfg_attr(feature = "openapi", schema(required, format = "email", max_length = 254))]
    pub email: String,
    /// Password.
    #[cfg_attr(feature = "openapi", schema(required, value_type = String, format = "password", default = "", min_length = 1, max_length = 4096))]
    pub password: SecretString,
    /// Where the refresh token goes: `token` (the default) or `cookie`.
    pub session: Option<RefreshTokenIn>,
}

/// A sign-in whose form is valid.
#[derive(Debug)]
pub struct ValidSignIn {
    /// Address of the account.
    pub email: EmailAddress,
    /// Password.
    pub password: SecretString,
}

impl SignIn {
    /// Checks the form only. Errors: [`IdentityError::Invalid`] with all broken rules.
    pub fn validate(self) -> Result<ValidSignIn, IdentityError> {
        let mut violations = Violations::default();
        let email = violations.take("email", EmailAddress::parse(&self.email));
        let length = self.password.expose_secret().len();
        violations.check(length > 0, "password", "required", "This field is required.");
        violations.check(
            length <= LONGEST_PASSWORD,
            "password",
            "too_long",
            RuleMessage::new("This is too long.").max(LONGEST_PASSWORD),
        );
        match (email, violations.into_result()) {
            (Some(email), Ok(())) => Ok(ValidSignIn { email, password: self.password }),
            (_, errors) => Err(IdentityError::Invalid(errors.err().unwrap_or_default())),
        }
    }
}

/// The candidate whose password it is, the earlier one first. Makes exactly two verifications, at the same time, however many
/// candidates there are; where there is no room for one of them, the other leaves the queue, too. Takes long: call it outside of
/// a unit of work.
pub async fn verify(
    hasher: &dyn PasswordHasher,
    password: &SecretString,
    candidates: &[Credential],
) -> Result<Option<Credential>, IdentityError> {
    let hash_of = |index: usize| candidates.get(index).and_then(|candidate| candidate.password.clone());
    let (first, second) =
        try_join(hasher.verify(password.clone(), hash_of(0)), hasher.verify(password.clone(), hash_of(1)))
            .await?;
    let matching = if first { candidates.first() } else { candidates.get(1).filter(|_| second) };
    Ok(matching.cloned())
}

impl Accounts<'_> {
    /// The accounts that a sign-in with this address may be meant for, at most two.
    pub async fn candidates(&mut self, email: &EmailAddress) -> Result<Vec<Credential>, IdentityError> {
        Ok(self.repositories.users().by_email(email).await?)
    }

    /// Records `session.sign_in_failed` about the account that the attempt was aimed at, and without an account for an unknown
    /// address: the same work for both, so that not even the next answer is slower after a known one. The caller does this after
    /// it has answered.
    pub async fn note_failed_sign_in(&mut self, user: Option<UserId>) -> Result<(), IdentityError> {
        let user = user.unwrap_or(UserId::from_uuid(TenantId::PLATFORM.uuid()));
        let mut event = Event::new(self.env, self.scope, &events::SESSION_SIGN_IN_FAILED, user.uuid());
        // There is no session: the resource is the user.
        event.resource = Resource { kind: "user".into(), id: user.uuid() };
        self.append_about(user, event).await
    }
}

#[cfg(test)]
mod tests {
    use mockall::predicate::{always, eq};

    use super::*;
    use crate::{
        fixture::{Store, hash},
        ports::MockPasswordHasher,
    };

    fn hasher(calls: &[(Option<&str>, bool)]) -> MockPasswordHasher {
        let mut hasher = MockPasswordHasher::new();
        for (stored, answer) in calls.iter().copied() {
            hasher
                .expect_verify()
                .with(always(), eq(stored.map(hash)))
                .times(1)
                .returning(move |_, _| Ok(answer));
        }
        hasher
    }

    #[tokio::test]
    async fn nobody_costs_two_verifications() {
        let mut hasher = MockPasswordHasher::new();
        hasher.expect_verify().with(always(), eq(None)).times(2).returning(|_, _| Ok(false));
        assert!(verify(&hasher, &"x".into(), &[]).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn one_candidate_costs_two_verifications() {
        let mut store = Store::default();
        let user = store.user_with_password("ada@example.com", true, "one");
        let candidates = [store.credential(user.id)];
        let hasher = hasher(&[(Some("one"), true), (None, false)]);
        let found = verify(&hasher, &"x".into(), &candidates).await.unwrap().unwrap();
        assert_eq!(found.user.id, user.id);
    }

    #[tokio::test]
    async fn the_second_candidate_may_be_the_one() {
        let mut store = Store::default();
        let owner = store.user_with_password("ada@example.com", true, "one");
        let newer = store.user_with_password("ada@example.com", false, "two");
        let candidates = [store.credential(owner.id), store.credential(newer.id)];
        for (answers, expected) in [
            ((false, true), Some(newer.id)),
            ((true, false), Some(owner.id)),
            ((true, true), Some(owner.id)),
            ((false, false), None),
        ] {
            let hasher = hasher(&[(Some("one"), answers.0), (Some("two"), answers.1)]);
            let found = verify(&hasher, &"x".into(), &candidates).await.unwrap();
            assert_eq!(found.map(|credential| credential.user.id), expected);
        }
    }

    #[tokio::test]
    async fn an_overloaded_hasher_is_no_wrong_password() {
        let mut hasher = MockPasswordHasher::new();
        hasher.expect_verify().times(1..=2).returning(|_, _| Err(IdentityError::Overloaded));
        assert!(matches!(verify(&hasher, &"x".into(), &[]).await, Err(IdentityError::Overloaded)));
    }

    #[test]
    fn names_all_missing_fields() {
        let Err(IdentityError::Invalid(errors)) = SignIn::default().validate() else { panic!() };
        assert_eq!(errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), ["email", "password"]);
    }

    #[tokio::test]
    async fn a_failure_is_noted_about_the_user() {
        let mut store = Store::default();
        let user = store.user("ada@example.com", true);
        let (scope, env) = (store.anonymous(), store.env());
        Accounts::new(&mut store, &scope, &env).note_failed_sign_in(Some(user.id)).await.unwrap();
        Accounts::new(&mut store, &scope, &env).note_failed_sign_in(None).await.unwrap();
        let events = store.events();
        assert_eq!(events.len(), 2);
        assert_eq!(events[0].kind, "session.sign_in_failed");
        assert_eq!((events[0].resource.kind.as_ref(), events[0].resource.id), ("user", user.id.uuid()));
    }
}
