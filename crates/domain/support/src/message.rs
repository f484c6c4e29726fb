//! What is written to a ticket.

use portico_kernel::{
    AssetId, FieldError, SupportMessageId, SupportTicketId, TenantId, Timestamp, UserId, Violations,
};
use serde::{Deserialize, Serialize};

use crate::scan_state::AttachmentScan;

/// Most characters of a description, and of a message.
pub const TEXT_MAX: usize = 10_000;

/// Most files that come with a message.
pub const ATTACHMENTS_MAX: usize = 10;

/// Which side wrote something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AuthorKind {
    /// The customer.
    Customer,
    /// The operator's people.
    Staff,
}

impl AuthorKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Customer, Self::Staff];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Staff => "staff",
        }
    }

    /// The kind of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Who wrote something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessageAuthor {
    /// Which side.
    pub kind: AuthorKind,
    /// The person.
    pub id: UserId,
    /// Name of the account as it is now.
    #[cfg_attr(feature = "openapi", schema(example = "Ada Lovelace"))]
    pub name: String,
}

/// A file of the tenant that came with a message, as it was then. The file itself may be deleted by now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attachment {
    /// Id of the file.
    pub asset_id: AssetId,
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(example = "screen.png"))]
    pub filename: String,
    /// Its media type.
    #[cfg_attr(feature = "openapi", schema(example = "image/png"))]
    pub content_type: String,
    /// Bytes.
    pub size: u64,
    /// What a scanner for malware says of it. It can be loaded once that is `clean`, or where there is no scanner.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub scan: AttachmentScan,
    /// The name of what was found in it, as the scanner calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = String, example = "Win.Test.EICAR_HDB-1"))]
    pub signature: Option<String>,
}

/// What somebody wrote to a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SupportMessage {
    /// UUIDv7.
    pub id: SupportMessageId,
    /// The tenant.
    #[serde(skip)]
    pub tenant_id: TenantId,
    /// The ticket.
    #[serde(skip)]
    pub ticket_id: SupportTicketId,
    /// Who wrote it.
    pub author: MessageAuthor,
    /// Plain text.
    #[cfg_attr(feature = "openapi", schema(example = "Which version do you use?"))]
    pub body: String,
    /// Files that came with it.
    pub attachments: Vec<Attachment>,
    /// Whether only staff see it. In what customers get it is always false.
    pub internal: bool,
    /// When it was written.
    pub created_at: Timestamp,
}

/// A message to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"body": "It is version 2.4.1."})))]
pub struct NewMessage {
    /// 1 to 10,000 characters of plain text.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 10_000))]
    pub body: String,
    /// Files of the tenant, at most 10.
    #[cfg_attr(feature = "openapi", schema(max_items = 10))]
    pub attachments: Vec<AssetId>,
}

/// Checks a text of a ticket.
pub(crate) fn check_text(violations: &mut Violations, field: &str, text: &str) {
    violations.text(field, text, 1, TEXT_MAX);
}

/// The files of these ids among those that the tenant has, in the order of the ids.
///
/// # Errors
/// An error for each that the tenant does not have, that is named twice, or that is one too many.
pub fn attached(ids: &[AssetId], known: &[Attachment]) -> Result<Vec<Attachment>, Vec<FieldError>> {
    let mut violations = Violations::default();
    let message = format!("Attach {ATTACHMENTS_MAX} files at most.");
    violations.check(ids.len() <= ATTACHMENTS_MAX, "attachments", "too_many", message);
    let mut found: Vec<Attachment> = Vec::new();
    for (place, id) in ids.iter().enumerate().take(ATTACHMENTS_MAX) {
        let field = format!("attachments[{place}]");
        match known.iter().find(|attachment| attachment.asset_id == *id) {
            Some(_) if found.iter().any(|attachment| attachment.asset_id == *id) => {
                violations.add(field, "duplicate", "This file is named twice.");
            }
            Some(attachment) => found.push(attachment.clone()),
            None => violations.add(field, "unknown_asset", "The tenant has no such file."),
        }
    }
    violations.into_result().map(|()| found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::env;

    #[test]
    fn only_files_of_the_tenant_are_attached_each_once() {
        let env = env();
        let file = |asset_id| Attachment {
            asset_id,
            filename: "a.png".to_owned(),
            content_type: "image/png".to_owned(),
            size: 5,
            scan: AttachmentScan::Pending,
            signature: None,
        };
        let (one, other): (AssetId, AssetId) = (env.new_id(), env.new_id());
        let known = [file(one), file(other)];
        assert_eq!(attached(&[other, one], &known), Ok(vec![file(other), file(one)]));
        let wrong = attached(&[one, env.new_id(), one], &known).unwrap_err();
        let wrong: Vec<_> = wrong.iter().map(|error| (error.field.as_str(), &*error.code)).collect();
        assert_eq!(wrong, [("attachments[1]", "unknown_asset"), ("attachments[2]", "duplicate")]);
        let many: Vec<AssetId> = (0..=ATTACHMENTS_MAX).map(|_| env.new_id()).collect();
        assert_eq!(attached(&many, &[]).unwrap_err()[0].code, "too_many");
    }
}
