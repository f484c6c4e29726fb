//! What money is about: the product, the plan or the site that was sold.

use std::{collections::BTreeMap, fmt};

use crate::purchase::Purchase;

/// What an entry of the ledger is about. Written `product:base_product`, `plan:starter`, `site`, `unknown`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A product that is paid once, by its id.
    Product(String),
    /// A plan, by its id.
    Plan(String),
    /// A finished site.
    Site,
    /// It is not known: the price was not made here, or it was booked before subjects were.
    Unknown,
}

impl Subject {
    /// Reads a subject.
    pub fn parse(text: &str) -> Option<Self> {
        match (text, text.split_once(':')) {
            ("site", _) => Some(Self::Site),
            ("unknown", _) => Some(Self::Unknown),
            (_, Some(("product", id))) => Some(Self::Product(id.to_owned())),
            (_, Some(("plan", id))) => Some(Self::Plan(id.to_owned())),
            _ => None,
        }
    }

    /// Id of the product or the plan.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Product(id) | Self::Plan(id) => Some(id),
            Self::Site | Self::Unknown => None,
        }
    }

    /// What is paid for each product of a purchase, discounts taken off, in minor units: in these proportions money of the purchase is
    /// about them.
    pub fn shares(purchase: &Purchase) -> Vec<(Self, i64)> {
        let mut shares: BTreeMap<&str, i64> = BTreeMap::new();
        for item in &purchase.items {
            *shares.entry(&item.product_type).or_default() += item.total() - item.discount;
        }
        shares.into_iter().map(|(id, amount)| (Self::Product(id.to_owned()), amount)).collect()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Product(id) => write!(f, "product:{id}"),
            Self::Plan(id) => write!(f, "plan:{id}"),
            Self::Site => f.write_str("site"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// Divides an amount in proportion to shares. The parts sum to the amount: the minor units that are left after rounding towards zero go to
/// the first parts, one each. Parts of nothing are left out. The same amount with the other sign has the same parts with the other sign.
pub(crate) fn divide(amount: i64, shares: &[(Subject, i64)]) -> Vec<(Subject, i64)> {
    let shares: Vec<&(Subject, i64)> = shares.iter().filter(|(_, share)| *share > 0).collect();
    let total: i128 = shares.iter().map(|(_, share)| i128::from(*share)).sum();
    if total == 0 {
        return vec![(Subject::Unknown, amount)];
    }
    // No part is larger than the whole.
    let part = |share: i64| i64::try_from(i128::from(amount) * i128::from(share) / total).unwrap_or_default();
    let mut parts: Vec<(Subject, i64)> =
        shares.iter().map(|(subject, share)| (subject.clone(), part(*share))).collect();
    let mut left = amount - parts.iter().map(|(_, part)| part).sum::<i64>();
    for (_, part) in &mut parts {
        *part += left.signum();
        left -= left.signum();
    }
    parts.retain(|(_, part)| *part != 0);
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{purchase::PurchaseItem, testing::env};

    fn product(id: &str) -> Subject {
        Subject::Product(id.to_owned())
    }

    #[test]
    fn subjects_are_read_back() {
        for subject in [
            product("base_product"),
            product("a:b"),
            Subject::Plan("pro".to_owned()),
            Subject::Site,
            Subject::Unknown,
        ] {
            assert_eq!(Subject::parse(&subject.to_string()), Some(subject));
        }
        assert_eq!(Subject::parse("license:x"), None);
        assert_eq!(Subject::parse("product"), None);
    }

    #[test]
    fn items_of_the_same_product_are_one_share() {
        let env = env();
        let mut purchase = crate::testing::purchase(&env, env.new_id());
        let item = purchase.items[0].clone();
        purchase.items.push(PurchaseItem {
            amount: 100,
            quantity: 3,
            product_type: "addon".to_owned(),
            ..item.clone()
        });
        purchase.items.push(item);
        assert_eq!(Subject::shares(&purchase), [(product("addon"), 300), (product("base_product"), 71800)]);
        // What a coupon for one product takes off is taken off that product, and not off the others.
        purchase.items[1].discount = 300;
        purchase.items[2].discount = 900;
        assert_eq!(Subject::shares(&purchase), [(product("addon"), 0), (product("base_product"), 70900)]);
    }

    #[test]
    fn what_cannot_be_divided_evenly_goes_to_the_first() {
        let shares = [(product("a"), 1), (product("b"), 1), (product("c"), 1), (product("d"), 0)];
        assert_eq!(divide(5, &shares), [(product("a"), 2), (product("b"), 2), (product("c"), 1)]);
        assert_eq!(divide(-1, &shares), [(product("a"), -1)]);
        assert_eq!(divide(7, &[]), [(Subject::Unknown, 7)]);
    }

    proptest! {
        #[test]
        fn the_parts_sum_to_the_whole(amount in any::<i32>(), shares in prop::collection::vec(0_i64..1_000_000, 0..6)) {
            let shares: Vec<(Subject, i64)> =
                shares.into_iter().enumerate().map(|(index, share)| (product(&index.to_string()), share)).collect();
            let amount = i64::from(amount);
            let parts = divide(amount, &shares);
            prop_assert_eq!(parts.iter().map(|(_, part)| part).sum::<i64>(), amount);
            prop_assert!(parts.iter().all(|(_, part)| part.signum() == amount.signum()));
            let opposite: Vec<_> = divide(-amount, &shares).into_iter().map(|(subject, part)| (subject, -part)).collect();
            prop_assert_eq!(opposite, parts);
        }
    }
}
