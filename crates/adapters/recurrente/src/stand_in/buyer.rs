//! What a buyer sees and does on a page of the provider, and what the provider tells of it.

use std::io;

use portico_kernel::{Env, Timestamp};
use serde_json::json;

use super::{
    StandIn,
    state::{Session, State, Status, new_id},
};

/// Something that happens to a checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The buyer pays by card.
    Pay,
    /// The card is declined; the buyer may try again.
    Decline,
    /// The buyer says that they pay by bank transfer.
    Transfer,
    /// The transfer arrives.
    TransferArrives,
    /// The transfer does not arrive.
    TransferFails,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 5] =
        [Self::Pay, Self::Decline, Self::Transfer, Self::TransferArrives, Self::TransferFails];

    /// Name in forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pay => "pay",
            Self::Decline => "decline",
            Self::Transfer => "transfer",
            Self::TransferArrives => "transfer_arrives",
            Self::TransferFails => "transfer_fails",
        }
    }

    /// The act of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.as_str() == text)
    }

    /// The status that it takes, the one that it leads to, and the names of its events: the unified one and that of the means of
    /// payment.
    const fn moves(self) -> (Status, Status, [&'static str; 2]) {
        use Status::{Paid, PaymentInProgress, Unpaid};
        match self {
            Self::Pay => (Unpaid, Paid, ["intent.succeeded", "payment_intent.succeeded"]),
            Self::Decline => (Unpaid, Unpaid, ["intent.failed", "payment_intent.failed"]),
            Self::Transfer => (Unpaid, PaymentInProgress, ["intent.pending", "bank_transfer_intent.pending"]),
            Self::TransferArrives => {
                (PaymentInProgress, Paid, ["intent.succeeded", "bank_transfer_intent.succeeded"])
            }
            Self::TransferFails => {
                (PaymentInProgress, Unpaid, ["intent.failed", "bank_transfer_intent.failed"])
            }
        }
    }
}

/// How far a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageState {
    /// It can be paid.
    Open,
    /// A bank transfer is on its way.
    InProgress,
    /// It is paid.
    Paid,
    /// Its time is over.
    Expired,
}

/// A line on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageLine {
    /// What is bought.
    pub name: String,
    /// How many.
    pub quantity: i64,
    /// What all of them cost, in hundredths of the currency.
    pub amount: i64,
}

/// What a buyer sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The checkout.
    pub id: String,
    /// What is bought.
    pub lines: Vec<PageLine>,
    /// What is to be paid, in hundredths of the currency.
    pub total: i64,
    /// Upper-case.
    pub currency: String,
    /// How far it is.
    pub state: PageState,
    /// Where a buyer comes to who has paid.
    pub success_url: Option<String>,
    /// Where a buyer comes to who does not pay.
    pub cancel_url: Option<String>,
}

/// A webhook to be sent to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// JSON.
    pub body: Vec<u8>,
}

impl StandIn {
    /// The page of a checkout; `None` for an unknown one.
    ///
    /// # Errors
    /// Where its file cannot be read.
    pub async fn page(&self, id: &str) -> io::Result<Option<Page>> {
        let (id, now) = (id.to_owned(), self.env.now());
        self.change(move |state| state.checkouts.get(&id).map(|session| page(session, now))).await
    }

    /// Lets something happen to a checkout, and answers the two webhooks about it; `None` where it cannot happen.
    ///
    /// # Errors
    /// Where its file cannot be read or written.
    pub async fn act(&self, id: &str, act: Act) -> io::Result<Option<Vec<Webhook>>> {
        let (id, env) = (id.to_owned(), self.env.clone());
        let bodies = self.change(move |state| happen(state, &id, act, &env)).await?;
        let sign = |body: Vec<u8>| {
            let headers = self.secrets.sign(&new_id("msg", &self.env), &body, self.env.now());
            Webhook { headers, body }
        };
        Ok(bodies.map(|bodies| bodies.into_iter().map(sign).collect()))
    }
}

