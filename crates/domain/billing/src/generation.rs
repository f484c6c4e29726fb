//! Uses of the text generator: counted before the provider is asked, so that no tenant gets more than its plan includes, and
//! given back when a use fails.
//!
//! A use that was counted is held by a reservation. The unit of work that takes the reservation settles the use or gives it back,
//! so it is one or the other, once. The reservations of a dead process are given back at the tenant's next use.

use portico_kernel::{GenerationId, Meter, TenantId, Timestamp};
use time::Duration;

use crate::{BillingError, period::Period, ports::BillingRepositories, quota::Quotas};

/// How long a use may be under way. Longer than any provider is waited for.
pub const RESERVED_FOR: Duration = Duration::minutes(20);

/// A use that was counted and is not settled yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// UUIDv7.
    pub id: GenerationId,
    /// The tenant.
    pub tenant: TenantId,
    /// The billing period in which it was counted.
    pub period: Period,
    /// Tokens that were set aside for it, in the calendar month in which it was counted.
    pub tokens: u64,
    /// When it may be given back without asking: [`RESERVED_FOR`] after it was counted.
    pub expires_at: Timestamp,
}

impl Reservation {
    fn counted_at(&self) -> Timestamp {
        self.expires_at - RESERVED_FOR
    }
}

/// How many tokens all tenants together may use up in a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenLimit {
    /// Most tokens that one use can take.
    pub each: u64,
    /// Most tokens of a month; `None` is no limit.
    pub month: Option<u64>,
}

/// Use cases around uses of the text generator.
pub struct Generations<'a> {
    repositories: &'a mut dyn BillingRepositories,
}

impl<'a> Generations<'a> {
    /// Over an open unit of work. The use case has checked the permission.
    pub fn new(repositories: &'a mut dyn BillingRepositories) -> Self {
        Self { repositories }
    }

    /// Counts one use against the plan of the tenant, and sets tokens aside. Commit before the provider is asked. The same
    /// id again is the same use: it is counted once.
    ///
    /// # Errors
    /// `QuotaExceeded`; `TokensUsedUp` when the installation has no tokens left in this month.
    pub async fn reserve(
        &mut self,
        tenant: TenantId,
        id: GenerationId,
        limit: TokenLimit,
        now: Timestamp,
    ) -> Result<Reservation, BillingError> {
        let left_behind = self.repositories.generations().take_expired(tenant, now).await?;
        for left in left_behind {
            self.uncount(&left).await?;
        }
        if let Some(known) = self.repositories.generations().find(tenant, id).await? {
            return Ok(known);
        }
        let period = Quotas::new(self.repositories).take_at(tenant, Meter::AiGenerations, now, 1).await?;
        let month = Period::month_of(now);
        if !self.repositories.generations().spend(month, limit.each, limit.month).await? {
            return Err(BillingError::TokensUsedUp);
        }
        let reservation =
            Reservation { id, tenant, period, tokens: limit.each, expires_at: now + RESERVED_FOR };
        self.repositories.generations().insert(&reservation).await?;
        Ok(reservation)
    }

    /// Makes a use final: it took so many tokens. Answers whether it was still reserved.
    pub async fn settle(&mut self, reservation: &Reservation, tokens: u64) -> Result<bool, BillingError> {
        let taken = self.repositories.generations().take(reservation.tenant, reservation.id).await?;
        let Some(taken) = taken else { return Ok(false) };
        self.correct(&taken, tokens).await?;
        Ok(true)
    }

    /// Takes a use back, because it failed. `tokens` is what it cost all the same; `None` when that is unknown, and then what was
    /// set aside stays spent. Answers whether it was still reserved.
    pub async fn give_back(
        &mut self,
        reservation: &Reservation,
        tokens: Option<u64>,
    ) -> Result<bool, BillingError> {
        let taken = self.repositories.generations().take(reservation.tenant, reservation.id).await?;
        let Some(taken) = taken else { return Ok(false) };
        self.uncount(&taken).await?;
        if let Some(tokens) = tokens {
            self.correct(&taken, tokens).await?;
        }
        Ok(true)
    }

    async fn uncount(&mut self, reservation: &Reservation) -> Result<(), BillingError> {
        let Reservation { tenant, period, .. } = *reservation;
        let day = reservation.counted_at().into_inner().date();
        Ok(self.repositories.meters().subtract_on_day(tenant, Meter::AiGenerations, period, day, 1).await?)
    }

