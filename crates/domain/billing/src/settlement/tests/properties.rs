//! The whole way of a payment, with answers that come late, doubled, in any order, or never.

use super::*;
use crate::{
    ledger_check::check_ledger,
    payment::{Dispute, DisputeStatus, Payment, Refund, RefundState},
    refund::{PurchaseRefund, RefundInput, RefundStatus, Refunds},
};

/// What the order costs.
const PRICE: i64 = 71800;

/// What happens at the provider, what staff do, and when it is heard of.
#[derive(Clone, Debug)]
enum Step {
    /// The session goes on at the provider.
    Session(CheckoutState),
    /// So much is given back on the pages of the provider.
    RefundThere(i64),
    /// A refund goes on: it reaches the buyer, or does not.
    RefundGoesOn(prop::sample::Index, RefundState),
    /// A dispute begins, or the one there is goes on.
    Dispute(DisputeStatus),
    /// Staff give so much back, all that is left for nothing. The answer is lost, or is not.
    Refund(Option<i64>, bool),
    /// An answer about the session is stored, an old one perhaps.
    OldSession(prop::sample::Index),
    /// The same about the payment.
    OldPayment(prop::sample::Index),
    /// The schedule asks.
    Ask,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let refund = prop::sample::select(vec![RefundState::Succeeded, RefundState::Failed]);
    let amount = || prop::sample::select(vec![900_i64, 35000, PRICE]);
    let step = prop_oneof![
        4 => states().prop_map(Step::Session),
        1 => amount().prop_map(Step::RefundThere),
        2 => (any::<prop::sample::Index>(), refund).prop_map(|(which, to)| Step::RefundGoesOn(which, to)),
        1 => prop::sample::select(DisputeStatus::ALL.to_vec()).prop_map(Step::Dispute),
        2 => (prop::option::of(amount()), any::<bool>()).prop_map(|(amount, lost)| Step::Refund(amount, lost)),
        3 => any::<prop::sample::Index>().prop_map(Step::OldSession),
        3 => any::<prop::sample::Index>().prop_map(Step::OldPayment),
        2 => Just(Step::Ask),
    ];
    prop::collection::vec(step, 0..32)
}

/// The provider, and whoever asks it.
struct World {
    env: Env,
    repositories: Repositories,
    checkout: PurchaseCheckout,
    /// Everything that the provider has ever answered; the last of each is how it is.
    sessions: Vec<Checkout>,
    payments: Vec<Payment>,
    made: u32,
}

impl World {
    async fn new() -> Self {
        let env = env();
        let (repositories, _, checkout) = begun(&env).await;
        let sessions = vec![answer(&checkout, CheckoutState::Open)];
        let payment = Payment {
            id: "pi_1".to_owned(),
            amount: usd(PRICE),
            reference: None,
            customer_id: None,
            live: false,
            fee: Some(usd(2112)),
            refunds: Vec::new(),
            disputes: Vec::new(),
        };
        Self { env, repositories, checkout, sessions, payments: vec![payment], made: 0 }
    }

    fn state(&self) -> CheckoutState {
        self.sessions.last().unwrap().state.clone()
    }

    fn payment(&self) -> Payment {
        self.payments.last().unwrap().clone()
    }

    fn is_paid(&self) -> bool {
        self.state() == paid()
    }

    fn is_held(&self) -> bool {
        self.payment().disputes.iter().any(|dispute| dispute.status != DisputeStatus::Won)
    }

    /// What was given back, or is on its way.
    fn given_back(&self) -> i64 {
        let payment = self.payment();
        let standing = payment.refunds.iter().filter(|refund| refund.state != RefundState::Failed);
        standing.map(|refund| refund.amount.amount).sum()
    }

    /// What of that the buyer has.
    fn refunded(&self) -> i64 {
        let payment = self.payment();
        let arrived = payment.refunds.iter().filter(|refund| refund.state == RefundState::Succeeded);
        arrived.map(|refund| refund.amount.amount).sum()
    }

    /// Makes a refund at the provider; `None` where it refuses.
    fn give_back(&mut self, amount: i64, reference: Option<String>) -> Option<Refund> {
        if !self.is_paid() || self.is_held() || self.given_back() + amount > PRICE {
            return None;
        }
        self.made += 1;
        let id = format!("re_{}", self.made);
        let refund = Refund { id, amount: usd(amount), state: RefundState::Pending, reference };
        let mut next = self.payment();
        next.refunds.push(refund.clone());
        self.payments.push(next);
        Some(refund)
    }

    async fn settle_session(&mut self, observed: &Checkout) {
        settle(&mut self.repositories, &self.env, &self.checkout, observed).await;
    }

    async fn settle_payment(&mut self, observed: &Payment) -> PaymentSettled {
        let scope = Scope::system(Some(self.checkout.tenant_id), RequestInfo::default());
        let (tenant, id) = (self.checkout.tenant_id, self.checkout.id);
        let mut settlements = Settlements::new(&mut self.repositories, &scope, &self.env);
        settlements.settle_payment(tenant, id, observed).await.unwrap()
    }

    /// Makes a refund that is stored, with its key: the provider makes it once.
    async fn make(&mut self, refund: &PurchaseRefund, is_lost: bool) {
        let reference = Some(refund.reference());
        let known = self.payment().refunds.into_iter().find(|made| made.reference == reference);
        let made = known.or_else(|| self.give_back(refund.amount, reference));
        if is_lost {
            return;
        }
        let scope = Scope::system(Some(self.checkout.tenant_id), RequestInfo::default());
        let (tenant, id) = (self.checkout.tenant_id, self.checkout.id);
        match made {
            Some(made) => {
                let mut settlements = Settlements::new(&mut self.repositories, &scope, &self.env);
                settlements.settle_refund(tenant, id, &made).await.unwrap();
            }
            None => {
                Refunds::new(&mut self.repositories, &scope, &self.env).give_up(refund).await.unwrap();
            }
        }
    }

