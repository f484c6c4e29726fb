//! The port to payment providers: payments on pages of the provider, refunds, and what the provider tells by webhook.
//!
//! No card number ever reaches this process. An implementation translates between these words and those of one provider, and decides
//! nothing: what is granted for a payment is decided by [`Settlements`](crate::settlement::Settlements).

use std::borrow::Cow;

use async_trait::async_trait;
use portico_kernel::{Fault, Kind, Money, Timestamp};
use serde::{Deserialize, Serialize};

/// A payment provider. The name of one is in rows, in the ledger and in paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = PaymentProvider))]
pub enum Provider {
    /// Stripe, and what speaks its protocol.
    Stripe,
    /// Recurrente, in Guatemala.
    Recurrente,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 2] = [Self::Stripe, Self::Recurrente];

    /// Name in the database and in paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Recurrente => "recurrente",
        }
    }

    /// The provider of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == text)
    }

    /// Whether it promises to give back once for a key. Where it does not, a call whose answer was lost is not repeated.
    pub const fn remembers_refunds(self) -> bool {
        matches!(self, Self::Stripe)
    }
}

/// One line of a payment, as the buyer sees it on the page of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutLine {
    /// What is bought.
    pub description: String,
    /// Price of one, in minor units of the currency of the payment.
    pub unit_amount: i64,
    /// How many, from 1.
    pub quantity: u32,
}

/// A payment to be made on pages of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCheckout {
    /// Our own name for it, which the provider stores and answers with it and with its payment: letters, digits, `-` and `_`, at most 200.
    pub reference: String,
    /// What is paid for; at least one.
    pub lines: Vec<CheckoutLine>,
    /// What the lines cost together.
    pub amount: Money,
    /// Where the provider sends the buyer after the payment.
    pub success_url: String,
    /// Where the provider sends a buyer who does not pay.
    pub cancel_url: String,
    /// Nothing can be paid after this time.
    pub expires_at: Timestamp,
    /// Address of the account that buys, so that the page need not ask for it; `None` where it asks. Personal data: it goes to the provider
    /// only, and not into events or logs.
    pub email: Option<String>,
}

/// How far a payment on pages of the provider is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckoutState {
    /// The buyer may pay.
    Open,
    /// The buyer has done their part, and the money is on its way; it can take days, and fail.
    Processing,
    /// Paid: the money is ours.
    Paid {
        /// The provider's id of the payment, by which it is refunded.
        payment_id: String,
    },
    /// Nobody paid in time. Nothing can be paid any more.
    Expired,
    /// The payment has failed for good.
    Failed,
}

/// A payment on pages of the provider, as it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// The provider's id.
    pub id: String,
    /// The page to pay at; `None` where nothing can be paid any more.
    pub url: Option<String>,
    /// How far it is.
    pub state: CheckoutState,
    /// What is paid in all, taxes and discounts included.
    pub amount: Money,
    /// What [`NewCheckout::reference`] was; `None` for one that was not made here.
    pub reference: Option<String>,
    /// The provider's id of the buyer, where it has one.
    pub customer_id: Option<String>,
    /// Whether real money is moved.
    pub live: bool,
    /// Nothing can be paid after this time.
    pub expires_at: Timestamp,
}

/// Money to be given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRefund {
    /// Our own name for it, which the provider stores and answers with it: letters, digits, `-` and `_`, at most 200.
    pub reference: String,
    /// The payment.
    pub payment_id: String,
    /// How much of it.
    pub amount: Money,
}

/// How far a refund is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundState {
    /// The provider has taken it out of our balance, and the money is on its way.
    Pending,
    /// The buyer has it.
    Succeeded,
    /// The buyer cannot be paid, or it was taken back: the money is in our balance again.
    Failed,
}

/// Money that is given back, as it is at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The provider's id.
    pub id: String,
    /// How much.
    pub amount: Money,
    /// How far it is.
    pub state: RefundState,
    /// What [`NewRefund::reference`] was; `None` for one that was made on pages of the provider.
    pub reference: Option<String>,
}

/// How far a dispute is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DisputeStatus {
    /// It is lost unless it is answered in time.
    NeedsAnswer,
    /// It was answered, and the bank decides.
    UnderReview,
    /// The bank decided for us: the money is in our balance again.
    Won,
    /// The bank decided for the buyer, or nobody answered.
    Lost,
}

