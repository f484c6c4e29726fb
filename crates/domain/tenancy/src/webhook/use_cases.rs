//! Use cases of webhooks for members.

use portico_kernel::{
    Env, Event, EventDeclaration, List, PageRequest, Permission, RuleMessage, Scope, StoreError, TenantId,
    Violations, WebhookId,
    catalogue::{EVERYTHING, EventCatalogue},
    http::HttpClient,
    patch::double_option,
    sealing::Sealer,
};
use secrecy::SecretString;
use serde::Deserialize;
use time::Duration;

use super::{SealedSecrets, Webhook, WebhookStatus, address};
use crate::{TenancyError, events, ports::TenancyRepositories};

/// The most characters of a description.
const MAX_DESCRIPTION: usize = 500;

/// The most deliveries a second that a member may ask for.
const MAX_RATE: u32 = 1000;

/// Hours that the previous secret signs too, by default.
const DEFAULT_OVERLAP: u32 = 24;

/// The most hours that it may sign.
const MAX_OVERLAP: u32 = 168;

/// A new webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "url": "https://example.com/hooks/portico", "events": ["page.published", "submission.received"],
    "description": "Order desk"
})))]
pub struct NewWebhook {
    /// Where to send events: an `https:` address of at most 2048 characters, without credentials and fragment.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required, format = "uri", max_length = 2048))]
    pub url: String,
    /// Types of events (see `GET /event-types`), or `*` for all of them, also those to come.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required, min_items = 1, min_length = 1, max_length = 64))]
    pub events: Vec<String>,
    /// What it is for, at most 500 characters.
    #[cfg_attr(feature = "openapi", schema(max_length = 500))]
    pub description: Option<String>,
    /// Whether events are sent to it from the start. True when absent.
    pub active: Option<bool>,
    /// Most deliveries a second; what the operator allows when absent.
    #[serde(alias = "rate_per_second")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    pub rate_per_second: Option<u32>,
}

/// What to change about a webhook. Absent fields stay as they are; `null` clears `description` and `ratePerSecond`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"events": ["*"]})))]
pub struct WebhookUpdate {
    /// Where to send events.
    #[cfg_attr(feature = "openapi", schema(format = "uri", max_length = 2048))]
    pub url: Option<String>,
    /// Types of events, or `*` for all of them.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, min_length = 1, max_length = 64))]
    pub events: Option<Vec<String>>,
    /// What it is for.
    #[serde(default, deserialize_with = "double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 500))]
    pub description: Option<Option<String>>,
    /// False pauses it, true switches it on again, also one that was switched off.
    pub active: Option<bool>,
    /// Most deliveries a second.
    #[serde(default, deserialize_with = "double_option", alias = "rate_per_second")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1, maximum = 1000))]
    pub rate_per_second: Option<Option<u32>>,
}

/// How to give a webhook a new secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"overlapHours": 24})))]
pub struct SecretRotation {
    /// Hours in which deliveries are signed with both secrets: 24 when absent, 168 at most, 0 for none.
    #[serde(alias = "overlap_hours")]
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 168))]
    pub overlap_hours: Option<u32>,
}

/// Limits of the operator and adapters that webhooks need.
#[derive(Clone, Copy)]
pub struct WebhookRules<'a> {
    /// Most webhooks of a tenant.
    pub most: u64,
    /// The catalogue of events.
    pub events: &'a EventCatalogue,
    /// Checks which addresses may be called.
    pub http: &'a dyn HttpClient,
    /// Encrypts secrets.
    pub sealer: &'a dyn Sealer,
}

