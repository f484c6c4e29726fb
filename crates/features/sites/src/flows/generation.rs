//! Generation of texts: usage is counted first, the generator is called with no transaction open, then the usage is settled
//! or given back.
//!
//! A use is counted by [`reserve`] in a transaction of its own. It is followed by either [`settle`], in the transaction in
//! which the text is stored, or [`give_back`]. A process that dies in between leaves a reservation, which is given back to
//! the tenant at its next use after [`portico_billing::generation::RESERVED_FOR`].

use std::sync::Arc;

use portico_billing::{
    BillingError,
    generation::{Generations, Reservation},
    ports::BillingRepositories,
};
use portico_kernel::{Env, Event, Fault, GenerationId, Permission, Scope};
use portico_runtime::logging;
use portico_sites::ports::{ContentGenerator, GeneratorError, Tokens};
use portico_web::problem::Problem;
use serde_json::{Value, json};

use crate::state::App;

/// A finished generation, for the event log: ids and kinds only, never texts.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// Kind of task: `section`, `seo`, `page`, `wizard`.
    pub kind: &'static str,
    /// Ids of its subject, for instance `{"pageId": …}`.
    pub about: Value,
    /// Tokens used.
    pub tokens: Tokens,
}

/// The text generator. `Unavailable` if none is configured.
pub fn generator(app: &App) -> Result<Arc<dyn ContentGenerator>, GeneratorError> {
    let none = || GeneratorError::Unavailable("there is no writer: set ai.base_url".to_owned());
    app.generator.clone().ok_or_else(none)
}

/// Counts one use for the caller's tenant and reserves the tokens of `calls` generator calls. The same id again (a job that
/// is retried) is the same use and is counted once.
///
/// Errors: 403 without `ai:generate`; 402 when the plan includes no more; 503 `generator_unavailable` without a generator,
/// or when the tokens of the month are used up.
pub async fn reserve(app: &App, scope: &Scope, id: GenerationId, calls: u64) -> Result<Reservation, Problem> {
    let tenant = scope.require(Permission::AiGenerate)?;
    generator(app)?;
    let limit = app.settings.token_limit(calls);
    let mut work = app.core.begin().await?;
    let reservation = Generations::new(&mut *work).reserve(tenant, id, limit, app.core.env.now()).await?;
    work.commit().await?;
    Ok(reservation)
}

/// Makes a use final, inside the open unit of work in which the text is stored, with the event `ai.generated`. A use that
/// is no longer reserved (settled before, or given back) records no second event.
pub async fn settle(
    work: &mut dyn BillingRepositories,
    env: &Env,
    scope: &Scope,
    reservation: &Reservation,
    written: &Written,
) -> Result<(), BillingError> {
    let Tokens { input, output } = written.tokens;
    metrics::counter!("portico_texts_written_total", "kind" => written.kind).increment(1);
    metrics::counter!("portico_text_tokens_total", "direction" => "input").increment(input);
    metrics::counter!("portico_text_tokens_total", "direction" => "output").increment(output);
    let used = input.saturating_add(output);
    if !Generations::new(&mut *work).settle(reservation, used).await? {
        return Ok(());
    }
    let event =
        Event::new(env, scope, &portico_sites::events::AI_GENERATED, reservation.id.uuid()).after(&json!({
            "kind": written.kind,
            "about": written.about,
            "tokens": {"input": input, "output": output},
        }));
    Ok(work.events().append(event).await?)
}

/// Gives a use back because it produced nothing. `tokens` is the number spent nevertheless, `None` if unknown. A failure is
/// only logged: the reservation expires by itself.
pub async fn give_back(app: &App, reservation: &Reservation, tokens: Option<u64>) {
    let returned: Result<(), Problem> = async {
        let mut work = app.core.begin().await?;
        Generations::new(&mut *work).give_back(reservation, tokens).await?;
        Ok(work.commit().await?)
    }
    .await;
    if let Err(error) = returned {
        tracing::warn!(%error, id = %reservation.id, "a use of the writer could not be given back");
    }
}

/// Gives a use back because the generator failed. Its reserved tokens count as spent unless it is certain that none were
/// used.
pub async fn failed(app: &App, reservation: &Reservation, error: &GeneratorError) {
    metrics::counter!("portico_texts_failed_total", "code" => error.code()).increment(1);
    logging::warn_about("the writer failed", reservation.id, error);
    let tokens = match error {
        GeneratorError::Unavailable(_) => Some(0),
        GeneratorError::Unusable(_) => None,
    };
    give_back(app, reservation, tokens).await;
}
