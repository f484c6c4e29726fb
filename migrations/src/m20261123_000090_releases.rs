//! Releases of products, and who has downloaded them.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Releases belong to the installation. The bytes of `version_key` are in the order of versions, so the newest is found by an
        // index. Ids of downloads follow their time. Customers are asked by product which of their licenses covers a release.
        run(
            manager,
            "
            create table releases (
                id uuid not null primary key,
                slug text not null,
                product_type text not null,
                name text not null,
                version text not null,
                version_key bytea not null,
                channel text not null,
                platform text,
                notes text not null,
                status text not null,
                withdrawal_reason text,
                released_at timestamp,
                file_id uuid,
                file_name text,
                content_type text,
                size bigint,
                sha256 text,
                created_at timestamp not null,
                updated_at timestamp not null
            );
            create unique index releases_slug_key on releases (slug);
            create index releases_released_at_idx on releases (released_at, id) where released_at is not null;
            create index releases_product_type_idx on releases (product_type, released_at, id);
            create index releases_version_key_idx on releases (product_type, version_key) where status = 'published';

            create table downloads (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                license_id uuid not null,
                release_id uuid not null references releases (id),
                user_id uuid references users (id),
                address text,
                bytes bigint not null,
                downloaded_at timestamp not null,
                primary key (tenant_id, id),
                foreign key (tenant_id, license_id) references licenses (tenant_id, id)
            );
            create index downloads_license_idx on downloads (tenant_id, license_id, id);
            create index downloads_release_idx on downloads (release_id, id);
            create index downloads_user_idx on downloads (user_id) where user_id is not null;
            create index downloads_downloaded_at_idx on downloads (downloaded_at);

            create index licenses_product_type_idx on licenses (tenant_id, product_type);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop index licenses_product_type_idx;
            drop table downloads;
            drop table releases;
            ",
        )
        .await
    }
}
