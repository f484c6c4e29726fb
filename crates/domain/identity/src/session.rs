//! Sessions: a signed-in device, and its family of refresh tokens.

use portico_kernel::{
    Env, Event, PlatformRole, Scope, SessionId, StaffAreas, TenantId, TenantRole, Timestamp, UserId,
};
use serde::Serialize;
use time::Duration;

use crate::{
    IdentityError, device, events,
    ports::{Credential, IdentityRepositories, TokenIssuer},
    user::{User, UserStatus},
};

mod outcome;
mod tokens;

pub use outcome::{FactorOutcome, Refreshed, SecondFactorNeeded, SignInStep, SignedIn};
pub use tokens::{Refresh, RefreshTokenIn, SignOut, Tokens};

/// A signed-in device of a user.
///
/// Its refresh tokens are numbered by `generation`. A token carries the session, its number and a MAC over both
/// (see [`crate::ports::TokenIssuer`]), so the store keeps no token at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// UUIDv7.
    pub id: SessionId,
    /// The user.
    pub user: UserId,
    /// Number of the only refresh token that is valid now.
    pub generation: i32,
    /// When that token was made.
    pub rotated_at: Timestamp,
    /// `User-Agent` at sign-in.
    pub user_agent: Option<String>,
    /// Address at sign-in or at the last refresh.
    pub address: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// Last refresh.
    pub last_used_at: Timestamp,
    /// Ends by itself at this time; each refresh moves it.
    pub expires_at: Timestamp,
    /// The tenant that its access tokens act in.
    pub active_tenant: Option<TenantId>,
    /// When the person last proved their identity, with every factor they have; a refresh does not count.
    pub authenticated_at: Timestamp,
    /// The member of staff who acts through it (impersonation), if any. Such a session cannot be refreshed.
    pub impersonator: Option<UserId>,
    /// Ended by logging out, a password change, reuse of a token, or staff.
    pub ended_at: Option<Timestamp>,
}

impl Session {
    /// Whether it has neither ended nor expired.
    pub fn is_running(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && self.expires_at > now
    }
}

/// What a request needs to know of its caller, read in one round trip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerState {
    /// The user.
    pub user: UserId,
    /// Whether the address is proven.
    pub email_verified: bool,
    /// Platform-wide role.
    pub role: PlatformRole,
    /// Areas to which a member of staff is narrowed; `None` for one who works in all of them, and for everybody else.
    pub staff_areas: Option<StaffAreas>,
    /// The member of staff who acts through the session, if any.
    pub impersonator: Option<UserId>,
    /// When the session ends by itself.
    pub expires_at: Timestamp,
    /// The tenant asked about and the caller's role in it; `None` when not a member, and when the tenant is suspended or
    /// deleted.
    pub membership: Option<(TenantId, TenantRole)>,
    /// The access that the state of the tenant leaves.
    pub access: TenantAccess,
    /// Id of the plan of that tenant; `None` when not a member.
    pub plan: Option<String>,
    /// Requests in a minute that the operator has agreed on with that tenant for each member, if any.
    pub requests_per_minute: Option<u32>,
}

/// The access that the state of a tenant leaves its members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TenantAccess {
    /// All of it.
    #[default]
    Full,
    /// Reading, and cancelling the deletion of the tenant.
    ReadOnly,
    /// Nothing: the operator has suspended the tenant.
    Suspended,
}

/// Lifetimes of the parts of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLifetimes {
    /// An access token.
    pub access_token: Duration,
    /// A refresh token; each refresh starts it again, so this is also how long a session may lie idle.
    pub refresh_token: Duration,
    /// A session in whole, however often it is refreshed; then a new sign-in is needed.
    pub session: Duration,
    /// How long the refresh token before the current one still gets the current one as the answer, for a client whose answer got
    /// lost or that asked twice at once.
    pub grace: Duration,
}

impl Default for SessionLifetimes {
    fn default() -> Self {
        Self {
            access_token: Duration::minutes(15),
            refresh_token: Duration::days(7),
            session: Duration::days(90),
            grace: Duration::seconds(30),
        }
    }
}

impl SessionLifetimes {
    /// When a session that began at `created_at` ends unless it is used after `now`.
    fn end(&self, created_at: Timestamp, now: Timestamp) -> Timestamp {
        (now + self.refresh_token).min(created_at + self.session)
    }
}

