//! The webhooks of the stand-in, as the adapter reads them. What is refused is tested beside the code that does so.

use portico_billing::payment::{InboundSubject, PaymentProvider, SignatureError};
use portico_recurrente::stand_in::{Act, PageState, StandIn};
use time::Duration;

use crate::{order, server::Server};

#[tokio::test]
async fn a_payment_is_told_of_twice_under_two_names() {
    let server = Server::start().await;
    let provider = server.provider();
    for (acts, kinds) in [
        (&[Act::Decline][..], ["intent.failed", "payment_intent.failed"]),
        (&[Act::Pay], ["intent.succeeded", "payment_intent.succeeded"]),
        (&[Act::Transfer], ["intent.pending", "bank_transfer_intent.pending"]),
        (&[Act::Transfer, Act::TransferArrives], ["intent.succeeded", "bank_transfer_intent.succeeded"]),
        (&[Act::Transfer, Act::TransferFails], ["intent.failed", "bank_transfer_intent.failed"]),
    ] {
        let reference = format!("t_{}", kinds.join("_").replace('.', "_"));
        let id = provider.create_checkout(&order(&reference, server.env.now()), "k").await.unwrap().id;
        let mut told = Vec::new();
        for act in acts {
            told = server.stand_in.act(&id, *act).await.unwrap().unwrap();
        }
        let events: Vec<_> = told
            .iter()
            .map(|webhook| provider.verify(&webhook.headers, &webhook.body, server.env.now()).unwrap())
            .collect();
        assert_eq!(events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), kinds);
        assert!(events.iter().all(|event| event.subject == InboundSubject::Checkout { id: id.clone() }));
        assert_ne!(events[0].id, events[1].id);

        let late = server.env.now() + Duration::minutes(6);
        assert_eq!(provider.verify(&told[0].headers, &told[0].body, late), Err(SignatureError));
        assert_eq!(provider.verify(&told[0].headers, &told[1].body, server.env.now()), Err(SignatureError));
    }
}

#[tokio::test]
async fn acts_happen_only_where_they_can() {
    let server = Server::start().await;
    let provider = server.provider();
    let id = provider.create_checkout(&order("t_1", server.env.now()), "k").await.unwrap().id;
    let state = async || server.stand_in.page(&id).await.unwrap().unwrap().state;
    let happens = async |act: Act| server.stand_in.act(&id, act).await.unwrap().is_some();
    assert_eq!(state().await, PageState::Open);
    assert!(!happens(Act::TransferArrives).await && happens(Act::Transfer).await);
    assert_eq!(state().await, PageState::InProgress);
    assert!(!happens(Act::Pay).await && happens(Act::TransferFails).await);
    assert!(happens(Act::Pay).await && !happens(Act::Pay).await);
    assert_eq!(state().await, PageState::Paid);
    let other = provider.create_checkout(&order("t_2", server.env.now()), "k").await.unwrap().id;
    server.advance(Duration::minutes(30));
    assert_eq!(server.stand_in.page(&other).await.unwrap().unwrap().state, PageState::Expired);
    assert_eq!(server.stand_in.act(&other, Act::Pay).await.unwrap(), None);
    assert_eq!(server.stand_in.page("ch_unknown").await.unwrap(), None);
    assert_eq!(server.stand_in.act("ch_unknown", Act::Pay).await.unwrap(), None);
    for act in Act::ALL {
        assert_eq!(Act::parse(act.as_str()), Some(act));
    }
}

#[tokio::test]
async fn what_was_made_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (env, _) = crate::env();
    let open =
        || StandIn::new(folder.path().join("recurrente.json"), "http://a.example", env.clone()).unwrap();
    let provider = |stand_in: StandIn| {
        let (config, secrets) = (StandIn::config(), stand_in.secrets());
        portico_recurrente::Recurrente::new(config, secrets, std::sync::Arc::new(stand_in), env.clone())
    };
    let made = provider(open()).create_checkout(&order("t_1", env.now()), "k").await.unwrap();
    assert_eq!(provider(open()).checkout(&made.id).await.unwrap().reference.as_deref(), Some("t_1"));
}
