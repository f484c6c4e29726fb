//! Notes of staff about customers. Customers do not see them, nor that there are any.

use portico_kernel::{
    CustomerNoteId, Env, Event, EventDeclaration, List, PageRequest, Permission, Scope, TenantId, Timestamp,
    UserId, Violations,
};
use serde::{Deserialize, Serialize};

use crate::{TenancyError, customer::Customers, events, ports::TenancyRepositories};

/// Most characters of a note.
const MAX_TEXT: usize = 5000;

/// A note of staff about a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CustomerNote {
    /// UUIDv7.
    pub id: CustomerNoteId,
    /// The customer.
    pub customer_id: TenantId,
    /// Who wrote it.
    pub author_id: UserId,
    /// Plain text.
    #[cfg_attr(feature = "openapi", schema(example = "Wants to be called in the mornings."))]
    pub text: String,
    /// When it was written.
    pub created_at: Timestamp,
}

/// A note to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"text": "Wants to be called in the mornings."})))]
pub struct NewCustomerNote {
    /// Plain text, 1 to 5,000 characters.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 5000))]
    pub text: String,
}

/// Use cases around notes about customers.
pub struct CustomerNotes<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> CustomerNotes<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The notes about a customer, newest first.
    ///
    /// # Errors
    /// `Denied` without `platform:customers`; `NotFound` (customer).
    pub async fn list(
        &mut self,
        customer: TenantId,
        page: PageRequest,
    ) -> Result<List<CustomerNote>, TenancyError> {
        self.check(customer).await?;
        Ok(self.repositories.customer_notes().list(customer, page).await?)
    }

    /// Writes a note.
    ///
    /// # Errors
    /// `Denied` without `platform:customers`; `NotFound` (customer); `Invalid`.
    pub async fn create(
        &mut self,
        customer: TenantId,
        input: NewCustomerNote,
    ) -> Result<CustomerNote, TenancyError> {
        self.check(customer).await?;
        let (author_id, _) = self.scope.require_user()?;
        let mut violations = Violations::default();
        violations.text("text", &input.text, 1, MAX_TEXT);
        violations.into_result()?;
        let note = CustomerNote {
            id: self.env.new_id(),
            customer_id: customer,
            author_id,
            text: input.text.trim().to_owned(),
            created_at: self.env.now(),
        };
        self.repositories.customer_notes().insert(&note).await?;
        let event = self.event(&events::CUSTOMER_NOTE_CREATED, note.id).after(&about(customer));
        self.repositories.events().append(event).await?;
        Ok(note)
    }

    /// Deletes a note, whoever wrote it.
    ///
    /// # Errors
    /// `Denied` without `platform:customers`; `NotFound` (customer, note).
    pub async fn delete(&mut self, customer: TenantId, id: CustomerNoteId) -> Result<(), TenancyError> {
        self.check(customer).await?;
        if !self.repositories.customer_notes().delete(customer, id).await? {
            return Err(TenancyError::NotFound("note"));
        }
        let event = self.event(&events::CUSTOMER_NOTE_DELETED, id).before(&about(customer));
        Ok(self.repositories.events().append(event).await?)
    }

    async fn check(&mut self, customer: TenantId) -> Result<(), TenancyError> {
        let permission = Permission::PlatformCustomers;
        Customers::new(self.repositories, self.scope, self.env).check(customer, permission).await
    }

    /// Not in the audit trail of the customer, who could read it.
    fn event(&self, declaration: &'static EventDeclaration, note: CustomerNoteId) -> Event {
        Event::new(self.env, self.scope, declaration, note.uuid()).in_tenant(TenantId::PLATFORM)
    }
}

/// What an event has of a note: not the text, which is deleted with the note.
fn about(customer: TenantId) -> serde_json::Value {
    serde_json::json!({"customerId": customer})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ports::{MockCustomerNoteRepository, MockCustomerRepository},
        testing::{Repositories, env, owner_of, staff_in},
    };

    fn repositories(there: bool) -> Repositories {
        let mut customers = MockCustomerRepository::new();
        customers.expect_exists().return_once(move |_, _| Ok(there));
        let mut repositories = Repositories::default();
        repositories.customers.push_back(customers);
        repositories
    }

    fn new(text: &str) -> NewCustomerNote {
        NewCustomerNote { text: text.to_owned() }
    }

    #[tokio::test]
    async fn a_note_is_trimmed_and_its_event_is_outside_of_the_customers_trail() {
        let (env, customer) = (env(), env().new_id());
        let mut notes = MockCustomerNoteRepository::new();
        notes.expect_insert().times(1).return_once(|_| Ok(()));
        let mut repositories = repositories(true);
        repositories.customer_notes.push_back(notes);
        let scope = staff_in(env.new_id());
        let note = CustomerNotes::new(&mut repositories, &scope, &env)
            .create(customer, new(" Call "))
            .await
            .unwrap();
        assert_eq!((note.text.as_str(), note.customer_id), ("Call", customer));
        let events = repositories.events();
        assert_eq!(
            (events[0].kind.as_ref(), events[0].tenant),
            ("customer_note.created", TenantId::PLATFORM)
        );
        assert!(!format!("{:?}", events[0].after).contains("Call"));
    }

    #[tokio::test]
    async fn only_staff_writes_about_customers_that_are_there() {
        let (env, customer) = (env(), env().new_id());
        let owner = owner_of(customer);
        let mut none = Repositories::default();
        let refused = CustomerNotes::new(&mut none, &owner, &env).create(customer, new("x")).await;
        assert!(matches!(refused, Err(TenancyError::Denied(_))), "{refused:?}");
        let scope = staff_in(env.new_id());
        let mut gone = repositories(false);
        let refused = CustomerNotes::new(&mut gone, &scope, &env).create(customer, new("x")).await;
        assert!(matches!(refused, Err(TenancyError::NotFound("customer"))), "{refused:?}");
        for text in ["", "  ", &"x".repeat(MAX_TEXT + 1)] {
            let mut there = repositories(true);
            let refused = CustomerNotes::new(&mut there, &scope, &env).create(customer, new(text)).await;
            assert!(matches!(refused, Err(TenancyError::Invalid(_))), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn a_note_is_deleted_once() {
        let (env, customer) = (env(), env().new_id());
        let mut notes = MockCustomerNoteRepository::new();
        notes.expect_delete().times(1).return_once(|_, _| Ok(false));
        let mut repositories = repositories(true);
        repositories.customer_notes.push_back(notes);
        let scope = staff_in(env.new_id());
        let again = CustomerNotes::new(&mut repositories, &scope, &env).delete(customer, env.new_id()).await;
        assert!(matches!(again, Err(TenancyError::NotFound("note"))), "{again:?}");
        assert!(repositories.events().is_empty());
    }
}
