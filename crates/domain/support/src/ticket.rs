//! What a customer asks support: the ticket.

use portico_kernel::{AssetId, Env, SupportTicketId, TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    SupportError,
    message::Attachment,
    priority::{ReplyTargets, TicketPriority},
    status::{Act, TicketStatus, may_reopen},
};

/// Most characters of a subject.
pub const SUBJECT_MAX: usize = 200;

/// What a ticket is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TicketCategory {
    /// Something does not work.
    Technical,
    /// Payments, invoices, plans.
    Billing,
    /// Signing in, people, data.
    Account,
    /// Anything else.
    #[default]
    Other,
}

impl TicketCategory {
    /// Every category.
    pub const ALL: [Self; 4] = [Self::Technical, Self::Billing, Self::Account, Self::Other];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Technical => "technical",
            Self::Billing => "billing",
            Self::Account => "account",
            Self::Other => "other",
        }
    }

    /// The category of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.as_str() == text)
    }
}

/// How satisfied the customer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Satisfaction {
    /// 1 (not at all) to 5 (very).
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 5, example = 5))]
    pub rating: u16,
    /// What they say about it.
    #[cfg_attr(feature = "openapi", schema(max_length = 1000))]
    pub comment: Option<String>,
    /// When they said so.
    pub at: Timestamp,
}

/// What happened to a ticket when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketTimes {
    /// When staff first wrote to the customer.
    pub first_reply_at: Option<Timestamp>,
    /// When it was resolved, or closed without; absent again once it is reopened.
    pub resolved_at: Option<Timestamp>,
    /// When it was closed; absent again once it is reopened.
    pub closed_at: Option<Timestamp>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// Last message or change.
    pub updated_at: Timestamp,
    /// Until when staff are to write first; absent once it has ended without that. For staff only.
    #[serde(skip)]
    pub reply_due_at: Option<Timestamp>,
    /// When it was found that they did not. For staff only.
    #[serde(skip)]
    pub breached_at: Option<Timestamp>,
}

/// What a customer asks support.
///
/// Each belongs to a tenant. Its author sees it, and so do the tenant's admins and owners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SupportTicket {
    /// UUIDv7.
    pub id: SupportTicketId,
    /// The tenant.
    #[serde(skip)]
    pub tenant_id: TenantId,
    /// Number among the tickets of the tenant, from 1 and without gaps: what people call it.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, example = 12))]
    pub number: u64,
    /// Who opened it.
    pub author_id: UserId,
    /// What it is about, in a line.
    #[cfg_attr(feature = "openapi", schema(example = "The update does not start"))]
    pub subject: String,
    /// What the customer wrote first.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "Since this morning it closes right after it has started.")
    )]
    pub description: String,
    /// Files that came with the description.
    pub attachments: Vec<Attachment>,
    /// What it is about.
    pub category: TicketCategory,
    /// How much it hurries.
    pub priority: TicketPriority,
    /// Where it stands.
    pub status: TicketStatus,
    /// Who of the staff looks after it.
    pub assignee_id: Option<UserId>,
    /// Words by which staff find it again. The customer sees them.
    #[cfg_attr(feature = "openapi", schema(example = json!(["update", "windows"])))]
    pub tags: Vec<String>,
    /// An earlier ticket that it goes on from.
    pub follows: Option<SupportTicketId>,
    /// The ticket that it was merged into. Whoever wants to go on does so there.
    pub merged_into: Option<SupportTicketId>,
    /// How satisfied the customer is.
    pub satisfaction: Option<Satisfaction>,
    /// What happened to it when.
    #[serde(flatten)]
    pub times: TicketTimes,
}

/// What events have of a ticket: no word that somebody wrote.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    id: SupportTicketId,
    number: u64,
    author_id: UserId,
    category: TicketCategory,
    priority: TicketPriority,
    status: TicketStatus,
    assignee_id: Option<UserId>,
    merged_into: Option<SupportTicketId>,
    rating: Option<u16>,
}

impl SupportTicket {
    /// What events have of it.
    pub(crate) fn trace(&self) -> serde_json::Value {
        let trace = Trace {
            id: self.id,
            number: self.number,
            author_id: self.author_id,
            category: self.category,
            priority: self.priority,
            status: self.status,
            assignee_id: self.assignee_id,
            merged_into: self.merged_into,
            rating: self.satisfaction.as_ref().map(|satisfaction| satisfaction.rating),
        };
        serde_json::to_value(trace).unwrap_or_default()
    }

