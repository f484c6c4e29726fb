//! Licenses, and every move of their status.

use portico_kernel::{LicenseId, PurchaseId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use time::Date;

use crate::{
    key::SealedKey,
    policy::{LicensePolicy, LicenseTerms},
};

/// Whether a license may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum LicenseStatus {
    /// It may.
    Active,
    /// Not for now.
    Suspended,
    /// Its term is over.
    Expired,
    /// Never again.
    Revoked,
}

impl LicenseStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Active, Self::Suspended, Self::Expired, Self::Revoked];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// Who suspended a license. What one of them has suspended the other one does not resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Suspension {
    /// Staff.
    Staff,
    /// The buyer's bank has taken the money back, or is about to.
    Dispute,
}

impl Suspension {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Staff, Self::Dispute];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::Dispute => "dispute",
        }
    }

    /// The one of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suspension| suspension.as_str() == text)
    }
}

/// What may happen to a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// Staff suspend it.
    Suspend,
    /// Staff let it be used again.
    Resume,
    /// Staff end it for good.
    Revoke,
    /// All of the money was given back, or the dispute was lost.
    Refund,
    /// The buyer disputes the payment.
    Dispute,
    /// The payment stands, also after a dispute.
    Settle,
    /// Its term is over.
    Expire,
}

impl Move {
    /// Every move.
    pub const ALL: [Self; 7] =
        [Self::Suspend, Self::Resume, Self::Revoke, Self::Refund, Self::Dispute, Self::Settle, Self::Expire];
}

/// A status with who suspended it.
type State = (LicenseStatus, Option<Suspension>);

/// Every move of a status: from where, by what, to where. What is not listed changes nothing, so each may be done any number of times. From
/// `revoked` nothing leads away.
const MOVES: [(State, Move, State); 17] = {
    use LicenseStatus::{Active, Expired, Revoked, Suspended};
    use Suspension::{Dispute, Staff};
    const ACTIVE: State = (Active, None);
    const EXPIRED: State = (Expired, None);
    const REVOKED: State = (Revoked, None);
    const BY_STAFF: State = (Suspended, Some(Staff));
    const BY_DISPUTE: State = (Suspended, Some(Dispute));
    [
        (ACTIVE, Move::Suspend, BY_STAFF),
        // Staff decide: the end of the dispute does not lift what they have done.
        (BY_DISPUTE, Move::Suspend, BY_STAFF),
        (EXPIRED, Move::Suspend, BY_STAFF),
        (ACTIVE, Move::Dispute, BY_DISPUTE),
        (EXPIRED, Move::Dispute, BY_DISPUTE),
        (BY_STAFF, Move::Resume, ACTIVE),
        (BY_DISPUTE, Move::Resume, ACTIVE),
        (BY_DISPUTE, Move::Settle, ACTIVE),
        // One whose term is over expires again at the next round.
        (ACTIVE, Move::Expire, EXPIRED),
        (ACTIVE, Move::Revoke, REVOKED),
        (EXPIRED, Move::Revoke, REVOKED),
        (BY_STAFF, Move::Revoke, REVOKED),
        (BY_DISPUTE, Move::Revoke, REVOKED),
        (ACTIVE, Move::Refund, REVOKED),
        (EXPIRED, Move::Refund, REVOKED),
        (BY_STAFF, Move::Refund, REVOKED),
        (BY_DISPUTE, Move::Refund, REVOKED),
    ]
};

/// The seats that an owner has freed in a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeatReleases {
    /// Its first day (UTC); `None` before the first one.
    pub month: Option<Date>,
    /// How many.
    pub count: u32,
}

impl SeatReleases {
    /// With one more, unless that would be more than `most` in the month of `now`.
    #[must_use]
    pub fn one_more(self, now: Timestamp, most: u32) -> Option<Self> {
        let today = now.into_inner().date();
        let month = today.replace_day(1).unwrap_or(today);
        let count = if self.month == Some(month) { self.count } else { 0 };
        (count < most).then_some(Self { month: Some(month), count: count + 1 })
    }
}

/// The right of a tenant to use one copy of a product. Its JSON has no key: it goes into events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct License {
    /// UUIDv7.
    pub id: LicenseId,
    /// The tenant that it belongs to.
    #[serde(skip)]
    pub tenant_id: TenantId,
    /// By which it is found.
    #[serde(skip)]
    pub key: SealedKey,
    /// Id of the product.
    #[cfg_attr(feature = "openapi", schema(example = "base_product"))]
    pub product_type: String,
    /// Name of the product when it was issued.
    #[cfg_attr(feature = "openapi", schema(example = "Base Software License"))]
    pub product_name: String,
    /// The purchase that it was issued for; absent for one that staff have issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = PurchaseId))]
    pub purchase_id: Option<PurchaseId>,
    /// Item of the purchase and unit of the item, both from 0.
    #[serde(skip)]
    pub unit: Option<(u32, u32)>,
    /// Whether it may be used.
    pub status: LicenseStatus,
    /// Who suspended it; absent while it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = Suspension))]
    pub suspended_by: Option<Suspension>,
    /// When it ends; null for never.
    pub expires_at: Option<Timestamp>,
    /// Until when it covers releases that appear; absent for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = Timestamp))]
    pub supported_until: Option<Timestamp>,
    /// On how many machines it may be used at once; absent for any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = u32, example = 3))]
    pub activation_limit: Option<u32>,
    /// What else it allows.
    pub terms: LicenseTerms,
    /// How many seats its owner has freed lately.
    #[serde(skip)]
    pub releases: SeatReleases,
    /// When it was issued.
    pub created_at: Timestamp,
}

