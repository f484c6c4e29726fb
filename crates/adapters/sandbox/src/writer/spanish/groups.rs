//! Spanish phrases by kind of business.

mod guests;
mod work;

use crate::writer::{phrases::GroupPhrases, trade::Group};

pub(in crate::writer) fn of(group: Group) -> &'static GroupPhrases {
    match group {
        Group::Food => &guests::FOOD,
        Group::Beauty => &guests::BEAUTY,
        Group::Health => &guests::HEALTH,
        Group::Fitness => &guests::FITNESS,
        Group::Advice => &work::ADVICE,
        Group::Trades => &work::TRADES,
        Group::Shop => &work::SHOP,
        Group::Technology => &work::TECHNOLOGY,
        Group::Learning => &guests::LEARNING,
        Group::Property => &work::PROPERTY,
        Group::Travel => &guests::TRAVEL,
        Group::Creative => &work::CREATIVE,
        Group::Community => &guests::COMMUNITY,
        Group::General => &work::GENERAL,
    }
}
