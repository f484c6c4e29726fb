//! Signed links to files of releases: for whoever has one, as long as it lasts and the license does.

use portico_kernel::{LicenseId, Timestamp, UserId, signing::LinkSigner};

/// Keeps these signatures apart from those of other links.
const PURPOSE: &str = "download";

/// What a link permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadLink {
    /// The readable id of the release.
    pub slug: String,
    /// Name of its file, at the end of the path: many programs save it under that.
    pub file_name: String,
    /// The license by which it may be downloaded.
    pub license: LicenseId,
    /// The person who got the link; `None` for an API key.
    pub user: Option<UserId>,
    /// Until when, in whole seconds.
    pub expires: Timestamp,
}

impl DownloadLink {
    /// Path below `/api/v1`, and query.
    pub fn signed(&self, signer: &dyn LinkSigner) -> String {
        let Self { slug, file_name, license, user, expires } = self;
        let user = user.map(|user| format!("&user={user}")).unwrap_or_default();
        let signature = signer.sign(PURPOSE, &self.payload(), *expires);
        let expires = expires.unix_seconds();
        format!(
            "/downloads/{slug}/files/{file_name}?license={license}{user}&expires={expires}&signature={signature}"
        )
    }

    /// Whether a link that says this is one of ours, and has not expired by `now`.
    pub fn is_signed(&self, signer: &dyn LinkSigner, signature: &str, now: Timestamp) -> bool {
        signer.verify(PURPOSE, &self.payload(), self.expires, signature, now)
    }

    /// Names and ids have no slash in them.
    fn payload(&self) -> String {
        let user = self.user.map(|user| user.to_string()).unwrap_or_default();
        format!("{}/{}/{}/{user}", self.slug, self.file_name, self.license)
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::signing::MockLinkSigner;

    use super::*;
    use crate::testing::env;

    #[test]
    fn everything_that_a_link_says_is_signed() {
        let env = env();
        let link = DownloadLink {
            slug: "software_v2".to_owned(),
            file_name: "setup.exe".to_owned(),
            license: env.new_id(),
            user: Some(env.new_id()),
            expires: env.now(),
        };
        let others = [
            DownloadLink { slug: "software_v3".to_owned(), ..link.clone() },
            DownloadLink { file_name: "setup.zip".to_owned(), ..link.clone() },
            DownloadLink { license: env.new_id(), ..link.clone() },
            DownloadLink { user: Some(env.new_id()), ..link.clone() },
            DownloadLink { user: None, ..link.clone() },
        ];
        assert!(others.iter().all(|other| other.payload() != link.payload()));
        let payload = link.payload();
        let mut signer = MockLinkSigner::new();
        signer
            .expect_sign()
            .withf(move |purpose, signed, _| (purpose, signed) == ("download", payload.as_str()))
            .return_const("abc".to_owned());
        let (license, user) = (link.license, link.user.unwrap());
        let expires = link.expires.unix_seconds();
        assert_eq!(
            link.signed(&signer),
            format!(
                "/downloads/software_v2/files/setup.exe?license={license}&user={user}&expires={expires}&signature=abc"
            )
        );
    }
}
