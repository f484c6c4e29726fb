//! API keys: credentials for programs of a tenant.
//!
//! A key belongs to its tenant and not to its maker: it stays valid when that person leaves the tenant. It never has more
//! permissions than the person had who gave them to it. That person is accountable for it all the same: it is refused while their
//! account is suspended or deleted, and cannot do what would require them to verify their address first.

mod address;
mod state;
mod text;
pub mod usage;

pub use address::{AddressRange, origin};
pub use state::{KeyCheck, KeySecret, KeyState};
pub use text::KeyText;

use portico_kernel::{
    ApiKeyId, Env, Event, EventDeclaration, List, Meter, PageRequest, Permission, Permissions, RuleMessage,
    Scope, StoreError, TenantId, Timestamp, UserId, Violations, patch::double_option,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};
use time::Duration;

use crate::{
    IdentityError, events,
    ports::{IdentityRepositories, TokenIssuer},
};

/// The most keys of a tenant that are not revoked. Each has a limit of its own, so their number bounds all requests.
pub const MAX_KEYS: u64 = 100;

/// The most requests a minute that a key can be given.
pub const MAX_RATE: u32 = 6000;

const MAX_NAME: usize = 100;
const MAX_ADDRESSES: usize = 50;
const DEFAULT_OVERLAP: i64 = 24 * 60 * 60;
const MAX_OVERLAP: i64 = 7 * 24 * 60 * 60;

/// Whether a key is for production. Both act on the same data; with a test key the adapters of what costs money or reaches
/// customers are to be their sandboxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ApiKeyMode))]
pub enum Mode {
    /// For production.
    #[default]
    Live,
    /// For tests.
    Test,
}

impl Mode {
    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// The mode of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Live, Self::Test].into_iter().find(|mode| mode.as_str() == text)
    }

    /// How the text of such a key begins.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Live => "sn_live_",
            Self::Test => "sn_test_",
        }
    }
}

/// A key for programs of a tenant. Only its holder has its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiKey {
    /// UUIDv7.
    pub id: ApiKeyId,
    /// The tenant.
    #[serde(skip)]
    pub tenant: TenantId,
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(example = "Shop import"))]
    pub name: String,
    /// Beginning of the key; enough to recognise it.
    #[cfg_attr(feature = "openapi", schema(example = "sn_live_4fG7kQ2mZx9B"))]
    pub prefix: String,
    /// What it may do.
    #[serde(serialize_with = "words")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, example = json!(["pages:read", "pages:write"])))]
    pub permissions: Permissions,
    /// Whether it is for production.
    pub mode: Mode,
    /// Whether it is switched on.
    pub active: bool,
    /// From where it may be used; from anywhere when empty.
    pub allowed_addresses: Vec<AddressRange>,
    /// Its own limit; that of the installation when null.
    pub rate_limit_per_minute: Option<u32>,
    /// Not after.
    pub expires_at: Option<Timestamp>,
    /// When the secret before the last rotation stops, or stopped, being valid.
    pub previous_secret_expires_at: Option<Timestamp>,
    /// When it was last used, to within a few seconds.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was revoked; such a key is kept for the audit trail only.
    #[serde(skip)]
    pub revoked_at: Option<Timestamp>,
    /// The maker of its secret, when the key was made or last rotated; `None` for a key from before that was recorded.
    #[serde(skip)]
    pub made_by: Option<UserId>,
    /// Counts changes; `ETag` over HTTP.
    #[serde(skip)]
    pub version: i64,
}

fn words<S: Serializer>(permissions: &Permissions, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(permissions.iter().map(Permission::as_str))
}

/// Input of a new key.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "name": "Shop import", "permissions": ["pages:read", "pages:write"], "mode": "live",
    "allowedAddresses": ["203.0.113.0/24"], "rateLimitPerMinute": 300
})))]
pub struct NewApiKey {
    /// Its name, 1 to 100 characters.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 100))]
    pub name: String,
    /// What it may do: at least one permission, and none that the caller does not have.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required, min_items = 1, min_length = 1, max_length = 64))]
    pub permissions: Vec<String>,
    /// `live` when absent.
    pub mode: Option<Mode>,
    /// Not after.
    #[serde(alias = "expires_at")]
    pub expires_at: Option<Timestamp>,
    /// Addresses or networks from which it may be used, 50 at most; from anywhere when empty.
    #[serde(default, alias = "allowed_addresses")]
    #[cfg_attr(feature = "openapi", schema(max_items = 50, min_length = 2, max_length = 49))]
    pub allowed_addresses: Vec<String>,
    /// Requests a minute; the limit of the installation when absent.
    #[serde(alias = "rate_limit_per_minute")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 6000))]
    pub rate_limit_per_minute: Option<u32>,
}

