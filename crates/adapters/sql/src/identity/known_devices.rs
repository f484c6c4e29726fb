//! The devices and networks from which somebody signed in before.

use async_trait::async_trait;
use portico_identity::{
    device::{KnownDevice, Recognized},
    ports::KnownDeviceRepository,
    user::{EmailAddress, UserStatus},
};
use portico_kernel::{StoreError, Timestamp, UserId};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::{columns::Col, db::Db};

#[derive(FromQueryResult)]
struct Row {
    user_id: Col<UserId>,
    device: Uuid,
    network: String,
    agent: String,
    returned: bool,
    first_seen: Col<Timestamp>,
    last_seen: Col<Timestamp>,
}

impl From<Row> for KnownDevice {
    fn from(row: Row) -> Self {
        Self {
            user: row.user_id.0,
            device: row.device,
            network: row.network,
            agent: row.agent,
            returned: row.returned,
            first_seen: row.first_seen.0,
            last_seen: row.last_seen.0,
        }
    }
}

/// Known devices over one connection.
pub(crate) struct KnownDevices<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl KnownDeviceRepository for KnownDevices<'_> {
    async fn list(&mut self, user: UserId) -> Result<Vec<KnownDevice>, StoreError> {
        let sql = "select user_id, device, network, agent, returned, first_seen, last_seen from known_devices \
             where user_id = $1 order by last_seen desc, device, network";
        let rows: Vec<Row> = self.db.models(sql, [user]).await?;
        Ok(rows.into_iter().map(KnownDevice::from).collect())
    }

    async fn save(&mut self, device: &KnownDevice) -> Result<(), StoreError> {
        let sql = "insert into known_devices (user_id, device, network, agent, returned, first_seen, last_seen) \
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (user_id, device, network) do update \
             set agent = excluded.agent, returned = known_devices.returned or excluded.returned, \
             last_seen = excluded.last_seen";
        let values = (
            device.user,
            device.device,
            &device.network,
            &device.agent,
            device.returned,
            device.first_seen,
            device.last_seen,
        );
        self.db.execute(sql, values).await.map(drop)
    }

    async fn remove(&mut self, user: UserId, device: Uuid, network: &str) -> Result<(), StoreError> {
        let sql = "delete from known_devices where user_id = $1 and device = $2 and network = $3";
        self.db.execute(sql, (user, device, network)).await.map(drop)
    }

    async fn recognize(
        &mut self,
        email: &EmailAddress,
        device: Option<Uuid>,
        network: &str,
        since: Timestamp,
    ) -> Result<Recognized, StoreError> {
        let sql = "select d.device, d.network from users u join known_devices d on d.user_id = u.id \
             where u.email = $1 and u.email_verified and u.status <> $2 and d.last_seen >= $3 \
             and (d.device = $4 or d.network = $5)";
        let values = (email.as_str(), UserStatus::Deleted, since, device, network);
        let mut recognized = Recognized::default();
        for (known, from) in self.db.rows::<(Uuid, String)>(sql, values).await? {
            recognized.device |= Some(known) == device;
            recognized.network |= from == network;
        }
        Ok(recognized)
    }

    async fn forget_user(&mut self, user: UserId) -> Result<(), StoreError> {
        self.db.execute("delete from known_devices where user_id = $1", [user]).await.map(drop)
    }
}
