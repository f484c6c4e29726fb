//! The profile that users maintain themselves.

use portico_kernel::{Event, Violations, patch::double_option};
use serde::Deserialize;

use crate::{
    Accounts, IdentityError, events,
    user::{User, check_company, check_language, check_name, check_phone},
};

/// A change of the own profile. A field that is absent stays as it is; `null` clears an optional one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"fullName": "Ada Lovelace", "language": "es", "phone": null})))]
pub struct ProfileUpdate {
    /// Name as the person writes it.
    #[serde(alias = "full_name", alias = "name")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 200))]
    pub full_name: Option<String>,
    /// Phone number.
    #[serde(deserialize_with = "double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 32))]
    pub phone: Option<Option<String>>,
    /// Mobile number.
    #[serde(deserialize_with = "double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 32))]
    pub mobile: Option<Option<String>>,
    /// Company.
    #[serde(deserialize_with = "double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 200))]
    pub company: Option<Option<String>>,
    /// Language of our messages: `en` or `es`.
    #[cfg_attr(feature = "openapi", schema(max_length = 2))]
    pub language: Option<String>,
    /// Postal address.
    #[serde(deserialize_with = "double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 500))]
    pub address: Option<Option<String>>,
    /// Notes to oneself.
    #[serde(deserialize_with = "double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 2000))]
    pub notes: Option<Option<String>>,
}

impl ProfileUpdate {
    /// Checks every field. Errors: [`IdentityError::Invalid`] with all broken rules.
    pub(crate) fn validate(self) -> Result<Self, IdentityError> {
        let mut violations = Violations::default();
        if let Some(name) = &self.full_name {
            check_name(&mut violations, name);
        }
        let change = Self {
            full_name: self.full_name.map(|name| name.trim().to_owned()),
            phone: trimmed(self.phone),
            mobile: trimmed(self.mobile),
            company: trimmed(self.company),
            language: self.language,
            address: trimmed(self.address),
            notes: trimmed(self.notes),
        };
        check_phone(&mut violations, "phone", text_of(&change.phone));
        check_phone(&mut violations, "mobile", text_of(&change.mobile));
        check_company(&mut violations, text_of(&change.company));
        if let Some(language) = &change.language {
            check_language(&mut violations, language);
        }
        violations.optional_text("address", text_of(&change.address), 500);
        violations.optional_text("notes", text_of(&change.notes), 2000);
        violations.into_result().map_err(IdentityError::Invalid)?;
        Ok(change)
    }

    pub(crate) fn apply(self, user: &mut User) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut user.full_name, self.full_name);
        set(&mut user.phone, self.phone);
        set(&mut user.mobile, self.mobile);
        set(&mut user.company, self.company);
        set(&mut user.language, self.language);
        set(&mut user.address, self.address);
        set(&mut user.notes, self.notes);
    }
}

/// Trims a text; one that is nothing but white space clears the field.
fn trimmed(value: Option<Option<String>>) -> Option<Option<String>> {
    value.map(|text| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
}

fn text_of(value: &Option<Option<String>>) -> Option<&str> {
    value.as_ref().and_then(|text| text.as_deref())
}

impl Accounts<'_> {
    /// The caller's own account.
    pub async fn profile(&mut self) -> Result<User, IdentityError> {
        self.caller().await
    }

    /// Changes the caller's own account. `expected` is the version that the caller has seen; errors:
    /// [`IdentityError::PreconditionFailed`] when it is not the current one, [`IdentityError::Invalid`].
    pub async fn update_profile(
        &mut self,
        change: ProfileUpdate,
        expected: Option<i64>,
    ) -> Result<User, IdentityError> {
        let before = self.caller().await?;
        let change = change.validate()?;
        if expected.is_some_and(|version| version != before.version) {
            return Err(IdentityError::PreconditionFailed);
        }
        let mut user = before.clone();
        change.apply(&mut user);
        if user == before {
            return Ok(user);
        }
        user.updated_at = self.env.now();
        self.repositories.users().update(&user).await?;
        user.version += 1;
        let event = Event::new(self.env, self.scope, &events::USER_UPDATED, user.id.uuid());
        self.append_about(user.id, event.before(&before).after(&user)).await?;
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Store;

    fn update(json: &str) -> ProfileUpdate {
        serde_json::from_str(json).unwrap()
    }

    #[tokio::test]
    async fn merges_what_was_sent_and_clears_what_is_null() {
        let mut store = Store::default();
        let user = store.user("ada@example.com", true);
        let (scope, env) = (store.signed_in(&user), store.env());
        let mut accounts = Accounts::new(&mut store, &scope, &env);
        let first = accounts
            .update_profile(update(r#"{"phone":" +502 2345 6789 ","company":"Engines"}"#), Some(1))
            .await
            .unwrap();
        assert_eq!((first.phone.as_deref(), first.version), (Some("+502 2345 6789"), 2));
        let second = accounts
            .update_profile(update(r#"{"phone":null,"language":"es","full_name":"A. L."}"#), None)
            .await
            .unwrap();
        assert_eq!((second.phone, second.company.as_deref()), (None, Some("Engines")));
        assert_eq!((second.full_name.as_str(), second.language.as_str(), second.version), ("A. L.", "es", 3));
        assert_eq!(store.event_kinds(), ["user.updated", "user.updated"]);
    }

    #[tokio::test]
    async fn a_stale_version_changes_nothing() {
        let mut store = Store::default();
        let user = store.user("ada@example.com", true);
        let (scope, env) = (store.signed_in(&user), store.env());
        let result = Accounts::new(&mut store, &scope, &env)
            .update_profile(update(r#"{"company":"X"}"#), Some(7))
            .await;
        assert!(matches!(result, Err(IdentityError::PreconditionFailed)));
        assert!(store.events().is_empty());
    }

    #[tokio::test]
    async fn a_change_of_nothing_is_no_event() {
        let mut store = Store::default();
        let user = store.user("ada@example.com", true);
        let (scope, env) = (store.signed_in(&user), store.env());
        let same = Accounts::new(&mut store, &scope, &env).update_profile(update("{}"), None).await.unwrap();
        assert_eq!(same.version, 1);
        assert!(store.events().is_empty());
    }

    #[tokio::test]
    async fn names_every_wrong_field() {
        let mut store = Store::default();
        let user = store.user("ada@example.com", true);
        let (scope, env) = (store.signed_in(&user), store.env());
        let wrong = update(r#"{"fullName":" ","phone":"abc","mobile":"1","language":"xx"}"#);
        let result = Accounts::new(&mut store, &scope, &env).update_profile(wrong, None).await;
        let Err(IdentityError::Invalid(errors)) = result else { panic!("{result:?}") };
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["fullName", "phone", "mobile", "language"]);
    }

    #[tokio::test]
    async fn needs_somebody_signed_in() {
        let mut store = Store::default();
        let (scope, env) = (store.anonymous(), store.env());
        let result = Accounts::new(&mut store, &scope, &env).profile().await;
        assert!(matches!(result, Err(IdentityError::Denied(_))));
    }
}