/// A session as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Session))]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// Whether it is the caller's session.
    pub current: bool,
    /// `User-Agent` at sign-in.
    pub user_agent: Option<String>,
    /// Address at sign-in or at the last refresh.
    pub address: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// Last refresh.
    pub last_used_at: Timestamp,
    /// Ends by itself at this time.
    pub expires_at: Timestamp,
    /// Whether a member of staff acts through it as the user.
    pub impersonated: bool,
}

impl SessionView {
    /// As seen from the session `current`.
    pub fn new(session: &Session, current: Option<SessionId>) -> Self {
        Self {
            id: session.id,
            current: current == Some(session.id),
            user_agent: session.user_agent.clone(),
            address: session.address.clone(),
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
            impersonated: session.impersonator.is_some(),
        }
    }
}

/// Why a session ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Signed out.
    SignedOut,
    /// Ended from another session of the user.
    EndedByUser,
    /// The password was changed.
    PasswordChanged,
    /// The password was reset.
    PasswordReset,
    /// The address was proven by a client that was not signed in, while other accounts claimed it too.
    AddressContested,
    /// The address of the account was changed.
    EmailChanged,
    /// A refresh token was used twice: one of the two was stolen.
    TokenReused,
    /// The operator set another password.
    PasswordSet,
    /// The operator suspended the account.
    AccountSuspended,
    /// The account was deleted.
    AccountDeleted,
    /// The impersonator who acted through it was signed out everywhere, or may not impersonate any more.
    ImpersonatorLeft,
    /// A change of address was cancelled with the link in the mailbox of the address so far.
    EmailChangeCancelled,
}

/// The use cases of sessions, over one unit of work.
pub struct Sessions<'a> {
    pub(crate) repositories: &'a mut dyn IdentityRepositories,
    pub(crate) scope: &'a Scope,
    pub(crate) env: &'a Env,
    pub(crate) lifetimes: SessionLifetimes,
}

impl<'a> Sessions<'a> {
    /// Over an open unit of work, or a reader for what only reads.
    pub fn new(
        repositories: &'a mut dyn IdentityRepositories,
        scope: &'a Scope,
        env: &'a Env,
        lifetimes: SessionLifetimes,
    ) -> Self {
        Self { repositories, scope, env, lifetimes }
    }

    /// Begins a session for a user who has just registered, in their tenant.
    pub async fn start(&mut self, user: &User, tenant: Option<TenantId>) -> Result<Session, IdentityError> {
        self.repositories.users().touch_login(user.id, self.env.now()).await?;
        let home = audit_tenant(self.repositories, user.id).await?;
        self.insert(user.id, tenant, home).await
    }

    /// Begins a session, in the user's default tenant, for a credential whose password was verified before this unit
    /// of work. Errors: [`IdentityError::AccountSuspended`]; [`IdentityError::InvalidCredentials`] when the password
    /// was changed meanwhile.
    pub async fn sign_in(&mut self, verified: &Credential) -> Result<SignInStep, IdentityError> {
        // The lock first: a password reset that runs at the same time is then either seen below, or waits for this unit of
        // work and ends the session that begins here.
        let credential = self.repositories.users().lock(verified.user.id).await?;
        let Some(credential) = credential.filter(|current| current.password == verified.password) else {
            return Err(IdentityError::InvalidCredentials);
        };
        self.after_first_factor(credential.user).await
    }

    /// Begins a session for a user who has proven the first factor, unless a second one is needed. The user's row is
    /// locked (`UserRepository::lock`), and read after that. Errors: [`IdentityError::AccountSuspended`],
    /// [`IdentityError::InvalidCredentials`] for a deleted account.
    pub async fn after_first_factor(&mut self, user: User) -> Result<SignInStep, IdentityError> {
        check_usable(&user)?;
        match self.ask_for_second_factor(user.id).await? {
            Some(needed) => Ok(SignInStep::SecondFactor(needed)),
            None => Ok(SignInStep::Complete(Box::new(self.complete(user).await?))),
        }
    }

    /// Begins a session for a user who has proven every factor. Errors as in [`Sessions::after_first_factor`].
    pub async fn complete(&mut self, mut user: User) -> Result<SignedIn, IdentityError> {
        check_usable(&user)?;
        let now = self.env.now();
        self.repositories.users().touch_login(user.id, now).await?;
        user.last_login_at = Some(now);
        let tenants = self.repositories.users().tenants_at_sign_in(user.id).await?;
        let home = tenants.default.unwrap_or(TenantId::PLATFORM);
        Ok(SignedIn { session: self.insert(user.id, tenants.starting, home).await?, user })
    }

