//! Object storage with the S3 protocol: Amazon's, MinIO, Garage, Ceph, R2.

use std::time::Duration;

use object_store::{
    BackoffConfig, ClientOptions, RetryConfig, aws::AmazonS3Builder, path::Path, prefix::PrefixStore,
};
use url::Url;

use crate::{ObjectFileStore, OpenError, key::checked};

/// Timeouts of a connection, and of a whole request: the largest file that is sent in one has 20 MB, a part of a larger one 8 MiB.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);

/// Attempts after the first one, and their total timeout: a request is waiting.
const RETRIES: usize = 3;
const RETRY_TIME: Duration = Duration::from_secs(20);

/// Location and credentials of a bucket.
#[derive(Clone, Copy, Debug, Default)]
pub struct S3Options<'a> {
    /// URL of the server. Amazon's for the region where absent.
    pub endpoint: Option<&'a str>,
    /// Region; `us-east-1` where absent.
    pub region: Option<&'a str>,
    /// Key id. Without key and secret, the credentials of the machine are used: environment, web identity, or instance.
    pub access_key_id: Option<&'a str>,
    /// Secret of the key.
    pub secret_access_key: Option<&'a str>,
    /// Whether the endpoint may be reached without TLS.
    pub allow_http: bool,
    /// Whether the bucket is part of the host name. Self-hosted servers mostly have it in the path.
    pub virtual_hosted: bool,
}

impl ObjectFileStore {
    /// Opens a bucket at a URL such as `s3://bucket/prefix`. Makes no request to the server.
    ///
    /// # Errors
    /// When the URL or the options are invalid; also for `http:` without `allow_http`.
    pub fn s3(address: &str, options: S3Options<'_>) -> Result<Self, OpenError> {
        let invalid = || OpenError::InvalidBucket(address.to_owned());
        let rest = address.strip_prefix("s3://").ok_or_else(invalid)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(allowed) {
            return Err(invalid());
        }
        let prefix = match prefix.trim_end_matches('/') {
            "" => Path::default(),
            prefix => checked(prefix).map_err(|_| invalid())?,
        };
        let client = ClientOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_timeout(TIMEOUT)
            .with_allow_http(options.allow_http);
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRY_TIME,
            backoff: BackoffConfig::default(),
        };
        // Without a key in the settings, the usual variables and services of Amazon's machines supply credentials.
        let builder = match options.access_key_id {
            Some(_) => AmazonS3Builder::new(),
            None => AmazonS3Builder::from_env(),
        };
        let mut builder = builder
            .with_bucket_name(bucket)
            .with_region(options.region.unwrap_or("us-east-1"))
            .with_virtual_hosted_style_request(options.virtual_hosted)
            .with_client_options(client)
            .with_retry(retry);
        if let Some(endpoint) = options.endpoint {
            let url = Url::parse(endpoint).ok().filter(Url::has_host);
            let scheme = url.as_ref().map(Url::scheme);
            if !(scheme == Some("https") || (scheme == Some("http") && options.allow_http)) {
                return Err(OpenError::Endpoint(endpoint.to_owned()));
            }
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        if let (Some(id), Some(secret)) = (options.access_key_id, options.secret_access_key) {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        let bucket = builder.build()?;
        Ok(match prefix.as_ref() {
            "" => Self::in_bucket(bucket),
            _ => Self::in_bucket(PrefixStore::new(bucket, prefix)),
        })
    }
}
