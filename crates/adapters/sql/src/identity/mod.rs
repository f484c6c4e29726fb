//! Who somebody is.

use portico_identity::ports::{
    IdentityRepositories, OneTimeTokenRepository, SessionRepository, UserRepository,
};
use sea_orm::ConnectionTrait;

use crate::Repositories;

mod one_time_tokens;
mod sessions;
pub(crate) mod users;

impl<C: ConnectionTrait + Send> IdentityRepositories for Repositories<C> {
    fn users<'c>(&'c mut self) -> Box<dyn UserRepository + 'c> {
        Box::new(users::Users { connection: &self.connection })
    }

    fn sessions<'c>(&'c mut self) -> Box<dyn SessionRepository + 'c> {
        Box::new(sessions::Sessions { connection: &self.connection })
    }

    fn one_time_tokens<'c>(&'c mut self) -> Box<dyn OneTimeTokenRepository + 'c> {
        Box::new(one_time_tokens::OneTimeTokens { connection: &self.connection })
    }
}
