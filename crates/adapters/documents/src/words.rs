//! The words on receipts, in each language.

use portico_billing::receipt::ReceiptLanguage;

/// What stands on a receipt besides its own texts.
pub struct Words {
    pub title: &'static str,
    pub number: &'static str,
    pub paid_at: &'static str,
    pub method: &'static str,
    pub reference: &'static str,
    pub buyer: &'static str,
    pub tax_id: &'static str,
    pub description: &'static str,
    pub quantity: &'static str,
    pub amount: &'static str,
    pub discount: &'static str,
    pub tax: &'static str,
    pub total: &'static str,
    pub refunded: &'static str,
    pub page: &'static str,
}

const ENGLISH: Words = Words {
    title: "Receipt",
    number: "Number",
    paid_at: "Paid",
    method: "Paid with",
    reference: "Purchase",
    buyer: "Sold to",
    tax_id: "Tax ID",
    description: "Description",
    quantity: "Quantity",
    amount: "Amount",
    discount: "Discount",
    tax: "Tax included",
    total: "Total paid",
    refunded: "Refunded",
    page: "Page",
};

const SPANISH: Words = Words {
    title: "Recibo",
    number: "Número",
    paid_at: "Pagado",
    method: "Pagado con",
    reference: "Compra",
    buyer: "Vendido a",
    tax_id: "Identificación fiscal",
    description: "Descripción",
    quantity: "Cantidad",
    amount: "Importe",
    discount: "Descuento",
    tax: "Impuestos incluidos",
    total: "Total pagado",
    refunded: "Reembolsado",
    page: "Página",
};

/// The words of a language.
pub const fn of(language: ReceiptLanguage) -> &'static Words {
    match language {
        ReceiptLanguage::English => &ENGLISH,
        ReceiptLanguage::Spanish => &SPANISH,
    }
}
