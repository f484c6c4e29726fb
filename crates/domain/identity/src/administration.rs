//! Administration of accounts: by the operator, and by users themselves where they name their own account by its id.

use portico_kernel::{
    Actor, Denied, Event, FieldError, List, PageRequest, Permission, PlatformRole, SessionId, StaffAreas,
    TenantId, UserId, Violations, patch::double_option,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    Accounts, IdentityError,
    credentials::{self, Extent},
    events,
    password::{PasswordRule, resembles_address},
    ports::PasswordHash,
    profile::ProfileUpdate,
    recovery::ChangePassword,
    session::EndReason,
    user::{EmailAddress, User, UserStatus, check_company, check_language, check_name, check_phone},
};

/// Which accounts to list. Every field that is set narrows the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// A part of the name or the address.
    pub q: Option<String>,
    /// Whether they are in use; all but deleted ones where absent.
    pub status: Option<UserStatus>,
    /// Platform-wide role.
    pub role: Option<PlatformRole>,
    /// Whether the address is proven.
    pub email_verified: Option<bool>,
}

/// What to sort accounts by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserSort {
    /// When they were made.
    #[default]
    CreatedAt,
    /// Address.
    Email,
    /// Last sign-in.
    LastLoginAt,
}

/// How to sort accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserOrder {
    /// The key.
    pub sort: UserSort,
    /// Largest first.
    pub descending: bool,
}

impl Default for UserOrder {
    /// Newest first.
    fn default() -> Self {
        Self { sort: UserSort::CreatedAt, descending: true }
    }
}

/// An account that the operator makes for a person.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "email": "ada@example.com", "fullName": "Ada Lovelace", "role": "customer", "language": "es"
})))]
pub struct NewUser {
    /// Address to sign in with. Counts as unproven until the link that is sent there is used.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required, format = "email", max_length = 254))]
    pub email: String,
    /// Name as the person writes it.
    #[serde(default, alias = "full_name")]
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 200))]
    pub full_name: String,
    /// Platform-wide role, `customer` where absent.
    pub role: Option<PlatformRole>,
    /// Language of our messages: `en` (the default) or `es`.
    pub language: Option<String>,
    /// Phone number.
    #[cfg_attr(feature = "openapi", schema(max_length = 32))]
    pub phone: Option<String>,
    /// Mobile number.
    #[cfg_attr(feature = "openapi", schema(max_length = 32))]
    pub mobile: Option<String>,
    /// Company.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub company: Option<String>,
    /// Password. Without one, the person gets a link to set their own.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = "password"))]
    pub password: Option<SecretString>,
}

/// A new account that keeps every rule.
#[derive(Debug)]
pub struct ValidNewUser {
    email: EmailAddress,
    full_name: String,
    role: PlatformRole,
    language: String,
    phone: Option<String>,
    mobile: Option<String>,
    company: Option<String>,
    /// To be hashed.
    pub password: Option<SecretString>,
}

fn trimmed(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl NewUser {
    /// Checks every field. Errors: [`IdentityError::Invalid`] with all broken rules; [`IdentityError::Overloaded`].
    pub async fn validate(self, rule: &PasswordRule) -> Result<ValidNewUser, IdentityError> {
        let mut violations = Violations::default();
        let email = violations.take("email", EmailAddress::parse(&self.email));
        check_name(&mut violations, &self.full_name);
        let language = self.language.unwrap_or_else(|| "en".into());
        check_language(&mut violations, &language);
        let (phone, mobile, company) = (trimmed(self.phone), trimmed(self.mobile), trimmed(self.company));
        check_phone(&mut violations, "phone", phone.as_deref());
        check_phone(&mut violations, "mobile", mobile.as_deref());
        check_company(&mut violations, company.as_deref());
        if let Some(password) = &self.password {
            let about = [self.email.as_str(), self.full_name.as_str()];
            violations.extend(rule.check("password", password, &about).await?);
            if let Some(email) = &email {
                violations.extend(resembles_address("password", password, email));
            }
        }
        match (email, violations.into_result()) {
            (Some(email), Ok(())) => Ok(ValidNewUser {
                email,
                full_name: self.full_name.trim().to_owned(),
                role: self.role.unwrap_or_default(),
                language,
                phone,
                mobile,
                company,
                password: self.password,
            }),
            (_, errors) => Err(IdentityError::Invalid(errors.err().unwrap_or_default())),
        }
    }
}

/// What the operator can set the status of an account to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SettableStatus {
    /// In use.
    Active,
    /// Locked: every session ends, and no one can sign in.
    Suspended,
}

