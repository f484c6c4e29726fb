//! What the unit tests of this crate share: the repositories in memory, a clock that tests set, and token strings that
//! can be read.

mod api_keys;
mod email_changes;
mod external;
mod factors;
mod guards;
mod one_time_tokens;
mod sessions;
mod users;

pub use guards::marks;

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use async_trait::async_trait;
use portico_kernel::{
    Actor, Clock, Env, Event, EventLog, Headroom, JobQueue, NewJob, Outbox, Permissions, PlatformRole,
    Random, RequestInfo, Scope, SessionId, StoreError, TenantId, Timestamp, UserId,
};
use time::Duration;

use self::{one_time_tokens::Tokens, sessions::SessionRows};
use crate::{
    ports::{
        Credential, IdentityRepositories, MockTokenIssuer, OneTimeTokenRepository, PasswordHash,
        SessionRepository, TenantsAtSignIn, UserRepository,
    },
    session::Session,
    token::OneTimeToken,
    user::{EmailAddress, User, UserStatus},
};

/// The stand-in for a hash of `password`.
pub fn hash(password: &str) -> PasswordHash {
    PasswordHash(format!("hash of {password}"))
}

/// Refresh tokens of the form `session/generation`, digests that are different for different secrets.
pub fn tokens() -> MockTokenIssuer {
    let mut issuer = MockTokenIssuer::new();
    issuer.expect_refresh_token().returning(|session, generation| format!("{session}/{generation}"));
    issuer.expect_read_refresh_token().returning(|token| {
        let (session, generation) = token.split_once('/')?;
        Some((session.parse().ok()?, generation.parse().ok()?))
    });
    issuer.expect_access_token().returning(|claims, _| Ok(format!("access {}", claims.expires_at)));
    issuer.expect_email_change_token().returning(|id| format!("change {id}"));
    issuer.expect_read_email_change_token().returning(|token| token.strip_prefix("change ")?.parse().ok());
    issuer.expect_digest().returning(|secret| {
        let mut digest = [0; 32];
        secret.bytes().enumerate().for_each(|(i, byte)| digest[i % 32] ^= byte.rotate_left(i as u32 / 32));
        digest
    });
    issuer
}

struct TestClock(AtomicI64);
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

struct Counter(AtomicU64);
impl Random for Counter {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let number = self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes();
            let tail = number.len() - chunk.len();
            chunk.copy_from_slice(&number[tail..]);
        }
    }
}

#[derive(Default)]
struct State {
    users: Vec<Credential>,
    sessions: Vec<Session>,
    tokens: Vec<OneTimeToken>,
    events: Vec<Event>,
    lose_next_rotation: bool,
    forgotten: Vec<(EmailAddress, bool)>,
    api_keys: api_keys::Keys,
    external: external::Rows,
    factors: factors::Rows,
    email_changes: email_changes::Rows,
    guards: guards::Rows,
}

/// The repositories of identity in memory. No transactions: a test looks at what was written before an error, too.
pub struct Store {
    state: State,
    clock: Arc<TestClock>,
    env: Env,
    tenant: TenantId,
}

impl Default for Store {
    fn default() -> Self {
        let clock = Arc::new(TestClock(AtomicI64::new(1_800_000_000_000_000)));
        let env = Env::new(clock.clone(), Arc::new(Counter(AtomicU64::new(1))));
        let tenant = env.new_id();
        Self { state: State::default(), clock, env, tenant }
    }
}

impl Store {
    pub fn env(&self) -> Env {
        self.env.clone()
    }

    pub fn pass(&self, time: Duration) {
        self.clock.0.fetch_add(time.whole_microseconds() as i64, Ordering::SeqCst);
    }

    pub fn anonymous(&self) -> Scope {
        Scope::anonymous(RequestInfo { user_agent: Some("Browser".into()), ..RequestInfo::default() })
    }

