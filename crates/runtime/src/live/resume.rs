//! The position at which a stream begins: now, or after the last event that the client received.

use portico_kernel::{
    EventId, StoreError,
    feed::{Followed, LogPosition, TICKETS},
    sealing::Sealer,
};
use uuid::Uuid;

use super::{Live, feed::Joined};

/// Maximum number of events sent again. A client that missed more has to reload everything.
const MOST_MISSED: u32 = 5000;

/// Purpose of the sealed positions, distinct from other sealed data.
const PURPOSE: &str = "live position";

/// Prefix of sealed positions. Other ids are those of events.
const POSITION: &str = "pos_";

/// What a position is good for and for nothing else.
fn bound(followed: Followed) -> Vec<u8> {
    match followed {
        Followed::Tenant(tenant) => tenant.uuid().as_bytes().to_vec(),
        Followed::Tickets { .. } => TICKETS.as_bytes().to_vec(),
    }
}

/// An id from which a stream can be resumed, sealed so that it does not reveal the event: the client may lack permission to
/// read that one. `None` if sealing fails.
pub fn position(sealer: &dyn Sealer, followed: Followed, event: EventId) -> Option<String> {
    let sealed = sealer.seal(PURPOSE, &bound(followed), event.uuid().as_bytes()).ok()?;
    let hex = sealed.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Some(format!("{POSITION}{hex}"))
}

/// The event that a sealed position refers to, among those that are followed.
fn event_of(sealer: &dyn Sealer, followed: Followed, id: &str) -> Option<EventId> {
    let Some(hex) = id.strip_prefix(POSITION) else {
        return id.strip_prefix("evt_").unwrap_or(id).parse().ok();
    };
    if hex.len() > 256 || !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        return None;
    }
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
    let sealed = bytes.collect::<Result<Vec<u8>, _>>().ok()?;
    let plain = sealer.open(PURPOSE, &bound(followed), &sealed)?;
    Uuid::from_slice(&plain).ok().map(EventId::from_uuid)
}

/// Why a client has to reload everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The event does not exist (any more).
    Unknown,
    /// Too many events since.
    TooOld,
}

impl Reset {
    /// Name in the message.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown_id",
            Self::TooOld => "too_many_events",
        }
    }
}

/// Where a stream begins.
pub struct Start {
    /// Events after this position are sent.
    pub at: LogPosition,
    /// The event at this position.
    pub event: Option<EventId>,
    /// Whether the stream resumes where the client left off.
    pub resumed: bool,
    /// Why it does not resume there.
    pub reset: Option<Reset>,
}

impl Live {
    /// Determines where a stream begins, given the last id that the client received, if any.
    pub async fn start(
        &self,
        sealer: &dyn Sealer,
        followed: Followed,
        joined: &Joined,
        last: Option<&str>,
    ) -> Result<Start, StoreError> {
        let (at, event) =
            joined.newest.map_or((LogPosition::default(), None), |(at, event)| (at, Some(event)));
        let now = |reset| Start { at, event, resumed: false, reset };
        let Some(last) = last else { return Ok(now(None)) };
        let Some(event) = event_of(sealer, followed, last) else { return Ok(now(Some(Reset::Unknown))) };
        let Some(at) = self.events.find(followed, event).await? else { return Ok(now(Some(Reset::Unknown))) };
        if self.events.count_after(followed, at, MOST_MISSED + 1).await? > MOST_MISSED {
            return Ok(now(Some(Reset::TooOld)));
        }
        Ok(Start { at, event: Some(event), resumed: true, reset: None })
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::TenantId;
    use portico_security::AesSealer;

    use super::*;

    #[test]
    fn a_position_opens_in_its_tenant_only_and_tells_nothing() {
        let sealer = AesSealer::new(&"0123456789abcdef0123456789abcdef".to_owned().into());
        let [one, other] =
            [1, 2].map(|number| Followed::Tenant(TenantId::from_uuid(Uuid::from_u128(number))));
        let event = EventId::from_uuid(Uuid::from_u128(0x0199_f3c2_6d4e_7c3a_9d7c_5a8e_1f2b_3c4d));
        let id = position(&sealer, one, event).unwrap();
        assert_eq!(event_of(&sealer, one, &id), Some(event));
        assert_eq!(event_of(&sealer, other, &id), None);
        assert_eq!(event_of(&sealer, Followed::Tickets { all: true }, &id), None);
        assert!(!id.contains("0199f3c2"));
        assert_ne!(position(&sealer, one, event).unwrap(), id);
        assert_eq!(event_of(&sealer, one, &event.to_string()), Some(event));
        assert_eq!(event_of(&sealer, one, &format!("evt_{event}")), Some(event));
        let cut = &id[..id.len() - 2];
        for wrong in
            ["", "pos_", "pos_0", "pos_zz", "pos_+1", "pos_é1", "17", "evt_", cut, &id.to_uppercase()]
        {
            assert_eq!(event_of(&sealer, one, wrong), None, "{wrong}");
        }
    }
}
