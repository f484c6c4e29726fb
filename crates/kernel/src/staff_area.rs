//! The areas in which staff work.

use serde::{Deserialize, Serialize};

/// A field of work of staff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum StaffArea {
    /// Helps customers: answers, acts as them, suspends, looks after licenses.
    Support,
    /// Looks after money: plans, limits, refunds, licenses, finances.
    Billing,
    /// Makes templates and sites for sale.
    Content,
    /// Keeps the platform running: background jobs, suspensions, growth.
    Operations,
}

impl StaffArea {
    /// Every area.
    pub const ALL: [Self; 4] = [Self::Support, Self::Billing, Self::Content, Self::Operations];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Support => "support",
            Self::Billing => "billing",
            Self::Content => "content",
            Self::Operations => "operations",
        }
    }

    /// The area of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|area| area.as_str() == text)
    }
}

/// The areas in which a member of staff works. JSON form: a list, for instance `["support", "billing"]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<StaffArea>", into = "Vec<StaffArea>")]
pub struct StaffAreas(u8);

impl StaffAreas {
    /// Whether the area is among them.
    pub const fn contains(self, area: StaffArea) -> bool {
        self.0 & (1 << area as u8) != 0
    }
}

impl From<Vec<StaffArea>> for StaffAreas {
    /// An area that is there twice counts once.
    fn from(areas: Vec<StaffArea>) -> Self {
        Self(areas.into_iter().fold(0, |bits, area| bits | 1 << area as u8))
    }
}

impl From<StaffAreas> for Vec<StaffArea> {
    fn from(areas: StaffAreas) -> Self {
        StaffArea::ALL.into_iter().filter(|area| areas.contains(*area)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_read_back_in_one_order_and_count_once() {
        for area in StaffArea::ALL {
            assert_eq!(StaffArea::parse(area.as_str()), Some(area));
        }
        assert_eq!(StaffArea::parse("kitchen"), None);
        let areas = StaffAreas::from(vec![StaffArea::Content, StaffArea::Support, StaffArea::Content]);
        assert_eq!(serde_json::to_string(&areas).unwrap(), r#"["support","content"]"#);
        assert_eq!(serde_json::from_str::<StaffAreas>(r#"["content","support"]"#).unwrap(), areas);
        assert!(areas.contains(StaffArea::Support) && !areas.contains(StaffArea::Billing));
    }
}
