//! Authentication and authorisation of requests.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use portico_identity::{
    IdentityError,
    api_key::{KeyCheck, KeyState, KeyText},
    ports::{AccessClaims, Marks, TokenIssuer},
    ticket,
};
use portico_kernel::{Actor, Denied, Env, Fault, KeyMaker, Kind, Scope, StoreError, TenantId, UserId};
use portico_tenancy::tenant::TenantStatus;
use uuid::Uuid;

use crate::{
    context, key_cache::ApiKeyCache, session_cache::SessionCache, store::Store, token_cache::TokenCache,
};

/// Longest token that is remembered, in bytes. Ours are shorter.
const LONGEST_REMEMBERED: usize = 1024;

/// Prefix of every API key.
const KEY_PREFIX: &str = "sn_";

/// The credentials in a request, not checked yet.
pub enum Credentials<'h> {
    /// No credentials.
    None,
    /// Neither an access token nor an API key, or two credentials at once.
    Malformed,
    /// A possible access token.
    Token(&'h str),
    /// A possible API key.
    Key(KeyText),
}

impl<'h> Credentials<'h> {
    /// Reads the values of all `X-API-Key` headers, and that of `Authorization`. A key may be in both if they are equal.
    pub fn read(mut keys: impl Iterator<Item = &'h str>, authorization: Option<&'h str>) -> Self {
        let bearer = authorization
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let (key, another) = (keys.next().map(str::trim), keys.next());
        let text = match (key, bearer) {
            (Some(_), _) if another.is_some() => return Self::Malformed,
            (Some(key), _) if authorization.is_some() && bearer != Some(key) => return Self::Malformed,
            (Some(key), _) => key,
            (None, Some(token)) if token.starts_with(KEY_PREFIX) => token,
            (None, Some(token)) => return Self::Token(token),
            (None, None) if authorization.is_some() => return Self::Malformed,
            (None, None) => return Self::None,
        };
        KeyText::parse(text).map_or(Self::Malformed, Self::Key)
    }
}

/// The result of checking the credentials of a request. Determined once, before routing.
#[derive(Clone, Debug)]
pub enum Presented {
    /// No credentials.
    Nothing,
    /// An access token that we signed and that has not expired. Its session may have ended.
    Claims(AccessClaims),
    /// A valid API key, and the user responsible for it.
    Key(Arc<KeyState>, Option<KeyMaker>),
    /// An existing key that is revoked, switched off, expired, replaced, or whose responsible user's account is suspended
    /// or deleted.
    RefusedKey(Arc<KeyState>),
    /// A valid key, used from an address that it does not allow.
    KeyFromElsewhere(Arc<KeyState>),
    /// An API key that could not be looked up.
    Unavailable(Arc<StoreError>),
    /// Invalid credentials.
    Rejected,
}

impl Presented {
    /// Whether it is no credential that could be let in: none, or one that is certainly not good.
    pub const fn is_anonymous(&self) -> bool {
        matches!(self, Self::Nothing | Self::RefusedKey(_) | Self::Rejected)
    }

    /// The user, when there is a good token.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::Claims(claims) => Some(claims.user),
            _ => None,
        }
    }

    /// The tenant in which requests act that name none.
    pub fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Claims(claims) => claims.tenant,
            Self::Key(key, _) => Some(key.tenant),
            _ => None,
        }
    }

    /// The user that the log names: that of a good token, or the one responsible for a key.
    pub fn responsible(&self) -> Option<UserId> {
        match self {
            Self::Key(_, maker) => maker.map(|maker| maker.id),
            other => other.user(),
        }
    }

    /// The key whose secret matched, and whether it is admitted.
    pub fn key(&self) -> Option<(&Arc<KeyState>, bool)> {
        match self {
            Self::Key(key, _) => Some((key, true)),
            Self::RefusedKey(key) | Self::KeyFromElsewhere(key) => Some((key, false)),
            _ => None,
        }
    }
}

/// What decides how many requests a user may send in a minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserRate {
    /// Id of the plan of the tenant.
    pub plan: Option<String>,
    /// What the operator has agreed on with the tenant instead.
    pub agreed: Option<u32>,
}

/// The tenant that a request names: `Err` if it is not a valid id.
pub type NamedTenant = Result<Option<TenantId>, NoTenantId>;

/// A request names a tenant by an invalid id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTenantId;

/// Why a caller is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No credentials, or invalid ones.
    #[error(transparent)]
    Unauthenticated(Denied),
    /// There is no such tenant, or the caller may not know of it.
    #[error("no such tenant for this caller")]
    NotFound,
    /// The API key may not be used from the address of the request.
    #[error("API key used from an address that it is not for")]
    AddressNotAllowed,
    /// The caller is a member of a tenant that is suspended.
    #[error(transparent)]
    TenantSuspended(IdentityError),
    /// The database failed. Several requests share the error because they shared the query.
    #[error(transparent)]
    Failed(Arc<StoreError>),
}

