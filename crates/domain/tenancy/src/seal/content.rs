//! The erasable part of an entry, value by value: what was there before and after, and where the request came from.
//!
//! The digest is over all single values, each with a salt of its own that is derived from the entry's. When some of them are
//! erased, the entry's salt goes, and what stays is the salts of the values that stay and the digests of those that went:
//! enough to compute the same digest again, and nothing to guess an erased value with. (SD-JWT, RFC 9901, hides claims in
//! the same way.)

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use portico_kernel::Event;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{Digest, Hasher, canonical};

/// Replaces a value that was erased.
pub const ERASED: &str = "[erased]";

/// Random bytes that keep a digest of a short value from being guessed at. In JSON: lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 16]);

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt")
    }
}

/// What is left to compute the digest of one value with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The value is there; this is its salt.
    Kept(#[serde(serialize_with = "to_hex", deserialize_with = "from_hex")] Salt),
    /// The value was erased; this was its digest.
    Erased(#[serde(serialize_with = "to_hex", deserialize_with = "from_hex")] Digest),
}

/// What is left to compute the digest of all values with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Nothing was erased.
    Whole(Salt),
    /// Some values were erased. By path.
    Parts(BTreeMap<String, Part>),
    /// The entry is gone, and so is this.
    Gone,
}

impl Opening {
    /// The digest of the values of an entry; `None` when they cannot be what was sealed.
    pub(super) fn digest(&self, event: &Event) -> Option<Digest> {
        let values = values(event);
        let parts = match self {
            Self::Whole(salt) => {
                let digests =
                    values.iter().map(|(path, value)| (path.as_str(), leaf(path, &salt.derive(path), value)));
                return Some(combined(digests));
            }
            Self::Parts(parts) => parts,
            Self::Gone => return None,
        };
        let mut explained = BTreeSet::new();
        let mut digests = Vec::with_capacity(parts.len());
        for (path, part) in parts {
            let (place, digest) = match part {
                Part::Kept(salt) => (path.as_str(), leaf(path, salt, values.get(path)?)),
                Part::Erased(digest) => {
                    let erased = |place: &&str| values.get(*place).is_some_and(|value| value == ERASED_JSON);
                    (upwards(path).find(erased)?, *digest)
                }
            };
            explained.insert(place);
            digests.push((path.as_str(), digest));
        }
        (explained.len() == values.len()).then(|| combined(digests.into_iter()))
    }

    /// What is left of this once `original` has become `erased`; `None` when that is more than erasing values.
    pub(super) fn erase(&self, original: &Event, erased: &Event) -> Option<Self> {
        let (before, after) = (values(original), values(erased));
        let mut parts = match self {
            Self::Whole(salt) => {
                before.keys().map(|path| (path.clone(), Part::Kept(salt.derive(path)))).collect()
            }
            Self::Parts(parts) => parts.clone(),
            Self::Gone => return None,
        };
        for (path, part) in &mut parts {
            if let Part::Kept(salt) = part {
                let value = before.get(path)?;
                if after.get(path) != Some(value) {
                    *part = Part::Erased(leaf(path, salt, value));
                }
            }
        }
        let opening = Self::Parts(parts);
        opening.digest(erased).is_some().then_some(opening)
    }
}

/// [`ERASED`] in its canonical form.
const ERASED_JSON: &str = "\"[erased]\"";

impl Salt {
    /// The salt of one value. Reveals nothing about that of another.
    fn derive(&self, path: &str) -> Self {
        let Digest(bytes) =
            Hasher::new("portico.audit.salt.v1").field(&self.0).field(path.as_bytes()).finish();
        let mut salt = [0; 16];
        salt.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Self(salt)
    }
}