impl From<SettableStatus> for UserStatus {
    fn from(status: SettableStatus) -> Self {
        match status {
            SettableStatus::Active => Self::Active,
            SettableStatus::Suspended => Self::Suspended,
        }
    }
}

/// A change of an account. A field that is absent stays as it is; `null` clears an optional one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"role": "staff", "status": "active"})))]
pub struct UserUpdate {
    /// Name as the person writes it.
    #[serde(alias = "full_name")]
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
    pub language: Option<String>,
    /// Postal address.
    #[serde(deserialize_with = "double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 500))]
    pub address: Option<Option<String>>,
    /// Notes to oneself.
    #[serde(deserialize_with = "double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 2000))]
    pub notes: Option<Option<String>>,
    /// Platform-wide role; by super admins only, and not their own.
    pub role: Option<PlatformRole>,
    /// Areas to which a member of staff is narrowed, `null` for all of them; by super admins only, and not their own. Another role ends it.
    #[serde(deserialize_with = "double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<portico_kernel::StaffArea>>))]
    pub staff_areas: Option<Option<StaffAreas>>,
    /// Whether the account can be used; by super admins only, and not their own.
    pub status: Option<SettableStatus>,
}

/// A new password for an account.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"newPassword": "N3w-horse-battery"})))]
pub struct SetPassword {
    /// The password so far; only and always for one's own account.
    #[serde(alias = "current_password")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = "password"))]
    pub current_password: Option<SecretString>,
    /// The new password; see the password rule.
    #[serde(default, alias = "new_password", alias = "password")]
    #[cfg_attr(feature = "openapi", schema(required, value_type = String, format = "password", default = ""))]
    pub new_password: SecretString,
}

impl SetPassword {
    /// As a change of one's own password.
    pub fn into_change(self) -> ChangePassword {
        ChangePassword {
            current_password: self.current_password.unwrap_or_default(),
            new_password: self.new_password,
        }
    }

    /// The new password for another user's account. Errors: [`IdentityError::Invalid`] with all broken rules;
    /// [`IdentityError::Overloaded`].
    pub async fn validate_for(self, user: &User, rule: &PasswordRule) -> Result<SecretString, IdentityError> {
        let mut violations = Violations::default();
        violations.extend(rule.check("newPassword", &self.new_password, &[]).await?);
        if violations.is_empty() {
            violations.extend(rule.check_for("newPassword", &self.new_password, user).await?);
        }
        violations.into_result().map_err(IdentityError::Invalid)?;
        Ok(self.new_password)
    }
}

/// Longest part of a name to look for, in characters.
const Q_MAX: usize = 200;