impl License {
    /// One that is issued now by a policy.
    pub(crate) fn issued(
        id: LicenseId,
        tenant_id: TenantId,
        key: SealedKey,
        policy: &LicensePolicy,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            tenant_id,
            key,
            product_type: policy.product_type.clone(),
            product_name: policy.product_name.clone(),
            purchase_id: None,
            unit: None,
            status: LicenseStatus::Active,
            suspended_by: None,
            expires_at: policy.expires_at(now),
            supported_until: policy.supported_until(now),
            activation_limit: policy.seats,
            terms: policy.terms.clone(),
            releases: SeatReleases::default(),
            created_at: now,
        }
    }

    /// The license after a move, see [`Move`]. The same where the move changes nothing.
    #[must_use]
    pub fn after(&self, by: Move) -> Self {
        let state = (self.status, self.suspended_by);
        let row = MOVES.into_iter().find(|(from, moved, _)| *from == state && *moved == by);
        let (status, suspended_by) = row.map_or(state, |(_, _, to)| to);
        Self { status, suspended_by, ..self.clone() }
    }

    /// The license as it is at a moment: one whose term is over has expired, whether or not that is stored yet.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        match self.expires_at {
            Some(end) if end <= now => self.after(Move::Expire),
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::Duration;

    use super::*;
    use crate::testing::{env, license};

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        prop::collection::vec(prop::sample::select(Move::ALL.to_vec()), 0..12)
    }

    proptest! {
        #[test]
        fn whatever_happens_a_license_is_suspended_by_somebody_and_revoked_for_good(moves in moves()) {
            let mut license = license(&env());
            for by in &moves {
                let next = license.after(*by);
                prop_assert_eq!(next.status == LicenseStatus::Suspended, next.suspended_by.is_some());
                prop_assert!(license.status != LicenseStatus::Revoked || next == license, "{by:?}");
                prop_assert_eq!(next.after(*by), next.clone(), "{:?} twice", by);
                license = next;
            }
        }
    }

    #[test]
    fn each_row_of_the_table_is_there_once() {
        for (index, (from, by, _)) in MOVES.iter().enumerate() {
            assert!(
                MOVES.iter().skip(index + 1).all(|(other, moved, _)| (other, moved) != (from, by)),
                "{by:?}"
            );
        }
        for status in LicenseStatus::ALL {
            assert_eq!(LicenseStatus::parse(status.as_str()), Some(status));
        }
        for suspension in Suspension::ALL {
            assert_eq!(Suspension::parse(suspension.as_str()), Some(suspension));
        }
    }

    #[test]
    fn staff_and_a_dispute_do_not_lift_what_the_other_has_done() {
        let active = license(&env());
        let after = |moves: &[Move]| {
            let end = moves.iter().fold(active.clone(), |license, by| license.after(*by));
            (end.status, end.suspended_by)
        };
        use LicenseStatus::{Active, Revoked, Suspended};
        assert_eq!(after(&[Move::Dispute, Move::Settle]), (Active, None));
        assert_eq!(
            after(&[Move::Suspend, Move::Dispute, Move::Settle]),
            (Suspended, Some(Suspension::Staff))
        );
        assert_eq!(
            after(&[Move::Dispute, Move::Suspend, Move::Settle]),
            (Suspended, Some(Suspension::Staff))
        );
        assert_eq!(after(&[Move::Dispute, Move::Resume]), (Active, None), "staff decide");
        assert_eq!(after(&[Move::Refund, Move::Settle, Move::Resume]), (Revoked, None));
    }

    #[test]
    fn a_term_ends_by_the_clock() {
        let env = env();
        let end = env.now() + Duration::DAY;
        let license = License { expires_at: Some(end), ..license(&env) };
        assert_eq!(license.clone().at(end - Duration::SECOND).status, LicenseStatus::Active);
        assert_eq!(license.clone().at(end).status, LicenseStatus::Expired);
        let suspended = license.after(Move::Suspend);
        assert_eq!(suspended.at(end).status, LicenseStatus::Suspended);
    }

    #[test]
    fn seats_are_counted_by_calendar_months() {
        let at = |seconds| Timestamp::from_unix_seconds(seconds).unwrap();
        // 2026-11-30T23:59:59Z and the second after it.
        let (last, next) = (at(1_796_083_199), at(1_796_083_200));
        let one = SeatReleases::default().one_more(last, 2).unwrap();
        let two = one.one_more(last, 2).unwrap();
        assert_eq!((two.count, two.one_more(last, 2)), (2, None));
        assert_eq!(two.one_more(next, 2).map(|releases| releases.count), Some(1));
        assert_eq!(SeatReleases::default().one_more(last, 0), None);
    }

    #[test]
    fn events_have_no_key() {
        let json = serde_json::to_value(license(&env())).unwrap();
        let mut members: Vec<&String> = json.as_object().unwrap().keys().collect();
        members.sort_unstable();
        let expected = [
            "activationLimit",
            "createdAt",
            "expiresAt",
            "id",
            "productName",
            "productType",
            "status",
            "supportedUntil",
            "terms",
        ];
        assert_eq!(members, expected);
    }
}