/// What to change about a key. Absent fields stay as they are; `null` clears `expiresAt` and `rateLimitPerMinute`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"active": false})))]
pub struct ApiKeyUpdate {
    /// Its name, 1 to 100 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 100))]
    pub name: Option<String>,
    /// Whether it is switched on.
    pub active: Option<bool>,
    /// What it may do from now on: at least one permission, and none that the caller does not have.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, min_length = 1, max_length = 64))]
    pub permissions: Option<Vec<String>>,
    /// From where it may be used; from anywhere when empty.
    #[serde(alias = "allowed_addresses")]
    #[cfg_attr(feature = "openapi", schema(max_items = 50, min_length = 2, max_length = 49))]
    pub allowed_addresses: Option<Vec<String>>,
    /// Not after.
    #[serde(default, deserialize_with = "double_option", alias = "expires_at")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Timestamp>))]
    pub expires_at: Option<Option<Timestamp>>,
    /// Requests a minute.
    #[serde(default, deserialize_with = "double_option", alias = "rate_limit_per_minute")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1, maximum = 6000))]
    pub rate_limit_per_minute: Option<Option<u32>>,
}

/// How to give a key a new secret.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"overlapSeconds": 3600})))]
pub struct Rotation {
    /// How long the old secret stays valid: 86400 (a day) when absent, 604800 (a week) at most, 0 for not at all.
    #[serde(alias = "overlap_seconds")]
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 604800))]
    pub overlap_seconds: Option<i64>,
}

/// The use cases of API keys, in the scope's active tenant.
pub struct ApiKeys<'a> {
    pub(crate) repositories: &'a mut dyn IdentityRepositories,
    pub(crate) scope: &'a Scope,
    pub(crate) env: &'a Env,
}

