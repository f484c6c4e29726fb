//! A mailbox that stores outgoing messages, to try Portico without a mail server.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use portico_kernel::{
    Env, Id, Timestamp,
    mail::{MailError, MailMessage, MailTransport},
};
use serde::{Deserialize, Serialize};

/// Id of a message in the mailbox.
pub type MessageId = Id<StoredMessage>;

/// A stored message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredMessage {
    /// Id of the message; it is kept once.
    pub id: MessageId,
    /// When it was received.
    pub received_at: Timestamp,
    /// Address of the recipient.
    pub to: String,
    /// Display name of the recipient.
    pub to_name: Option<String>,
    /// Address for replies, if not the sender.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// Subject.
    pub subject: String,
    /// Body as HTML.
    pub html: String,
    /// Body as plain text.
    pub text: String,
}

/// Stores the newest messages as JSON files in a directory, which processes may share: messages sent by a worker are
/// visible to the server.
///
/// Clones share the mailbox.
#[derive(Clone)]
pub struct Mailbox {
    shared: Arc<Shared>,
}

struct Shared {
    directory: PathBuf,
    env: Env,
    capacity: usize,
}

/// A file of the mailbox; names sort by time of arrival.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    micros: i64,
    id: MessageId,
}

impl Mailbox {
    /// Maximum number of messages; the oldest are deleted.
    pub const CAPACITY: usize = 1000;

    /// Opens the mailbox in `directory`, which is created if missing, with the messages of earlier runs.
    ///
    /// Reads the directory synchronously, so call it at startup, not in a request.
    pub fn open(directory: impl Into<PathBuf>, env: Env) -> io::Result<Self> {
        Self::with_capacity(directory.into(), env, Self::CAPACITY)
    }

    fn with_capacity(directory: PathBuf, env: Env, capacity: usize) -> io::Result<Self> {
        make_private_directory(&directory)?;
        for file in fs::read_dir(&directory)? {
            let file = file?;
            if file.file_name().to_str().is_some_and(|name| name.ends_with(".tmp")) {
                // If another process is just writing it, that process sends its message again.
                gone_is_fine(fs::remove_file(file.path()))?;
            }
        }
        Ok(Self { shared: Arc::new(Shared { directory, env, capacity }) })
    }

    /// The messages to an address (ignoring case), or all for `None`; newest first.
    pub async fn list(&self, to: Option<&str>) -> io::Result<Vec<StoredMessage>> {
        let to = to.map(str::to_owned);
        self.blocking(move |shared| shared.list(to.as_deref())).await
    }

    /// The message of this id.
    pub async fn get(&self, id: MessageId) -> io::Result<Option<StoredMessage>> {
        self.blocking(move |shared| {
            let entry = shared.entries()?.into_iter().find(|entry| entry.id == id);
            entry.map_or(Ok(None), |entry| shared.read(&entry))
        })
        .await
    }

    /// Deletes every message.
    pub async fn clear(&self) -> io::Result<()> {
        self.blocking(|shared| shared.entries()?.iter().try_for_each(|entry| shared.remove(entry))).await
    }

    /// Runs file operations on the blocking pool.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let shared = self.shared.clone();
        tokio::task::spawn_blocking(move || work(&shared)).await.map_err(io::Error::other)?
    }
}

#[async_trait]
impl MailTransport for Mailbox {
    async fn send(&self, message: &MailMessage) -> Result<(), MailError> {
        let message = message.clone();
        let kept = self.blocking(move |shared| shared.keep(message)).await;
        kept.map_err(|error| MailError::Unavailable(Box::new(error)))
    }
}