/// Money that the bank of the buyer has taken back because the buyer disputes the payment, as it is at the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dispute {
    /// The provider's id.
    pub id: String,
    /// How much.
    pub amount: Money,
    /// How far it is.
    pub status: DisputeStatus,
    /// Until when it can be answered, where it needs an answer.
    pub answer_by: Option<Timestamp>,
    /// What the provider keeps for its work on it, where that is known and more than nothing. It may be in another currency.
    pub fee: Option<Money>,
}

/// A payment, as it is at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The provider's id: that of [`CheckoutState::Paid`].
    pub id: String,
    /// What was paid, before fees, refunds and disputes.
    pub amount: Money,
    /// What [`NewCheckout::reference`] was; `None` for one that was not made here.
    pub reference: Option<String>,
    /// The provider's id of the customer who has paid, where it is one.
    pub customer_id: Option<String>,
    /// Whether real money is moved.
    pub live: bool,
    /// What the provider keeps for its work on it, where that is known and more than nothing. It may be in another currency.
    pub fee: Option<Money>,
    /// All that was given back, or is to be.
    pub refunds: Vec<Refund>,
    /// All disputes, those that are over included.
    pub disputes: Vec<Dispute>,
}

/// What an event of the provider is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InboundSubject {
    /// A payment on pages of the provider has changed.
    Checkout {
        /// The provider's id of it.
        id: String,
    },
    /// Money of a payment was given back, at a provider that has no list of the refunds of a payment.
    Refund {
        /// The provider's id of the refund.
        id: String,
        /// The provider's id of the payment.
        payment: String,
    },
    /// A payment was refunded or disputed, or something about its refunds, disputes or fees has changed.
    Payment {
        /// The provider's id of the payment: not that of the refund or dispute.
        id: String,
    },
    /// Something about the subscription, the invoices or the means of payment of a customer has changed, or the page of a first payment.
    Customer {
        /// The provider's id of the customer.
        id: String,
    },
    /// Nothing that is of interest here.
    Other,
}

/// An event of the provider, with a valid signature. It is a hint: whatever it says is asked of the provider again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundEvent {
    /// The provider's id of the event: the same each time that it is sent.
    pub id: String,
    /// The provider's word for what happened, for people.
    pub kind: String,
    /// What it is about.
    pub subject: InboundSubject,
}

/// Why a provider did not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaymentError {
    /// The bank of the buyer said no. Trying again with the same means of payment makes no sense.
    #[error("declined: {code}")]
    Declined {
        /// The provider's word for the reason.
        code: String,
    },
    /// The provider does not accept the call: wrong credentials, a parameter it does not take. Our fault, or the operator's.
    #[error("refused by the payment provider: {0}")]
    Refused(String),
    /// The provider has no such thing.
    #[error("unknown to the payment provider")]
    NotFound,
    /// The provider does not answer, or not in time, or asks for fewer calls. Whether it has done anything is unknown: the call is to be
    /// repeated with the same key.
    #[error("payment provider unavailable: {0}")]
    Unavailable(String),
    /// The amount is less than the provider charges in its currency.
    #[error("too little for the payment provider")]
    AmountTooSmall,
    /// The provider cannot do this at all.
    #[error("not supported by the payment provider")]
    Unsupported,
}

impl PaymentError {
    /// Whether the same call may succeed later.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl Fault for PaymentError {
    fn kind(&self) -> Kind {
        match self {
            Self::Declined { .. } => Kind::Quota,
            Self::Refused(_) => Kind::Internal,
            Self::NotFound => Kind::NotFound,
            Self::Unavailable(_) => Kind::Unavailable,
            Self::AmountTooSmall | Self::Unsupported => Kind::Conflict,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Declined { .. } => "payment_failed",
            Self::Refused(_) => "internal",
            Self::NotFound => "not_found",
            Self::Unavailable(_) => "payment_provider_unavailable",
            Self::AmountTooSmall => "amount_too_small",
            Self::Unsupported => "payment_unsupported",
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Declined { .. } => "The payment was declined. Use another means of payment.",
            Self::Refused(_) => "Something went wrong on our side.",
            Self::NotFound => "There is no such payment.",
            Self::Unavailable(_) => {
                "The payment provider is not reachable right now. Nothing was charged. Try again shortly."
            }
            Self::AmountTooSmall => {
                "This is less than the payment provider charges. Buy more, or leave the coupon out."
            }
            Self::Unsupported => "The payment provider cannot do this.",
        })
    }

    fn members(&self) -> Vec<(&'static str, serde_json::Value)> {
        match self {
            Self::Declined { code } => vec![("declineCode", code.as_str().into())],
            _ => Vec::new(),
        }
    }
}