    /// Replaces the tokens that were set aside by those that were used.
    async fn correct(&mut self, reservation: &Reservation, used: u64) -> Result<(), BillingError> {
        let (month, tokens) = (Period::month_of(reservation.counted_at()), reservation.tokens);
        let mut generations = self.repositories.generations();
        if used > tokens {
            // They are spent already: the limit is for what is still to come.
            generations.spend(month, used - tokens, None).await?;
        } else {
            generations.unspend(month, tokens - used).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::{Fault, Kind};

    use super::*;
    use crate::{
        plan::catalogue,
        ports::{MockGenerationRepository, MockMeterRepository, MockSubscriptionRepository},
        testing::{Repositories, allowance, env},
    };

    const LIMIT: TokenLimit = TokenLimit { each: 100, month: Some(1000) };

    fn running() -> Period {
        Period::of(allowance(catalogue().remove(0)).period_anchor, env().now())
    }

    fn reservation(tenant: TenantId, id: GenerationId) -> Reservation {
        let now = env().now();
        let period = running();
        Reservation { id, tenant, period, tokens: LIMIT.each, expires_at: now + RESERVED_FOR }
    }

    /// The calls that the repositories expect, one each, in this order.
    fn asked(repositories: &mut Repositories, expect: impl FnOnce(&mut MockGenerationRepository)) {
        let mut generations = MockGenerationRepository::new();
        expect(&mut generations);
        repositories.generations.push_back(generations);
    }

    fn nothing_left_behind(repositories: &mut Repositories) {
        asked(repositories, |mock| {
            mock.expect_take_expired().times(1).return_once(|_, _| Ok(Vec::new()));
        });
    }

    fn counting(repositories: &mut Repositories) {
        let mut subscriptions = MockSubscriptionRepository::new();
        let plan = catalogue().remove(0);
        let allowance = allowance(plan);
        subscriptions.expect_allowance().times(1).return_once(|_| Ok(Some(allowance)));
        repositories.subscriptions.push_back(subscriptions);
        let mut meters = MockMeterRepository::new();
        let (running, today) = (running(), env().now().into_inner().date());
        meters
            .expect_add_on_day()
            .times(1)
            .withf(move |_, meter, period, day, amount, limit| {
                (*meter, *period, *day) == (Meter::AiGenerations, running, today)
                    && (*amount, *limit) == (1, Some(10))
            })
            .return_once(|_, _, _, _, _, _| Ok(true));
        repositories.meters.push_back(meters);
    }

    #[tokio::test]
    async fn a_use_is_counted_in_its_month_and_tokens_are_set_aside() {
        let env = env();
        let (tenant, id) = (env.new_id(), env.new_id());
        let mut repositories = Repositories::default();
        nothing_left_behind(&mut repositories);
        asked(&mut repositories, |mock| {
            mock.expect_find().times(1).return_once(|_, _| Ok(None));
        });
        counting(&mut repositories);
        asked(&mut repositories, |mock| {
            mock.expect_spend()
                .times(1)
                .withf(|_, tokens, limit| (*tokens, *limit) == (100, Some(1000)))
                .return_once(|_, _, _| Ok(true));
        });
        let wanted = reservation(tenant, id);
        asked(&mut repositories, |mock| {
            let wanted = wanted.clone();
            mock.expect_insert().times(1).withf(move |made| *made == wanted).return_once(|_| Ok(()));
        });
        let made = Generations::new(&mut repositories).reserve(tenant, id, LIMIT, env.now()).await;
        assert_eq!(made.unwrap(), wanted);
        assert!(repositories.generations.is_empty() && repositories.meters.is_empty());
    }

    #[tokio::test]
    async fn the_same_use_again_is_not_counted_again() {
        let env = env();
        let known = reservation(env.new_id(), env.new_id());
        let mut repositories = Repositories::default();
        nothing_left_behind(&mut repositories);
        let found = known.clone();
        asked(&mut repositories, |mock| {
            mock.expect_find().times(1).return_once(|_, _| Ok(Some(found)));
        });
        let again =
            Generations::new(&mut repositories).reserve(known.tenant, known.id, LIMIT, env.now()).await;
        assert_eq!(again.unwrap(), known);
    }

    #[tokio::test]
    async fn without_tokens_nothing_is_reserved() {
        let env = env();
        let mut repositories = Repositories::default();
        nothing_left_behind(&mut repositories);
        asked(&mut repositories, |mock| {
            mock.expect_find().times(1).return_once(|_, _| Ok(None));
        });
        counting(&mut repositories);
        asked(&mut repositories, |mock| {
            mock.expect_spend().times(1).return_once(|_, _, _| Ok(false));
        });
        let refused = Generations::new(&mut repositories)
            .reserve(env.new_id(), env.new_id(), LIMIT, env.now())
            .await
            .unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (Kind::Unavailable, "generator_unavailable"));
        assert!(refused.retry_after().is_some());
    }

    #[tokio::test]
    async fn what_was_really_used_takes_the_place_of_what_was_set_aside() {
        let env = env();
        let reserved = reservation(env.new_id(), env.new_id());
        for (used, returned, more) in [(30, 70, None), (100, 0, None), (130, 0, Some(30))] {
            let mut repositories = Repositories::default();
            let taken = reserved.clone();
            asked(&mut repositories, |mock| {
                mock.expect_take().times(1).return_once(|_, _| Ok(Some(taken)));
            });
            asked(&mut repositories, |mock| match more {
                Some(more) => {
                    mock.expect_spend()
                        .times(1)
                        .withf(move |_, tokens, limit| (*tokens, *limit) == (more, None))
                        .return_once(|_, _, _| Ok(true));
                }
                None => {
                    mock.expect_unspend()
                        .times(1)
                        .withf(move |_, tokens| *tokens == returned)
                        .return_once(|_, _| Ok(()));
                }
            });
            assert!(Generations::new(&mut repositories).settle(&reserved, used).await.unwrap());
            assert!(repositories.generations.is_empty());
        }
    }

    #[tokio::test]
    async fn whoever_comes_too_late_changes_nothing() {
        let env = env();
        let reserved = reservation(env.new_id(), env.new_id());
        for give_back in [true, false] {
            let mut repositories = Repositories::default();
            asked(&mut repositories, |mock| {
                mock.expect_take().times(1).return_once(|_, _| Ok(None));
            });
            let mut generations = Generations::new(&mut repositories);
            let done = match give_back {
                true => generations.give_back(&reserved, Some(5)).await,
                false => generations.settle(&reserved, 5).await,
            };
            assert!(!done.unwrap());
        }
    }
}
