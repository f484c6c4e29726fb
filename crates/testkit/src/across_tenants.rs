//! Statements that are about the rows of more than one tenant, on purpose.

/// A part of each such statement (without quotation marks and numbers of parameters, with single spaces), and why it does not
/// name a tenant. On a database that is spread by tenant each of them asks every server, unless the table is one that every
/// server has (docs/operations.md): none may be needed to answer a common request.
pub(crate) const ACROSS_TENANTS: &[(&str, &str)] = &[
    // Commands of the operator.
    ("from webhooks where id > $ order by id limit", "secrets that are sealed anew"),
    ("from licenses where id > $ order by id limit", "keys that are sealed anew"),
    (
        "from ledger_entries where (tenant_id, source_kind, source_id, position) > (",
        "the check of the ledger",
    ),
    ("from purchases where (tenant_id, id) > (", "the check of the ledger"),
    ("from invoices where (tenant_id, id) > (", "the check of the ledger"),
    ("from site_sales where (tenant_id, id) > (", "the check of the ledger"),
    // The event log, which is read in one order.
    ("from events where (transaction_id, sequence) > (", "readers of the log, and how far behind they are"),
    ("select distinct tenant_id, kind from events where transaction_id >=", "news of other processes"),
    ("from events order by transaction_id desc", "whether the log comes from another cluster"),
    ("select created_at from events order by events.transaction_id desc", "whether the clock was set back"),
    ("update idempotency_keys set leased_until = $ where answer is null", "the clock was set back"),
    ("update webhooks set created_at = $ where created_at >", "the clock was set back"),
    ("update webhook_deliveries set due_at = $ where status = $ and created_at >", "the clock was set back"),
    ("update webhook_queues set ready_at = case when leased_by is null", "the clock was set back"),
    ("update event_cursors set transaction_id = $, sequence = coalesce(", "a log from another cluster"),
    ("update events set transaction_id = $", "a log from another cluster"),
    // What the operator's people see.
    ("FROM events WHERE events.audit <> $ ORDER BY", "the audit trail of the platform"),
    ("FROM events WHERE events.actor_", "the audit trail of the platform"),
    ("FROM events WHERE events.created_at", "the audit trail of the platform"),
    ("FROM events WHERE events.id <", "the audit trail of the platform"),
    ("FROM events WHERE events.kind", "the audit trail of the platform"),
    ("FROM events WHERE events.request_id", "the audit trail of the platform"),
    ("FROM events WHERE events.resource_", "the audit trail of the platform"),
    ("FROM tenants WHERE tenants.status <> $ AND (LOWER(", "the list of tenants, with their plans"),
    (
        "FROM tenants WHERE tenants.status <> $ AND (coalesce((select plan_id",
        "the list of tenants, with their plans",
    ),
    (
        "FROM tenants WHERE tenants.status <> $ AND tenants.status = $",
        "the list of tenants, with their plans",
    ),
    ("FROM tenants WHERE tenants.status <> $ AND (not exists (select", "the list of customers"),
    ("FROM tenants WHERE tenants.status <> $ AND not exists (select", "the list of customers"),
    ("FROM tenants WHERE tenants.status <> $ ORDER BY", "the list of tenants, with their plans"),
    ("from ledger_entries where subject is not null and live = $ and booked_at >= $", "the financial report"),
    ("from recurring_changes where live = $ and changed_at", "the financial report"),
    (
        "insert into tenant_activity (tenant_id, month, resource_type) select distinct",
        "what tenants did on a day",
    ),
    ("insert into growth_figures", "the figures of a month"),
    ("from licenses where licenses.id is not null", "the list of licenses, for staff"),
    ("from downloads where release_id =", "who has downloaded a release, for staff"),
    (
        "from downloads d join releases r on r.id = d.release_id where d.release_id =",
        "who has downloaded a release, for staff",
    ),
    ("from subscriptions where subscriptions.plan_id = plans.id", "how many tenants are on a plan"),
    (
        "from subscriptions where plan_id = $ and plan_version < $",
        "tenants that staff put on the current version of their plan",
    ),
    ("select count(*) from support_tickets t where $", "the queue of support"),
    ("join users u on u.id = t.author_id where $", "the queue of support"),
    ("join users u on u.id = t.author_id where true", "the queue of support"),
    // The directory: look-ups that find a tenant.
    ("from api_keys k join tenants t on t.id = k.tenant_id", "whose key it is"),
    ("from domains join sites on sites.tenant_id = domains.tenant_id", "whose host name it is"),
    (
        "from sites join tenants on tenants.id = sites.tenant_id where sites.subdomain = $",
        "whose host name it is",
    ),
    ("select $ from sites where subdomain = $ union all", "whether a subdomain is free"),
    ("FROM sites WHERE sites.status = $ AND (exists", "sites for sale, of all tenants"),
    ("from license_keys where license_id", "whose license it is"),
    ("from license_keys where digest in", "whose license has a key"),
    ("from billing_accounts where provider = $ and customer_id = $", "whose customer it is"),
    ("from invitations i join tenants t on t.id = i.tenant_id", "where somebody is invited to"),
    ("from invitations where email", "where somebody is invited to"),
    ("from invitations where invited_by", "whom somebody has invited"),
    ("from memberships m join tenants t on t.id = m.tenant_id", "where somebody is a member"),
    ("select tenant_id from support_tickets where id = $", "whose ticket a mail answers"),
    ("from memberships where user_id", "where somebody is a member"),
    ("FROM memberships WHERE user_id", "where somebody is a member"),
    // Scheduled work, and work for any idle worker.
    ("from (select * from audit_chains where tenant_id >", "audit trails with entries of age"),
    (
        "from (select tenant_id, min(created_at) as created_at from events where audit",
        "entries without a seal of age",
    ),
    ("from events where audit = $ and created_at <", "events that are not kept"),
    (
        "with ready as (select tenant_id, webhook_id from webhook_queues",
        "webhooks that have something to be sent",
    ),
    ("from webhook_deliveries where status = $ limit", "figures for the operator"),
    ("select ready_at from webhook_queues where ready_at <=", "figures for the operator"),
    ("from checkouts where check_at <=", "payments that the provider is to be asked about"),
    ("from licenses where status = $ and expires_at <=", "licenses whose term is over"),
    ("delete from license_transfers where expires_at <=", "offers of licenses that nobody has accepted"),
    ("from support_tickets t where t.reply_due_at <=", "tickets that were not answered in time"),
    ("from site_sales where check_at <=", "payments of sites that the provider is to be asked about"),
    ("select tenant_id from site_sales where id = $", "whose sale staff give back"),
    ("from site_sales where slug = $", "whether a site was sold, whoever sold it"),
    (
        "from subscriptions where over_limit_since is not null and tenant_id >",
        "tenants with more sites than their limit, whose days may be over",
    ),
    ("from billing_accounts where check_at <=", "subscriptions that the provider is to be asked about"),
    ("from plan_calls where check_at <=", "calls to the provider that are to be ended"),
    ("delete from api_key_addresses where last_seen_at <", "sweep"),
    ("delete from api_key_refusals where minute <", "sweep"),
    ("delete from api_key_usage where day <", "sweep"),
    ("from downloads where downloaded_at <", "sweep"),
    ("from generation_reservations where expires_at <", "sweep"),
    ("from idempotency_keys where expires_at <", "sweep"),
    ("from plan_calls where stage = $ and created_at <", "sweep"),
    ("from submissions where created_at <", "sweep"),
    ("from submissions where status = $ and created_at <", "sweep"),
    ("from traffic_days where day <", "sweep"),
    ("from visit_days where day <", "sweep"),
    ("from visit_names where day <", "sweep"),
    ("from visitor_hashes where day <", "sweep"),
    ("from webhook_deliveries where created_at <", "sweep"),
    // Unverified accounts made with an address that another account has verified since.
    (
        "FROM api_keys WHERE (api_keys.made_by = $ OR api_keys.previous_made_by = $) AND api_keys.revoked_at",
        "keys that the stranger made",
    ),
    // What a person has written, in an export of their data.
    ("from downloads where user_id = $", "an export of a person's data, and erasure of a person"),
    ("from support_messages where author_id = $", "an export of a person's data"),
    ("from support_tickets where author_id = $", "an export of a person's data"),
    // Erasure of accounts.
    ("delete from idempotency_keys where caller_id = $", "erasure of a person"),
    ("delete from support_mails where (tenant_id, message_id) in (", "erasure of a person"),
    (
        "select events.* from events where id in (select id from (select id from events where actor_id",
        "erasure of a person",
    ),
    // What there was of each meter at the end of a day.
    ("insert into usage_days (tenant_id, day, meter, used) select", "the record of a day, for all tenants"),
    // Others.
    ("FROM audit_chains WHERE $ = $", "the chains of no tenant, as the query builder writes it"),
    ("update api_keys set made_by = (select e.actor_id from events e", "a migration"),
    (
        "from meters join subscriptions on subscriptions.tenant_id = meters.tenant_id where length(",
        "a migration",
    ),
    ("select tenant_id, meter, period, used from meters where period like", "a migration"),
    ("delete from meters where period like", "a migration"),
    ("update subscriptions set period_anchor = created_at", "a migration"),
    ("insert into meters_by_period", "a migration"),
    ("update ledger_entries set subject = $ where account not in", "a migration"),
    ("insert into meters_for_ever", "a migration"),
    // A migration.
    (
        "insert into stored_texts (tenant_id, part, bytes) select tenant_id, $, sum(bytes) from (",
        "what is stored already",
    ),
];
