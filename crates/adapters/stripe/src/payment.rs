//! What became of a payment: its fee, its refunds and its disputes.

use std::collections::HashMap;

use miniserde::Deserialize;
use portico_billing::payment::{Dispute, DisputeStatus, Payment, PaymentError, Refund, RefundState};
use portico_kernel::Money;
use serde_json::json;

use crate::{
    client::Client,
    values::{REFERENCE, odd, perhaps},
};

/// Statuses of enquiries of a bank begin so: no money was taken.
const ENQUIRY: &str = "warning_";

#[derive(Deserialize)]
struct PaymentObject {
    id: String,
    amount_received: i64,
    currency: String,
    livemode: bool,
    metadata: HashMap<String, String>,
    customer: Option<String>,
    latest_charge: Option<ChargeObject>,
}

#[derive(Deserialize)]
struct ChargeObject {
    /// Made a moment after the charge itself.
    balance_transaction: Option<MovementObject>,
}

/// What has moved on the balance of the account.
#[derive(Deserialize)]
pub(crate) struct MovementObject {
    fee: i64,
    currency: String,
}

#[derive(Deserialize)]
pub(crate) struct RefundObject {
    id: String,
    amount: i64,
    currency: String,
    status: Option<String>,
    metadata: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
struct DisputeObject {
    id: String,
    amount: i64,
    currency: String,
    status: String,
    evidence_details: EvidenceObject,
    balance_transactions: Vec<MovementObject>,
}

#[derive(Deserialize)]
struct EvidenceObject {
    due_by: Option<i64>,
}

/// Asks for the payment of this id, and for all that was given back of it or disputed.
pub(crate) async fn ask(client: &Client, id: &str) -> Result<Payment, PaymentError> {
    let path = format!("/payment_intents/{id}");
    let expand = json!({"expand": ["latest_charge.balance_transaction"]});
    let payment: PaymentObject = client.get(&path, &expand).await?;
    let of_it = json!({"payment_intent": id});
    let refunds = client.list::<RefundObject>("/refunds", &of_it, |refund| &refund.id, |_| false).await?;
    let fee = payment.latest_charge.and_then(|charge| charge.balance_transaction);
    Ok(Payment {
        amount: Money { amount: payment.amount_received, currency: payment.currency },
        reference: payment.metadata.get(REFERENCE).cloned(),
        customer_id: payment.customer,
        live: payment.livemode,
        fee: kept(fee.as_slice()),
        refunds: refunds.into_iter().map(RefundObject::read).collect::<Result<_, _>>()?,
        disputes: disputes(client, id).await?,
        id: payment.id,
    })
}

/// The disputes about the payment of this id, those that are over included.
pub(crate) async fn disputes(client: &Client, id: &str) -> Result<Vec<Dispute>, PaymentError> {
    let of_it = json!({"payment_intent": id});
    let found = client.list::<DisputeObject>("/disputes", &of_it, |dispute| &dispute.id, |_| false).await?;
    found.into_iter().filter_map(|dispute| dispute.read().transpose()).collect()
}

/// Asks for the refund of this id.
pub(crate) async fn refund_now(client: &Client, id: &str) -> Result<Refund, PaymentError> {
    let refund: RefundObject = client.get(&format!("/refunds/{id}"), &json!({})).await?;
    refund.read()
}

/// How far a refund is. `None` for a word that is not known here.
pub(crate) fn refund_state(status: &str) -> Option<RefundState> {
    match status {
        "succeeded" => Some(RefundState::Succeeded),
        // One that waits for the buyer to say where the money is to go was asked for, and is not to be asked for again.
        "pending" | "requires_action" => Some(RefundState::Pending),
        "failed" | "canceled" => Some(RefundState::Failed),
        _ => None,
    }
}

/// What the provider keeps of movements.
pub(crate) fn kept(movements: &[MovementObject]) -> Option<Money> {
    let amount = movements.iter().map(|movement| movement.fee).sum();
    let currency = movements.first()?.currency.clone();
    (amount > 0).then_some(Money { amount, currency })
}

impl RefundObject {
    pub fn read(self) -> Result<Refund, PaymentError> {
        let status = self.status.as_deref().unwrap_or_default();
        let state = refund_state(status).ok_or_else(|| odd(&self.id, "a status that is not known here"))?;
        let reference = self.metadata.and_then(|metadata| metadata.get(REFERENCE).cloned());
        let amount = Money { amount: self.amount, currency: self.currency };
        Ok(Refund { id: self.id, amount, state, reference })
    }
}

impl DisputeObject {
    /// `None` where no money was taken.
    fn read(self) -> Result<Option<Dispute>, PaymentError> {
        let status = match self.status.as_str() {
            "needs_response" => DisputeStatus::NeedsAnswer,
            "under_review" => DisputeStatus::UnderReview,
            "won" => DisputeStatus::Won,
            "lost" => DisputeStatus::Lost,
            // Settled with the buyer before it became one.
            "prevented" => return Ok(None),
            enquiry if enquiry.starts_with(ENQUIRY) => return Ok(None),
            _ => return Err(odd(&self.id, "a status that is not known here")),
        };
        let answer_by = match status {
            DisputeStatus::NeedsAnswer => perhaps(&self.id, self.evidence_details.due_by)?,
            _ => None,
        };
        Ok(Some(Dispute {
            status,
            answer_by,
            fee: kept(&self.balance_transactions),
            amount: Money { amount: self.amount, currency: self.currency },
            id: self.id,
        }))
    }
}

#[cfg(test)]
mod tests {
    use miniserde::json::from_str;

