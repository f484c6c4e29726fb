//! What the routes and the background work of accounts share.

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

/// The parts of this feature. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// What everything in the process shares.
    pub core: Core,
    /// What stands around the routes.
    pub api: Api,
    /// Sends mail.
    pub mail: Mailing,
    /// Password hashing.
    pub hasher: Arc<dyn PasswordHasher>,
    /// What a password must be like.
    pub password_rule: PasswordRule,
    /// How long the parts of a session live.
    pub lifetimes: SessionLifetimes,
    /// Access and refresh tokens.
    pub tokens: Arc<dyn TokenIssuer>,
    /// Marks of devices.
    pub marks: Arc<dyn Marks>,
    /// Guesses at credentials.
    pub throttling: Arc<Throttling>,
    /// Where people can sign in from elsewhere, by name.
    pub openid: Arc<BTreeMap<String, Arc<dyn OpenIdProvider>>>,
    /// Secrets of second factors.
    pub factors: Arc<dyn FactorSecrets>,
    /// Passkeys.
    pub passkeys: Arc<dyn PasskeyCeremonies>,
    /// Object storage.
    pub files: Arc<dyn FileStore>,
    /// Pictures that people upload.
    pub images: Arc<dyn ImageProcessor>,
}

impl App {
    /// The same for background work.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { core: self.core.for_background(), mail: self.mail.for_background(), ..self.clone() }
    }
}
