//! Asking the DNS who owns a domain and where it leads.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Domain, DomainReason};
use crate::{
    domain_name::{challenge_name, challenge_text, is_apex},
    ports::{DomainResolver, Pointing, ResolveError},
};

/// The most values of a record that are reported: the owner of the name servers could send any number.
const MOST_FOUND: usize = 10;

/// The most characters of a value that are reported.
const LONGEST_FOUND: usize = 255;

/// A record that the DNS has to have, and what it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DnsRecord {
    /// `TXT`, `CNAME`, `A` or `AAAA`.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(example = "TXT"))]
    pub kind: String,
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(example = "_portico-challenge.www.example.com"))]
    pub name: String,
    /// The value that it must have.
    #[cfg_attr(feature = "openapi", schema(example = "portico-verify=pWn0…"))]
    pub expected: String,
    /// The values that the last check found.
    pub found: Vec<String>,
    /// Whether they are right. Only the text record decides about the verification.
    pub ok: bool,
}

/// Where domains have to lead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostingTarget {
    /// The host name for aliases (CNAME).
    pub host: Option<String>,
    /// Addresses for names that cannot be aliases, and for those who prefer them.
    pub addresses: Vec<IpAddr>,
}

/// Result of asking for the text record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsOutcome {
    /// It is there.
    Proven,
    /// It is not there.
    Unproven(DomainReason),
    /// The DNS gives no answer now.
    Unknown(DomainReason),
}

/// Result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsCheck {
    /// About the proof.
    pub outcome: DnsOutcome,
    /// Every record that matters.
    pub records: Vec<DnsRecord>,
}

/// The records that a domain needs, with nothing found yet.
pub fn expected_records(domain: &Domain, target: &HostingTarget) -> Vec<DnsRecord> {
    let mut records = vec![DnsRecord {
        kind: "TXT".to_owned(),
        name: challenge_name(&domain.name),
        expected: challenge_text(&domain.token),
        found: Vec::new(),
        ok: false,
    }];
    let pointing = |kind: &str, expected: &str| DnsRecord {
        kind: kind.to_owned(),
        name: domain.name.clone(),
        expected: expected.to_owned(),
        found: Vec::new(),
        ok: false,
    };
    match &target.host {
        Some(host) if !is_apex(&domain.name) || target.addresses.is_empty() => {
            // At a name without anything before it some providers write an alias all the same (ALIAS, flattened CNAME).
            records.push(pointing("CNAME", host));
        }
        _ => {
            let kind = |address: &IpAddr| if address.is_ipv4() { "A" } else { "AAAA" };
            records
                .extend(target.addresses.iter().map(|address| pointing(kind(address), &address.to_string())));
        }
    }
    records
}

/// Asks the DNS. Takes time: not for a unit of work.
pub async fn look(resolver: &dyn DomainResolver, domain: &Domain, target: &HostingTarget) -> DnsCheck {
    let mut records = expected_records(domain, target);
    let outcome = match resolver.texts(&challenge_name(&domain.name)).await {
        Ok(texts) => judge(&texts, records.first_mut()),
        Err(ResolveError::TimedOut) => DnsOutcome::Unknown(DomainReason::DnsTimeout),
        Err(ResolveError::Failed(_)) => DnsOutcome::Unknown(DomainReason::DnsFailed),
    };
    if records.len() > 1
        && let Ok(found) = resolver.pointing(&domain.name).await
    {
        // The addresses behind our own host, for names that lead to them directly. When they cannot be resolved now, the
        // configured ones are right all the same.
        let mut ours = target.addresses.clone();
        if let Some(host) = &target.host
            && let Ok(pointing) = resolver.pointing(host).await
        {
            ours.extend(pointing.addresses);
        }
        for record in records.iter_mut().skip(1) {
            fill(record, &found, &ours);
        }
    }
    DnsCheck { outcome, records }
}

/// Finds the one text among those at the name, which may hold others: of another tenant, of a former owner.
fn judge(texts: &[String], record: Option<&mut DnsRecord>) -> DnsOutcome {
    let Some(record) = record else { return DnsOutcome::Unproven(DomainReason::TxtMissing) };
    // Some providers keep the quotation marks that their form was given.
    let bare = |text: &str| text.trim().trim_matches('"').to_owned();
    record.ok = texts.iter().any(|text| bare(text) == record.expected);
    record.found = shown(texts.iter().cloned());
    match (record.ok, texts.is_empty()) {
        (true, _) => DnsOutcome::Proven,
        (false, true) => DnsOutcome::Unproven(DomainReason::TxtMissing),
        (false, false) => DnsOutcome::Unproven(DomainReason::TxtWrong),
    }
}

/// Records where a name leads, and whether that is here.
fn fill(record: &mut DnsRecord, found: &Pointing, ours: &[IpAddr]) {
    let is_ours = |address: &IpAddr| ours.contains(address);
    let wanted: Option<IpAddr> = record.expected.parse().ok();
    record.ok = match wanted {
        Some(address) => found.addresses.contains(&address),
        // Some of the visitors would go elsewhere if some of the addresses were not ours.
        None => {
            found.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(&record.expected))
                || !found.addresses.is_empty() && found.addresses.iter().all(is_ours)
        }
    };
    let addresses = found.addresses.iter().filter(|address| match wanted {
        Some(wanted) => wanted.is_ipv4() == address.is_ipv4(),
        None => true,
    });
    let aliases = found.aliases.iter().cloned();
    record.found = shown(aliases.chain(addresses.map(IpAddr::to_string)));
}

/// Values as they are reported: not more than a person would read, and no control characters.
fn shown(values: impl Iterator<Item = String>) -> Vec<String> {
    let readable = |text: String| {
        text.chars().take(LONGEST_FOUND).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
    };
    values.take(MOST_FOUND).map(readable).collect()
}