impl StandIn {
    /// Gives the money of a checkout back, as people do in the panel, and answers the webhook about it; `None` where it is not paid, or was
    /// given back before.
    ///
    /// # Errors
    /// Where its file cannot be read or written.
    pub async fn give_back(&self, id: &str) -> io::Result<Option<Webhook>> {
        let (id, env) = (id.to_owned(), self.env.clone());
        let body = self.change(move |state| given_back(state, &id, &env)).await?;
        Ok(body.map(|body| {
            let headers = self.secrets.sign(&new_id("msg", &self.env), &body, self.env.now());
            Webhook { headers, body }
        }))
    }
}

impl StandIn {
    /// Has a refund fail that was made, as if the bank of the buyer had sent the money back. No webhook tells of it.
    ///
    /// # Errors
    /// Where its file cannot be read or written.
    pub async fn send_back(&self, refund: &str) -> io::Result<()> {
        let id = refund.to_owned();
        self.change(move |state| {
            if let Some(refund) = state.refunds.get_mut(&id) {
                refund["status"] = "failed".into();
            }
        })
        .await
    }
}

/// The body of the webhook about it.
fn given_back(state: &mut State, id: &str, env: &Env) -> Option<Vec<u8>> {
    let session = state.checkouts.get_mut(id)?;
    let refund = session.give_back(env)?;
    let body = json!({
        "event_type": "refund.create", "api_version": "2024-04-24", "created_at": env.now(), "live_mode": false, "refund": refund,
        "intentable": {"id": session.intent, "type": "PaymentIntent", "checkout": {"id": session.id}},
    });
    state.add_refund(refund);
    Some(body.to_string().into_bytes())
}

fn page(session: &Session, now: Timestamp) -> Page {
    let line = |item: &super::state::Item| PageLine {
        name: item.name.clone(),
        quantity: item.quantity,
        amount: item.amount_in_cents.saturating_mul(item.quantity),
    };
    Page {
        id: session.id.clone(),
        lines: session.items.iter().map(line).collect(),
        total: session.total(),
        currency: session.currency.clone(),
        state: match session.status {
            Status::Paid => PageState::Paid,
            Status::PaymentInProgress => PageState::InProgress,
            Status::Unpaid if session.is_open(now) => PageState::Open,
            Status::Unpaid => PageState::Expired,
        },
        success_url: session.success_url.clone(),
        cancel_url: session.cancel_url.clone(),
    }
}

/// The bodies of the webhooks about it.
fn happen(state: &mut State, id: &str, act: Act, env: &Env) -> Option<Vec<Vec<u8>>> {
    let (from, to, events) = act.moves();
    let session = state.checkouts.get_mut(id)?;
    if session.status != from || from == Status::Unpaid && !session.is_open(env.now()) {
        return None;
    }
    // A transfer that was announced is the same attempt when it arrives.
    if from == Status::Unpaid {
        session.intent = Some(new_id("pa", env));
    }
    session.status = to;
    let body = |event: &str| {
        let shown = session.shown();
        let body = json!({
            "id": session.intent,
            "event_type": event,
            "api_version": "2024-04-24",
            "created_at": env.now(),
            "amount_in_cents": session.total(),
            "currency": session.currency,
            "fee": 0,
            "vat_withheld": 0,
            "failure_reason": event.ends_with(".failed").then_some("The bank said no."),
            "customer": {"id": "us_stand_in", "email": "buyer@example.com", "full_name": "Buyer"},
            "checkout": {
                "id": session.id, "status": shown["status"], "metadata": shown["metadata"], "payment_method": shown["payment_method"],
            },
            "payment": shown["payment"],
            "product": {"id": "prod_stand_in"},
            "invoice": null,
        });
        body.to_string().into_bytes()
    };
    Some(events.map(body).to_vec())
}
