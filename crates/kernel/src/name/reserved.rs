//! Names that the service keeps for itself, and what could be taken for one.

/// Names that belong to the service, or that would let a customer pose as it.
const RESERVED: &str = "
    abuse account accounts admin administrator administrators analytics api app apps asset assets auth
    authentication autoconfig autodiscover backend backup backups beta billing blog cache careers cdn chat checkout
    cloud cname community config console contact control cpanel customer dashboard data database deploy dev
    developer developers dns docs domain domains download downloads email emails files firewall forum ftp gateway
    git grafana graphql health healthz help helpdesk home hooks hosting hostmaster id identity images imap img info
    internal invalid invoice invoices jobs licence license licenses local localhost login logout mail mailbox mailer
    mailserver media metrics monitor monitoring mta mta-sts mx my mysql news newsletter no-reply noreply
    notifications oauth official oidc openid operator partner partners password pay payment payments phpmyadmin pop
    pop3 portal postgres postmaster press preview previews pricing privacy private prod production prometheus proxy
    public redis register registration reset root s3 sandbox search secure security server servers service services
    sftp sign-in sign-up signin signup sites smtp sql ssh ssl ssladmin ssladministrator sslwebmaster sso staff
    staging static status storage stripe support sysadmin system telemetry test testing tls trust updates upload
    uploads verify vpn web webhook webhooks webmail webmaster well-known whatsapp whois wiki wpad www www-data
";

/// The name of the product: no site may have it, or one that looks alike.
const PRODUCT: &str = "portico";

/// Words that, together with the product's name, pose as the operator.
const OFFICIAL: &str = "
    account accounts admin api app apps auth billing cloud docs email help hq id login mail my news official online pay
    payment payments portal secure security service shop signin signup site sites sso staff status store support team
    verify web www
";

/// Names of machines that are numbered: `ns1`, `mx2`, `www3`.
const NUMBERED: &[&str] = &[
    "api", "app", "cdn", "dns", "email", "ftp", "host", "imap", "mail", "mx", "node", "ns", "pop", "server",
    "smtp", "vpn", "web", "www",
];

/// Whether the service reserves the name: an address of ours, or one that could be taken for one.
pub(super) fn is_reserved(label: &str) -> bool {
    let stem = label.trim_end_matches(|c: char| c.is_ascii_digit());
    // `adm1n`, `l0gin`: with a digit in it, a name is compared by its looks.
    let disguised = label.bytes().any(|b| b.is_ascii_digit()).then(|| skeleton(label));
    RESERVED
        .split_whitespace()
        .any(|ours| ours == label || disguised.as_ref().is_some_and(|looks| *looks == skeleton(ours)))
        || NUMBERED.contains(&stem.trim_end_matches('-'))
        || resembles(label, PRODUCT)
}

/// Whether a label is a brand, has it as a word, or looks or sounds as if it came from the brand's owner: `p0rtico`,
/// `my-portico`, `por-tico`, `portico2`, `porticologin`. A longer word that only contains it (`elportico`) does not.
pub(super) fn resembles(label: &str, brand: &str) -> bool {
    let brand = skeleton(brand);
    if brand.is_empty() {
        return false;
    }
    let is_brand = |word: &str| {
        // Digits behind a word number a machine of ours; digits in it are letters in disguise.
        let bare = word.trim_end_matches(|c: char| c.is_ascii_digit());
        [word, bare].iter().any(|word| {
            let word = skeleton(word);
            let rest = word.strip_prefix(&brand).or_else(|| word.strip_suffix(&brand));
            rest.is_some_and(|rest| {
                rest.is_empty() || OFFICIAL.split_whitespace().any(|w| skeleton(w) == rest)
            })
        })
    };
    label.split('-').any(is_brand) || is_brand(&label.replace('-', ""))
}

/// A name as the eye reads it in a hurry: letters and digits that look alike become one (after UTS 39, for the few characters
/// that a label can have).
fn skeleton(name: &str) -> String {
    let mut skeleton = String::with_capacity(name.len());
    for c in name.chars() {
        let seen = match c {
            '0' => 'o',
            '1' | 'l' | 'j' => 'i',
            '2' => 'z',
            '3' => 'e',
            '4' => 'a',
            '5' => 's',
            '6' | '9' | 'q' => 'g',
            '7' => 't',
            '8' => 'b',
            c => c,
        };
        skeleton.push(seen);
    }
    skeleton.replace("rn", "m").replace("vv", "w").replace("ci", "d")
}
