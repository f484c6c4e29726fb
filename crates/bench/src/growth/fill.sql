-- Fills the database of an installation with rows as the application writes them; run while no server uses it. {scale} says how
-- often the amounts below are there, {tenant}, {site}, {page}, {webhook} are what the measured customer made over the API, whose
-- rows are the templates. Everything happened in the last 29 days, so that no retention has anything to delete.
--
-- For each {scale}: 20 other tenants (each with an owner, a site with 4 pages, a key, a webhook, 10 sessions, 40 events), and for the
-- measured one 2 sites, 20 pages of the first, 2 members, 200 events: a fifth of all pages and events, a tenth of sites and people.

-- No triggers and no foreign keys: what they would count or check is written below.
set session_replication_role = replica;
set timezone = 'utc';
set synchronous_commit = off;

-- A UUIDv7 of a moment. The same number makes the same id.
create function pg_temp.id_at(at timestamp, number bigint) returns uuid language sql immutable as $$
    select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(number::text), 1, 3)
        || '8' || substr(md5(number::text), 4, 15))::uuid $$;

create temp table amounts as select {scale}::bigint as scale, {scale}::bigint * 20 as others, {scale}::bigint * 1000 as events,
    (now() - interval '29 days')::timestamp as since, now()::timestamp as until;

-- Numbers of transactions for the events to have been written by: each had its own.
create procedure pg_temp.use_transactions(number bigint) language plpgsql as $$ begin
    for n in 1..number loop
        perform pg_current_xact_id();
        commit;
    end loop;
end $$;
call pg_temp.use_transactions({scale} * 1000);

create temp table others as
    select n, pg_temp.id_at(since, n * 10) as tenant, pg_temp.id_at(since, n * 10 + 1) as owner, pg_temp.id_at(since, n * 10 + 2) as site,
        pg_temp.id_at(since, n * 10 + 3) as webhook, pg_temp.id_at(since, n * 10 + 4) as api_key,
        since + (until - since) * (n::float8 / (others + 1)) as at
    from amounts, generate_series(1, others) n;
create unique index on others (n);
create temp table mine as
    select t.id as tenant, m.user_id as owner, u.password_hash, t.created_at
    from tenants t join memberships m on m.tenant_id = t.id join users u on u.id = m.user_id where t.id = '{tenant}';
analyze others;

-- Tenants, people, sign-ins.
insert into tenants (id, name, subdomain, status, created_at, updated_at, version)
    select tenant, 'Bakery ' || n, 'fill-tenant-' || n, case n % 50 when 0 then 'suspended' else 'active' end, at, at, 1 from others;
insert into subdomains (name, tenant_id, created_at)
    select 'fill-tenant-' || n, tenant, at from others union all select 'fill-site-' || n, tenant, at from others;
insert into users (id, email, email_verified, password_hash, full_name, language, role, status, last_login_at, created_at,
        updated_at, version, last_tenant_id)
    select o.owner, 'owner-' || n || '@example.com', true, mine.password_hash, 'Owner ' || n, 'en', 'customer', 'active',
        case n % 10 when 0 then null else at end, at, at, 1, o.tenant from others o, mine;
insert into memberships (tenant_id, user_id, role, joined_at) select tenant, owner, 'owner', at from others;
insert into brandings (tenant_id, colors, fonts, updated_at, version)
    select o.tenant, b.colors, b.fonts, at, 1 from others o, brandings b where b.tenant_id = '{tenant}';
insert into subscriptions (tenant_id, plan_id, status, created_at, updated_at)
    select o.tenant, p.id, 'active', at, at from others o
    join (select id, row_number() over (order by position) - 1 as number, count(*) over () as plans from plans) p on p.number = o.n % plans;
update subscriptions set plan_id = (select id from plans order by position desc limit 1) where tenant_id = '{tenant}';
insert into meters (tenant_id, meter, period, used)
    select o.tenant, m.meter, m.period, m.used from others o, meters m where m.tenant_id = '{tenant}';