    /// `home` is the user's [`audit_tenant`].
    async fn insert(
        &mut self,
        user: UserId,
        tenant: Option<TenantId>,
        home: TenantId,
    ) -> Result<Session, IdentityError> {
        let now = self.env.now();
        let session = Session {
            id: self.env.new_id(),
            user,
            generation: 1,
            rotated_at: now,
            user_agent: self.scope.request.user_agent.clone(),
            address: self.scope.request.address.clone(),
            created_at: now,
            last_used_at: now,
            expires_at: self.lifetimes.end(now, now),
            active_tenant: tenant,
            authenticated_at: now,
            impersonator: None,
            ended_at: None,
        };
        self.repositories.sessions().insert(&session).await?;
        // Not the active tenant: a company's audit trail, which its admins read, must not reveal where its members sign in from.
        let event = Event::new(self.env, self.scope, &events::SESSION_STARTED, session.id.uuid())
            .in_tenant(home)
            .by_user(user)
            .after(&SessionView::new(&session, None));
        self.repositories.events().append(event).await?;
        let request = &self.scope.request;
        if device::meet(self.repositories, self.env, request, user).await? {
            let what = serde_json::json!({"userAgent": request.user_agent, "address": request.address});
            let event = Event::new(self.env, self.scope, &events::USER_NEW_DEVICE, user.uuid())
                .in_tenant(tenant.unwrap_or(TenantId::PLATFORM))
                .by_user(user)
                .after(&what);
            self.repositories.events().append(event).await?;
        }
        Ok(session)
    }

    /// Takes a refresh token and moves its session to the next one. The token before the current one answers with the
    /// current one for a short while (see [`SessionLifetimes::grace`]); an older one ends the session, because one of
    /// the two who hold it stole it (RFC 9700 section 4.14.2). Errors: [`IdentityError::InvalidRefreshToken`].
    pub async fn refresh(
        &mut self,
        token: &str,
        issuer: &dyn TokenIssuer,
    ) -> Result<Refreshed, IdentityError> {
        let now = self.env.now();
        let (id, generation) = issuer.read_refresh_token(token).ok_or(IdentityError::InvalidRefreshToken)?;
        let session = self.running(id, now).await?;
        if session.impersonator.is_some() {
            return Err(IdentityError::InvalidRefreshToken);
        }
        let user = self.repositories.users().find(session.user).await?;
        let user = user
            .filter(|user| user.status == UserStatus::Active)
            .ok_or(IdentityError::InvalidRefreshToken)?;

        let session = if session.generation == generation {
            let mut next = session.clone();
            next.generation = generation.checked_add(1).ok_or(IdentityError::InvalidRefreshToken)?;
            (next.rotated_at, next.last_used_at) = (now, now);
            next.expires_at = self.lifetimes.end(session.created_at, now);
            next.address = self.scope.request.address.clone();
            if self.repositories.sessions().rotate(&next).await? {
                return Ok(Refreshed::Continued(Box::new(SignedIn { session: next, user })));
            }
            // Another transaction rotated it at the same moment: look again.
            self.running(id, now).await?
        } else {
            session
        };

        if generation.checked_add(1) == Some(session.generation)
            && now - session.rotated_at <= self.lifetimes.grace
        {
            return Ok(Refreshed::Continued(Box::new(SignedIn { session, user })));
        }
        if generation >= session.generation {
            return Err(IdentityError::InvalidRefreshToken);
        }
        let home = audit_tenant(self.repositories, session.user).await?;
        let event = Event::new(self.env, self.scope, &events::SESSION_REUSE_DETECTED, id.uuid())
            .in_tenant(home)
            .after(&SessionView::new(&session, None));
        self.repositories.events().append(event).await?;
        self.end_for(session.user, id, EndReason::TokenReused).await?;
        Ok(Refreshed::ReuseDetected)
    }

    async fn running(&mut self, id: SessionId, now: Timestamp) -> Result<Session, IdentityError> {
        let session = self.repositories.sessions().find(id).await?;
        session.filter(|session| session.is_running(now)).ok_or(IdentityError::InvalidRefreshToken)
    }

