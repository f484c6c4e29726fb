use std::sync::Arc;

use portico_kernel::{EventDeclaration, Fault, Scope};
use serde_json::json;

use super::*;
use crate::{
    ports::{MockSealRepository, MockTenantRepository, Unsealed},
    seal::{ERASED, Opening},
    testing::{Repositories, env, owner_of, super_admin_in, viewer_of},
};

/// A chain as a store has it, for tests to damage.
#[derive(Clone)]
struct Stored {
    chain: Chain,
    entries: Vec<SealedEntry>,
    unsealed: Unsealed,
}

impl Stored {
    /// A chain of `length` entries.
    fn new(env: &Env, scope: &Scope, length: i64) -> Self {
        let tenant = scope.active_tenant().unwrap();
        let mut chain = Chain::empty(tenant);
        let entries = (1..=length)
            .map(|number| {
                let event =
                    Event::new(env, scope, EventDeclaration::named("page.updated"), env.random_uuid())
                        .before(&json!({"title": number}))
                        .after(&json!({"title": number + 1}));
                let seal = chain.seal(env, &event);
                let event = LoggedEvent { event, place: (7, number), redacted: false };
                SealedEntry { seal, event: Some(event) }
            })
            .collect();
        Self { chain, entries, unsealed: Unsealed::default() }
    }

    fn event(&mut self, at: usize) -> &mut LoggedEvent {
        self.entries[at].event.as_mut().unwrap()
    }

    async fn verify(&self, scope: &Scope) -> Verification {
        let stored = Arc::new(self.clone());
        let mut repositories = Repositories::default();
        for _ in 0..20 {
            let mut seals = MockSealRepository::new();
            let (chain, unsealed) = (stored.chain.clone(), stored.unsealed);
            let walked = stored.clone();
            seals
                .expect_chains()
                .returning(move |_| Ok(if chain.length == 0 { Vec::new() } else { vec![chain.clone()] }));
            seals.expect_unsealed().returning(move |_, _| Ok(unsealed));
            seals.expect_walk().returning(move |_, after, limit| {
                // Pieces of two, whatever the limit, so that every test crosses their borders.
                let entries = walked.entries.iter().filter(|entry| entry.seal.number > after);
                Ok(entries.take(limit.min(2) as usize).cloned().collect())
            });
            repositories.seals.push_back(seals);
        }
        Chains::new(&mut repositories, scope).verify().await.unwrap()
    }

    async fn problem(&self, scope: &Scope) -> Option<(ProblemKind, Option<u64>)> {
        let found = self.verify(scope).await;
        assert_eq!(found.intact, found.first_problem.is_none());
        found.first_problem.map(|problem| (problem.kind, problem.number))
    }
}

/// Something done to what is stored.
type Damage = fn(&mut Stored);

#[tokio::test]
async fn an_untouched_chain_is_intact() {
    let env = env();
    let scope = owner_of(env.new_id());
    let mut stored = Stored::new(&env, &scope, 5);
    stored.unsealed.waiting = 2;
    let found = stored.verify(&scope).await;
    assert!(found.intact, "{found:?}");
    assert_eq!((found.entries, found.unsealed, found.redacted, found.checkpoint), (5, 2, 0, None));
    assert_eq!(found.head, ChainHead { number: 5, hash: stored.entries[4].seal.hash });
    assert_eq!(found.sealed_until, Some(stored.chain.sealed_until));
    let empty = Stored::new(&env, &scope, 0).verify(&scope).await;
    assert!(empty.intact);
    assert_eq!((empty.entries, empty.sealed_until, empty.head.number), (0, None, 0));
}

#[tokio::test]
async fn every_kind_of_damage_is_found_where_it_is() {
    let env = env();
    let scope = owner_of(env.new_id());
    let whole = Stored::new(&env, &scope, 6);
    let damages: [(&str, Damage, ProblemKind, u64); 13] = [
        ("an edited entry", |s| s.event(2).event.after = Some(json!(1)), ProblemKind::Edited, 3),
        ("erased without a note", |s| s.event(2).event.before = Some(json!(ERASED)), ProblemKind::Edited, 3),
        ("a deleted entry", |s| s.entries[3].event = None, ProblemKind::Deleted, 4),
        ("a deleted last entry", |s| s.entries[5].event = None, ProblemKind::Deleted, 6),
        ("a deleted seal", |s| drop(s.entries.remove(2)), ProblemKind::SealMissing, 3),
        ("a deleted end", |s| s.entries.truncate(4), ProblemKind::SealMissing, 5),
        ("no seals", |s| s.entries.clear(), ProblemKind::SealMissing, 1),
        ("another order in the log", |s| s.event(3).place = (7, 2), ProblemKind::Reordered, 4),
        ("an edited digest", |s| s.entries[1].seal.content = Digest([0; 32]), ProblemKind::Edited, 2),
        ("an edited hash", |s| s.entries[1].seal.hash = Digest([0; 32]), ProblemKind::SealEdited, 2),
        ("an edited end", |s| s.chain.hash = Digest([0; 32]), ProblemKind::HeadEdited, 6),
        (
            "an end too early",
            |s| {
                s.chain.length = 4;
                s.chain.hash = s.entries[3].seal.hash;
            },
            ProblemKind::HeadEdited,
            4,
        ),
        ("an expiry that never was", |s| s.chain.checkpoint = 3, ProblemKind::Deleted, 5),
    ];
    for (what, damage, kind, number) in damages {
        let mut stored = whole.clone();
        damage(&mut stored);
        if what == "an expiry that never was" {
            stored.entries[4].event = None;
        }
        assert_eq!(stored.problem(&scope).await, Some((kind, Some(number))), "{what}");
    }
}