    pub fn system(&self) -> Scope {
        Scope::system(None, RequestInfo::default())
    }

    /// The scope of a user with a session of their own, which exists.
    pub fn signed_in(&mut self, user: &User) -> Scope {
        let session = self.session(user);
        self.signed_in_with(user, session.id)
    }

    pub fn signed_in_with(&self, user: &User, session: SessionId) -> Scope {
        let actor = Actor::User {
            id: user.id,
            session,
            email_verified: user.email_verified,
            role: user.role,
            impersonator: None,
        };
        Scope::user(actor, Some(self.tenant), Permissions::NONE, RequestInfo::default())
    }

    pub fn session(&mut self, user: &User) -> Session {
        let now = self.env.now();
        let session = Session {
            id: self.env.new_id(),
            user: user.id,
            generation: 1,
            rotated_at: now,
            user_agent: None,
            address: None,
            created_at: now,
            last_used_at: now,
            expires_at: now + Duration::days(7),
            active_tenant: Some(self.tenant),
            authenticated_at: now,
            impersonator: None,
            ended_at: None,
        };
        self.state.sessions.push(session.clone());
        session
    }

    pub fn user(&mut self, email: &str, verified: bool) -> User {
        self.user_with_password(email, verified, "old")
    }

    pub fn user_with_password(&mut self, email: &str, verified: bool, password: &str) -> User {
        let now = self.env.now();
        let user = User {
            id: self.env.new_id(),
            email: EmailAddress::parse(email).unwrap(),
            email_verified: verified,
            full_name: "Ada Lovelace".into(),
            phone: None,
            mobile: None,
            company: None,
            language: "en".into(),
            address: None,
            notes: None,
            avatar_url: None,
            role: Default::default(),
            staff_areas: None,
            status: UserStatus::Active,
            last_login_at: None,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        self.state.users.push(Credential { user: user.clone(), password: Some(hash(password)) });
        user
    }

    pub fn user_with_role(&mut self, email: &str, role: PlatformRole) -> User {
        let user = self.user(email, true);
        self.row(user.id).user.role = role;
        User { role, ..user }
    }

    /// The scope of a user with all permissions of their role on the platform.
    pub fn looking_after(&mut self, user: &User) -> Scope {
        let scope = self.signed_in(user);
        Scope::user(
            scope.actor().clone(),
            Some(self.tenant),
            user.platform_permissions(),
            RequestInfo::default(),
        )
    }

    /// Addresses that were forgotten, and whether they were proven.
    pub fn forgotten(&self) -> &[(EmailAddress, bool)] {
        &self.state.forgotten
    }

    pub fn set_status(&mut self, id: UserId, status: UserStatus) {
        self.row(id).user.status = status;
    }

    pub fn credential(&mut self, id: UserId) -> Credential {
        self.row(id).clone()
    }

    fn row(&mut self, id: UserId) -> &mut Credential {
        self.state.users.iter_mut().find(|row| row.user.id == id).unwrap()
    }

    /// Makes the session one that was idle for too long.
    pub fn expire(&mut self, id: SessionId) {
        let (now, sessions) = (self.env.now(), &mut self.state.sessions);
        sessions.iter_mut().filter(|session| session.id == id).for_each(|session| session.expires_at = now);
    }

    pub fn is_running(&self, id: SessionId) -> bool {
        self.state.sessions.iter().any(|session| session.id == id && session.ended_at.is_none())
    }

    /// The next rotation is lost to one that happened at the same moment.
    pub fn lose_next_rotation(&mut self) {
        self.state.lose_next_rotation = true;
    }

    pub fn events(&self) -> &[Event] {
        &self.state.events
    }

    pub fn event_kinds(&self) -> Vec<&str> {
        self.state.events.iter().map(|event| event.kind.as_ref()).collect()
    }

    /// Accounts at providers and attempts to sign in with them.
    pub fn external(&mut self) -> &mut external::Rows {
        &mut self.state.external
    }

    pub fn token_count(&self) -> usize {
        self.state.tokens.len()
    }

    /// How many keys the plan of every tenant includes.
    pub fn limit_keys(&mut self, limit: u64) {
        self.state.api_keys.limit = Some(limit);
    }

    pub fn tenant(&self) -> TenantId {
        self.tenant
    }
}

impl Outbox for Store {
    fn events<'c>(&'c mut self) -> Box<dyn EventLog + 'c> {
        Box::new(Events(&mut self.state))
    }
    fn jobs<'c>(&'c mut self) -> Box<dyn JobQueue + 'c> {
        Box::new(NoJobs)
    }
}

