//! Storage of the files of deployments, and deletion of files that no deployment needs any more.
//!
//! There are no races with another deployment of the same site: one is built at a time, and only it deletes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use portico_kernel::{DeploymentId, SiteId, files::FileError};
use portico_runtime::{logging::chain, worker::jobs::JobError};
use portico_sites::ports::{LiveSite, RenderedFile};
use sha2::{Digest, Sha256};

use super::{
    Progress, StoredFile,
    compress::{WORTHWHILE, compress},
};
use crate::{
    hosting::{
        encoding::Encoding,
        manifest::{
            Entry, Manifest, blob_key, blob_name, blobs, content_type, is_asset, is_compressible,
            manifest_key, manifests,
        },
    },
    state::App,
};

/// Files written concurrently.
const AT_ONCE: usize = 8;

/// The files of a deployment, grouped by how they are stored.
pub struct Plan {
    place: LiveSite,
    manifest: Manifest,
    /// Contents by hash.
    contents: HashMap<String, Arc<Vec<u8>>>,
    /// By hash, the keys of contents that an earlier deployment has stored already.
    reused: HashMap<String, String>,
}

impl Plan {
    /// Determines the content at each path. Reads images that no earlier deployment has; their names change with their
    /// content, so an earlier one's file of the same name is identical.
    pub async fn new(
        app: &App,
        place: LiveSite,
        rendered: Vec<RenderedFile>,
        stored: Vec<StoredFile>,
        kept: &[Arc<Manifest>],
    ) -> Result<Self, JobError> {
        let mut plan =
            Self { place, manifest: Manifest::default(), contents: HashMap::new(), reused: HashMap::new() };
        for StoredFile { path, key } in stored {
            let known =
                kept.iter().filter(|_| is_asset(&path)).find_map(|manifest| manifest.files.get(&path));
            if let Some(entry) = known {
                plan.reused.insert(entry.hash.to_string(), key);
                plan.manifest.files.insert(path, entry.clone());
                continue;
            }
            match app.files.get(&key).await.map_err(|error| failed(&key, &error))? {
                Some(bytes) => plan.add(path, bytes),
                // Deleted since it was looked up: the page is shown without it.
                None => tracing::warn!(key, path, "a picture of a site is gone"),
            }
        }
        // Hashing is CPU-bound, and there can be megabytes of it.
        let hashed = app.pools.deployments.run(move || {
            for RenderedFile { path, bytes } in rendered {
                plan.add(path, bytes);
            }
            plan
        });
        hashed.await.map_err(|error| JobError::Retry(error.to_string()))
    }

    fn add(&mut self, path: String, bytes: Vec<u8>) {
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let content_type = content_type(&path);
        let compressed = is_compressible(content_type) && bytes.len() >= WORTHWHILE;
        let entry = Entry {
            hash: hash.as_str().into(),
            size: bytes.len() as u64,
            content_type: content_type.into(),
            encodings: if compressed { Encoding::COMPRESSED.to_vec() } else { Vec::new() },
        };
        self.manifest.files.insert(path, entry);
        self.contents.insert(hash, Arc::new(bytes));
    }

    /// Every encoding of every content that the deployment needs, by its name in the store.
    fn needed(&self) -> BTreeMap<String, (&str, Encoding)> {
        names(&self.manifest).collect()
    }

    /// Writes what is missing, and records the progress from time to time. Returns how many files were written.
    pub async fn write(&self, app: &App, progress: &Progress<'_>) -> Result<usize, JobError> {
        let mut written = 0;
        // A worker whose lease had expired may have deleted something meanwhile, so the store is listed once more.
        for _ in 0..3 {
            let there = self.there(app).await?;
            let missing: Vec<(&str, Encoding)> = self
                .needed()
                .into_iter()
                .filter(|(name, _)| !there.contains(name))
                .map(|(_, form)| form)
                .collect();
            if missing.is_empty() {
                return Ok(written);
            }
            let total = missing.len();
            let writes: Vec<_> = missing.into_iter().map(|form| self.put(app, form)).collect();
            let mut writes = stream::iter(writes).buffer_unordered(AT_ONCE);
            let mut done = 0;
            while let Some(()) = writes.try_next().await? {
                (done, written) = (done + 1, written + 1);
                if done % (4 * AT_ONCE) == 0 {
                    progress.note(app, done as f64 / total as f64).await?;
                }
            }
        }
        Err(JobError::Retry("files of the deployment disappear while it is built".to_owned()))
    }

    /// The names of the contents stored for the site.
    async fn there(&self, app: &App) -> Result<BTreeSet<String>, JobError> {
        Ok(list(app, &blobs(self.place.tenant, self.place.site)).await?.into_iter().collect())
    }