/// The single values of an entry in their canonical form, by path: `/` and the name of a member, `#` and the index in a list. An
/// empty object or list is a value.
fn values(event: &Event) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for (path, value) in [("/before", &event.before), ("/after", &event.after)] {
        if let Some(value) = value {
            collect(path.to_owned(), value, &mut values);
        }
    }
    let request = [
        ("/address", &event.address),
        ("/userAgent", &event.user_agent),
        ("/requestLine", &event.request_line),
    ];
    for (path, value) in request {
        if let Some(value) = value {
            values.insert(path.to_owned(), canonical::text(&Value::from(value.as_str())));
        }
    }
    values
}

fn collect(path: String, value: &Value, values: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                let name = match name.contains(['~', '/', '#']) {
                    true => Cow::Owned(name.replace('~', "~0").replace('/', "~1").replace('#', "~2")),
                    // Every name of ours.
                    false => Cow::Borrowed(name.as_str()),
                };
                collect([&*path, "/", &*name].concat(), member, values);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                collect(format!("{path}#{at}"), item, values);
            }
        }
        value => drop(values.insert(path, canonical::text(value))),
    }
}

/// A path, and the paths that contain it.
fn upwards(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| {
        let end = path.rfind(['/', '#']).filter(|end| *end > 0)?;
        path.get(..end)
    })
}

fn leaf(path: &str, salt: &Salt, value: &str) -> Digest {
    Hasher::new("portico.audit.value.v1")
        .field(&salt.0)
        .field(path.as_bytes())
        .field(value.as_bytes())
        .finish()
}

fn combined<'p>(digests: impl Iterator<Item = (&'p str, Digest)>) -> Digest {
    let hasher = Hasher::new("portico.audit.content.v1");
    digests.fold(hasher, |hasher, (path, digest)| hasher.field(path.as_bytes()).field(&digest.0)).finish()
}

/// What is written in hexadecimal.
trait Bytes: Sized {
    fn bytes(&self) -> &[u8];
    fn read(bytes: Vec<u8>) -> Option<Self>;
}

impl Bytes for Salt {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
    fn read(bytes: Vec<u8>) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl Bytes for Digest {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
    fn read(bytes: Vec<u8>) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

fn to_hex<B: Bytes, S: Serializer>(value: &B, serializer: S) -> Result<S::Ok, S::Error> {
    let hex: String = value.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    serializer.serialize_str(&hex)
}

fn from_hex<'de, B: Bytes, D: Deserializer<'de>>(deserializer: D) -> Result<B, D::Error> {
    let text = String::deserialize(deserializer)?;
    let pairs = (0..text.len()).step_by(2).map(|at| text.get(at..at + 2));
    let bytes = pairs.map(|pair| pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())).collect();
    Option::<Vec<u8>>::and_then(bytes, B::read)
        .ok_or_else(|| serde::de::Error::custom("not hexadecimal, or too short"))
}

#[cfg(test)]
mod tests {
    use portico_kernel::EventDeclaration;
    use serde_json::json;

    use super::*;
    use crate::testing::{env, owner_of};

    fn entry() -> Event {
        let env = env();
        let mut event = Event::new(
            &env,
            &owner_of(env.new_id()),
            EventDeclaration::named("user.updated"),
            env.random_uuid(),
        );
        event.address = Some("192.0.2.7".into());
        event.user_agent = Some("Desk/1".into());
        event
            .before(&json!({"name": "Ada", "home": {"city": "London", "zip": null}, "tags": ["a", "b"], "count": 1}))
            .after(&json!({"name": "Eve", "home": {}, "tags": [], "count": 2}))
    }

    fn erased(change: impl Fn(&mut Event)) -> Event {
        let mut event = entry();
        change(&mut event);
        event
    }

    const WHOLE: Opening = Opening::Whole(Salt([7; 16]));