insert into sessions (id, user_id, generation, rotated_at, user_agent, address, created_at, last_used_at, expires_at, active_tenant_id,
        ended_at, authenticated_at)
    select pg_temp.id_at(at, -(n * 10 + k)), owner, 1, at, 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
        '127.0.0.1', at, at, until + interval '6 days', tenant, case when k > 2 then at end, at
    from amounts, others, generate_series(1, 10) k;
insert into known_devices (user_id, device, network, agent, returned, first_seen, last_seen)
    select owner, pg_temp.id_at(at, n), '127.0.0.0/24', 'Firefox', true, at, at from others;
insert into one_time_tokens (hash, user_id, purpose, expires_at, created_at)
    select sha256(owner::text::bytea), owner, 'email_verification', until + interval '1 day', at from amounts, others;
insert into sign_in_failures (key, since, failures, last_at, expires_at)
    select sha256(owner::text::bytea), until, 1, until, until + interval '1 hour' from amounts, others;
insert into mail_budgets (key, full_at, expires_at)
    select sha256(owner::text::bytea), 0, until + interval '1 hour' from amounts, others;
insert into idempotency_keys (tenant_id, caller_id, key, fingerprint, holder, leased_until, answer, expires_at)
    select tenant, owner, 'fill-' || k, md5(n::text), owner, until, '\x00', until + interval '1 day'
    from amounts, others, generate_series(1, 5) k;
insert into users (id, email, email_verified, password_hash, full_name, language, role, status, last_login_at, created_at,
        updated_at, version, last_tenant_id)
    select pg_temp.id_at(until, 1000000000 + k), 'member-' || k || '@example.com', true, mine.password_hash, 'Member ' || k, 'en', 'customer',
        'active', until, until, until, 1, mine.tenant from amounts, mine, generate_series(1, scale * 2) k;
insert into memberships (tenant_id, user_id, role, joined_at)
    select mine.tenant, pg_temp.id_at(until, 1000000000 + k), 'editor', until from amounts, mine, generate_series(1, scale * 2) k;
insert into invitations (tenant_id, id, email, role, language, status, invited_by, sends, requested_at, expires_at, created_at, updated_at)
    select tenant, pg_temp.id_at(at, n), 'invited-' || n || '@example.com', 'editor', 'en', 'pending', owner, 1, at, until + interval '5 days', at, at
    from amounts, others
    union all
    select tenant, pg_temp.id_at(until, k), 'invited-' || k || '@example.com', 'editor', 'en', case when k > 1 then 'accepted' else 'pending' end,
        owner, 1, until, until + interval '5 days', until, until from amounts, mine, generate_series(1, scale * 2) k;
insert into customer_notes (tenant_id, id, author_id, text, created_at)
    select o.tenant, pg_temp.id_at(at, n), mine.owner, 'Called; will move in spring.', at from others o, mine where n % 5 = 0;

-- Keys of programs.
insert into api_keys (tenant_id, id, name, prefix, hash, permissions, mode, active, allowed_addresses, created_at, updated_at, version, made_by)
    select tenant, api_key, 'Import', 'fill' || n, sha256(tenant::text::bytea), '["pages:read"]', 'live', true, '[]', at, at, 1, owner from others;
insert into api_key_usage (tenant_id, key_id, day, method, path, status, requests)
    select tenant, api_key, to_char(until - make_interval(days => k), 'YYYY-MM-DD'), 'GET', '/api/v1/sites', 200, 10
    from amounts, others, generate_series(0, 9) k;

-- Sites and pages.
insert into sites (tenant_id, id, name, subdomain, status, live_deployment_id, language, created_at, updated_at, version)
    select tenant, site, 'Bakery ' || n, 'fill-site-' || n, case n % 20 when 10 then 'for_sale' else 'published' end, pg_temp.id_at(at, n + 5),
        'en', at, at, 1 from others;
update sites set price_amount = 1000, price_currency = 'USD' where status = 'for_sale';
insert into deployments (tenant_id, id, site_id, status, progress, created_at, started_at, finished_at)
    select tenant, pg_temp.id_at(at, n + 5), site, 'live', 100, at, at, at from others
    union all
    select tenant, pg_temp.id_at(at, k), '{site}', 'live', 100, at, at, at
    from mine, (select k, since + (until - since) * (k::float8 / (scale * 2)) as at from amounts, generate_series(1, scale * 2) k) d;