    /// Ends the session of the refresh token, and the one of the caller. Signing out twice is no error. Errors:
    /// [`portico_kernel::Denied::Unauthenticated`] without either, [`IdentityError::InvalidRefreshToken`] for a forged token alone.
    pub async fn sign_out(
        &mut self,
        token: Option<&str>,
        issuer: &dyn TokenIssuer,
    ) -> Result<(), IdentityError> {
        let caller = self.scope.require_user();
        let named = token.and_then(|token| issuer.read_refresh_token(token)).map(|(id, _)| id);
        match (caller, token, named) {
            (Err(denied), None, _) => return Err(denied.into()),
            (Err(_), Some(_), None) => return Err(IdentityError::InvalidRefreshToken),
            _ => {}
        }
        if let Ok((user, session)) = caller {
            self.end_for(user, session, EndReason::SignedOut).await?;
        }
        if let Some(id) = named {
            let session = self.repositories.sessions().find(id).await?;
            if let Some(session) = session {
                self.end_for(session.user, id, EndReason::SignedOut).await?;
            }
        }
        Ok(())
    }

    /// Ends one of the caller's own sessions. Errors: [`IdentityError::NotFound`], also for another user's;
    /// [`portico_kernel::Denied::Impersonated`].
    pub async fn end(&mut self, id: SessionId) -> Result<(), IdentityError> {
        let (user, _) = self.scope.require_not_impersonated()?;
        match self.end_for(user, id, EndReason::EndedByUser).await? {
            true => Ok(()),
            false => Err(IdentityError::NotFound("session")),
        }
    }

    /// Ends one session, and the change of address that was requested in it. Answers whether it was running.
    async fn end_for(
        &mut self,
        user: UserId,
        id: SessionId,
        reason: EndReason,
    ) -> Result<bool, IdentityError> {
        let ended = self.repositories.sessions().end(user, id, self.env.now()).await?;
        if ended {
            self.repositories.email_changes().delete(user, Some(id)).await?;
            note_ended(self.repositories, self.scope, self.env, user, &[id], reason).await?;
        }
        Ok(ended)
    }

    /// The caller's own running sessions, newest first.
    pub async fn list(&mut self) -> Result<Vec<SessionView>, IdentityError> {
        let (user, current) = self.scope.require_user()?;
        let sessions = self.repositories.sessions().list(user, self.env.now()).await?;
        Ok(sessions.iter().map(|session| SessionView::new(session, Some(current))).collect())
    }
}

fn check_usable(user: &User) -> Result<(), IdentityError> {
    match user.status {
        UserStatus::Active => Ok(()),
        UserStatus::Suspended => Err(IdentityError::AccountSuspended),
        UserStatus::Deleted => Err(IdentityError::InvalidCredentials),
    }
}

/// Appends `session.ended` for each session: caches of sessions drop them on it.
pub(crate) async fn note_ended(
    repositories: &mut dyn IdentityRepositories,
    scope: &Scope,
    env: &Env,
    user: UserId,
    sessions: &[SessionId],
    reason: EndReason,
) -> Result<(), IdentityError> {
    if sessions.is_empty() {
        return Ok(());
    }
    let tenant = audit_tenant(repositories, user).await?;
    for session in sessions {
        let mut event = Event::new(env, scope, &events::SESSION_ENDED, session.uuid())
            .in_tenant(tenant)
            .after(&serde_json::json!({"userId": user, "reason": reason}));
        if reason == EndReason::SignedOut {
            event = event.by_user(user);
        }
        repositories.events().append(event).await?;
    }
    Ok(())
}

/// Ends the sessions in which a member of staff impersonates others.
pub(crate) async fn end_impersonations(
    repositories: &mut dyn IdentityRepositories,
    scope: &Scope,
    env: &Env,
    impersonator: UserId,
) -> Result<(), IdentityError> {
    let ended = repositories.sessions().end_impersonations(impersonator, env.now()).await?;
    for (session, user) in ended {
        note_ended(repositories, scope, env, user, &[session], EndReason::ImpersonatorLeft).await?;
    }
    Ok(())
}

/// The tenant in whose audit trail an event about a user belongs: the user's own, whichever one the caller acts in. A company's
/// audit trail, which its admins read, must not contain the private address of a member.
pub(crate) async fn audit_tenant(
    repositories: &mut dyn IdentityRepositories,
    user: UserId,
) -> Result<TenantId, IdentityError> {
    Ok(repositories.users().default_tenant(user).await?.unwrap_or(TenantId::PLATFORM))
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