impl Shared {
    fn keep(&self, message: MailMessage) -> io::Result<()> {
        let MailMessage { id, to, to_name, reply_to, subject, html, text } = message;
        let id = MessageId::from_uuid(id.uuid());
        let entries = self.entries()?;
        if entries.iter().any(|entry| entry.id == id) {
            // Stored before, by an attempt whose success was not recorded. Mail servers drop a repeated Message-ID, too.
            return Ok(());
        }
        let received_at = self.env.now();
        let stored = StoredMessage { id, received_at, to, to_name, reply_to, subject, html, text };
        let entry = Entry { micros: received_at.unix_micros(), id: stored.id };

        // Written to a temporary file and renamed, so that neither a reader nor a restart finds an incomplete message.
        let unfinished = self.directory.join(format!("{}.tmp", stored.id));
        let bytes = serde_json::to_vec(&stored)?;
        let written = fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, self.path(&entry)));
        if let Err(error) = written {
            // Best effort; remaining files are removed at the next start.
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }

        let surplus = (entries.len() + 1).saturating_sub(self.capacity);
        entries.iter().take(surplus).try_for_each(|entry| self.remove(entry))
    }

    fn list(&self, to: Option<&str>) -> io::Result<Vec<StoredMessage>> {
        let mut messages = Vec::new();
        for entry in self.entries()?.iter().rev() {
            // A file that was deleted meanwhile is skipped.
            let Some(message) = self.read(entry)? else { continue };
            if to.is_none_or(|to| message.to.eq_ignore_ascii_case(to)) {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    fn read(&self, entry: &Entry) -> io::Result<Option<StoredMessage>> {
        match fs::read(self.path(entry)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remove(&self, entry: &Entry) -> io::Result<()> {
        gone_is_fine(fs::remove_file(self.path(entry)))
    }

    fn path(&self, entry: &Entry) -> PathBuf {
        self.directory.join(entry.file_name())
    }

    /// The current files, oldest first; none if the directory does not exist.
    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let files = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(entries),
            files => files?,
        };
        for file in files {
            entries.extend(file?.file_name().to_str().and_then(Entry::parse));
        }
        entries.sort();
        Ok(entries)
    }
}

impl Entry {
    fn file_name(&self) -> String {
        format!("{:016}-{}.json", self.micros, self.id)
    }

    /// `None` for a file that is not ours.
    fn parse(name: &str) -> Option<Self> {
        let (micros, id) = name.strip_suffix(".json")?.split_once('-')?;
        Some(Self { micros: micros.parse().ok()?, id: id.parse().ok()? })
    }
}

/// Another process may have removed the file.
fn gone_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Messages contain links that grant access, so other users of the machine must not read them.
fn make_private_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    use portico_kernel::{Clock, Random};

    use super::*;

    /// Advances by a microsecond at each call.
    struct Ticking(AtomicI64);

    impl Clock for Ticking {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_micros(self.0.fetch_add(1, Ordering::Relaxed)).unwrap()
        }
    }

    struct Counting(AtomicU64);

    impl Random for Counting {
        fn fill(&self, buffer: &mut [u8]) {
            let count = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes();
            buffer.iter_mut().zip(count.iter().cycle()).for_each(|(to, from)| *to = *from);
        }
    }

    fn env() -> Env {
        let (clock, random) = (Ticking(AtomicI64::new(1_790_000_000_000_000)), Counting(AtomicU64::new(0)));
        Env::new(Arc::new(clock), Arc::new(random))
    }

    fn message(to: &str, subject: &str) -> MailMessage {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        MailMessage {
            id: format!("0190a5b0-c0d0-8e00-8f00-{:012}", NUMBER.fetch_add(1, Ordering::Relaxed))
                .parse()
                .unwrap(),
            to: to.into(),
            to_name: Some("Ana".into()),
            reply_to: None,
            subject: subject.into(),
            html: "<p>Hello</p>".into(),
            text: "Hello".into(),
        }
    }

    async fn subjects(mailbox: &Mailbox, to: Option<&str>) -> Vec<String> {
        mailbox.list(to).await.unwrap().into_iter().map(|message| message.subject).collect()
    }

    #[tokio::test]
    async fn lists_newest_first_and_by_receiver() {
        let directory = tempfile::tempdir().unwrap();
        let mailbox = Mailbox::open(directory.path(), env()).unwrap();
        for (to, subject) in
            [("ana@example.com", "one"), ("bo@example.com", "two"), ("Ana@Example.com", "three")]
        {
            mailbox.send(&message(to, subject)).await.unwrap();
        }
        assert_eq!(subjects(&mailbox, None).await, ["three", "two", "one"]);
        assert_eq!(subjects(&mailbox, Some("ANA@example.com")).await, ["three", "one"]);
        assert!(subjects(&mailbox, Some("nobody@example.com")).await.is_empty());
    }

    #[tokio::test]
    async fn a_repeated_message_is_kept_once() {
        let directory = tempfile::tempdir().unwrap();
        let mailbox = Mailbox::open(directory.path(), env()).unwrap();
        let message = message("ana@example.com", "one");
        mailbox.send(&message).await.unwrap();
        mailbox.send(&message).await.unwrap();
        assert_eq!(subjects(&mailbox, None).await, ["one"]);
        drop(mailbox);
        let mailbox = Mailbox::open(directory.path(), env()).unwrap();
        mailbox.send(&message).await.unwrap();
        assert_eq!(subjects(&mailbox, None).await, ["one"]);
    }

    #[tokio::test]
    async fn what_one_process_keeps_another_one_sees() {
        let directory = tempfile::tempdir().unwrap();
        let sending = Mailbox::open(directory.path(), env()).unwrap();
        let reading = Mailbox::open(directory.path(), env()).unwrap();
        let message = message("ana@example.com", "one");
        sending.send(&message).await.unwrap();
        let listed = reading.list(None).await.unwrap().remove(0);
        assert_eq!(reading.get(listed.id).await.unwrap(), Some(listed));
        reading.send(&message).await.unwrap();
        assert_eq!(subjects(&sending, None).await, ["one"], "kept once by both");
        reading.clear().await.unwrap();
        assert!(subjects(&sending, None).await.is_empty());
    }

    #[tokio::test]
    async fn finds_one_and_clears_all() {
        let directory = tempfile::tempdir().unwrap();
        let mailbox = Mailbox::open(directory.path(), env()).unwrap();
        mailbox.send(&message("ana@example.com", "one")).await.unwrap();
        let listed = mailbox.list(None).await.unwrap().remove(0);
        assert_eq!(mailbox.get(listed.id).await.unwrap(), Some(listed.clone()));
        assert_eq!(mailbox.get("0190a5b0-c0d0-7e00-8f00-112233445566".parse().unwrap()).await.unwrap(), None);
        mailbox.clear().await.unwrap();
        assert!(subjects(&mailbox, None).await.is_empty());
        assert_eq!(mailbox.get(listed.id).await.unwrap(), None);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn survives_a_restart_and_sweeps_up_what_was_unfinished() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mail/box");
        let env = env();
        let mailbox = Mailbox::open(&path, env.clone()).unwrap();
        mailbox.send(&message("ana@example.com", "one")).await.unwrap();
        mailbox.send(&message("ana@example.com", "two")).await.unwrap();
        drop(mailbox);
        fs::write(path.join("0190.tmp"), "{\"to\": \"an").unwrap();
        fs::write(path.join("README"), "not a message").unwrap();

        let mailbox = Mailbox::open(&path, env).unwrap();
        assert_eq!(subjects(&mailbox, None).await, ["two", "one"]);
        assert!(!path.join("0190.tmp").exists() && path.join("README").exists());
        mailbox.send(&message("ana@example.com", "three")).await.unwrap();
        assert_eq!(subjects(&mailbox, None).await, ["three", "two", "one"]);
    }

    #[tokio::test]
    async fn the_oldest_make_room() {
        let directory = tempfile::tempdir().unwrap();
        let mailbox = Mailbox::with_capacity(directory.path().into(), env(), 3).unwrap();
        for number in 1..=5 {
            mailbox.send(&message("ana@example.com", &number.to_string())).await.unwrap();
        }
        assert_eq!(subjects(&mailbox, None).await, ["5", "4", "3"]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_at_once_lose_none() {
        let directory = tempfile::tempdir().unwrap();
        let mailbox = Mailbox::open(directory.path(), env()).unwrap();
        let senders: Vec<_> = (0..64)
            .map(|number| {
                let mailbox = mailbox.clone();
                tokio::spawn(
                    async move { mailbox.send(&message("ana@example.com", &number.to_string())).await },
                )
            })
            .collect();
        for sender in senders {
            sender.await.unwrap().unwrap();
        }
        let mut found = subjects(&mailbox, None).await;
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 64);
    }

    #[tokio::test]
    async fn a_full_disk_is_reported_as_unavailable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mailbox");
        let mailbox = Mailbox::open(&path, env()).unwrap();
        // A removed directory stands for one that cannot be written.
        fs::remove_dir(&path).unwrap();
        let result = mailbox.send(&message("ana@example.com", "one")).await;
        assert!(matches!(result, Err(MailError::Unavailable(_))));
        assert!(subjects(&mailbox, None).await.is_empty());
    }
}