#[tokio::test]
async fn seals_that_changed_places_are_reordered() {
    let env = env();
    let scope = owner_of(env.new_id());
    for (one, other) in [(1, 2), (2, 3), (3, 4)] {
        let mut stored = Stored::new(&env, &scope, 6);
        stored.entries.swap(one, other);
        for at in [one, other] {
            stored.entries[at].seal.number = at as u64 + 1;
        }
        let number = one as u64 + 1;
        assert_eq!(stored.problem(&scope).await, Some((ProblemKind::Reordered, Some(number))));
    }
}

#[tokio::test]
async fn what_was_put_in_afterwards_is_inserted() {
    let env = env();
    let scope = owner_of(env.new_id());
    let mut stored = Stored::new(&env, &scope, 3);
    stored.unsealed.passed_over = Some(env.new_id());
    assert_eq!(stored.problem(&scope).await, Some((ProblemKind::Inserted, None)));
    let mut stored = Stored::new(&env, &scope, 0);
    stored.unsealed.passed_over = Some(env.new_id());
    assert_eq!(stored.problem(&scope).await, Some((ProblemKind::SealMissing, None)));

    // Dated back, and sealed like any other.
    let mut stored = Stored::new(&env, &scope, 3);
    let late = |minutes: i64, place: i64| {
        let mut event = Event::new(&env, &scope, EventDeclaration::named("page.deleted"), env.random_uuid());
        event.at = event.at - Duration::minutes(minutes);
        LoggedEvent { event, place: (8, place), redacted: false }
    };
    for (entry, expected) in [(late(4, 1), None), (late(6, 2), Some((ProblemKind::Inserted, Some(5))))] {
        let seal = stored.chain.seal(&env, &entry.event);
        stored.entries.push(SealedEntry { seal, event: Some(entry) });
        assert_eq!(stored.problem(&scope).await, expected);
    }
}

#[tokio::test]
async fn what_expired_or_was_erased_is_told_and_no_problem() {
    let env = env();
    let scope = owner_of(env.new_id());
    let mut stored = Stored::new(&env, &scope, 5);
    for at in [0, 1] {
        stored.entries[at].event = None;
        stored.entries[at].seal.opening = Opening::Gone;
    }
    stored.chain.checkpoint = 2;
    stored.chain.checkpoint_at = Some(env.now());
    let original = stored.event(3).event.clone();
    let erased = stored.event(3);
    erased.redacted = true;
    erased.event.after = Some(json!({"title": ERASED}));
    let erased = erased.event.clone();
    stored.entries[3].seal.opening = stored.entries[3].seal.erase(&original, &erased).unwrap();
    let found = stored.verify(&scope).await;
    assert!(found.intact, "{found:?}");
    assert_eq!((found.entries, found.redacted), (3, 1));
    assert_eq!(found.checkpoint, Some(Checkpoint { number: 2, until: env.now() }));
    // An erasure does not excuse an edit.
    stored.event(3).event.after = Some(json!({"title": "another"}));
    assert_eq!(stored.problem(&scope).await, Some((ProblemKind::Edited, Some(4))));
}

#[tokio::test]
async fn verifying_is_for_whoever_reads_the_trail() {
    let tenant = env().new_id();
    let mut repositories = Repositories::default();
    let (viewer, owner) = (viewer_of(tenant), owner_of(tenant));
    let error = Chains::new(&mut repositories, &viewer).verify().await.unwrap_err();
    assert_eq!(error.code(), "forbidden");
    let error = Chains::new(&mut repositories, &owner).verify_platform().await.unwrap_err();
    assert_eq!(error.code(), "forbidden");
    let scope = super_admin_in(tenant);
    let mut tenants = MockTenantRepository::new();
    tenants.expect_find().times(1).return_once(|_| Ok(None));
    repositories.tenants.push_back(tenants);
    let error = Chains::new(&mut repositories, &scope).verify().await.unwrap_err();
    assert_eq!(error.code(), "not_found");
}

#[tokio::test]
async fn entries_of_several_tenants_go_into_their_own_chains() {
    let env = env();
    let (known, new) = (owner_of(env.new_id()), owner_of(env.new_id()));
    let before = Stored::new(&env, &known, 2).chain;
    let events: Vec<Event> = [&known, &new, &known]
        .map(|scope| Event::new(&env, scope, EventDeclaration::named("page.updated"), env.random_uuid()))
        .into();
    let mut repositories = Repositories::default();
    let (mut read, mut write) = (MockSealRepository::new(), MockSealRepository::new());
    let found = before.clone();
    read.expect_chains().return_once(move |_| Ok(vec![found]));
    write.expect_append().times(1).return_once(move |seals, chains| {
        let numbers: Vec<_> = seals.iter().map(|seal| seal.number).collect();
        assert_eq!(numbers, [3, 1, 4]);
        assert!(seals[0].continues(before.hash) && seals[2].continues(seals[0].hash));
        assert!(seals[1].continues(genesis(seals[1].tenant)));
        for chain in chains {
            let last = seals.iter().rev().find(|seal| seal.tenant == chain.tenant).unwrap();
            assert_eq!((chain.length, chain.hash), (last.number, last.hash));
        }
        Ok(())
    });
    repositories.seals.extend([read, write]);
    seal(&mut repositories, &env, &events).await.unwrap();
}
