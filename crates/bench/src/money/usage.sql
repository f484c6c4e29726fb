-- Fills the log of a tenant with a million events of the last 29 days, copies of its last `page.created`, and a year of what it used by day.
-- {tenant} has made a page before. Run while no server uses the database.

-- No triggers and no foreign keys: nothing here is to be counted or checked.
set session_replication_role = replica;
set timezone = 'utc';

-- A UUIDv7 of a moment. The same number makes the same id.
create function pg_temp.id_at(at timestamp, number bigint) returns uuid language sql immutable as $$
    select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(number::text), 1, 3)
        || '8' || substr(md5(number::text), 4, 15))::uuid $$;

insert into events (tenant_id, id, kind, resource_type, resource_id, actor_kind, actor_id, after, request_id, created_at, audit)
    select tenant_id, pg_temp.id_at(at, n), kind, resource_type, resource_id, actor_kind, actor_id, after, request_id, at, 'sealed'
    from (select * from events where tenant_id = '{tenant}' and kind = 'page.created' order by id desc limit 1) pattern
    cross join (select n, now()::timestamp - interval '29 days' + n * interval '29 days' / 1000001 as at from generate_series(1, 1000000) n) times
    order by n;

-- Nobody is to work them off.
update event_cursors set (transaction_id, sequence) = (select transaction_id, sequence from events order by transaction_id desc, sequence desc limit 1);

insert into usage_days (tenant_id, day, meter, used)
    select '{tenant}'::uuid, to_char(now() - n * interval '1 day', 'YYYY-MM-DD'), meter, 400 - n
    from generate_series(1, 365) n, unnest(array['sites', 'storage', 'custom_domains']) meter
    on conflict do nothing;
insert into traffic_days (tenant_id, day, answers, bytes)
    select '{tenant}'::uuid, to_char(now() - n * interval '1 day', 'YYYY-MM-DD'), 100, 1000000 + n from generate_series(1, 365) n
    on conflict do nothing;
insert into meters (tenant_id, meter, period, used)
    select '{tenant}', 'ai_generations', to_char(now() - n * interval '1 day', 'YYYY-MM-DD'), 1 + n % 7 from generate_series(1, 365) n
    on conflict do nothing;

reset session_replication_role;
