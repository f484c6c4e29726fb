//! Names that are registered under a public suffix. Nothing else asks the list: it is code, 0.7 MB of it for each crate that does.

/// The part of a host name that somebody registered: the public suffix and one label before it. `None` for a public suffix.
pub fn registered(host: &str) -> Option<&str> {
    psl::domain(host.as_bytes()).and_then(|domain| std::str::from_utf8(domain.as_bytes()).ok())
}

/// Whether a host name is below a suffix that the list has, not just below a last label that nobody knows.
pub fn is_known(host: &str) -> bool {
    psl::domain(host.as_bytes()).is_some_and(|domain| domain.suffix().is_known())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registered_part_is_found() {
        assert_eq!(registered("www.example.co.uk"), Some("example.co.uk"));
        assert_eq!(registered("example.com"), Some("example.com"));
        assert_eq!(registered("co.uk"), None);
        assert_eq!((is_known("a.example.com"), is_known("a.example.nosuchsuffix")), (true, false));
    }
}
