//! Support tickets, what is written to them, mails that came, and answers that are kept ready.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Ids of tickets follow the time of creation, so the key is the index of a customer's list. The queue of staff is read across
        // tenants in the order of the last change. Of tickets that wait for their first answer there are few; the rest is not in that
        // index. Attachments are what files were when they came along: files may be deleted, so nothing refers to them.
        run(
            manager,
            "
            create table support_numbers (
                tenant_id uuid not null primary key references tenants (id),
                last_number bigint not null
            );

            create table support_tickets (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                number bigint not null,
                author_id uuid not null references users (id),
                subject text not null,
                description text not null,
                attachments {json} not null,
                category text not null,
                priority text not null,
                status text not null,
                assignee_id uuid references users (id),
                tags {json} not null,
                follows uuid,
                merged_into uuid,
                satisfaction {json},
                first_reply_at timestamp,
                resolved_at timestamp,
                closed_at timestamp,
                created_at timestamp not null,
                updated_at timestamp not null,
                reply_due_at timestamp,
                breached_at timestamp,
                primary key (tenant_id, id),
                foreign key (tenant_id, follows) references support_tickets (tenant_id, id),
                foreign key (tenant_id, merged_into) references support_tickets (tenant_id, id)
            );
            create unique index support_tickets_number_key on support_tickets (tenant_id, number);
            create index support_tickets_author_idx on support_tickets (author_id, tenant_id);
            create index support_tickets_assignee_idx on support_tickets (assignee_id) where assignee_id is not null;
            create index support_tickets_updated_at_idx on support_tickets (updated_at, id);
            create index support_tickets_id_idx on support_tickets (id);
            create index support_tickets_reply_due_at_idx on support_tickets (reply_due_at)
                where first_reply_at is null and breached_at is null and reply_due_at is not null;

            create table support_messages (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                ticket_id uuid not null,
                author_kind text not null,
                author_id uuid references users (id),
                body text not null,
                attachments {json} not null,
                internal boolean not null,
                created_at timestamp not null,
                primary key (tenant_id, id),
                foreign key (tenant_id, ticket_id) references support_tickets (tenant_id, id)
            );
            create index support_messages_ticket_idx on support_messages (tenant_id, ticket_id, created_at, id);
            create index support_messages_author_idx on support_messages (author_id);

            create table support_mails (
                tenant_id uuid not null references tenants (id),
                message_id uuid not null,
                ticket_id uuid not null,
                digest bytea not null,
                raw bytea not null,
                received_at timestamp not null,
                primary key (tenant_id, message_id),
                foreign key (tenant_id, message_id) references support_messages (tenant_id, id),
                foreign key (tenant_id, ticket_id) references support_tickets (tenant_id, id)
            );
            create unique index support_mails_digest_key on support_mails (tenant_id, digest);
            create index support_mails_ticket_idx on support_mails (tenant_id, ticket_id);

            create table canned_replies (
                id uuid not null primary key,
                title text not null,
                body text not null,
                created_at timestamp not null,
                updated_at timestamp not null
            );
            create index canned_replies_title_idx on canned_replies (title, id);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop table canned_replies;
            drop table support_mails;
            drop table support_messages;
            drop table support_tickets;
            drop table support_numbers;
            ",
        )
        .await
    }
}
