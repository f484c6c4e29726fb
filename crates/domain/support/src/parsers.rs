//! No mail makes the parsers panic, and hostile ones take bounded time. `PROPTEST_CASES` says how many mails are made up
//! (`scripts/fuzz-parsers`).

use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::{
    embedded::{closed, opened},
    inbound::{MAIL_MAX, Reading, read},
    message::TEXT_MAX,
    quotation::without_quotation,
};

/// What mails are made of: beginnings and ends of headers, types, encodings and boundaries, whole and broken.
const PIECES: [&str; 40] = [
    "From: ada@example.com\r\n",
    "From: =?utf-8?B?w4E=?= <ada@example.com>\r\n",
    "From: a@example.com, \"b\\\" (c) <d@example.com>;\r\n",
    "From:",
    "To: group: a@b, c@d;\r\n",
    "Subject: =?utf-8?Q?=F3=?= =?x?B?!?=\r\n",
    "Message-ID: <1@example.com>\r\n",
    "Auto-Submitted: no\r\n",
    "Date: Mon, 99 Foo -1 99:99:99 +9999\r\n",
    "Received: from a by b with c id d for <e>; ",
    "Content-Type: multipart/mixed; boundary=b\r\n",
    "Content-Type: multipart/digest; boundary=\"\"\r\n",
    "Content-Type: multipart/alternative; boundary*0=b; boundary*1*=%62\r\n",
    "Content-Type: message/rfc822\r\n",
    "Content-Type: MESSAGE/Global (c)\r\n",
    "Content-Type: text/html; charset=utf-16\r\n",
    "Content-Type: text/plain; charset=iso-2022-jp; format=flowed\r\n",
    "Content-Type: text/plain; charset=utf-7\r\n",
    "Content-Type: application/zip; name*=utf-8''%F3%\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "Content-Disposition: attachment; filename=\"",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "--b\r\n",
    "--b--\r\n",
    "--",
    "=3D=\r\n=",
    "UEsDBBQAAAAI",
    "+AGE-",
    "\u{1b}$B",
    "<p>It is <b>2.4.1</b> &amp; &#x110000; <!-- ",
    "> Which version?\r\n",
    "On Mon, Ada wrote:\r\n",
    "##- Write above -##\r\n",
    "-- \r\n",
    "\0",
    "ñ😀",
];

fn mails() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::sample::select(PIECES.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// What is read holds what is promised of it.
fn check(raw: &[u8]) {
    if let Reading::Letter(letter) = read(raw) {
        assert!(!letter.from.is_empty() && !letter.text.trim().is_empty(), "{letter:?}");
        assert!(letter.text.chars().count() <= TEXT_MAX);
        assert_eq!(read(raw), Reading::Letter(letter), "the same mail is the same letter");
    }
}

proptest! {
    #[test]
    fn mails_of_broken_pieces_are_read_without_panic(raw in mails()) {
        check(&raw);
        let mut letter = b"From: ada@example.com\r\n".to_vec();
        letter.extend(raw);
        check(&letter);
    }

    #[test]
    fn mails_of_any_bytes_are_read_without_panic(raw in prop::collection::vec(any::<u8>(), 0..2000)) {
        check(&raw);
    }

    #[test]
    fn what_was_closed_is_opened(text in "([a-z /]|RFC822|rfc822|Global|gLOBAL|digest|ñ){0,40}") {
        let between = closed(text.as_bytes());
        prop_assert_eq!(between.len(), text.len());
        let between = String::from_utf8(between).unwrap();
        let lower = between.to_lowercase();
        prop_assert!(["rfc822", "global", "digest"].iter().all(|name| !lower.contains(name)), "{}", between);
        prop_assert_eq!(opened(&between), text);
    }

    #[test]
    fn any_text_is_opened_and_cut_without_panic(text in "(?s).{0,400}") {
        let text = opened(&text);
        prop_assert!(without_quotation(&text).len() <= text.len());
    }
}

/// Base64 in one line.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let symbol = |group: u32, shift: u32| char::from(ALPHABET[(group >> shift) as usize & 63]);
    let three = |part: &[u8]| (u32::from(part[0]) << 16) | (u32::from(part[1]) << 8) | u32::from(part[2]);
    let groups = bytes.chunks_exact(3).map(three);
    groups.flat_map(|group| [18, 12, 6, 0].map(|shift| symbol(group, shift))).collect()
}

