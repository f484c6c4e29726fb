//! Typed identifiers: one UUIDv7 (RFC 9562) per entity, one Rust type per kind of entity.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Most characters of the id of a product, a word that billing, licenses and releases have in common.
pub const PRODUCT_ID_MAX: usize = 50;

/// An identifier of a `T`. Two ids of different kinds do not compare, assign, or convert.
///
/// An id is not a secret: it may appear in addresses and logs.
pub struct Id<T> {
    uuid: Uuid,
    kind: PhantomData<fn() -> T>,
}

/// What an [`Id`] identifies. The name is how the kind is called in the API document.
pub trait IdKind: 'static {
    /// Name of the schema, for instance `UserId`.
    const NAME: &'static str;
}

impl<T> Id<T> {
    /// Wraps a UUID that is known to identify a `T`. New ids come from [`crate::Env::new_id`].
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self { uuid, kind: PhantomData }
    }

    /// The bare UUID, for adapters.
    pub const fn uuid(self) -> Uuid {
        self.uuid
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.uuid.cmp(&other.uuid)
    }
}
impl<T> std::hash::Hash for Id<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}
impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uuid.fmt(f)
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uuid.fmt(f)
    }
}
impl<T> FromStr for Id<T> {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self::from_uuid)
    }
}
impl<T> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.uuid.serialize(serializer)
    }
}
impl<'de, T> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self::from_uuid)
    }
}

#[cfg(feature = "openapi")]
impl<T: IdKind> utoipa::PartialSchema for Id<T> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::{KnownFormat, ObjectBuilder, SchemaFormat, schema::Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
            .into()
    }
}
#[cfg(feature = "openapi")]
impl<T: IdKind> utoipa::ToSchema for Id<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        std::borrow::Cow::Borrowed(T::NAME)
    }
}

/// Declares the marker of a kind and the name its id goes by.
macro_rules! ids {
    ($($(#[$doc:meta])* $marker:ident => $alias:ident;)*) => {$(
        #[doc = concat!("Marker for [`", stringify!($alias), "`].")]
        pub enum $marker {}
        impl IdKind for $marker {
            const NAME: &'static str = stringify!($alias);
        }
        $(#[$doc])*
        pub type $alias = Id<$marker>;
    )*};
}

ids! {
    /// A person who can sign in.
    UserKind => UserId;
    /// A signed-in device of a user; one family of refresh tokens.
    SessionKind => SessionId;
    /// A company or person whose data is kept apart from that of all others.
    TenantKind => TenantId;
    /// A website of a tenant.
    SiteKind => SiteId;
    /// A page of a site.
    PageKind => PageId;
    /// A block of content on a page.
    SectionKind => SectionId;
    /// An entry of a site's navigation.
    NavItemKind => NavItemId;
    /// One rendering and publication of a site.
    DeploymentKind => DeploymentId;
    /// A file that a tenant uploaded.
    AssetKind => AssetId;
    /// A website template.
    TemplateKind => TemplateId;
    /// A run through the wizard that makes a site.
    WizardKind => WizardId;
    /// A domain of a customer's own, connected to a site.
    DomainKind => DomainId;
    /// A state that a page once had.
    PageVersionKind => PageVersionId;
    /// What a visitor sent through a contact form.
    SubmissionKind => SubmissionId;
    /// One use of the text generator.
    GenerationKind => GenerationId;
    /// What a tenant has bought and pays once.
    PurchaseKind => PurchaseId;
    /// What takes something off the price of an order.
    CouponKind => CouponId;
    /// One payment of a purchase on the pages of a payment provider.
    CheckoutKind => CheckoutId;
    /// The right of a tenant to use one copy of a product.
    LicenseKind => LicenseId;
    /// A machine on which a license is used.
    ActivationKind => ActivationId;
    /// Money of a purchase that is given back.
    RefundKind => RefundId;
    /// Money of a purchase that a bank has taken back.
    DisputeKind => DisputeId;
    /// An invoice of a tenant.
    InvoiceKind => InvoiceId;
    /// A change of a plan that a payment provider is asked for.
    PlanChangeKind => PlanChangeId;
    /// A version of a product that is, was or will be offered for download.
    ReleaseKind => ReleaseId;
    /// A file that was uploaded for a release.
    ReleaseFileKind => ReleaseFileId;
    /// One use of a link to the file of a release.
    DownloadKind => DownloadId;
    /// A key for programs of a tenant.
    ApiKeyKind => ApiKeyId;
    /// An invitation to become a member of a tenant.
    InvitationKind => InvitationId;
    /// A note of staff about a customer.
    CustomerNoteKind => CustomerNoteId;
    /// A request of a customer to support, with all that follows from it.
    SupportTicketKind => SupportTicketId;
    /// What somebody wrote to a support ticket.
    SupportMessageKind => SupportMessageId;
    /// An answer of support that is kept ready.
    CannedReplyKind => CannedReplyId;
    /// A passkey of a user (WebAuthn).
    PasskeyKind => PasskeyId;
    /// An account at an OpenID provider, linked to a user.
    ExternalIdentityKind => ExternalIdentityId;
    /// An address that a tenant wants events sent to.
    WebhookKind => WebhookId;
    /// One attempt to deliver an event to a webhook.
    DeliveryKind => DeliveryId;
    /// An entry of the event log.
    EventKind => EventId;
    /// A unit of background work.
    JobKind => JobId;
}

impl TenantId {
    /// Owner of what belongs to no tenant, for instance a platform-wide event. No tenant row has this id.
    pub const PLATFORM: Self = Self::from_uuid(Uuid::nil());
}
