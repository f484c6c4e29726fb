//! How much mail one address gets.
//!
//! Most messages are caused by requests that any client can make for any address. So each recipient has a budget for each class
//! of messages, which all instances share. What is counted is a digest: the table reveals no address.

use portico_kernel::{Env, limits::Quota, mail::MailClass};

use crate::{
    IdentityError,
    ports::{FailureKey, IdentityRepositories, Marks},
    user::EmailAddress,
};

/// How many messages a recipient gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailRule {
    /// For what any client can cause: [`MailClass::Unsolicited`] and [`MailClass::Recovery`], each by itself.
    pub anybody: Quota,
    /// For every other class, each by itself.
    pub notices: Quota,
}

impl MailRule {
    /// The quota of a class.
    pub fn quota(&self, class: MailClass) -> Quota {
        match class {
            MailClass::Unsolicited | MailClass::Recovery => self.anybody,
            MailClass::Account | MailClass::Tenant | MailClass::Submission => self.notices,
        }
    }
}

/// The budgets of recipients, over one unit of work.
pub struct MailBudgets<'a> {
    repositories: &'a mut dyn IdentityRepositories,
    env: &'a Env,
    rule: MailRule,
    marks: &'a dyn Marks,
}

impl<'a> MailBudgets<'a> {
    /// With these numbers.
    pub fn new(
        repositories: &'a mut dyn IdentityRepositories,
        env: &'a Env,
        rule: MailRule,
        marks: &'a dyn Marks,
    ) -> Self {
        Self { repositories, env, rule, marks }
    }

    /// Takes one message of a class out of the budget of a recipient. Answers whether it may be sent.
    pub async fn take(&mut self, to: &EmailAddress, class: MailClass) -> Result<bool, IdentityError> {
        let (key, quota, now) = (self.key(to, class), self.rule.quota(class), self.env.now());
        Ok(self.repositories.mail_budgets().take(key, quota, now).await?)
    }

    /// Gives back what was taken for a message that could not be sent.
    pub async fn give_back(&mut self, to: &EmailAddress, class: MailClass) -> Result<(), IdentityError> {
        let (key, quota) = (self.key(to, class), self.rule.quota(class));
        Ok(self.repositories.mail_budgets().give_back(key, quota).await?)
    }

    fn key(&self, to: &EmailAddress, class: MailClass) -> FailureKey {
        self.marks.digest(&format!("mail {} {}", class.as_str(), mailbox(to)))
    }
}

/// What several addresses of one mailbox have in common: many services drop what follows a plus (RFC 5233), and some ignore dots.
/// Where a service does not, a few people share a budget.
fn mailbox(address: &EmailAddress) -> String {
    let (local, domain) = address.as_str().rsplit_once('@').unwrap_or((address.as_str(), ""));
    let local = local.split('+').next().filter(|name| !name.is_empty()).unwrap_or(local);
    format!("{}@{domain}", local.replace('.', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Store, marks};

    fn address(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap()
    }

    fn rule() -> MailRule {
        MailRule { anybody: Quota::per_hour(3), notices: Quota::per_hour(6) }
    }

    async fn take(store: &mut Store, to: &str, class: MailClass) -> bool {
        let (env, marks) = (store.env(), marks());
        MailBudgets::new(store, &env, rule(), &marks).take(&address(to), class).await.unwrap()
    }

    async fn drain(store: &mut Store, to: &str, class: MailClass) -> usize {
        let mut taken = 0;
        while take(store, to, class).await {
            taken += 1;
        }
        taken
    }

    #[tokio::test]
    async fn a_flood_of_one_class_keeps_nothing_of_another_back() {
        let mut store = Store::default();
        assert_eq!(drain(&mut store, "ada@example.com", MailClass::Unsolicited).await, 3);
        assert_eq!(drain(&mut store, "ada@example.com", MailClass::Submission).await, 6);
        assert_eq!(drain(&mut store, "ada@example.com", MailClass::Recovery).await, 3);
        assert_eq!(drain(&mut store, "ada@example.com", MailClass::Tenant).await, 6);
        assert_eq!(drain(&mut store, "ada@example.com", MailClass::Account).await, 6);
        assert_eq!(drain(&mut store, "eve@example.com", MailClass::Unsolicited).await, 3, "somebody else");
    }

    #[tokio::test]
    async fn messages_come_back_with_time_and_when_they_were_not_sent() {
        let mut store = Store::default();
        let (to, class) = ("ada@example.com", MailClass::Unsolicited);
        assert_eq!(drain(&mut store, to, class).await, 3);
        store.pass(time::Duration::minutes(19));
        assert!(!take(&mut store, to, class).await);
        store.pass(time::Duration::minutes(1));
        assert_eq!(drain(&mut store, to, class).await, 1);
        let (env, marks) = (store.env(), marks());
        let mut budgets = MailBudgets::new(&mut store, &env, rule(), &marks);
        budgets.give_back(&address(to), class).await.unwrap();
        assert_eq!(drain(&mut store, to, class).await, 1);
        store.pass(time::Duration::hours(5));
        assert_eq!(drain(&mut store, to, class).await, 3);
    }

    #[test]
    fn addresses_of_one_mailbox_share_a_budget() {
        for other in
            ["ada.l@example.com", "A.D.A.L@Example.com", "adal+1@example.com", "ada.l+x+y@example.com"]
        {
            assert_eq!(mailbox(&address(other)), "adal@example.com", "{other}");
        }
        assert_ne!(mailbox(&address("adal@example.org")), "adal@example.com");
        assert_eq!(mailbox(&address("+@example.com")), "+@example.com");
    }
}
