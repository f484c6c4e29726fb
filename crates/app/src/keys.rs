//! The secrets of the installation.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, bail};
use portico_kernel::Env;
use portico_security::{Ed25519Signer, Secrets};
use secrecy::SecretString;

use crate::settings::{Profile, Settings};

/// The secrets of the installation, each with those that it has replaced.
pub struct Keys {
    /// Signs tokens, links and marks, which expire.
    pub signing: Secrets,
    /// Encrypts what is stored and has to be read again.
    pub sealing: Secrets,
}

impl Keys {
    /// Those of the settings. Missing ones are generated once and kept in `data_dir`; where only the signing one is set, it also
    /// encrypts, as it did before there were two: instances must not generate different ones.
    ///
    /// # Errors
    /// When a generated one cannot be read or written.
    pub fn load(settings: &Settings, env: &Env) -> anyhow::Result<Self> {
        let security = &settings.security;
        let generated = |name| generated(&settings.data_dir, name, env);
        let signing = match &security.jwt_secret {
            Some(secret) => secret.clone(),
            None => generated("secret.key")?,
        };
        let sealing = match (&security.sealing_secret, &security.jwt_secret) {
            (Some(secret), _) => secret.clone(),
            (None, Some(secret)) => {
                if settings.profile == Profile::Production {
                    tracing::warn!(
                        "security.sealing_secret is not set: stored secrets are encrypted with security.jwt_secret"
                    );
                }
                secret.clone()
            }
            (None, None) => generated("sealing.key")?,
        };
        // What was sealed before sealing had a secret of its own was sealed with that of tokens.
        let of_tokens = std::iter::once(&signing).chain(&security.jwt_secret_previous);
        let earlier: Vec<_> = security.sealing_secret_previous.iter().chain(of_tokens).cloned().collect();
        Ok(Self {
            sealing: Secrets::new(sealing, earlier),
            signing: Secrets::new(signing, security.jwt_secret_previous.iter().cloned()),
        })
    }
}

/// What signs license files, with the secret of the settings. A missing one is generated once and kept in `data_dir`; not in production,
/// where each instance would generate another one: then there is none, and no files are made.
///
/// # Errors
/// When a generated one cannot be read or written.
pub fn license_signer(settings: &Settings, env: &Env) -> anyhow::Result<Option<Ed25519Signer>> {
    let licensing = &settings.licensing;
    let secret = match &licensing.signing_secret {
        Some(secret) => secret.clone(),
        None if settings.profile == Profile::Production && !settings.accepts("generated_secret") => {
            tracing::warn!("licensing.signing_secret is not set: no license files are made");
            return Ok(None);
        }
        None => generated(&settings.data_dir, "licensing.key", env)?,
    };
    Ok(Some(Ed25519Signer::new(&secret, &licensing.signing_secret_previous)?))
}

/// Makes a directory that only the user of this process can enter. One that is there is closed to those who are neither in the
/// group nor the owner: it holds the secrets of the installation.
///
/// # Errors
/// When it cannot be made.
pub fn make_private(directory: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    let about = made.and_then(|()| fs::metadata(directory));
    let about = about.with_context(|| format!("data_dir {} cannot be made", directory.display()))?;
    let mode = about.permissions().mode();
    if mode & 0o007 != 0 {
        // A mounted volume may belong to another user: then it is theirs to close.
        let _ = fs::set_permissions(directory, PermissionsExt::from_mode(mode & 0o7770));
    }
    Ok(())
}

/// A secret that is generated once and stored in a file that only this user can read.
fn generated(data_dir: &Path, name: &str, env: &Env) -> anyhow::Result<SecretString> {
    let path = data_dir.join(name);
    match fs::read_to_string(&path) {
        Ok(secret) if secret.trim().len() >= 32 => Ok(secret.trim().to_owned().into()),
        Ok(_) => bail!(
            "{} is damaged; restore it (docs/operations.md says what is lost without it)",
            path.display()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_private(data_dir)?;
            let secret = env.secret();
            // Written to a temporary file first, so that an aborted start does not leave an incomplete secret.
            let draft = data_dir.join(format!("{name}.{}", env.random_uuid()));
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            file.write_all(secret.as_bytes())?;
            file.sync_all()?;
            // Unlike a rename, a link does not replace a secret that another process has stored meanwhile.
            let placed = fs::hard_link(&draft, &path);
            fs::remove_file(&draft)?;
            placed.with_context(|| format!("{} cannot be written", path.display()))?;
            Ok(secret.into())
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::sealing::Sealer;
    use portico_licensing::ports::LicenseSigner;
    use portico_security::{AesSealer, system_env};

    use super::*;

    fn sealer(settings: &Settings) -> AesSealer {
        AesSealer::new(&Keys::load(settings, &system_env()).unwrap().sealing)
    }

    #[test]
    fn what_was_sealed_with_the_secret_of_tokens_opens_under_a_secret_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let secret = |letter: &str| SecretString::from(letter.repeat(32));
        let mut settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
        settings.security.jwt_secret = Some(secret("a"));
        let sealed = sealer(&settings).seal("webhook", b"one", b"secret").unwrap();
        let opens = |settings: &Settings| sealer(settings).open("webhook", b"one", &sealed).is_some();

        settings.security.sealing_secret = Some(secret("b"));
        assert!(opens(&settings));
        settings.security.jwt_secret = Some(secret("c"));
        assert!(!opens(&settings), "the secret that sealed it is not known any more");
        settings.security.jwt_secret_previous = vec![secret("a")];
        assert!(opens(&settings));
        settings.security.jwt_secret_previous.clear();
        settings.security.sealing_secret_previous = vec![secret("a")];
        assert!(opens(&settings));
    }

    #[test]
    fn license_files_are_signed_with_a_secret_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
        let key = |settings: &Settings| {
            let signer = license_signer(settings, &system_env()).unwrap();
            signer.map(|signer| signer.keys().remove(0))
        };
        let generated = key(&settings);
        assert!(generated.is_some() && key(&settings) == generated, "the same after the next start");
        settings.profile = Profile::Production;
        assert_eq!(key(&settings), None, "instances must not generate different ones");
        settings.allow_in_production = vec!["generated_secret".to_owned()];
        assert_eq!(key(&settings), generated);
        settings.licensing.signing_secret = Some("s".repeat(32).into());
        assert!(key(&settings).is_some_and(|key| Some(key) != generated));
    }

    #[test]
    fn generated_secrets_differ_and_stay_and_are_private() {
        let folder = tempfile::tempdir().unwrap();
        // Data of a version that had one secret.
        fs::write(folder.path().join("secret.key"), "d".repeat(40)).unwrap();
        let before = AesSealer::new(&"d".repeat(40).into()).seal("webhook", b"one", b"secret").unwrap();
        let settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
        assert!(sealer(&settings).open("webhook", b"one", &before).is_some());
        let after = sealer(&settings).reseal("webhook", b"one", &before).unwrap().unwrap();
        let [signing, sealing] =
            ["secret.key", "sealing.key"].map(|name| fs::read_to_string(folder.path().join(name)).unwrap());
        assert!(signing != sealing && sealing.len() >= 32);
        assert!(AesSealer::new(&sealing.into()).open("webhook", b"one", &after).is_some());
        let mode = fs::metadata(folder.path().join("sealing.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
