//! The devices and networks from which somebody signed in before.

use async_trait::async_trait;
use portico_identity::{
    device::{KnownDevice, Recognized},
    ports::KnownDeviceRepository,
    user::{EmailAddress, UserStatus},
};
use portico_kernel::{StoreError, Timestamp, UserId};
use sea_orm::{ConnectionTrait, FromQueryResult, prelude::TimeDateTime};
use uuid::Uuid;

use crate::{
    dialect::{execute, query},
    error::store_error,
    time::{from_row, to_row},
};

#[derive(FromQueryResult)]
struct Row {
    user_id: Uuid,
    device: Uuid,
    network: String,
    agent: String,
    returned: bool,
    first_seen: TimeDateTime,
    last_seen: TimeDateTime,
}

impl From<Row> for KnownDevice {
    fn from(row: Row) -> Self {
        Self {
            user: UserId::from_uuid(row.user_id),
            device: row.device,
            network: row.network,
            agent: row.agent,
            returned: row.returned,
            first_seen: from_row(row.first_seen),
            last_seen: from_row(row.last_seen),
        }
    }
}

/// Known devices over one connection.
pub(crate) struct KnownDevices<'c, C> {
    pub connection: &'c C,
}

#[async_trait]
impl<C: ConnectionTrait + Send> KnownDeviceRepository for KnownDevices<'_, C> {
    async fn list(&mut self, user: UserId) -> Result<Vec<KnownDevice>, StoreError> {
        let rows = query(
            self.connection,
            "select user_id, device, network, agent, returned, first_seen, last_seen from known_devices \
             where user_id = $1 order by last_seen desc, device, network",
            [user.uuid().into()],
        )
        .await?;
        rows.iter()
            .map(|row| Row::from_query_result(row, "").map(KnownDevice::from).map_err(store_error))
            .collect()
    }

    async fn save(&mut self, device: &KnownDevice) -> Result<(), StoreError> {
        execute(
            self.connection,
            "insert into known_devices (user_id, device, network, agent, returned, first_seen, last_seen) \
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (user_id, device, network) do update \
             set agent = excluded.agent, returned = known_devices.returned or excluded.returned, \
             last_seen = excluded.last_seen",
            [
                device.user.uuid().into(),
                device.device.into(),
                device.network.clone().into(),
                device.agent.clone().into(),
                device.returned.into(),
                to_row(device.first_seen).into(),
                to_row(device.last_seen).into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn remove(&mut self, user: UserId, device: Uuid, network: &str) -> Result<(), StoreError> {
        execute(
            self.connection,
            "delete from known_devices where user_id = $1 and device = $2 and network = $3",
            [user.uuid().into(), device.into(), network.into()],
        )
        .await?;
        Ok(())
    }

    async fn recognize(
        &mut self,
        email: &EmailAddress,
        device: Option<Uuid>,
        network: &str,
        since: Timestamp,
    ) -> Result<Recognized, StoreError> {
        let rows = query(
            self.connection,
            "select d.device, d.network from users u join known_devices d on d.user_id = u.id \
             where u.email = $1 and u.email_verified and u.status <> $2 and d.last_seen >= $3 \
             and (d.device = $4 or d.network = $5)",
            [
                email.as_str().into(),
                UserStatus::Deleted.as_str().into(),
                to_row(since).into(),
                device.into(),
                network.into(),
            ],
        )
        .await?;
        let mut recognized = Recognized::default();
        for row in rows {
            let known: Uuid = row.try_get("", "device").map_err(store_error)?;
            let from: String = row.try_get("", "network").map_err(store_error)?;
            recognized.device |= Some(known) == device;
            recognized.network |= from == network;
        }
        Ok(recognized)
    }

    async fn forget_user(&mut self, user: UserId) -> Result<(), StoreError> {
        execute(self.connection, "delete from known_devices where user_id = $1", [user.uuid().into()])
            .await?;
        Ok(())
    }
}