impl IdentityRepositories for Store {
    fn directory<'c>(&'c mut self) -> Box<dyn crate::ports::UserDirectory + 'c> {
        Box::new(users::Accounts(&mut self.state))
    }
    fn personal_data<'c>(&'c mut self) -> Box<dyn crate::ports::PersonalData + 'c> {
        Box::new(users::Accounts(&mut self.state))
    }
    fn users<'c>(&'c mut self) -> Box<dyn UserRepository + 'c> {
        Box::new(Users(&mut self.state, self.tenant))
    }
    fn sessions<'c>(&'c mut self) -> Box<dyn SessionRepository + 'c> {
        Box::new(SessionRows(&mut self.state))
    }
    fn second_factors<'c>(&'c mut self) -> Box<dyn crate::ports::SecondFactorRepository + 'c> {
        Box::new(factors::Factors(&mut self.state.factors))
    }
    fn pending_sign_ins<'c>(&'c mut self) -> Box<dyn crate::ports::PendingSignInRepository + 'c> {
        Box::new(factors::Pending(&mut self.state.factors))
    }
    fn passkeys<'c>(&'c mut self) -> Box<dyn crate::ports::PasskeyRepository + 'c> {
        Box::new(factors::Passkeys(&mut self.state.factors))
    }
    fn external_identities<'c>(&'c mut self) -> Box<dyn crate::ports::ExternalIdentityRepository + 'c> {
        Box::new(external::Identities(&mut self.state.external))
    }
    fn sign_in_attempts<'c>(&'c mut self) -> Box<dyn crate::ports::SignInAttemptRepository + 'c> {
        Box::new(external::Attempts(&mut self.state.external))
    }
    fn email_changes<'c>(&'c mut self) -> Box<dyn crate::ports::EmailChangeRepository + 'c> {
        Box::new(&mut self.state.email_changes)
    }
    fn api_keys<'c>(&'c mut self) -> Box<dyn crate::ports::ApiKeyRepository + 'c> {
        Box::new(&mut self.state.api_keys)
    }
    fn api_key_usage<'c>(&'c mut self) -> Box<dyn crate::ports::ApiKeyUsageRepository + 'c> {
        Box::new(&mut self.state.api_keys)
    }
    fn headroom<'c>(&'c mut self) -> Box<dyn Headroom + 'c> {
        Box::new(&mut self.state.api_keys)
    }
    fn sign_in_failures<'c>(&'c mut self) -> Box<dyn crate::ports::SignInFailureRepository + 'c> {
        Box::new(guards::Failures(&mut self.state.guards))
    }
    fn mail_budgets<'c>(&'c mut self) -> Box<dyn crate::ports::MailBudgetRepository + 'c> {
        Box::new(guards::Budgets(&mut self.state.guards))
    }
    fn known_devices<'c>(&'c mut self) -> Box<dyn crate::ports::KnownDeviceRepository + 'c> {
        Box::new(guards::Devices(&mut self.state))
    }
    fn one_time_tokens<'c>(&'c mut self) -> Box<dyn OneTimeTokenRepository + 'c> {
        Box::new(Tokens(&mut self.state))
    }
}

