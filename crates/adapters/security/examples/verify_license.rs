//! Verifies license files without a connection: `docs/licensing.md`. For products in Rust, with `aws-lc-rs` (or `ring`, whose interface is
//! the same), `base64` and `serde_json`; nothing of Portico is in it.
//!
//! ```text
//! verify_license LICENSE_FILE KEYS.json FINGERPRINT [LATEST]
//! ```
//!
//! `KEYS.json` is what `GET /api/v1/licenses/keys` answers; a product has it built in. `LATEST` is the latest time that the product has ever
//! seen, in seconds since 1970. Prints the content of a good file, or the reason of a bad one and exits with 1.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a product has no `Env`")]

use std::{
    error::Error,
    fs::{self, File},
    io::Read,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::Value;

const BEGIN: &str = "-----BEGIN LICENSE FILE-----";
const END: &str = "-----END LICENSE FILE-----";
const PRODUCT: &str = "base_product";

/// Clocks differ by so much and are still taken for right, in seconds.
const TOLERANCE: f64 = 86_400.0;

/// No file is larger, in characters.
const LARGEST: usize = 64 * 1024;

/// The content of a good file, or the reason of a bad one, a word. `latest` is the latest time that was ever seen; keep the later of it and
/// `now` afterwards.
fn verify(text: &str, keys: &Value, fingerprint: &str, now: f64, latest: f64) -> Result<Value, &'static str> {
    let envelope = read(text).ok_or("malformed")?;
    // Only this one, whatever the file says: it must not choose how it is verified.
    if envelope.algorithm != "base64+ed25519" {
        return Err("unknown_algorithm");
    }
    let known = keys["keys"].as_array().into_iter().flatten().find(|key| key["kid"] == *envelope.key_id);
    let public = known.and_then(|key| URL_SAFE_NO_PAD.decode(key["x"].as_str()?).ok());
    let public = UnparsedPublicKey::new(&ED25519, public.ok_or("unknown_key")?);
    let signed = format!("license/{}", envelope.content);
    public.verify(signed.as_bytes(), &envelope.signature).map_err(|_| "invalid_signature")?;
    // From here on it is what the vendor has written.
    let content = STANDARD.decode(&envelope.content).map_err(|_| "malformed")?;
    let content: Value = serde_json::from_slice(&content).map_err(|_| "malformed")?;
    let (Some(end), Some(ttl)) = (content["exp"].as_f64(), content["meta"]["ttl"].as_f64()) else {
        return Err("malformed");
    };
    if content["version"] != 1 {
        return Err("unknown_version");
    }
    if content["license"]["productType"] != PRODUCT {
        return Err("other_product");
    }
    if content["activation"]["fingerprint"] != fingerprint {
        return Err("other_machine");
    }
    if now < (end - ttl).max(latest) - TOLERANCE {
        return Err("clock_turned_back");
    }
    if now.max(latest) >= end { Err("expired") } else { Ok(content) }
}

/// What is in the frame of a file.
struct Envelope {
    algorithm: String,
    content: String,
    key_id: String,
    signature: Vec<u8>,
}

fn read(text: &str) -> Option<Envelope> {
    if text.chars().count() > LARGEST {
        return None;
    }
    let body = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    if !body.starts_with(['\n', '\r']) || !body.ends_with('\n') {
        return None;
    }
    let body: String = body.lines().map(str::trim).collect();
    let envelope: Value = serde_json::from_slice(&STANDARD.decode(body).ok()?).ok()?;
    let text = |name: &str| envelope.get(name)?.as_str().map(str::to_owned);
    let signature = STANDARD.decode(text("sig")?).ok()?;
    Some(Envelope { algorithm: text("alg")?, content: text("enc")?, key_id: text("kid")?, signature })
}

fn run() -> Result<Value, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, key_path, fingerprint, latest) = match &arguments[..] {
        [path, key_path, fingerprint] => (path, key_path, fingerprint, 0.0),
        [path, key_path, fingerprint, latest] => (path, key_path, fingerprint, latest.parse()?),
        _ => return Err("usage: verify_license LICENSE_FILE KEYS.json FINGERPRINT [LATEST]".into()),
    };
    let mut bytes = Vec::new();
    File::open(path)?.take(4 * LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    // What is no UTF-8 is no license file either.
    let text = String::from_utf8_lossy(&bytes);
    let keys: Value = serde_json::from_slice(&fs::read(key_path)?)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    Ok(verify(&text, &keys, fingerprint, now, latest)?)
}

fn main() -> ExitCode {
    match run() {
        Ok(content) => {
            println!("{content}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