impl Fault for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::Unauthenticated(error) => error.kind(),
            Self::NotFound => Kind::NotFound,
            Self::AddressNotAllowed => Kind::Forbidden,
            Self::TenantSuspended(error) => error.kind(),
            Self::Failed(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated(error) => error.code(),
            Self::NotFound => "not_found",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::TenantSuspended(error) => error.code(),
            Self::Failed(error) => error.code(),
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Unauthenticated(error) => error.detail(),
            Self::NotFound => "There is nothing here.".into(),
            Self::AddressNotAllowed => "This API key may not be used from your address.".into(),
            Self::TenantSuspended(error) => error.detail(),
            Self::Failed(error) => error.detail(),
        }
    }
}

/// Authentication and authorisation of requests. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Access and refresh tokens.
    pub tokens: Arc<dyn TokenIssuer>,
    /// Access tokens that were verified.
    pub verified: Arc<TokenCache>,
    /// Device marks.
    pub marks: Arc<dyn Marks>,
    /// Sessions and their permissions.
    pub sessions: Arc<SessionCache>,
    /// API keys and their permissions.
    pub api_keys: Arc<ApiKeyCache>,
    /// Time and randomness.
    pub env: Env,
}

impl Access {
    /// Checks an access token.
    pub fn check_token(&self, token: &str) -> Presented {
        let now = self.env.now();
        // Verified once: a client sends the same token with each request until it expires.
        let digest = (token.len() <= LONGEST_REMEMBERED).then(|| self.tokens.digest(token));
        if let Some(claims) = digest.and_then(|digest| self.verified.get(&digest, now)) {
            return Presented::Claims(claims);
        }
        let Some(claims) = self.tokens.read_access_token(token, now) else { return Presented::Rejected };
        if let Some(digest) = digest {
            self.verified.put(digest, &claims, now);
        }
        Presented::Claims(claims)
    }

    /// Whether a key was valid a short time ago.
    pub fn recently_valid(&self, key: &KeyText) -> bool {
        self.api_keys.was_admitted(&self.tokens.digest(key.secret()))
    }

    /// Checks an API key that is used from an address.
    pub async fn check_key(&self, key: &KeyText, address: IpAddr) -> Presented {
        let state = match self.api_keys.get(key.prefix()).await {
            Err(error) => return Presented::Unavailable(error),
            Ok(None) => return Presented::Rejected,
            Ok(Some(state)) => state,
        };
        let digest = self.tokens.digest(key.secret());
        match state.judge(&digest, address, self.env.now()) {
            KeyCheck::Good(maker) => {
                self.api_keys.admit(digest);
                Presented::Key(state, maker)
            }
            KeyCheck::Unknown => Presented::Rejected,
            KeyCheck::Ended => Presented::RefusedKey(state),
            KeyCheck::ForeignAddress => Presented::KeyFromElsewhere(state),
        }
    }

    /// Checks a ticket for a request for `target`, path and query. It still has to be [used up](Self::use_ticket).
    pub fn check_ticket(&self, text: &str, target: &str) -> Presented {
        let ticket = self.tokens.read_ticket(text, self.env.now());
        match ticket.filter(|ticket| ticket.target == self.tokens.digest(target)) {
            Some(ticket) => Presented::Claims(ticket.claims),
            None => Presented::Rejected,
        }
    }

    /// Uses up a ticket that was checked.
    pub async fn use_ticket(&self, text: &str) -> Presented {
        let now = self.env.now();
        let Some(ticket) = self.tokens.read_ticket(text, now) else { return Presented::Rejected };
        let used = async {
            let mut work = self.store.begin().await?;
            let good = ticket::consume(&mut *work, text, &ticket, &*self.tokens, now).await?;
            work.commit().await?;
            Ok(good)
        };
        match used.await {
            Ok(true) => Presented::Claims(ticket.claims),
            Ok(false) => Presented::Rejected,
            Err(error) => Presented::Unavailable(Arc::new(error)),
        }
    }

    /// What a tenant that a user is a member of has agreed on. Uses the same lookup as [`Access::admit`], so that both take one
    /// query; makes no query where `may_query` refuses it.
    pub async fn rate(
        &self,
        claims: &AccessClaims,
        named: NamedTenant,
        may_query: impl AsyncFnOnce() -> bool,
    ) -> UserRate {
        let Ok(named) = named else { return UserRate::default() };
        let tenant = named.or(claims.tenant);
        let state = match self.sessions.known(claims.session, claims.user, tenant) {
            Some(state) => state,
            None if may_query().await => {
                self.sessions.get(claims.session, claims.user, tenant).await.ok().flatten()
            }
            None => None,
        };
        match state.filter(|state| state.user == claims.user) {
            Some(state) => UserRate { plan: state.plan, agreed: state.requests_per_minute },
            None => UserRate::default(),
        }
    }

