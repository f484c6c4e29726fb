//! Bare selects of as many rows as lists of ours have, written as JSON without anything in between.

use actix_web::{
    HttpResponse,
    error::{ErrorInternalServerError, ErrorNotFound},
    web::{Data, Path, Query},
};
use serde::{
    Deserialize, Serialize, Serializer,
    ser::{Error, SerializeMap},
};
use serde_json::value::RawValue;
use sqlx::{Column, PgPool, Row, TypeInfo, ValueRef, postgres::PgRow, types::Json};
use time::{PrimitiveDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// What the selects are limited to.
#[derive(Deserialize)]
pub struct Of {
    tenant: Option<Uuid>,
    site: Option<Uuid>,
    user: Option<Uuid>,
    page: Option<i64>,
    q: Option<String>,
}

const PAGE: &str = "id, site_id, title, slug, status, is_home, template_id, language, translation_of, publish_at, published_at,
    created_at, updated_at";

/// Answers the rows of the select of this name. Lists that come with the number of all rows count them here, too.
#[expect(clippy::disallowed_methods, reason = "a bare route answers as actix does")]
pub async fn rows(pool: Data<PgPool>, name: Path<String>, of: Query<Of>) -> actix_web::Result<HttpResponse> {
    let Of { tenant, site, user, page, q } = of.into_inner();
    let offset = page.unwrap_or(1).saturating_sub(1) * 20;
    let found = match name.as_str() {
        "pages" => {
            let sql = format!(
                "select {PAGE}, (select count(*) from pages where tenant_id = $1 and site_id = $2) as total from pages
                 where tenant_id = $1 and site_id = $2 order by created_at desc, id desc limit 20 offset $3"
            );
            let sql = sqlx::AssertSqlSafe(sql);
            sqlx::query(sql).bind(tenant).bind(site).bind(offset).fetch_all(pool.get_ref()).await
        }
        "search" => {
            let matching =
                "tenant_id = $1 and site_id = $2 and (lower(title) like $3 or lower(slug) like $3)";
            let sql = format!(
                "select {PAGE}, (select count(*) from pages where {matching}) as total from pages
                 where {matching} order by created_at desc, id desc limit 20"
            );
            let pattern = format!("%{}%", q.unwrap_or_default());
            let sql = sqlx::AssertSqlSafe(sql);
            sqlx::query(sql).bind(tenant).bind(site).bind(pattern).fetch_all(pool.get_ref()).await
        }
        "templates" => {
            let sql =
                "select id, slug, name, category, industry, description, language, is_premium, is_featured,
                popularity, look, outline, created_at, updated_at from templates where deleted_at is null
                order by lower(name), id limit 20";
            sqlx::query(sql).fetch_all(pool.get_ref()).await
        }
        "profile" => {
            let sql = "select id, email, email_verified, full_name, phone, mobile, company, language, address, notes,
                avatar_url, role, status, last_login_at, created_at, updated_at from users where id = $1";
            sqlx::query(sql).bind(user).fetch_all(pool.get_ref()).await
        }
        "sites" => {
            let sql =
                "select id, name, subdomain, status, live_deployment_id, created_at, updated_at from sites
                where tenant_id = $1 order by created_at desc, id desc limit 20";
            sqlx::query(sql).bind(tenant).fetch_all(pool.get_ref()).await
        }
        "plans" => {
            let sql = "select id, name, amount, currency, limits, premium_templates, position from plans order by position";
            sqlx::query(sql).fetch_all(pool.get_ref()).await
        }
        "audit" => {
            let sql = "select id, kind, resource_type, resource_id, actor_kind, actor_id, before, after, request_id, address,
                user_agent, created_at from events where tenant_id = $1 and actor_id = $2 and kind = 'page.created'
                order by id desc limit 20";
            sqlx::query(sql).bind(tenant).bind(user).fetch_all(pool.get_ref()).await
        }
        _ => return Err(ErrorNotFound("no such select")),
    };
    let rows: Vec<Line> = found.map_err(ErrorInternalServerError)?.into_iter().map(Line).collect();
    Ok(HttpResponse::Ok().json(rows))
}

/// A row that is written as a JSON object.
struct Line(PgRow);

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(row) = self;
        let mut map = serializer.serialize_map(Some(row.len()))?;
        for (place, column) in row.columns().iter().enumerate() {
            let wrong = |error: sqlx::Error| S::Error::custom(error);
            map.serialize_key(column.name())?;
            if row.try_get_raw(place).map_err(wrong)?.is_null() {
                map.serialize_value(&())?;
                continue;
            }
            match column.type_info().name() {
                "UUID" => map.serialize_value(&row.try_get::<Uuid, _>(place).map_err(wrong)?)?,
                "BOOL" => map.serialize_value(&row.try_get::<bool, _>(place).map_err(wrong)?)?,
                "INT4" => map.serialize_value(&row.try_get::<i32, _>(place).map_err(wrong)?)?,
                "INT8" => map.serialize_value(&row.try_get::<i64, _>(place).map_err(wrong)?)?,
                "TIMESTAMP" => {
                    let time = row.try_get::<PrimitiveDateTime, _>(place).map_err(wrong)?.assume_utc();
                    map.serialize_value(&time.format(&Rfc3339).map_err(S::Error::custom)?)?;
                }
                "JSON" | "JSONB" => {
                    map.serialize_value(&row.try_get::<Json<&RawValue>, _>(place).map_err(wrong)?.0)?;
                }
                _ => map.serialize_value(row.try_get::<&str, _>(place).map_err(wrong)?)?,
            }
        }
        map.end()
    }
}