impl Accounts<'_> {
    /// The accounts, for administrators.
    pub async fn list(
        &mut self,
        filter: UserFilter,
        order: UserOrder,
        page: PageRequest,
    ) -> Result<List<User>, IdentityError> {
        self.scope.require_platform(Permission::PlatformUsers)?;
        let mut violations = Violations::default();
        violations.optional_text("q", filter.q.as_deref(), Q_MAX);
        violations.into_result().map_err(IdentityError::Invalid)?;
        Ok(self.repositories.directory().list(filter, order, page).await?)
    }

    /// One account: the caller's own, or any for administrators of accounts. Errors: [`IdentityError::NotFound`] for all other
    /// callers.
    pub async fn read(&mut self, id: UserId) -> Result<User, IdentityError> {
        self.is_own(id)?;
        self.repositories.users().find(id).await?.ok_or(IdentityError::NotFound("user"))
    }

    /// Whether it is the caller's own account; an error unless the caller may see it.
    pub(crate) fn is_own(&self, id: UserId) -> Result<bool, IdentityError> {
        let looks_after = self.scope.require_platform(Permission::PlatformUsers).is_ok();
        match self.scope.require_user() {
            Ok((caller, _)) if caller == id => Ok(true),
            _ if looks_after => Ok(false),
            Ok(_) => Err(IdentityError::NotFound("user")),
            Err(denied) => Err(denied.into()),
        }
    }

    /// Makes an account for a person. [`Accounts::made`] has to follow in the same unit of work. Errors:
    /// [`IdentityError::EmailTaken`] when an account has proven the address.
    pub async fn make(
        &mut self,
        new: ValidNewUser,
        password: Option<PasswordHash>,
    ) -> Result<User, IdentityError> {
        self.scope.require_platform(Permission::PlatformUsers)?;
        let claims = self.repositories.users().by_email(&new.email).await?;
        if claims.iter().any(|claim| claim.user.email_verified) {
            return Err(IdentityError::EmailTaken);
        }
        let now = self.env.now();
        let user = User {
            phone: new.phone,
            mobile: new.mobile,
            company: new.company,
            role: new.role,
            ..User::new(self.env.new_id(), new.email, new.full_name, new.language, now)
        };
        self.repositories.users().insert(&user, password).await?;
        Ok(user)
    }

    /// Records `user.created` in the new user's personal tenant.
    pub async fn made(&mut self, user: &User, tenant: TenantId) -> Result<(), IdentityError> {
        let event = Event::new(self.env, self.scope, &events::USER_CREATED, user.id.uuid())
            .in_tenant(tenant)
            .after(user);
        Ok(self.repositories.events().append(event).await?)
    }

    /// Changes an account; role, areas and status by administrators of accounts only. `expected` is the version that the caller has
    /// seen. Errors: [`IdentityError::PreconditionFailed`], [`IdentityError::Invalid`], [`IdentityError::OwnAccount`],
    /// [`IdentityError::LastSuperAdmin`], [`IdentityError::AccountNotActive`] for a deleted one.
    pub async fn update(
        &mut self,
        id: UserId,
        change: UserUpdate,
        expected: Option<i64>,
    ) -> Result<User, IdentityError> {
        let own = self.is_own(id)?;
        if change.role.is_some() || change.status.is_some() || change.staff_areas.is_some() {
            self.scope.require_platform(Permission::PlatformUsers)?;
        }
        let before = self.locked(id).await?;
        let profile = ProfileUpdate {
            full_name: change.full_name,
            phone: change.phone,
            mobile: change.mobile,
            company: change.company,
            language: change.language,
            address: change.address,
            notes: change.notes,
        };
        let profile = profile.validate()?;
        if expected.is_some_and(|version| version != before.version) {
            return Err(IdentityError::PreconditionFailed);
        }
        if before.status == UserStatus::Deleted {
            return Err(IdentityError::AccountNotActive);
        }
        let mut changed = before.clone();
        profile.apply(&mut changed);
        changed.role = change.role.unwrap_or(before.role);
        let is_staff = changed.role == PlatformRole::Staff;
        if !is_staff && change.staff_areas.flatten().is_some() {
            let error = FieldError::new("staffAreas", "not_staff", "Only members of staff work in areas.");
            return Err(IdentityError::Invalid(vec![error]));
        }
        changed.staff_areas = change.staff_areas.unwrap_or(before.staff_areas).filter(|_| is_staff);
        let status = change.status.map_or(before.status, UserStatus::from);
        if own && (changed.role != before.role || status != before.status) {
            return Err(IdentityError::OwnAccount);
        }
        if is_super_admin(&before) && (changed.role != before.role || status != before.status) {
            self.keep_a_super_admin(id).await?;
        }
        let updated = changed != before;
        if !updated && status == before.status {
            return Ok(before);
        }
        changed.updated_at = self.env.now();
        let mut user = User { status, ..changed.clone() };
        self.repositories.users().update(&user).await?;
        user.version += 1;
        if updated {
            let event = Event::new(self.env, self.scope, &events::USER_UPDATED, id.uuid());
            self.append_about(id, event.before(&before).after(&changed)).await?;
        }
        if status != before.status {
            let suspended = status == UserStatus::Suspended;
            let kind = if suspended { &events::USER_SUSPENDED } else { &events::USER_REINSTATED };
            let event = Event::new(self.env, self.scope, kind, id.uuid());
            self.append_about(id, event.before(&changed).after(&user)).await?;
            if suspended {
                self.revoke_begun(id, None, EndReason::AccountSuspended).await?;
            }
        }
        let impersonates =
            |user: &User| user.platform_permissions().contains(Permission::PlatformImpersonate);
        if user.role < before.role || (impersonates(&before) && !impersonates(&user)) {
            // The sessions in which they impersonate others end, too.
            self.end_impersonations(id).await?;
        }
        Ok(user)
    }

    /// Deletes an account: the caller's own, freshly proven, or any by administrators of accounts. The row stays for the audit
    /// trail; its address is free. Tenancy handles its tenants, in the same unit of work. Errors:
    /// [`IdentityError::LastSuperAdmin`], [`IdentityError::ReauthenticationRequired`], [`IdentityError::NotFound`] for a deleted
    /// one.
    pub async fn delete(&mut self, id: UserId) -> Result<User, IdentityError> {
        let before = self.about_to_end(id).await?;
        if before.status == UserStatus::Deleted {
            return Err(IdentityError::NotFound("user"));
        }
        let mut user = User { status: UserStatus::Deleted, updated_at: self.env.now(), ..before.clone() };
        self.repositories.users().update(&user).await?;
        user.version += 1;
        self.revoke_begun(id, None, EndReason::AccountDeleted).await?;
        let event = Event::new(self.env, self.scope, &events::USER_DELETED, id.uuid()).before(&before);
        self.append_about(id, event).await?;
        Ok(user)
    }

    /// An account that the caller may delete, as it is now; another super admin remains.
    pub(crate) async fn about_to_end(&mut self, id: UserId) -> Result<User, IdentityError> {
        if self.is_own(id)? {
            self.require_fresh().await?;
        }
        let user = self.locked(id).await?;
        if is_super_admin(&user) {
            self.keep_a_super_admin(id).await?;
        }
        Ok(user)
    }

    /// Sets the password of another user, who is then signed out everywhere. Errors: [`IdentityError::OwnAccount`], because one's
    /// own takes the current one; [`IdentityError::AccountNotActive`] for a deleted account.
    pub async fn set_password(&mut self, id: UserId, password: PasswordHash) -> Result<(), IdentityError> {
        self.scope.require_platform(Permission::PlatformUsers)?;
        if self.is_own(id)? {
            return Err(IdentityError::OwnAccount);
        }
        // Locks the row before it is read: see `Sessions::sign_in`.
        self.repositories.users().set_password(id, Some(password)).await?;
        let user = self.repositories.users().find(id).await?.ok_or(IdentityError::NotFound("user"))?;
        if user.status == UserStatus::Deleted {
            return Err(IdentityError::AccountNotActive);
        }
        self.revoke_begun(id, None, EndReason::PasswordSet).await?;
        let event = Event::new(self.env, self.scope, &events::USER_PASSWORD_CHANGED, id.uuid());
        self.append_about(id, event).await
    }

    /// An account, read after all super admins were locked, so that none of them can change meanwhile.
    async fn locked(&mut self, id: UserId) -> Result<User, IdentityError> {
        let user = self.repositories.users().find(id).await?.ok_or(IdentityError::NotFound("user"))?;
        if !is_super_admin(&user) {
            return Ok(user);
        }
        self.repositories.directory().lock_super_admins().await?;
        self.repositories.users().find(id).await?.ok_or(IdentityError::NotFound("user"))
    }

    /// Checks that another super admin remains when `leaving` does not, and that the caller still is one: of two super admins who
    /// revoke each other's role at once, the second one has lost it.
    async fn keep_a_super_admin(&mut self, leaving: UserId) -> Result<(), IdentityError> {
        let super_admins = self.repositories.directory().lock_super_admins().await?;
        let looks_after = match self.scope.actor() {
            Actor::User { id, .. } => super_admins.contains(id),
            Actor::System => true,
            Actor::ApiKey { .. } | Actor::Anonymous => false,
        };
        if !looks_after {
            return Err(Denied::Forbidden(Permission::PlatformUsers).into());
        }
        if super_admins.iter().all(|id| *id == leaving) {
            return Err(IdentityError::LastSuperAdmin);
        }
        Ok(())
    }

    /// Revokes what was begun with the credentials of an account: see [`Extent::Begun`].
    pub(crate) async fn revoke_begun(
        &mut self,
        user: UserId,
        except: Option<SessionId>,
        reason: EndReason,
    ) -> Result<(), IdentityError> {
        self.revoke(user, Extent::Begun { except }, reason).await
    }

    /// Revokes access to an account.
    pub(crate) async fn revoke(
        &mut self,
        user: UserId,
        extent: Extent,
        reason: EndReason,
    ) -> Result<(), IdentityError> {
        credentials::revoke(self.repositories, self.scope, self.env, user, extent, reason).await
    }

    async fn end_impersonations(&mut self, user: UserId) -> Result<(), IdentityError> {
        crate::session::end_impersonations(self.repositories, self.scope, self.env, user).await
    }
}

fn is_super_admin(user: &User) -> bool {
    user.role == PlatformRole::SuperAdmin && user.status == UserStatus::Active
}

#[cfg(test)]
#[path = "administration_tests.rs"]
mod tests;
