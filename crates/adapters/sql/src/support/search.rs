//! Which tickets a list has, as the conditions of a statement about `support_tickets t`.

use portico_kernel::{TenantId, UserId};
use portico_support::{
    desk::{Assigned, QueueFilter},
    tickets::TicketFilter,
};
use sea_orm::Value;

use crate::{db::Param, dialect::containing, looked_after::looked_after};

/// Conditions, and what they bind: `$1` and so on.
#[derive(Default)]
pub(super) struct Conditions {
    sql: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// The tickets of a tenant, those of one author where one is given.
    pub fn of_tenant(tenant: TenantId, author: Option<UserId>, filter: &TicketFilter) -> Self {
        let mut conditions = Self::default();
        conditions.equal("t.tenant_id", tenant);
        if let Some(author) = author {
            conditions.equal("t.author_id", author);
        }
        if let Some(status) = filter.status {
            conditions.equal("t.status", status);
        }
        if let Some(category) = filter.category {
            conditions.equal("t.category", category);
        }
        if let Some(part) = &filter.q {
            // A customer finds nothing by what staff wrote for each other.
            conditions.text(part, "and not m.internal");
        }
        conditions
    }

    /// The tickets of all tenants that staff look after, or of `all`.
    pub fn of_queue(all: bool, filter: &QueueFilter) -> Self {
        let mut conditions = Self::default();
        // So that the statement can be told apart from those of one tenant, see `across_tenants.rs` of the testkit.
        conditions.sql.push("true".to_owned());
        conditions.sql.push(looked_after(all, "t.tenant_id"));
        if let Some(status) = filter.status {
            conditions.equal("t.status", status);
        }
        match filter.assigned {
            Some(Assigned::ToNobody) => conditions.sql.push("t.assignee_id is null".to_owned()),
            Some(Assigned::To(user)) => conditions.equal("t.assignee_id", user),
            None => {}
        }
        if let Some(category) = filter.category {
            conditions.equal("t.category", category);
        }
        if let Some(priority) = filter.priority {
            conditions.equal("t.priority", priority);
        }
        if let Some(tag) = &filter.tag {
            // Tags are a list in JSON, in which each stands between quotation marks.
            let tag = serde_json::Value::from(tag.as_str()).to_string();
            let condition = containing(&["cast(t.tags as text)"], &tag, &mut conditions.values);
            conditions.sql.push(condition);
        }
        if let Some(customer) = filter.customer {
            conditions.equal("t.tenant_id", customer);
        }
        match filter.breached {
            Some(true) => conditions.sql.push("t.breached_at is not null".to_owned()),
            Some(false) => conditions.sql.push("t.breached_at is null".to_owned()),
            None => {}
        }
        if let Some(part) = &filter.q {
            conditions.text(part, "");
        }
        conditions
    }

    fn equal(&mut self, column: &str, value: impl Param) {
        self.values.push(value.value());
        self.sql.push(format!("{column} = ${}", self.values.len()));
    }

    /// Texts and messages that contain a part, or the number that it is.
    fn text(&mut self, part: &str, of_messages: &str) {
        let own = containing(&["t.subject", "t.description"], part, &mut self.values);
        let written = containing(&["m.body"], part, &mut self.values);
        let mut any = format!(
            "{own} or exists (select 1 from support_messages m where m.tenant_id = t.tenant_id and m.ticket_id = t.id \
             {of_messages} and {written})"
        );
        if let Ok(number) = part.trim().trim_start_matches('#').parse::<u32>() {
            self.values.push(i64::from(number).into());
            any = format!("{any} or t.number = ${}", self.values.len());
        }
        self.sql.push(format!("({any})"));
    }

    /// As they stand behind `where`.
    pub fn sql(&self) -> String {
        self.sql.join(" and ")
    }

    /// What they bind.
    pub fn values(&self) -> Vec<Value> {
        self.values.clone()
    }

    /// What they bind, and the bounds of a page with the two parameters that have them.
    pub fn with_page(&self, limit: u64, offset: u64) -> (String, Vec<Value>) {
        let mut values = self.values.clone();
        values.extend([limit.value(), offset.value()]);
        (format!("limit ${} offset ${}", values.len() - 1, values.len()), values)
    }
}