impl<'a> ApiKeys<'a> {
    /// Over an open unit of work, or a reader for what only reads.
    pub fn new(repositories: &'a mut dyn IdentityRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The keys that are not revoked, newest first.
    pub async fn list(&mut self, page: PageRequest) -> Result<List<ApiKey>, IdentityError> {
        let tenant = self.scope.require(Permission::ApiKeysRead)?;
        Ok(self.repositories.api_keys().list(tenant, page).await?)
    }

    /// One of them.
    pub async fn get(&mut self, id: ApiKeyId) -> Result<ApiKey, IdentityError> {
        let tenant = self.scope.require(Permission::ApiKeysRead)?;
        self.existing(tenant, id).await
    }

    /// Makes a key, and answers it with its text, which is stored nowhere. Errors: [`IdentityError::Invalid`];
    /// [`IdentityError::TooManyApiKeys`]; [`IdentityError::Entitlement`]; [`portico_kernel::Denied::Impersonated`];
    /// [`portico_kernel::Denied::EmailUnverified`].
    pub async fn create(
        &mut self,
        input: NewApiKey,
        tokens: &dyn TokenIssuer,
    ) -> Result<(ApiKey, SecretString), IdentityError> {
        let (tenant, maker) = self.maker()?;
        let now = self.env.now();
        let mut violations = Violations::default();
        let name = check_name(&mut violations, &input.name);
        let permissions = self.granted(&mut violations, &input.permissions);
        let allowed_addresses = check_addresses(&mut violations, &input.allowed_addresses);
        check_rate(&mut violations, input.rate_limit_per_minute);
        check_end(&mut violations, input.expires_at, now);
        violations.into_result().map_err(IdentityError::Invalid)?;
        let mode = input.mode.unwrap_or_default();
        let text = KeyText::new(mode, self.env);
        let key = ApiKey {
            id: self.env.new_id(),
            tenant,
            name,
            prefix: text.prefix().to_owned(),
            permissions,
            mode,
            active: true,
            allowed_addresses,
            rate_limit_per_minute: input.rate_limit_per_minute,
            expires_at: input.expires_at,
            previous_secret_expires_at: None,
            last_used_at: None,
            created_at: now,
            updated_at: now,
            revoked_at: None,
            made_by: Some(maker),
            version: 1,
        };
        if !self.repositories.api_keys().insert(&key, tokens.digest(text.secret()), MAX_KEYS).await? {
            return Err(IdentityError::TooManyApiKeys);
        }
        // After it, because the insertion holds the row of the tenant.
        self.repositories.headroom().check_room(tenant, Meter::ApiKeys, 1).await?;
        let event = Event::new(self.env, self.scope, &events::API_KEY_CREATED, key.id.uuid()).after(&key);
        self.repositories.events().append(event).await?;
        Ok((key, text.full()))
    }

    /// Changes a key, given that its version is still the expected one, if any.
    pub async fn update(
        &mut self,
        id: ApiKeyId,
        input: ApiKeyUpdate,
        expected: Option<i64>,
    ) -> Result<ApiKey, IdentityError> {
        let (tenant, _) = self.maker()?;
        let before = self.expected(tenant, id, expected).await?;
        let now = self.env.now();
        let mut after = before.clone();
        let mut violations = Violations::default();
        if let Some(name) = &input.name {
            after.name = check_name(&mut violations, name);
        }
        if let Some(permissions) = &input.permissions {
            after.permissions = self.granted(&mut violations, permissions);
        }
        if let Some(addresses) = &input.allowed_addresses {
            after.allowed_addresses = check_addresses(&mut violations, addresses);
        }
        if let Some(limit) = input.rate_limit_per_minute {
            check_rate(&mut violations, limit);
            after.rate_limit_per_minute = limit;
        }
        if let Some(end) = input.expires_at {
            check_end(&mut violations, end, now);
            after.expires_at = end;
        }
        after.active = input.active.unwrap_or(after.active);
        violations.into_result().map_err(IdentityError::Invalid)?;
        if after == before {
            return Ok(before);
        }
        after.updated_at = now;
        self.store(&before, after, expected, &events::API_KEY_UPDATED).await
    }

    /// Gives a key a new secret, for which the caller is accountable, and answers it with its text. The old secret, with its own
    /// maker, stays valid for the overlap; one from before an earlier rotation does not. Errors:
    /// [`portico_kernel::Denied::Impersonated`]; [`portico_kernel::Denied::EmailUnverified`].
    pub async fn rotate(
        &mut self,
        id: ApiKeyId,
        input: Rotation,
        expected: Option<i64>,
        tokens: &dyn TokenIssuer,
    ) -> Result<(ApiKey, SecretString), IdentityError> {
        let (tenant, maker) = self.maker()?;
        let before = self.expected(tenant, id, expected).await?;
        let overlap = input.overlap_seconds.unwrap_or(DEFAULT_OVERLAP);
        let mut violations = Violations::default();
        let message = RuleMessage::number(0, MAX_OVERLAP);
        violations.check((0..=MAX_OVERLAP).contains(&overlap), "overlapSeconds", "out_of_range", message);
        violations.into_result().map_err(IdentityError::Invalid)?;
        let now = self.env.now();
        let text = KeyText::renewed(before.prefix.clone(), self.env);
        let after = ApiKey {
            previous_secret_expires_at: Some(now + Duration::seconds(overlap)),
            updated_at: now,
            made_by: Some(maker),
            ..before.clone()
        };
        // In this order: of two rotations at once the second one is refused as stale before it has replaced a secret.
        let after = self.store(&before, after, expected, &events::API_KEY_ROTATED).await?;
        let hash = tokens.digest(text.secret());
        self.repositories.api_keys().replace_secret(tenant, id, hash, maker).await?;
        Ok((after, text.full()))
    }

    /// Revokes a key for good. Also by an impersonator: stopping a key that leaked must not wait.
    pub async fn revoke(&mut self, id: ApiKeyId, expected: Option<i64>) -> Result<(), IdentityError> {
        let tenant = self.scope.require(Permission::ApiKeysWrite)?;
        let before = self.expected(tenant, id, expected).await?;
        let now = self.env.now();
        let after = ApiKey { active: false, revoked_at: Some(now), updated_at: now, ..before.clone() };
        self.store(&before, after, expected, &events::API_KEY_REVOKED).await.map(drop)
    }

    /// The tenant and the caller, who may make a key there or decide what one may do, and is accountable for it.
    fn maker(&self) -> Result<(TenantId, UserId), IdentityError> {
        let tenant = self.scope.require(Permission::ApiKeysWrite)?;
        let (user, _) = self.scope.require_not_impersonated()?;
        self.scope.require_verified()?;
        Ok((tenant, user))
    }

    pub(crate) async fn existing(&mut self, tenant: TenantId, id: ApiKeyId) -> Result<ApiKey, IdentityError> {
        let key = self.repositories.api_keys().find(tenant, id).await?;
        key.filter(|key| key.revoked_at.is_none()).ok_or(IdentityError::NotFound("API key"))
    }

    async fn expected(
        &mut self,
        tenant: TenantId,
        id: ApiKeyId,
        version: Option<i64>,
    ) -> Result<ApiKey, IdentityError> {
        let key = self.existing(tenant, id).await?;
        if version.is_some_and(|version| version != key.version) {
            return Err(IdentityError::PreconditionFailed);
        }
        Ok(key)
    }

    async fn store(
        &mut self,
        before: &ApiKey,
        mut after: ApiKey,
        expected: Option<i64>,
        kind: &'static EventDeclaration,
    ) -> Result<ApiKey, IdentityError> {
        self.repositories.api_keys().update(&after).await.map_err(|error| match error {
            StoreError::Stale if expected.is_some() => IdentityError::PreconditionFailed,
            error => error.into(),
        })?;
        after.version += 1;
        let event = Event::new(self.env, self.scope, kind, after.id.uuid()).before(before);
        let event = if after.revoked_at.is_some() { event } else { event.after(&after) };
        self.repositories.events().append(event).await?;
        Ok(after)
    }

    /// The permissions of these names, each known, fit for keys, and one of the caller's own.
    fn granted(&self, violations: &mut Violations, words: &[String]) -> Permissions {
        violations.check(!words.is_empty(), "permissions", "required", "Choose at least one permission.");
        let mut granted = Vec::new();
        // A list that is longer than that has duplicates, which are reported below.
        for (index, word) in words.iter().enumerate().take(2 * Permission::ALL.len()) {
            let field = format!("permissions[{index}]");
            match Permission::parse(word) {
                None => violations.add(field, "unknown_permission", "There is no such permission."),
                Some(known) if !known.is_for_keys() => {
                    violations.add(field, "not_for_keys", "No API key can have this permission.");
                }
                Some(known) if !self.scope.allows(known) => {
                    let message = "You do not have this permission, so you cannot give it away.";
                    violations.add(field, "not_yours", message);
                }
                Some(known) if granted.contains(&known) => {
                    violations.add(field, "duplicate", "This permission is in the list already.");
                }
                Some(known) => granted.push(known),
            }
        }
        Permissions::from_list(&granted)
    }
}

fn check_name(violations: &mut Violations, name: &str) -> String {
    // It goes into the messages about the key.
    violations.name("name", name, 1, MAX_NAME);
    name.trim().to_owned()
}

fn check_addresses(violations: &mut Violations, texts: &[String]) -> Vec<AddressRange> {
    let few = texts.len() <= MAX_ADDRESSES;
    violations.check(
        few,
        "allowedAddresses",
        "too_many",
        RuleMessage::new(format!("Use at most {MAX_ADDRESSES} addresses.")).max(MAX_ADDRESSES),
    );
    let mut ranges = Vec::new();
    for (index, text) in texts.iter().enumerate().take(MAX_ADDRESSES) {
        let range = violations.take(format!("allowedAddresses[{index}]"), AddressRange::parse(text));
        ranges.extend(range.filter(|range| !ranges.contains(range)));
    }
    ranges
}

fn check_rate(violations: &mut Violations, limit: Option<u32>) {
    let holds = limit.is_none_or(|limit| (1..=MAX_RATE).contains(&limit));
    let message = RuleMessage::number(1, i64::from(MAX_RATE));
    violations.check(holds, "rateLimitPerMinute", "out_of_range", message);
}

fn check_end(violations: &mut Violations, end: Option<Timestamp>, now: Timestamp) {
    let holds = end.is_none_or(|end| end > now);
    violations.check(holds, "expiresAt", "out_of_range", "Use a time that is still to come.");
}

#[cfg(test)]
mod tests;