struct Events<'c>(&'c mut State);
#[async_trait]
impl EventLog for Events<'_> {
    async fn append(&mut self, event: Event) -> Result<(), StoreError> {
        self.0.events.push(event);
        Ok(())
    }
}

struct NoJobs;
#[async_trait]
impl JobQueue for NoJobs {
    async fn enqueue(&mut self, job: NewJob) -> Result<(), StoreError> {
        panic!("identity enqueues nothing itself: {}", job.kind)
    }
}

struct Users<'c>(&'c mut State, TenantId);
impl Users<'_> {
    fn check_owner(&self, user: &User) -> Result<(), StoreError> {
        let taken = self
            .0
            .users
            .iter()
            .any(|row| row.user.id != user.id && row.user.email_verified && row.user.email == user.email);
        if user.email_verified && taken { Err(StoreError::Conflict("email".into())) } else { Ok(()) }
    }
}
#[async_trait]
impl UserRepository for Users<'_> {
    async fn insert(&mut self, user: &User, password: Option<PasswordHash>) -> Result<(), StoreError> {
        self.check_owner(user)?;
        self.0.users.push(Credential { user: user.clone(), password });
        Ok(())
    }
    async fn find(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.0.users.iter().find(|row| row.user.id == id).map(|row| row.user.clone()))
    }
    async fn by_email(&mut self, email: &EmailAddress) -> Result<Vec<Credential>, StoreError> {
        let mut rows: Vec<_> = self.0.users.iter().filter(|row| row.user.email == *email).cloned().collect();
        rows.sort_by_key(|row| (!row.user.email_verified, std::cmp::Reverse(row.user.created_at)));
        rows.truncate(2);
        Ok(rows)
    }
    async fn claimants(&mut self, email: &EmailAddress, limit: u32) -> Result<Vec<UserId>, StoreError> {
        let rows = self.0.users.iter().rev().map(|row| &row.user);
        let rows = rows.filter(|user| user.email == *email && !user.email_verified);
        Ok(rows.map(|user| user.id).take(limit as usize).collect())
    }
    async fn credential(&mut self, id: UserId) -> Result<Option<Credential>, StoreError> {
        Ok(self.0.users.iter().find(|row| row.user.id == id).cloned())
    }
    async fn update(&mut self, user: &User) -> Result<(), StoreError> {
        self.check_owner(user)?;
        let row = self.0.users.iter_mut().find(|row| row.user.id == user.id).ok_or(StoreError::Stale)?;
        if row.user.version != user.version {
            return Err(StoreError::Stale);
        }
        row.user = User { version: user.version + 1, ..user.clone() };
        Ok(())
    }
    async fn set_password(&mut self, id: UserId, password: Option<PasswordHash>) -> Result<(), StoreError> {
        let row = self.0.users.iter_mut().find(|row| row.user.id == id);
        row.into_iter().for_each(|row| row.password = password.clone());
        self.0.factors.pending.retain(|row| row.user != id);
        Ok(())
    }
    async fn default_tenant(&mut self, _: UserId) -> Result<Option<TenantId>, StoreError> {
        Ok(Some(self.1))
    }
    async fn tenants_at_sign_in(&mut self, id: UserId) -> Result<TenantsAtSignIn, StoreError> {
        let default = self.default_tenant(id).await?;
        Ok(TenantsAtSignIn { default, starting: default })
    }
    async fn remember_tenant(&mut self, _: UserId, tenant: TenantId) -> Result<(), StoreError> {
        self.1 = tenant;
        Ok(())
    }
    async fn lock(&mut self, id: UserId) -> Result<Option<Credential>, StoreError> {
        self.credential(id).await
    }
    async fn touch_login(&mut self, id: UserId, at: Timestamp) -> Result<(), StoreError> {
        let row = self.0.users.iter_mut().find(|row| row.user.id == id);
        row.into_iter().for_each(|row| row.user.last_login_at = Some(at));
        Ok(())
    }
}