    use super::*;

    fn refund(status: &str) -> Result<RefundState, PaymentError> {
        let text = format!(
            r#"{{"id": "re_1", "amount": 5, "currency": "usd", "status": {status}, "metadata": {{}}, "more": []}}"#
        );
        let object: RefundObject = from_str(&text).unwrap();
        object.read().map(|refund| refund.state)
    }

    fn dispute(status: &str) -> Result<Option<DisputeStatus>, PaymentError> {
        let text = format!(
            r#"{{"id": "dp_1", "amount": 5, "currency": "usd", "status": "{status}", "evidence_details": {{"due_by": null}},
                "balance_transactions": []}}"#
        );
        let object: DisputeObject = from_str(&text).unwrap();
        object.read().map(|dispute| dispute.map(|dispute| dispute.status))
    }

    #[test]
    fn a_refund_is_pending_until_it_is_decided_and_what_takes_no_money_is_no_dispute() {
        for (status, state) in [
            ("\"succeeded\"", RefundState::Succeeded),
            ("\"pending\"", RefundState::Pending),
            ("\"requires_action\"", RefundState::Pending),
            ("\"failed\"", RefundState::Failed),
            ("\"canceled\"", RefundState::Failed),
        ] {
            assert_eq!(refund(status), Ok(state), "{status}");
        }
        for (status, expected) in [
            ("needs_response", Some(DisputeStatus::NeedsAnswer)),
            ("under_review", Some(DisputeStatus::UnderReview)),
            ("won", Some(DisputeStatus::Won)),
            ("lost", Some(DisputeStatus::Lost)),
            ("warning_needs_response", None),
            ("warning_under_review", None),
            ("warning_closed", None),
            ("prevented", None),
        ] {
            assert_eq!(dispute(status), Ok(expected), "{status}");
        }
    }

    #[test]
    fn a_word_that_is_new_is_not_guessed_at() {
        for answer in [refund("\"v9\"").map(drop), refund("null").map(drop), dispute("v9").map(drop)] {
            assert!(matches!(&answer, Err(error) if error.is_passing()), "{answer:?}");
        }
    }

    #[test]
    fn fees_of_movements_are_summed_up() {
        let movement = |fee: i64| MovementObject { fee, currency: "gtq".to_owned() };
        assert_eq!(kept(&[]), None);
        assert_eq!(kept(&[movement(0)]), None);
        assert_eq!(kept(&[movement(1500), movement(-1500)]), None, "given back when the dispute was won");
        let both = Money { amount: 1530, currency: "gtq".to_owned() };
        assert_eq!(kept(&[movement(1500), movement(30)]), Some(both));
    }
}