insert into subdomains (name, tenant_id, created_at) select 'fill-mine-' || k, tenant, until from amounts, mine, generate_series(1, scale * 2) k;
insert into sites (tenant_id, id, name, subdomain, status, language, created_at, updated_at, version)
    select tenant, pg_temp.id_at(at, 2000000000 + k), 'Branch ' || k, 'fill-mine-' || k, case k % 2 when 0 then 'draft' else 'published' end, 'en', at, at, 1
    from mine, (select k, until - (scale * 2 - k) * interval '1 microsecond' as at from amounts, generate_series(1, scale * 2) k) s;
update meters set used = used + {scale} * 2 where tenant_id = '{tenant}' and meter = 'sites';
insert into domains (tenant_id, id, site_id, name, mode, status, token, records, checked_at, verified_at, misses, round, created_at,
        updated_at, version)
    select tenant, pg_temp.id_at(at, n), site, 'shop-' || n || '.example.com', 'primary', 'verified', md5(n::text), '[]', at, at, 0, 1, at, at, 1
    from others where n % 4 = 0;

create temp table new_pages as
    select o.n * 4 + k as number, o.tenant, o.site, pg_temp.id_at(since, 3000000000 + o.n * 4 + k) as id, 'page-' || k as slug, at + k * interval '1 ms' as at
    from amounts, others o, generate_series(1, 4) k
    union all
    select -k, mine.tenant, '{site}', pg_temp.id_at(since, 4000000000 + k), 'page-' || k, until - (scale * 20 - k) * interval '1 microsecond'
    from mine, amounts, generate_series(1, scale * 20) k;
insert into pages (tenant_id, id, site_id, title, slug, status, is_home, published_at, created_at, updated_at, version)
    select tenant, id, site, case abs(number) % 10 when 0 then 'About our bread ' else 'A page ' end || abs(number), slug,
        case abs(number) % 5 when 0 then 'draft' else 'published' end, number > 0 and slug = 'page-1',
        case abs(number) % 5 when 0 then null else at end, at, at, 1 from new_pages p order by p.at;
insert into sections (tenant_id, id, page_id, kind, content, position, visible, created_at, updated_at, version)
    select p.tenant, p.id, p.id, s.kind, s.content, 1, true, p.at, p.at, 1
    from new_pages p, (select kind, content from sections where tenant_id = '{tenant}' order by position limit 1) s;
insert into page_versions (tenant_id, id, page_id, number, author_kind, author_id, summary, digest, content, size, created_at)
    select p.tenant, p.id, p.id, 1, v.author_kind, v.author_id, v.summary, md5(p.id::text), v.content, v.size, p.at
    from new_pages p, (select * from page_versions where tenant_id = '{tenant}' order by number limit 1) v;
insert into page_versions (tenant_id, id, page_id, number, author_kind, author_id, summary, digest, content, size, created_at)
    select v.tenant_id, pg_temp.id_at(v.created_at, 5000000000 + k), v.page_id, v.number + k, v.author_kind, v.author_id, v.summary, md5(k::text), v.content, v.size,
        v.created_at
    from (select * from page_versions where page_id = '{page}' order by number desc limit 1) v, generate_series(1, 40) k;
insert into stored_texts (tenant_id, part, bytes) select tenant_id, 0, sum(size) from page_versions group by tenant_id
    on conflict (tenant_id, part) do update set bytes = stored_texts.bytes + excluded.bytes;
insert into assets (tenant_id, id, filename, content_type, size, width, height, hash, variants, created_at, updated_at, version)
    select tenant, pg_temp.id_at(at, n), 'bread.jpg', 'image/jpeg', 40000, 800, 600, md5(n::text), '[]'::jsonb, at, at, 1 from others
    union all
    select tenant, pg_temp.id_at(until, k), 'cake-' || k || '.jpg', 'image/jpeg', 40000, 800, 600, md5(k::text), '[]', until, until, 1
    from amounts, mine, generate_series(1, scale * 5) k;