    /// The caller with these credentials, and their permissions in the tenant that the request names, else in that of the
    /// credentials.
    pub async fn admit(&self, presented: Presented, named: NamedTenant) -> Result<Scope, Refusal> {
        match presented {
            Presented::Claims(claims) => self.admit_user(&claims, named).await,
            Presented::Key(key, maker) => match named {
                Ok(None) => Ok(scope_of(&key, maker)),
                // A key acts in its own tenant only.
                Ok(Some(tenant)) if tenant == key.tenant => Ok(scope_of(&key, maker)),
                _ => Err(Refusal::NotFound),
            },
            Presented::KeyFromElsewhere(_) => Err(Refusal::AddressNotAllowed),
            Presented::Unavailable(error) => Err(Refusal::Failed(error)),
            Presented::Nothing | Presented::RefusedKey(_) | Presented::Rejected => {
                Err(Refusal::Unauthenticated(Denied::Unauthenticated))
            }
        }
    }

    async fn admit_user(&self, claims: &AccessClaims, named: NamedTenant) -> Result<Scope, Refusal> {
        // The session is checked first, also where the named tenant id is invalid.
        let tenant = named.unwrap_or(Some(TenantId::PLATFORM)).or(claims.tenant);
        let state = self.sessions.get(claims.session, claims.user, tenant).await.map_err(Refusal::Failed)?;
        let state = state
            .filter(|state| state.user == claims.user)
            .ok_or(Refusal::Unauthenticated(Denied::Unauthenticated))?;
        let named = named.map_err(|NoTenantId| Refusal::NotFound)?;
        let there = match named.filter(|_| state.needs_crossing()) {
            Some(tenant) => self.exists(tenant).await.map_err(|error| Refusal::Failed(Arc::new(error)))?,
            None => false,
        };
        let (tenant, permissions) = state.enter(named, there).map_err(|error| match error {
            suspended @ IdentityError::TenantSuspended => Refusal::TenantSuspended(suspended),
            _ => Refusal::NotFound,
        })?;
        let actor = Actor::User {
            id: state.user,
            session: claims.session,
            email_verified: state.email_verified,
            role: state.role,
            impersonator: state.impersonator,
        };
        Ok(Scope::user(actor, tenant, permissions, context::info()))
    }

    async fn exists(&self, tenant: TenantId) -> Result<bool, StoreError> {
        let tenant = self.store.reader().tenants().find(tenant).await?;
        Ok(tenant.is_some_and(|tenant| tenant.status != TenantStatus::Deleted))
    }

    /// The mark that a device stores.
    pub fn device_mark(&self, device: Uuid) -> String {
        self.marks.device_mark(device)
    }

    /// The device of a mark issued by this server.
    pub fn read_device_mark(&self, mark: &str) -> Option<Uuid> {
        self.marks.read_device_mark(mark)
    }
}

fn scope_of(key: &KeyState, maker: Option<KeyMaker>) -> Scope {
    Scope::api_key(key.id, maker, key.tenant, key.permissions, context::info())
}

#[cfg(test)]
mod tests {
    use portico_identity::api_key::Mode;
    use portico_security::system_env;
    use secrecy::ExposeSecret;

    use super::*;

    fn read(keys: &[&str], authorization: Option<&str>) -> &'static str {
        match Credentials::read(keys.iter().copied(), authorization) {
            Credentials::None => "none",
            Credentials::Malformed => "malformed",
            Credentials::Token(_) => "token",
            Credentials::Key(_) => "key",
        }
    }

    #[test]
    fn credentials_are_told_apart_by_where_they_are_and_how_they_begin() {
        let key = KeyText::new(Mode::Live, &system_env()).full().expose_secret().to_owned();
        let (bearer, blanks) = (format!("Bearer {key}"), format!("bearer   {key} "));
        assert_eq!(read(&[], None), "none");
        assert_eq!(read(&[], Some("Bearer abc.def.ghi")), "token");
        assert_eq!(read(&[], Some("Basic YTpi")), "malformed");
        assert_eq!(read(&[&key], None), "key");
        assert_eq!(read(&[], Some(&bearer)), "key");
        assert_eq!(read(&[&key], Some(&blanks)), "key", "both say the same");
        assert_eq!(read(&[&key, &key], None), "malformed", "twice");
        assert_eq!(read(&[&key], Some("Bearer abc.def.ghi")), "malformed", "two things");
        assert_eq!(read(&["nonsense"], None), "malformed");
        assert_eq!(read(&[], Some("Bearer sn_live_nonsense")), "malformed");
    }
}
