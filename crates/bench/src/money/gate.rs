//! The gate: what is asked and counted so that a tenant has no more than its plan includes.
//!
//! The server has no switch for it. So the same transaction goes to Postgres with the statements of the gate and without them, in turn on
//! one connection and with nothing around it, and the difference is compared with the time of a whole creation over HTTP.

use std::time::Instant;

use anyhow::ensure;
use reqwest::{Client, Method};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres, Transaction};
use time::PrimitiveDateTime;
use uuid::Uuid;

use super::{Latencies, Rounds, Stage, id_at, now};
use crate::{
    database::make_bare_tables,
    report::{Aim, Report},
};

/// Creations of each kind in a round.
const TIMES: usize = 100;

/// Those before the first round: prepared statements have their lasting plan from the sixth time on.
const WARM_UP: usize = 12;

/// What the creation of a page reads of what the tenant stores and may store, beside what it reads anyway; as the server writes it.
const ROOM: &str = "coalesce((select used from meters where tenant_id = $1 and meter = 'storage' and period = ''), 0) as files,
    (select cast(coalesce(sum(bytes), 0) as bigint) from stored_texts where tenant_id = $1) as texts,
    (select case cast(overrides -> 'limits' -> 'storage' as text) when 'null' then $2
    else coalesce(cast(overrides -> 'limits' ->> 'storage' as bigint), cast(plans.limits ->> 'storage' as bigint), $2)
    end from subscriptions join plans on plans.id = subscriptions.plan_id and plans.version = subscriptions.plan_version
    where subscriptions.tenant_id = $1 and subscriptions.status = 'active') as included,
    exists (select 1 from memberships join users on users.id = memberships.user_id
    where memberships.tenant_id = $1 and memberships.role = 'owner' and users.email_verified) as verified,";

/// What it reads anyway.
const FROZEN: &str = "(select case when status in ('draft', 'published') then 'over_limit' else status end from sites
    where tenant_id = $1 and (status not in ('draft', 'published') or over_limit) and id = $3 limit 1) as frozen";

/// What is created.
#[derive(Clone, Copy)]
enum Created {
    Site,
    Page,
}

