//! Shared state of the routes and background jobs of accounts.

use std::{collections::BTreeMap, sync::Arc};

use portico_identity::{
    password::PasswordRule,
    ports::{FactorSecrets, Marks, OpenIdProvider, PasskeyCeremonies, PasswordHasher, TokenIssuer},
    session::SessionLifetimes,
};
use portico_kernel::{files::FileStore, images::ImageProcessor};
use portico_runtime::{core::Core, mailing::Mailing};
use portico_web::api::Api;

use crate::throttle::Throttling;

/// The dependencies of this feature. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Shared by the whole process.
    pub core: Core,
    /// Shared by the routes of all features.
    pub api: Api,
    /// Origins of the front end, whose pages may keep their session in a cookie.
    pub own_origins: Arc<[String]>,
    /// Sends mail.
    pub mail: Mailing,
    /// Password hashing.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Requirements on passwords.
    pub password_rule: PasswordRule,
    /// Lifetimes of sessions and their tokens.
    pub lifetimes: SessionLifetimes,
    /// Access and refresh tokens.
    pub tokens: Arc<dyn TokenIssuer>,
    /// Device marks.
    pub marks: Arc<dyn Marks>,
    /// Throttling of guesses at credentials.
    pub throttling: Arc<Throttling>,
    /// OpenID providers, by name.
    pub openid: Arc<BTreeMap<String, Arc<dyn OpenIdProvider>>>,
    /// Secrets of second factors.
    pub factors: Arc<dyn FactorSecrets>,
    /// Passkeys.
    pub passkeys: Arc<dyn PasskeyCeremonies>,
    /// Object storage.
    pub files: Arc<dyn FileStore>,
    /// Processing of uploaded images.
    pub images: Arc<dyn ImageProcessor>,
}

impl App {
    /// The same state for background jobs.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { core: self.core.for_background(), mail: self.mail.for_background(), ..self.clone() }
    }
}