-- Visitors.
insert into visit_days (tenant_id, site_id, day, visits, visitors)
    select tenant, site, to_char(until - make_interval(days => k), 'YYYY-MM-DD'), 100, 50 from amounts, others, generate_series(0, 9) k
    union all
    select tenant, '{site}', to_char(until - make_interval(days => k::int), 'YYYY-MM-DD'), 100, 50
    from amounts, mine, generate_series(0, least(scale * 35, 700)) k;
insert into visit_names (tenant_id, site_id, day, dimension, name, visits)
    select tenant_id, site_id, day, dimension, name, 5
    from visit_days, (values ('page', '/'), ('referrer', 'https://example.com/'), ('country', 'GT'), ('device', 'mobile')) as d (dimension, name);
insert into visitor_hashes (tenant_id, site_id, day, hash)
    select tenant, site, to_char(until, 'YYYY-MM-DD'), sha256((n * 5 + k)::text::bytea) from amounts, others, generate_series(1, 5) k
    union all
    select tenant, '{site}', to_char(until, 'YYYY-MM-DD'), sha256(k::text::bytea) from amounts, mine, generate_series(1, scale * 100) k;
insert into traffic_days (tenant_id, day, answers, bytes)
    select tenant, to_char(until - make_interval(days => k), 'YYYY-MM-DD'), 100, 1000000 from amounts, others, generate_series(0, 9) k;
insert into submissions (tenant_id, id, site_id, section_id, page_path, language, name, email, message, consent, consent_text, status, digest,
        created_at, updated_at, version)
    select tenant, pg_temp.id_at(at, n * 4 + k), site, site, '/', 'en', 'Visitor ' || k, 'visitor-' || k || '@example.com', 'Do you bake on Sundays?',
        true, 'I agree.', 'read', md5((n * 4 + k)::text), at, at, 1 from others, generate_series(1, 4) k
    union all
    select tenant, pg_temp.id_at(until, k), '{site}', '{site}', '/', 'en', 'Visitor ' || k, 'visitor-' || k || '@example.com', 'Do you bake on Sundays?',
        true, 'I agree.', case k % 4 when 0 then 'new' else 'read' end, md5(k::text), until, until, 1
    from amounts, mine, generate_series(1, scale * 20) k;
insert into wizards (tenant_id, id, status, answers, created_at, updated_at, version)
    select tenant, pg_temp.id_at(at, n), 'in_progress', '{}', at, at, 1 from others where n % 4 = 0;

-- The event log. The oldest few have words that nothing else has; one in ten thousand, and one in a hundred, have words of their own, too.
create temp table patterns as
    select row_number() over (order by kind) - 1 as number, count(*) over () as patterns, e.*
    from (select distinct on (kind) * from events where tenant_id = '{tenant}' and actor_kind = 'user' and resource_type in ('page', 'section', 'site')
        order by kind, id) e;
create temp table log as
    select i, i % 5 = 0 as is_mine, pg_temp.id_at(e.at, 6000000000 + i) as id, pg_temp.id_at(e.at, 7000000000 + i) as delivery, e.at,
        coalesce(o.tenant, '{tenant}') as tenant, coalesce(o.owner, (select owner from mine)) as owner, o.webhook, o.n,
        case when i <= 100 then 'rare' when i % 50000 between 25000 and 25004 then 'seldom' when i % 500 < 5 then 'uncommon' else 'common' end as words
    from (select i, since + (until - since) * (i::float8 / (events + 1)) as at, others from amounts, generate_series(1, events) i) e
    left join others o on i % 5 <> 0 and o.n = 1 + ((i - i / 5) * 7919) % others;
create temp table before_filling as select pg_current_xact_id()::text::bigint - {scale} * 1000 - 2 as transaction_id,
    (select coalesce(max(sequence), 0) from events) as sequence;
