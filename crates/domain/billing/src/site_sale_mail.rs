//! The messages about sales of sites.

use portico_kernel::{
    Timestamp,
    mail::{Mail, MailClass, MailContent},
};

use crate::{money::in_words, site_sale::SiteSale};

/// A message about the sale of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteSaleMail {
    /// Greets a buyer for whom an account was made. Carries the secret of the link to set a password.
    Welcome {
        /// Goes into the link as `?token=`.
        token: String,
    },
    /// Confirms to the buyer that the site is theirs.
    Confirmation {
        /// The site.
        sold: SoldSite,
        /// Number of its receipt, if it has one.
        receipt: Option<String>,
    },
    /// Tells the owner of an address that a site waits for them. Carries the secret of the link to claim it.
    Claim {
        /// The site.
        sold: SoldSite,
        /// Goes into the link as `?token=`.
        token: String,
    },
    /// Tells an owner of the tenant that sold it.
    Sold(SoldSite),
}

/// What messages say about a sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoldSite {
    /// Number by which buyer and seller can name it.
    pub number: String,
    /// Subdomain of the site. Not its name, which people choose.
    pub site: String,
    /// What it cost, with its currency.
    pub total: String,
    /// When it was paid.
    pub paid_at: Timestamp,
}

impl SoldSite {
    /// Of a sale; `None` while it is not paid.
    pub fn of(sale: &SiteSale) -> Option<Self> {
        Some(Self {
            number: sale.id.to_string(),
            site: sale.slug.clone(),
            total: in_words(sale.amount, &sale.currency),
            paid_at: sale.paid_at?,
        })
    }

    fn tell(&self, content: MailContent) -> MailContent {
        content
            .with("number", self.number.as_str())
            .with("site", self.site.as_str())
            .with("total", self.total.as_str())
            .with("paid_at", self.paid_at)
    }
}

impl Mail for SiteSaleMail {
    fn content(&self) -> MailContent {
        let about = |key| MailContent::new(key, MailClass::Account);
        match self {
            Self::Welcome { token } => about("site_sale.welcome").link("reset-password", token),
            Self::Confirmation { sold, receipt } => {
                sold.tell(about("site_sale.confirmation")).with("receipt", receipt.as_deref())
            }
            Self::Claim { sold, token } => sold.tell(about("site_sale.claim")).link("claim-site", token),
            Self::Sold(sold) => sold.tell(MailContent::new("site_sale.sold", MailClass::Tenant)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_hold_nothing_that_people_choose() {
        let sold = SoldSite {
            number: "0199f3c2".to_owned(),
            site: "panaderia-luz".to_owned(),
            total: "1500.00 GTQ".to_owned(),
            paid_at: Timestamp::from_unix_seconds(1_790_000_000).unwrap(),
        };
        let token = "secret".to_owned();
        for (mail, key, page) in [
            (SiteSaleMail::Welcome { token: token.clone() }, "site_sale.welcome", "reset-password"),
            (
                SiteSaleMail::Confirmation { sold: sold.clone(), receipt: Some("R-000012".to_owned()) },
                "site_sale.confirmation",
                "",
            ),
            (SiteSaleMail::Claim { sold: sold.clone(), token }, "site_sale.claim", "claim-site"),
            (SiteSaleMail::Sold(sold), "site_sale.sold", ""),
        ] {
            let content = mail.content();
            assert_eq!((content.key, content.page), (key, page));
            assert_eq!(content.token.is_some(), !page.is_empty());
            assert!(!content.has_free_text(), "it may go to an address that is not verified");
        }
    }
}