    async fn put(&self, app: &App, (hash, encoding): (&str, Encoding)) -> Result<(), JobError> {
        let key = blob_key(self.place.tenant, self.place.site, hash, encoding);
        let content = match (self.contents.get(hash), self.reused.get(hash)) {
            (Some(content), _) => content.clone(),
            // An earlier deployment had it, and it was deleted since.
            (None, Some(source)) => {
                let found = app.files.get(source).await.map_err(|error| failed(source, &error))?;
                Arc::new(found.ok_or_else(|| JobError::Retry(format!("{source} is not there any more")))?)
            }
            (None, None) => return Err(JobError::Fatal(format!("{key} has no content"))),
        };
        let bytes = match encoding {
            Encoding::Identity => content.to_vec(),
            _ => {
                let compressed = app.pools.deployments.run(move || compress(&content, encoding)).await;
                let compressed = compressed.map_err(|error| JobError::Retry(error.to_string()))?;
                compressed.map_err(|error| JobError::Fatal(format!("{key}: {error}")))?
            }
        };
        app.files.put(&key, bytes).await.map_err(|error| failed(&key, &error))
    }

    /// Writes the manifest of the deployment. From then on the site can be switched over to it.
    pub async fn seal(&self, app: &App) -> Result<(), JobError> {
        let key = manifest_key(self.place.tenant, self.place.site, self.place.deployment);
        let bytes = serde_json::to_vec(&self.manifest).map_err(|error| JobError::Fatal(error.to_string()))?;
        app.files.put(&key, bytes).await.map_err(|error| failed(&key, &error))
    }

    /// Deletes the manifests of deployments that are not kept, and every content that neither they nor this deployment
    /// need. If a deletion fails, the next deployment repeats it.
    pub async fn clean(&self, app: &App, kept: &[(DeploymentId, Arc<Manifest>)]) {
        match self.try_clean(app, kept).await {
            Ok(0) => {}
            Ok(deleted) => {
                tracing::debug!(site = %self.place.site, deleted, "files of old deployments deleted")
            }
            Err(JobError::Retry(error) | JobError::Fatal(error)) => {
                tracing::warn!(site = %self.place.site, error, "files of old deployments stay for now");
            }
        }
    }

    async fn try_clean(&self, app: &App, kept: &[(DeploymentId, Arc<Manifest>)]) -> Result<usize, JobError> {
        let (tenant, site) = (self.place.tenant, self.place.site);
        let mut needed: BTreeSet<String> = self.needed().into_keys().collect();
        for (_, manifest) in kept {
            needed.extend(names(manifest).map(|(name, _)| name));
        }
        let mut surplus = Vec::new();
        for name in self.there(app).await? {
            if !needed.contains(&name) {
                surplus.push(format!("{}/{name}", blobs(tenant, site)));
            }
        }
        for name in list(app, &manifests(tenant, site)).await? {
            let of = |deployment: DeploymentId| name == format!("{deployment}.json");
            if !of(self.place.deployment) && !kept.iter().any(|(deployment, _)| of(*deployment)) {
                surplus.push(format!("{}/{name}", manifests(tenant, site)));
            }
        }
        let total = surplus.len();
        let deletions: Vec<_> = surplus.into_iter().map(|key| delete(app, key)).collect();
        stream::iter(deletions).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(total)
    }
}

/// Every encoding of every content of a deployment, by its name in the store.
fn names(manifest: &Manifest) -> impl Iterator<Item = (String, (&str, Encoding))> {
    manifest.files.values().flat_map(|entry| {
        let forms = entry.encodings.iter().copied().chain([Encoding::Identity]);
        forms.map(|encoding| (blob_name(&entry.hash, encoding), (&*entry.hash, encoding)))
    })
}

/// The manifests of the deployments that are kept. One without a manifest cannot be served, and needs nothing.
pub async fn kept(
    app: &App,
    place: LiveSite,
    deployments: Vec<DeploymentId>,
) -> Result<Vec<(DeploymentId, Arc<Manifest>)>, JobError> {
    let mut kept = Vec::with_capacity(deployments.len());
    for deployment in deployments {
        let manifest = app.hosting.live.manifest(&app.hosting, &LiveSite { deployment, ..place }).await;
        kept.extend(manifest.map_err(JobError::Retry)?.map(|manifest| (deployment, manifest)));
    }
    Ok(kept)
}

/// The names below a folder, without the folder.
async fn list(app: &App, folder: &str) -> Result<Vec<String>, JobError> {
    let keys = app.files.list(folder).await.map_err(|error| failed(folder, &error))?;
    let name = |key: String| key.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned);
    Ok(keys.into_iter().filter_map(name).collect())
}

async fn delete(app: &App, key: String) -> Result<(), JobError> {
    app.files.delete(&key).await.map_err(|error| failed(&key, &error))
}

fn failed(key: &str, error: &FileError) -> JobError {
    JobError::Retry(format!("{key}: {}", chain(error)))
}

/// Deletes everything that belongs to a site.
pub async fn purge(app: &App, tenant: portico_kernel::TenantId, site: SiteId) -> Result<(), JobError> {
    let prefix = crate::hosting::manifest::site_prefix(tenant, site);
    app.files.delete_prefix(&prefix).await.map_err(|error| failed(&prefix, &error))
}