    /// When it ended, if it has.
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self.status {
            TicketStatus::Closed => self.times.closed_at,
            TicketStatus::Resolved => self.times.resolved_at,
            TicketStatus::Open | TicketStatus::WaitingOnStaff | TicketStatus::WaitingOnCustomer => None,
        }
    }

    /// The ticket after this.
    ///
    /// # Errors
    /// `TicketEnded` for one that was merged, or ended too long ago to be reopened; `TicketStatus`.
    pub fn after(&self, act: Act, now: Timestamp) -> Result<Self, SupportError> {
        let writes = matches!(act, Act::CustomerWrites | Act::StaffWrites);
        let is_late = self.ended_at().is_some_and(|ended| !may_reopen(ended, now));
        if self.merged_into.is_some() || (writes && is_late) {
            return Err(SupportError::TicketEnded);
        }
        let status = self.status.after(act).ok_or(SupportError::TicketStatus)?;
        let mut next = Self { status, ..self.clone() };
        next.times.updated_at = now;
        match act {
            Act::StaffWrites => next.times.first_reply_at = self.times.first_reply_at.or(Some(now)),
            Act::CustomerWrites => {}
            Act::Resolve | Act::Close => {
                // There is nothing to be answered any more.
                next.times.reply_due_at =
                    self.times.reply_due_at.filter(|_| self.times.first_reply_at.is_some());
            }
        }
        if status.is_ended() {
            next.times.resolved_at = self.times.resolved_at.or(Some(now));
            next.times.closed_at = (status == TicketStatus::Closed).then_some(now);
        } else {
            (next.times.resolved_at, next.times.closed_at) = (None, None);
        }
        Ok(next)
    }

    /// The ticket with another priority, and the target of that as long as nobody has answered.
    #[must_use]
    pub fn with_priority(self, priority: TicketPriority, targets: &ReplyTargets) -> Self {
        if priority == self.priority {
            return self;
        }
        let mut next = Self { priority, ..self };
        if next.times.first_reply_at.is_none() && next.times.breached_at.is_none() && !next.status.is_ended()
        {
            next.times.reply_due_at = targets.due(priority, next.times.created_at);
        }
        next
    }
}

/// A ticket to be opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "subject": "The update does not start", "description": "Since this morning it closes right after it has started.",
    "category": "technical", "priority": "medium",
})))]
pub struct NewTicket {
    /// What it is about, in a line of 1 to 200 characters.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 200))]
    pub subject: String,
    /// All about it, 1 to 10,000 characters of plain text.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 10_000))]
    pub description: String,
    /// `other`, where absent.
    pub category: Option<TicketCategory>,
    /// `medium`, where absent.
    pub priority: Option<TicketPriority>,
    /// Files of the tenant, at most 10.
    #[cfg_attr(feature = "openapi", schema(max_items = 10))]
    pub attachments: Vec<AssetId>,
    /// An earlier ticket that it goes on from.
    pub follows: Option<SupportTicketId>,
}

/// A new ticket with this number.
pub(crate) fn opened(
    env: &Env,
    (tenant_id, author_id): (TenantId, UserId),
    number: u64,
    input: NewTicket,
    attachments: Vec<Attachment>,
    targets: &ReplyTargets,
) -> SupportTicket {
    let (now, priority) = (env.now(), input.priority.unwrap_or_default());
    SupportTicket {
        id: env.new_id(),
        tenant_id,
        number,
        author_id,
        subject: input.subject.trim().to_owned(),
        description: input.description.trim().to_owned(),
        attachments,
        category: input.category.unwrap_or_default(),
        priority,
        status: TicketStatus::Open,
        assignee_id: None,
        tags: Vec::new(),
        follows: input.follows,
        merged_into: None,
        satisfaction: None,
        times: TicketTimes {
            first_reply_at: None,
            resolved_at: None,
            closed_at: None,
            created_at: now,
            updated_at: now,
            reply_due_at: targets.due(priority, now),
            breached_at: None,
        },
    }
}