/// Measures both kinds.
pub async fn measure(stage: &Stage, rounds: Rounds, report: &mut Report) -> anyhow::Result<()> {
    let limits = json!({"limits": {"sites": 1_000_000}, "reason": "The benchmark makes many"});
    let path = format!("/admin/customers/{}/limits", stage.customer.tenant);
    stage.by_staff(Method::PUT, &path, Some(limits)).await?;
    make_bare_tables(&stage.database, &["subdomains", "sites", "pages", "events", "meters"]).await?;
    let connection = stage.connection().await?;
    let mut floor = Floor {
        connection,
        tenant: stage.customer.tenant.parse()?,
        site: stage.customer.site.parse()?,
        made: 0,
    };
    let http = Client::builder().no_proxy().build()?;
    for (created, name) in [(Created::Site, "creation of a site"), (Created::Page, "creation of a page")] {
        floor.times(created, WARM_UP).await?;
        whole(stage, &http, created, "warm", WARM_UP).await?;
        let (mut pairs, mut wholes, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=rounds.number {
            let whole = whole(stage, &http, created, &round.to_string(), TIMES).await?;
            let (with, without) = floor.times(created, TIMES).await?;
            let share = (with - without) / whole * 100.0;
            println!(
                "  round {round}: {name} {whole:.2} ms; with the gate {with:.2}, without {without:.2} ms: {share:.1} %"
            );
            pairs.push((with * 1e3, without * 1e3));
            wholes.push(whole);
            shares.push(share);
        }
        report.state(&format!("{name}, over HTTP, one after the other"), "ms", &wholes, Aim::None);
        report.compare("  its transaction with the gate | without", "µs", &pairs, Aim::None);
        report.state("  the gate, of the whole", "%", &shares, Aim::AtMost(10.0));
    }
    Ok(())
}

/// The median time of a creation over HTTP, in milliseconds.
async fn whole(
    stage: &Stage,
    http: &Client,
    created: Created,
    name: &str,
    times: usize,
) -> anyhow::Result<f64> {
    let (url, tenant) = (&stage.running.url, &stage.customer.tenant);
    let mut taken = Vec::with_capacity(times);
    for number in 0..times {
        let slug = format!("gate-{name}-{number}");
        let (path, body) = match created {
            Created::Site => ("/sites".to_owned(), json!({"name": "Branch", "subdomain": slug})),
            Created::Page => (
                format!("/tenants/{tenant}/pages?siteId={}", stage.customer.site),
                json!({"title": "A page", "slug": slug}),
            ),
        };
        let begin = Instant::now();
        let request = http.post(format!("{url}/api/v1{path}")).bearer_auth(&stage.customer.token);
        let answer = request.json(&body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        taken.push(begin.elapsed().as_secs_f64() * 1e3);
        ensure!(status == 201, "{path} answered {status}: {text}");
    }
    Ok(Latencies::sorted(taken).percentile(50.0))
}

/// The bare transactions.
struct Floor {
    connection: PgConnection,
    tenant: Uuid,
    site: Uuid,
    made: usize,
}

impl Floor {
    /// The median times with and without the gate, in milliseconds. The two alternate.
    async fn times(&mut self, created: Created, times: usize) -> anyhow::Result<(f64, f64)> {
        let mut taken = [Vec::with_capacity(times), Vec::with_capacity(times)];
        for number in 0..times {
            // Neither is always the second.
            for gated in [number % 2 == 0, number % 2 == 1] {
                let begin = Instant::now();
                match created {
                    Created::Site => self.site(gated).await?,
                    Created::Page => self.page(gated).await?,
                }
                taken[usize::from(gated)].push(begin.elapsed().as_secs_f64() * 1e3);
            }
        }
        let [without, with] = taken.map(|taken| Latencies::sorted(taken).percentile(50.0));
        Ok((with, without))
    }

    /// Subdomain, site and event. With the gate: the site is counted unless it is one more than is included.
    async fn site(&mut self, gated: bool) -> anyhow::Result<()> {
        let new = self.fresh();
        let mut work = self.connection.begin().await?;
        sqlx::query("insert into bare_subdomains (name, tenant_id, created_at) values ($1, $2, $3)")
            .bind(&new.slug)
            .bind(self.tenant)
            .bind(new.at)
            .execute(&mut *work)
            .await?;
        sqlx::query(
            "insert into bare_sites (tenant_id, id, name, subdomain, status, language, created_at, updated_at, version)
             values ($1, $2, 'Branch', $3, 'draft', 'en', $4, $4, 1)",
        )
        .bind(self.tenant)
        .bind(new.id)
        .bind(&new.slug)
        .bind(new.at)
        .execute(&mut *work)
        .await?;
        if gated {
            let counted = sqlx::query(
                "with room as (select case cast(overrides -> 'limits' -> 'sites' as text) when 'null' then $3
                    else coalesce(cast(overrides -> 'limits' ->> 'sites' as bigint), cast(plans.limits ->> 'sites' as bigint), $3)
                    end - $4 as most from subscriptions
                    join plans on plans.id = subscriptions.plan_id and plans.version = subscriptions.plan_version
                    where subscriptions.tenant_id = $1 and subscriptions.status = 'active')
                 insert into bare_meters (tenant_id, meter, period, used) select $1, 'sites', '', $2 from room where $2 <= room.most
                 on conflict (tenant_id, meter, period) do update set used = bare_meters.used + excluded.used
                 where bare_meters.used <= (select room.most from room) - excluded.used",
            )
            .bind(self.tenant)
            .bind(1_i64)
            .bind(i64::MAX)
            .bind(0_i64)
            .execute(&mut *work)
            .await?;
            ensure!(counted.rows_affected() == 1, "there are too many sites");
        }
        event(&mut work, self.tenant, &new, "site", false).await?;
        Ok(work.commit().await?)
    }

    /// Page and event. With the gate: the question that is asked anyway has what is stored and may be stored, too, and the event comes with
    /// the counting of a text, which the server leaves to a trigger.
    async fn page(&mut self, gated: bool) -> anyhow::Result<()> {
        let new = self.fresh();
        let mut work = self.connection.begin().await?;
        // Without the gate the second value stands for nothing, but has to have a type.
        let room = if gated { ROOM } else { "$2::bigint as room," };
        sqlx::query(AssertSqlSafe(format!("select {room} {FROZEN}")))
            .bind(self.tenant)
            .bind(i64::MAX)
            .bind(self.site)
            .fetch_one(&mut *work)
            .await?;
        sqlx::query(
            "insert into bare_pages (tenant_id, id, site_id, title, slug, status, is_home, created_at, updated_at, version)
             values ($1, $2, $3, 'A page', $4, 'draft', false, $5, $5, 1)",
        )
        .bind(self.tenant)
        .bind(new.id)
        .bind(self.site)
        .bind(&new.slug)
        .bind(new.at)
        .execute(&mut *work)
        .await?;
        event(&mut work, self.tenant, &new, "page", gated).await?;
        Ok(work.commit().await?)
    }

    fn fresh(&mut self) -> New {
        self.made += 1;
        let at = now();
        let stored = at.into_inner();
        New {
            id: id_at(at, 1, self.made),
            slug: format!("floor-{}", self.made),
            at: PrimitiveDateTime::new(stored.date(), stored.time()),
        }
    }
}

/// What is to be created.
struct New {
    id: Uuid,
    slug: String,
    at: PrimitiveDateTime,
}

async fn event(
    work: &mut Transaction<'_, Postgres>,
    tenant: Uuid,
    new: &New,
    resource: &str,
    counts: bool,
) -> anyhow::Result<()> {
    // Counts nothing, in the row where it would be counted.
    let source = if counts { "from add_stored_text($1, 0)" } else { "" };
    let statement = format!(
        "insert into bare_events (tenant_id, id, kind, resource_type, resource_id, actor_kind, after, request_id, created_at)
         select $1, $2, $3 || '.created', $3, $2, 'user', $4, $2::text, $5 {source}"
    );
    sqlx::query(AssertSqlSafe(statement))
        .bind(tenant)
        .bind(new.id)
        .bind(resource)
        .bind(json!({"id": new.id, "slug": new.slug}))
        .bind(new.at)
        .execute(&mut **work)
        .await?;
    Ok(())
}