/// Why a webhook of a provider is not believed. Says nothing else, so that whoever forges one learns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no valid signature")]
pub struct SignatureError;

impl Fault for SignatureError {
    fn kind(&self) -> Kind {
        Kind::Malformed
    }

    fn code(&self) -> &'static str {
        "invalid_signature"
    }

    fn detail(&self) -> Cow<'static, str> {
        "The signature is missing, wrong, or too old.".into()
    }
}

/// A payment provider.
///
/// Every call that makes something takes a key of the caller's, at most 100 letters, digits, `-` and `_`. The caller stores it before its first
/// try and repeats a call that did not answer with the same key and the same arguments. An implementation:
///
/// - MUST do a thing once for a key, however often and by however many processes it is asked within 24 hours, and answer the same thing.
/// - MUST pass amounts on in minor units, as they are, and refuse ([`PaymentError::Refused`]) what the provider would round.
/// - MUST answer [`PaymentError::Unavailable`] when it is unknown whether the provider has done it: a time-out, a connection that broke, an
///   answer of 409 (the key is in use), 429 or 5xx. It MUST bound the time of a call, and MUST NOT repeat one without its key.
/// - MUST NOT put secrets, addresses or numbers of cards into errors: their texts go to the log.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PaymentProvider: Send + Sync {
    /// Makes a payment on pages of the provider. MUST store the reference with it and with its payment. MUST NOT add taxes, discounts or
    /// anything else to the amount.
    async fn create_checkout(&self, new: &NewCheckout, key: &str) -> Result<Checkout, PaymentError>;

    /// The payment of this id as it is now, never from a cache. MUST answer [`CheckoutState::Paid`] only where the provider says that the
    /// money has been received, or that nothing is to be paid.
    async fn checkout(&self, id: &str) -> Result<Checkout, PaymentError>;

    /// Ends the payment of this id, so that nobody can pay it any more, and answers it as it is then. MUST leave one alone that is not open,
    /// and answer that as it is: it may have been paid a moment ago.
    async fn expire_checkout(&self, id: &str) -> Result<Checkout, PaymentError>;

    /// The payment of this id as it is now, never from a cache. MUST name each of its refunds and disputes. MUST leave out enquiries of
    /// banks for which no money was taken, and refunds for which the provider has not taken any.
    async fn payment(&self, id: &str) -> Result<Payment, PaymentError>;

    /// Gives money back. MUST store the reference with it. MUST refuse more than is left of the payment.
    async fn refund(&self, new: &NewRefund, key: &str) -> Result<Refund, PaymentError>;

    /// The refund of this id as it is now, never from a cache. Its reference may be missing.
    async fn refund_now(&self, id: &str) -> Result<Refund, PaymentError>;

    /// Reads a webhook: names in lower case and values of its headers, and its body as it came. MUST refuse a body that was changed, a signature
    /// by none of the secrets, no signature, and one that is more than 300 seconds away from `now`. MUST accept each of several secrets, because
    /// both sign while one is replaced. MUST compare in constant time. MUST accept events of kinds that it does not know.
    fn verify(
        &self,
        headers: &[(String, String)],
        body: &[u8],
        now: Timestamp,
    ) -> Result<InboundEvent, SignatureError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_codes_and_tell_no_causes() {
        let refused = PaymentError::Refused("sk_test_secret is wrong".to_owned());
        for (error, kind, code) in [
            (PaymentError::Declined { code: "insufficient_funds".to_owned() }, Kind::Quota, "payment_failed"),
            (refused.clone(), Kind::Internal, "internal"),
            (PaymentError::NotFound, Kind::NotFound, "not_found"),
            (
                PaymentError::Unavailable("timed out".to_owned()),
                Kind::Unavailable,
                "payment_provider_unavailable",
            ),
            (PaymentError::AmountTooSmall, Kind::Conflict, "amount_too_small"),
            (PaymentError::Unsupported, Kind::Conflict, "payment_unsupported"),
        ] {
            assert_eq!((error.kind(), error.code()), (kind, code), "{error}");
            assert_eq!(error.is_passing(), kind == Kind::Unavailable);
        }
        assert!(!refused.detail().contains("secret"));
        let declined = PaymentError::Declined { code: "expired_card".to_owned() };
        assert_eq!(declined.members(), [("declineCode", "expired_card".into())]);
        assert_eq!(SignatureError.kind(), Kind::Malformed);
        for provider in Provider::ALL {
            assert_eq!(Provider::parse(provider.as_str()), Some(provider));
        }
        assert_eq!(Provider::parse("Stripe"), None);
    }
}
