//! Settings of file storage.

use anyhow::Context;
use documented::DocumentedFields;
use portico_runtime::settings::{Problems, sources::masked};
use portico_storage::{ObjectFileStore, S3Options};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::Settings;

/// Object storage.
#[derive(Clone, Debug, Default, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// `file://…`, or `s3://bucket/prefix`. Default: `file://{data_dir}/files`.
    pub url: Option<String>,
    /// URL of an S3 server. Default: Amazon's for the region.
    pub endpoint: Option<String>,
    /// Region of the bucket. Default: `us-east-1`.
    pub region: Option<String>,
    /// Access key id. Default: the credentials of environment and machine (web identity, instance).
    pub access_key_id: Option<String>,
    /// Secret of the key.
    #[serde(serialize_with = "masked")]
    pub secret_access_key: Option<SecretString>,
    /// Whether the endpoint may be reached without TLS.
    pub allow_http: bool,
    /// Whether the bucket is in the host name, and not in the path.
    pub virtual_hosted: bool,
}

impl Storage {
    /// Whether files are on an S3 server.
    fn is_s3(&self) -> bool {
        self.url.as_deref().is_some_and(|url| url.starts_with("s3:"))
    }

    /// Fails if a setting is invalid.
    pub(super) fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let said = self.endpoint.is_some()
            || self.region.is_some()
            || self.access_key_id.is_some()
            || self.secret_access_key.is_some();
        if said && !self.is_s3() {
            problems.add("storage.endpoint, region and keys are for storage.url = s3://bucket/prefix");
        }
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            problems.add("storage.access_key_id and storage.secret_access_key go together");
        }
        if self.is_s3() {
            problems.note(self.open_bucket());
        } else if let Some(url) = &self.url
            && let Err(why) = ObjectFileStore::directory_at(url)
        {
            problems.add(format!("storage.url: {why}"));
        }
        problems.into_result()
    }
}

impl Storage {
    /// The bucket. Makes no request.
    fn open_bucket(&self) -> anyhow::Result<ObjectFileStore> {
        // The client of the store wants one; a second installation in one process keeps the first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let options = S3Options {
            endpoint: self.endpoint.as_deref(),
            region: self.region.as_deref(),
            access_key_id: self.access_key_id.as_deref(),
            secret_access_key: self.secret_access_key.as_ref().map(ExposeSecret::expose_secret),
            allow_http: self.allow_http,
            virtual_hosted: self.virtual_hosted,
        };
        ObjectFileStore::s3(self.url.as_deref().unwrap_or_default(), options)
            .context("storage.url, storage.endpoint")
    }
}

impl Settings {
    /// Opens the file store.
    pub fn open_files(&self) -> anyhow::Result<ObjectFileStore> {
        let storage = &self.storage;
        let Some(url) = &storage.url else {
            return ObjectFileStore::directory(self.data_dir.join("files")).context("data_dir");
        };
        if storage.is_s3() {
            storage.open_bucket()
        } else {
            ObjectFileStore::open(url).context("storage.url")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_together_and_only_with_a_bucket() {
        let secret = || Some(SecretString::from("secret".to_owned()));
        let bucket = || Storage { url: Some("s3://bucket".to_owned()), ..Storage::default() };
        assert!(Storage::default().check().is_ok() && bucket().check().is_ok());
        assert!(Storage { secret_access_key: secret(), ..bucket() }.check().is_err());
        assert!(Storage { access_key_id: Some("id".to_owned()), ..bucket() }.check().is_err());
        let both = Storage { access_key_id: Some("id".to_owned()), secret_access_key: secret(), ..bucket() };
        assert!(both.check().is_ok());
        assert!(Storage { url: None, ..both }.check().is_err());
        assert!(Storage { region: Some("eu".to_owned()), ..Storage::default() }.check().is_err());
    }
}