-- What the customer did over the API comes first in the order of the log: its transactions are older than those used up.
insert into events (transaction_id, sequence, tenant_id, id, kind, resource_type, resource_id, actor_kind, actor_id, before, after, request_id,
        address, user_agent, created_at, audit, request_line)
    overriding system value
    select (b.transaction_id + i)::text::xid8, b.sequence + i, l.tenant, l.id,
        case words when 'rare' then 'webhook.disabled' when 'seldom' then 'dealer.updated' when 'uncommon' then 'branding.updated' else p.kind end,
        case words when 'rare' then 'webhook' when 'seldom' then 'dealer' when 'uncommon' then 'branding' else p.resource_type end,
        case when is_mine then pg_temp.id_at(since, 4000000001 + i / 5 % ({scale} * 20)) else pg_temp.id_at(since, 3000000001 + n * 4 + i % 4) end,
        case words when 'rare' then 'system' when 'seldom' then 'anonymous' when 'uncommon' then 'api_key' else 'user' end,
        case words when 'rare' then null when 'seldom' then null when 'uncommon' then pg_temp.id_at(l.at, n) else l.owner end,
        p.before, p.after, l.id::text, p.address, p.user_agent, l.at, 'sealed', p.request_line
    from amounts, before_filling b, log l join patterns p on p.number = l.i / 5 % p.patterns order by i;
select setval(pg_get_serial_sequence('events', 'sequence'), (select max(sequence) from events));
-- The last twenty of the measured tenant were done by a member.
update events set actor_id = (select user_id from memberships where tenant_id = '{tenant}' and role = 'editor' order by user_id limit 1)
    where tenant_id = '{tenant}' and id in (select id from log where is_mine order by i desc limit 20);
insert into event_cursors (reader, transaction_id, sequence) select r, '0', 0 from unnest(array['account_mail', 'avatars', 'audit_seal', 'webhooks']) r
    on conflict (reader) do nothing;
update event_cursors set (transaction_id, sequence) = (select transaction_id, sequence from events order by transaction_id desc, sequence desc limit 1);
insert into audit_seals (tenant_id, number, event_id, frame, content, salt, hash)
    select l.tenant, coalesce(c.length, 0) + row_number() over (partition by l.tenant order by i), l.id, sha256(l.id::text::bytea), sha256(l.id::text::bytea),
        substr(sha256(l.id::text::bytea), 1, 16), sha256(l.id::text::bytea)
    from log l left join audit_chains c on c.tenant_id = l.tenant;
insert into audit_chains (tenant_id, length, hash, sealed_until, checkpoint)
    select tenant_id, max(number), sha256(tenant_id::text::bytea), (select until from amounts), 0 from audit_seals group by tenant_id
    on conflict (tenant_id) do update set length = excluded.length, hash = excluded.hash;

-- What webhooks were sent, an attempt for each event.
insert into webhooks (tenant_id, id, url, events, status, sealed_secret, failures, created_at, updated_at, version)
    select o.tenant, o.webhook, w.url, w.events, w.status, w.sealed_secret, 0, at, at, 1 from others o, webhooks w where w.id = '{webhook}';
insert into webhook_queues (tenant_id, webhook_id, generation) select tenant, webhook, 1 from others;
insert into webhook_sequences (tenant_id, last) select tenant, 50 from others;
insert into webhook_deliveries (tenant_id, id, webhook_id, event_id, event_type, sequence, attempt, cause, status, due_at, response_status,
        duration_ms, created_at, finished_at)
    select l.tenant, l.delivery, coalesce(l.webhook, '{webhook}'), l.id, case when i % 100 < 5 then 'site.updated' else 'page.updated' end, i, 1, 'event',
        case when i % 100 < 10 then 'failed' else 'succeeded' end, l.at, 200, 12, l.at, l.at
    from log l order by i;

-- Jobs that failed for good, and some for later.
insert into jobs (id, tenant_id, kind, payload, state, attempts, max_attempts, run_at, request_id, created_at)
    select pg_temp.id_at(at, n), tenant, 'page.publish', '{}', case when n % 2 = 0 then 'dead' else 'queued' end, 5, 5, until + interval '20 days', 'fill', at
    from amounts, others;

insert into visit_batches (id, stored_at) select pg_temp.id_at(until, k), until from amounts, generate_series(1, scale * 10) k;