    /// What the schedule does.
    async fn ask(&mut self) {
        let session = self.sessions.last().unwrap().clone();
        self.settle_session(&session).await;
        if self.is_paid() {
            let payment = self.payment();
            let settled = self.settle_payment(&payment).await;
            for refund in settled.refunds.iter().filter(|refund| refund.status == RefundStatus::Requested) {
                self.make(refund, false).await;
            }
        }
    }

    async fn act(&mut self, step: Step) {
        match step {
            Step::Session(state) => self.go_on(state),
            Step::RefundThere(amount) => drop(self.give_back(amount, None)),
            Step::RefundGoesOn(which, to) => {
                let mut next = self.payment();
                if !next.refunds.is_empty() {
                    let refund = which.get_mut(&mut next.refunds);
                    if refund.state != RefundState::Failed {
                        refund.state = to;
                    }
                    self.payments.push(next);
                }
            }
            Step::Dispute(status) if self.is_paid() => self.dispute(status),
            Step::Dispute(_) => {}
            Step::Refund(amount, is_lost) => {
                let scope = Scope::system(None, RequestInfo::default());
                let input = RefundInput { amount, reason: None };
                let (tenant, purchase) = (self.checkout.tenant_id, self.checkout.purchase_id);
                let mut refunds = Refunds::new(&mut self.repositories, &scope, &self.env);
                // A refusal is an answer, too.
                if let Ok(begun) = refunds.begin(tenant, purchase, &input).await {
                    self.make(&begun, is_lost).await;
                }
            }
            Step::OldSession(which) => {
                let old = which.get(&self.sessions).clone();
                self.settle_session(&old).await;
            }
            Step::OldPayment(which) => {
                let old = which.get(&self.payments).clone();
                self.settle_payment(&old).await;
            }
            Step::Ask => self.ask().await,
        }
    }

    /// The session goes on, if it can go there from where it is.
    fn go_on(&mut self, state: CheckoutState) {
        let rank = |state: &CheckoutState| CheckoutStage::Creating.after(state);
        let now = self.state();
        // Money may come although the provider had given up on it.
        if rank(&state) > rank(&now) {
            self.sessions.push(answer(&self.checkout, state));
        }
    }

    fn dispute(&mut self, status: DisputeStatus) {
        let mut next = self.payment();
        match next.disputes.first_mut() {
            Some(dispute) if !dispute.status.is_open() => return,
            Some(dispute) if status == DisputeStatus::NeedsAnswer => drop(dispute.answer_by.take()),
            Some(dispute) => dispute.status = status,
            None => {
                let (id, status) = ("dp_1".to_owned(), DisputeStatus::NeedsAnswer);
                let dispute =
                    Dispute { id, amount: usd(PRICE), status, answer_by: None, fee: Some(usd(1500)) };
                next.disputes.push(dispute);
            }
        }
        self.payments.push(next);
    }

    /// What the purchase is, by what the provider has.
    fn expected(&self) -> (PurchaseStatus, i64) {
        let status = match self.state() {
            CheckoutState::Open | CheckoutState::Processing => PurchaseStatus::Pending,
            CheckoutState::Expired | CheckoutState::Failed => PurchaseStatus::Failed,
            CheckoutState::Paid { .. } if self.is_held() => PurchaseStatus::Disputed,
            CheckoutState::Paid { .. } => match (self.given_back(), self.refunded()) {
                (PRICE, _) => PurchaseStatus::Refunded,
                (_, 0) => PurchaseStatus::Completed,
                _ => PurchaseStatus::PartiallyRefunded,
            },
        };
        (status, self.refunded())
    }

    /// The ledger is sound, and the purchase and its invoice say the same.
    async fn sound(&mut self) {
        let report = check_ledger(&mut self.repositories, false).await.unwrap();
        assert_eq!(report.differing, 0, "{report}");
        let rows = self.repositories.shop.rows();
        let purchase = &rows.purchases[0];
        assert_eq!(rows.invoices.len(), usize::from(purchase.completed_at.is_some()));
        for invoice in &rows.invoices {
            assert_eq!(
                (invoice.amount_paid, invoice.amount_refunded),
                (purchase.amount, purchase.refunded_amount)
            );
        }
    }
}

fn usd(amount: i64) -> Money {
    Money { amount, currency: "usd".to_owned() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn once_the_provider_was_asked_everything_is_as_it_says(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.act(step).await;
                world.sound().await;
                assert!(world.given_back() <= PRICE, "no more was given back than was paid");
            }
            // Twice: a refund that was left behind is made by the first.
            world.ask().await;
            world.ask().await;
            world.sound().await;
            let purchase = world.repositories.shop.rows().purchases[0].clone();
            assert_eq!((purchase.status, purchase.refunded_amount), world.expected());
            let refunds = world.repositories.shop.rows().refunds.clone();
            assert!(refunds.iter().all(|refund| refund.status != RefundStatus::Requested));
            for refund in &refunds {
                let made = world.payment().refunds;
                let of_this = made.iter().filter(|made| made.reference == Some(refund.reference()));
                assert!(of_this.count() <= 1, "made once");
            }
            let completed = names(&world.repositories);
            let completed = completed.iter().filter(|name| *name == "purchase.completed").count();
            assert_eq!(completed, usize::from(world.is_paid()));
        });
    }
}