    #[test]
    fn values_can_be_erased_one_by_one_and_the_digest_stays() {
        let digest = WHOLE.digest(&entry());
        let once = erased(|e| {
            let before = e.before.as_mut().unwrap();
            before["name"] = ERASED.into();
            before["home"] = ERASED.into();
            e.address = Some(ERASED.into());
        });
        let opening = WHOLE.erase(&entry(), &once).unwrap();
        assert_eq!(opening.digest(&once), digest);
        assert_ne!(opening.digest(&entry()), digest, "what was erased does not come back");
        let twice = {
            let mut event = once.clone();
            event.after = Some(ERASED.into());
            event.user_agent = Some(ERASED.into());
            event
        };
        let again = opening.erase(&once, &twice).unwrap();
        assert_eq!(again.digest(&twice), digest);
        let Opening::Parts(parts) = &again else { panic!("parts") };
        let stored: BTreeMap<String, Part> =
            serde_json::from_value(serde_json::to_value(parts).unwrap()).unwrap();
        assert_eq!(&stored, parts);
        assert!(
            matches!(parts["/before/name"], Part::Erased(_))
                && matches!(parts["/before/count"], Part::Kept(_))
        );
        // Nothing changed, nothing is erased.
        let none = WHOLE.erase(&entry(), &entry()).unwrap();
        assert_eq!(none.digest(&entry()), digest);
    }

    #[test]
    fn what_was_not_erased_is_still_guarded() {
        let once = erased(|e| e.before.as_mut().unwrap()["name"] = ERASED.into());
        let opening = WHOLE.erase(&entry(), &once).unwrap();
        let digest = opening.digest(&once).unwrap();
        let changes: [fn(&mut Event); 9] = [
            |e| e.before.as_mut().unwrap()["count"] = 2.into(),
            |e| e.before.as_mut().unwrap()["count"] = ERASED.into(),
            |e| e.before.as_mut().unwrap()["name"] = "Mallory".into(),
            |e| e.before.as_mut().unwrap()["more"] = ERASED.into(),
            |e| e.before.as_mut().unwrap()["tags"] = json!({"0": "a", "1": "b"}),
            |e| drop(e.before.as_mut().unwrap().as_object_mut().unwrap().remove("name")),
            |e| e.before = None,
            |e| e.after = Some(ERASED.into()),
            |e| e.address = None,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut changed = once.clone();
            change(&mut changed);
            assert_ne!(opening.digest(&changed), Some(digest), "change {number}");
        }
    }

    #[test]
    fn erasing_is_replacing_by_the_word_and_nothing_else() {
        let changes: [fn(&mut Event); 4] = [
            |e| e.before.as_mut().unwrap()["count"] = 2.into(),
            |e| e.before.as_mut().unwrap()["more"] = ERASED.into(),
            |e| e.address = None,
            |e| drop(e.before.as_mut().unwrap().as_object_mut().unwrap().remove("name")),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert_eq!(WHOLE.erase(&entry(), &erased(change)), None, "change {number}");
        }
        assert_eq!(Opening::Gone.erase(&entry(), &entry()), None);
        assert_eq!(Opening::Gone.digest(&entry()), None);
    }

    #[test]
    fn equal_values_have_different_digests() {
        let event = entry();
        assert_ne!(WHOLE.digest(&event), Opening::Whole(Salt([8; 16])).digest(&event));
        let salt = Salt([7; 16]);
        assert_ne!(salt.derive("/before/name"), salt.derive("/after/name"));
    }

    #[test]
    fn names_cannot_pass_for_paths() {
        let with = |before: Value| WHOLE.digest(&Event { before: Some(before), ..entry() });
        assert_ne!(with(json!({"a/b": 1})), with(json!({"a": {"b": 1}})));
        assert_ne!(with(json!({"a#0": 1})), with(json!({"a": [1]})));
        assert_ne!(with(json!({"0": 1})), with(json!([1])));
        assert_ne!(with(json!({"a~1b": 1})), with(json!({"a/b": 1})));
    }

    #[test]
    fn broken_hexadecimal_is_refused() {
        for text in ["", "0", "zz", "00", "é0"] {
            assert!(serde_json::from_value::<Part>(json!({"kept": text})).is_err(), "{text}");
        }
    }
}