/// Use cases around the webhooks of the active tenant.
pub struct Webhooks<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Webhooks<'a> {
    /// Over an open unit of work, or a reader for what only reads.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The webhooks, newest first.
    pub async fn list(&mut self, page: PageRequest) -> Result<List<Webhook>, TenancyError> {
        let tenant = self.scope.require(Permission::WebhooksRead)?;
        Ok(self.repositories.webhooks().list(tenant, page).await?)
    }

    /// One of them.
    pub async fn get(&mut self, id: WebhookId) -> Result<Webhook, TenancyError> {
        let tenant = self.scope.require(Permission::WebhooksRead)?;
        self.existing(tenant, id).await
    }

    /// Makes a webhook, and answers it with the text of its secret, which can be read nowhere else. Errors:
    /// [`TenancyError::TooManyWebhooks`].
    pub async fn create(
        &mut self,
        input: NewWebhook,
        rules: WebhookRules<'_>,
    ) -> Result<(Webhook, SecretString), TenancyError> {
        let tenant = self.scope.require(Permission::WebhooksWrite)?;
        self.scope.require_verified()?;
        let mut violations = Violations::default();
        let url = violations.take("url", address::check(&input.url, rules.http));
        let events = self.wanted(rules.events, &mut violations, &input.events);
        let description = check_description(&mut violations, input.description);
        check_rate(&mut violations, input.rate_per_second);
        violations.into_result()?;
        let Some(url) = url else { return Err(TenancyError::Invalid(Vec::new())) };
        let (id, now) = (self.env.new_id(), self.env.now());
        let (secrets, text) = SealedSecrets::first(self.env, rules.sealer, id)?;
        let webhook = Webhook {
            id,
            tenant,
            url,
            description,
            events,
            status: if input.active == Some(false) { WebhookStatus::Paused } else { WebhookStatus::Enabled },
            rate_per_second: input.rate_per_second,
            secrets,
            failures: 0,
            failing_since: None,
            disabled_at: None,
            disabled_reason: None,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        if !self.repositories.webhooks().insert(&webhook, rules.most).await? {
            return Err(TenancyError::TooManyWebhooks);
        }
        let event =
            Event::new(self.env, self.scope, &events::WEBHOOK_CREATED, id.uuid()).after(&webhook.recorded());
        self.repositories.events().append(event).await?;
        Ok((webhook, text))
    }

    /// Changes a webhook, given that its version is still the expected one, if any.
    pub async fn update(
        &mut self,
        id: WebhookId,
        input: WebhookUpdate,
        expected: Option<i64>,
        rules: WebhookRules<'_>,
    ) -> Result<Webhook, TenancyError> {
        let tenant = self.scope.require(Permission::WebhooksWrite)?;
        self.scope.require_verified()?;
        let before = self.expected(tenant, id, expected).await?;
        let mut after = before.clone();
        let mut violations = Violations::default();
        let url = input.url.as_ref().map(|url| violations.take("url", address::check(url, rules.http)));
        let elsewhere = url.as_ref().is_some_and(|url| url.as_ref() != Some(&before.url));
        if let Some(Some(url)) = url {
            after.url = url;
        }
        if let Some(events) = &input.events {
            after.events = self.wanted(rules.events, &mut violations, events);
        } else if elsewhere {
            // Changing the address takes the same permissions as subscribing.
            self.wanted(rules.events, &mut violations, &before.events);
        }
        if let Some(description) = input.description {
            after.description = check_description(&mut violations, description);
        }
        if let Some(rate) = input.rate_per_second {
            check_rate(&mut violations, rate);
            after.rate_per_second = rate;
        }
        violations.into_result()?;
        match (input.active, before.status) {
            (Some(true), WebhookStatus::Paused | WebhookStatus::Disabled) => switch_on(&mut after),
            (Some(false), WebhookStatus::Enabled) => after.status = WebhookStatus::Paused,
            _ => {}
        }
        if after == before {
            return Ok(before);
        }
        self.store(&before, after, expected, &events::WEBHOOK_UPDATED).await
    }

    /// Deletes a webhook with everything that was, or was to be, sent to it, given that its version is still the expected
    /// one, if any.
    pub async fn delete(&mut self, id: WebhookId, expected: Option<i64>) -> Result<(), TenancyError> {
        let tenant = self.scope.require(Permission::WebhooksWrite)?;
        let before = self.expected(tenant, id, expected).await?;
        if !self.repositories.webhooks().delete(tenant, id).await? {
            return Err(TenancyError::NotFound("webhook"));
        }
        let event =
            Event::new(self.env, self.scope, &events::WEBHOOK_DELETED, id.uuid()).before(&before.recorded());
        Ok(self.repositories.events().append(event).await?)
    }

    /// Gives a webhook a new secret, and answers it with the text. The previous one signs too until the overlap is over; one from
    /// before an earlier rotation signs no more.
    pub async fn rotate(
        &mut self,
        id: WebhookId,
        input: SecretRotation,
        expected: Option<i64>,
        sealer: &dyn Sealer,
    ) -> Result<(Webhook, SecretString), TenancyError> {
        let tenant = self.scope.require(Permission::WebhooksWrite)?;
        self.scope.require_verified()?;
        let before = self.expected(tenant, id, expected).await?;
        let overlap = input.overlap_hours.unwrap_or(DEFAULT_OVERLAP);
        let mut violations = Violations::default();
        let message = RuleMessage::number(0, i64::from(MAX_OVERLAP));
        violations.check(overlap <= MAX_OVERLAP, "overlapHours", "out_of_range", message);
        violations.into_result()?;
        let until = (overlap > 0).then(|| self.env.now() + Duration::hours(i64::from(overlap)));
        let (secrets, text) = before.secrets.next(self.env, sealer, id, until)?;
        let after = Webhook { secrets, ..before.clone() };
        Ok((self.store(&before, after, expected, &events::WEBHOOK_ROTATED).await?, text))
    }

    /// Pauses a webhook. One that is not enabled stays as it is.
    pub async fn pause(&mut self, id: WebhookId) -> Result<Webhook, TenancyError> {
        let tenant = self.scope.require(Permission::WebhooksWrite)?;
        let before = self.existing(tenant, id).await?;
        if before.status != WebhookStatus::Enabled {
            return Ok(before);
        }
        let after = Webhook { status: WebhookStatus::Paused, ..before.clone() };
        self.store(&before, after, None, &events::WEBHOOK_PAUSED).await
    }

    /// Enables a webhook again, also one that was switched off. One that is enabled stays as it is.
    pub async fn resume(&mut self, id: WebhookId) -> Result<Webhook, TenancyError> {
        let tenant = self.scope.require(Permission::WebhooksWrite)?;
        self.scope.require_verified()?;
        let before = self.existing(tenant, id).await?;
        if before.status == WebhookStatus::Enabled {
            return Ok(before);
        }
        let mut after = before.clone();
        switch_on(&mut after);
        self.store(&before, after, None, &events::WEBHOOK_RESUMED).await
    }

    async fn existing(&mut self, tenant: TenantId, id: WebhookId) -> Result<Webhook, TenancyError> {
        self.repositories.webhooks().find(tenant, id).await?.ok_or(TenancyError::NotFound("webhook"))
    }

    async fn expected(
        &mut self,
        tenant: TenantId,
        id: WebhookId,
        version: Option<i64>,
    ) -> Result<Webhook, TenancyError> {
        let webhook = self.existing(tenant, id).await?;
        if version.is_some_and(|version| version != webhook.version) {
            return Err(TenancyError::PreconditionFailed);
        }
        Ok(webhook)
    }

    async fn store(
        &mut self,
        before: &Webhook,
        mut after: Webhook,
        expected: Option<i64>,
        kind: &'static EventDeclaration,
    ) -> Result<Webhook, TenancyError> {
        after.updated_at = self.env.now();
        self.repositories.webhooks().update(&after).await.map_err(|error| match error {
            StoreError::Stale if expected.is_some() => TenancyError::PreconditionFailed,
            error => error.into(),
        })?;
        after.version += 1;
        let switched_on = before.status != WebhookStatus::Enabled && after.status == WebhookStatus::Enabled;
        if switched_on || after.url != before.url {
            // Failures at another address do not count for this one.
            self.repositories.webhooks().forget_failures(after.tenant, after.id).await?;
            (after.failures, after.failing_since) = (0, None);
        }
        // The workers look at the webhook when this event is dispatched, see `dispatch`.
        let event = Event::new(self.env, self.scope, kind, after.id.uuid());
        let event = event.before(&before.recorded()).after(&after.recorded());
        self.repositories.events().append(event).await?;
        Ok(after)
    }

    /// The names of events, each published, and with a resource that the caller may read; the star alone for everything.
    fn wanted(
        &self,
        catalogue: &EventCatalogue,
        violations: &mut Violations,
        names: &[String],
    ) -> Vec<String> {
        violations.check(!names.is_empty(), "events", "required", "Choose at least one type of event.");
        let readable = |name: &str| {
            let mut kinds =
                catalogue.all().iter().filter(|published| name == EVERYTHING || published.name == name);
            kinds.all(|published| self.scope.allows(published.permission))
        };
        let mut wanted: Vec<String> = Vec::new();
        // A list that is longer than that has duplicates, which are reported below.
        for (index, name) in names.iter().enumerate().take(2 * catalogue.all().len()) {
            let field = format!("events[{index}]");
            if name != EVERYTHING && !catalogue.is_name(name) {
                let message = "There is no such type of event; GET /event-types lists them.";
                violations.add(field, "unknown_event_type", message);
            } else if !readable(name) {
                violations.add(field, "not_yours", "You may not read what this event tells of.");
            } else if wanted.contains(name) {
                violations.add(field, "duplicate", "This type of event is in the list already.");
            } else {
                wanted.push(name.clone());
            }
        }
        if wanted.iter().any(|name| name == EVERYTHING) {
            return vec![EVERYTHING.to_owned()];
        }
        wanted
    }
}

fn switch_on(webhook: &mut Webhook) {
    webhook.status = WebhookStatus::Enabled;
    webhook.disabled_at = None;
    webhook.disabled_reason = None;
}

fn check_description(violations: &mut Violations, text: Option<String>) -> Option<String> {
    violations.optional_text("description", text.as_deref(), MAX_DESCRIPTION);
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn check_rate(violations: &mut Violations, rate: Option<u32>) {
    violations.check(
        rate.is_none_or(|rate| (1..=MAX_RATE).contains(&rate)),
        "ratePerSecond",
        "out_of_range",
        RuleMessage::number(1, i64::from(MAX_RATE)),
    );
}
