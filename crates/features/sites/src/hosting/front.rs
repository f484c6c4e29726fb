//! The front page of a site, which is what most visitors ask for.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::files::SiteFile;

/// Longest `Accept-Encoding` that is remembered, in bytes. Those of browsers are shorter.
const LONGEST: usize = 64;

/// The front page as it was last found, for whoever accepts the same encodings: it is found again without asking for the manifest and
/// the content. Part of what is known of a host name for less than a second, so that it is of the deployment that is served there, and
/// that the caches of both learn at least once a second that it is asked for. The file stays in memory only as long as its cache keeps it.
#[derive(Default)]
pub(super) struct FrontPage(Mutex<Option<Found>>);

struct Found {
    accepted: Option<String>,
    file: Weak<SiteFile>,
}

impl FrontPage {
    /// The file, if it is still in memory.
    pub(super) fn get(&self, accepted: Option<&str>) -> Option<Arc<SiteFile>> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.as_ref().filter(|found| found.accepted.as_deref() == accepted)?.file.upgrade()
    }

    /// Remembers what was found.
    pub(super) fn put(&self, accepted: Option<&str>, file: &Arc<SiteFile>) {
        if accepted.is_some_and(|accepted| accepted.len() > LONGEST) {
            return;
        }
        let found = Found { accepted: accepted.map(str::to_owned), file: Arc::downgrade(file) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_found_for_the_same_encodings_while_it_is_in_memory() {
        let (front, file) = (FrontPage::default(), Arc::new(SiteFile::of(b"<h1>Elm</h1>")));
        assert!(front.get(Some("gzip")).is_none(), "nothing was found yet");
        front.put(Some("gzip"), &file);
        assert!(front.get(Some("gzip")).is_some_and(|found| Arc::ptr_eq(&found, &file)));
        assert!(front.get(Some("br")).is_none() && front.get(None).is_none());
        front.put(None, &file);
        assert!(front.get(None).is_some() && front.get(Some("gzip")).is_none());
        let long = "gzip,".repeat(20);
        front.put(Some(&long), &file);
        assert!(front.get(Some(&long)).is_none() && front.get(None).is_some(), "too long to be kept");
        drop(file);
        assert!(front.get(None).is_none(), "it is in memory no more");
    }
}