#[test]
fn hostile_mails_take_bounded_time() {
    const FROM: &str = "From: ada@example.com\r\n";
    let fill = |head: &str, piece: &str, tail: &str| {
        let most = (MAIL_MAX - FROM.len() - head.len() - tail.len()) / piece.len();
        format!("{FROM}{head}{}{tail}", piece.repeat(most))
    };
    let nested = "Content-Type:message/rfc822\n\n";
    let in_base64 = base64(nested.repeat(26_000).as_bytes());
    let boundaries: String = (0..12_000)
        .map(|depth| format!("Content-Type: multipart/mixed; boundary=b{depth}\r\n\r\n--b{depth}\r\n"))
        .collect();
    let zip = "UEsDBBQAAAAIAAAAIQAAAAAAAAAAAAAAAAAFAAAAYS56aXBQSwME";
    let recipients: String = (0..1000).map(|number| format!("r{number}@example.com,\r\n ")).collect();
    let headers: String = (0..10_000).map(|number| format!("X-Header-{number}: {number}\r\n")).collect();
    let attached = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nIt is 2.4.1.\r\n--b\r\n\
        Content-Type: application/zip; name=a.zip.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    for (what, raw, text) in [
        ("mails in mails", fill("", nested, ""), None),
        (
            "mails in an encoded mail",
            format!(
                "{FROM}Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{in_base64}"
            ),
            None,
        ),
        ("digests in digests", fill("", "Content-Type:multipart/digest;boundary=b\n\n--b\n\n", ""), None),
        ("multiparts in multiparts", format!("{FROM}{boundaries}"), None),
        ("empty parts", fill("Content-Type: multipart/mixed; boundary=b\n\n", "--b\n\n", ""), None),
        (
            "recipients",
            format!("{FROM}To: {recipients}z@example.com\r\n\r\nIt is 2.4.1."),
            Some("It is 2.4.1."),
        ),
        ("headers", format!("{FROM}{headers}\r\nIt is 2.4.1."), Some("It is 2.4.1.")),
        ("a zip in a zip", fill(attached, zip, "\r\n--b--\r\n"), Some("It is 2.4.1.")),
        ("one header", fill("Subject: ", "=?utf-8?Q?=F3?= ", "\r\n\r\nIt is 2.4.1."), Some("It is 2.4.1.")),
        ("comments", fill("To: ", "(", "\r\n\r\nIt is 2.4.1."), None),
        ("quotations", fill("\r\n", "> a:\r\n", ""), None),
        ("introductions", fill("\r\n", "a: b\r\n> c\r\n", ""), None),
        ("tags", fill("Content-Type: text/html\r\n\r\n", "<p <", ""), None),
    ] {
        assert!(raw.len() <= MAIL_MAX, "{what}: {}", raw.len());
        let started = Instant::now();
        let found = read(raw.as_bytes());
        // Many times what it takes without optimisation: a quadratic one takes minutes.
        assert!(started.elapsed() < Duration::from_secs(30), "{what}: {:?}", started.elapsed());
        if let Some(text) = text {
            assert!(matches!(&found, Reading::Letter(letter) if letter.text == text), "{what}: {found:?}");
        }
    }
}

#[test]
fn words_that_are_types_as_well_are_read_as_they_were_written() {
    let raw = b"From: ada@global.example.com\r\nMessage-ID: <digest@Global>\r\n\r\nA Global RFC822 digest of message/rfc822.";
    let Reading::Letter(letter) = read(raw) else { panic!("{:?}", read(raw)) };
    assert_eq!(letter.from, "ada@global.example.com");
    assert_eq!(letter.text, "A Global RFC822 digest of message/rfc822.");
}
