#!/usr/bin/env python3
"""Makes `parameters.json` and `../tests/sandbox/schemas.json.gz` of a part of Stripe's OpenAPI document.

    spec/reduce.py stripe-subset.openapi.json

`parameters.json` tells which parameters each call takes: s text, i integer, t time, f number, b truth, m map of texts,
* anything, {"e": names}, {"a": of items}, {"p": fields, "q": required}, {"o": one of}, {"n": may be unset by an empty text}.
"""

import gzip
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
spec = json.load(open(sys.argv[1]))
schemas = spec["components"]["schemas"]


def reduced(schema, depth):
    if "$ref" in schema:
        schema = schemas[schema["$ref"].split("/")[-1]]
    if "anyOf" in schema:
        kinds = [one for one in schema["anyOf"] if one.get("enum") != [""]]
        unset = len(kinds) < len(schema["anyOf"])
        found = [reduced(one, depth) for one in kinds]
        found = found[0] if len(found) == 1 else {"o": found}
        return {"n": found} if unset and found not in ("s", "m") else found
    if "enum" in schema:
        if schema.get("x-stripeBypassValidation"):
            return "s"
        names = {"e": [name for name in schema["enum"] if name != ""]}
        return {"n": names} if "" in schema["enum"] else names
    kind = schema.get("type")
    if kind == "integer":
        return "t" if schema.get("format") == "unix-time" else "i"
    if kind == "number":
        return "f"
    if kind == "boolean":
        return "b"
    if kind == "array":
        return {"a": reduced(schema.get("items", {"type": "string"}), depth)}
    if kind == "object":
        if schema.get("properties"):
            if depth <= 0:
                return "*"
            fields = {"p": {name: reduced(of, depth - 1) for name, of in schema["properties"].items()}}
            return fields | ({"q": schema["required"]} if schema.get("required") else {})
        return "m" if schema.get("additionalProperties") else "*"
    return "s"


calls = {}
for path, operations in spec["paths"].items():
    for method, operation in operations.items():
        if method not in ("get", "post", "delete"):
            continue
        query = [one for one in operation.get("parameters", []) if one["in"] == "query"]
        fields = {one["name"]: reduced(one["schema"], 3) for one in query}
        required = [one["name"] for one in query if one.get("required")]
        content = operation.get("requestBody", {}).get("content", {})
        body = content.get("application/x-www-form-urlencoded", {}).get("schema", {})
        for name, of in body.get("properties", {}).items():
            fields[name] = "*" if name in ("payment_method_options", "radar_options") else reduced(of, 5)
        required += body.get("required", [])
        calls[f"{method.upper()} {path}"] = {"p": fields} | ({"q": required} if required else {})

# Calls that the part of the document leaves out, by Stripe's reference.
EXPAND = {"expand": {"a": "s"}}
PAGE = EXPAND | {"limit": "i", "starting_after": "s", "ending_before": "s"}
CREATED = {"created": {"o": [{"p": {"gt": "i", "gte": "i", "lt": "i", "lte": "i"}}, "i"]}}
DISCOUNTS = {"n": {"a": {"p": {"coupon": "s", "discount": "s", "promotion_code": "s"}}}}
INVOICE = EXPAND | {
    "auto_advance": "b", "collection_method": {"e": ["charge_automatically", "send_invoice"]}, "days_until_due": "i",
    "due_date": "t", "default_payment_method": "s", "description": "s", "footer": "s", "metadata": "m",
    "discounts": DISCOUNTS, "statement_descriptor": "s", "payment_settings": "*", "automatic_tax": "*",
    "custom_fields": "*", "account_tax_ids": "*", "default_source": "s", "default_tax_rates": "*", "rendering": "*",
}
ITEM = EXPAND | {
    "amount": "i", "description": "s", "discountable": "b", "discounts": DISCOUNTS, "metadata": "m",
    "period": {"p": {"start": "t", "end": "t"}, "q": ["start", "end"]}, "pricing": {"p": {"price": "s"}}, "quantity": "i",
    "unit_amount_decimal": "s", "tax_behavior": "s", "tax_code": "s", "tax_rates": "*",
}
INTENT = EXPAND | {
    "amount": "i", "currency": "s", "customer": "s", "description": "s", "metadata": "m", "payment_method": "s",
    "receipt_email": "s", "setup_future_usage": {"n": {"e": ["off_session", "on_session"]}}, "shipping": "*",
}
more = {
    "GET /v1/balance_transactions": PAGE | CREATED | {"type": "s", "source": "s", "currency": "s"},
    "POST /v1/payment_intents/{intent}": INTENT,
    "POST /v1/setup_intents/{intent}": EXPAND | {"customer": "s", "description": "s", "metadata": "m", "payment_method": "s"},
    "DELETE /v1/products/{id}": EXPAND,
    "GET /v1/payment_pages/{session}": EXPAND,
    "POST /v1/payment_pages/{session}/confirm": "*",
    "POST /v1/invoices": INVOICE | {"customer": "s", "subscription": "s", "currency": "s",
                                    "pending_invoice_items_behavior": {"e": ["exclude", "include"]}},
    "POST /v1/invoices/{invoice}": INVOICE,
    "DELETE /v1/invoices/{invoice}": EXPAND,
    "POST /v1/invoices/{invoice}/finalize": EXPAND | {"auto_advance": "b"},
    "POST /v1/invoices/{invoice}/mark_uncollectible": EXPAND,
    "POST /v1/invoiceitems": ITEM | {"customer": "s", "currency": "s", "invoice": "s", "subscription": "s"},
    "GET /v1/invoiceitems": PAGE | CREATED | {"customer": "s", "invoice": "s", "pending": "b"},
    "GET /v1/invoiceitems/{invoiceitem}": EXPAND,
    "DELETE /v1/invoiceitems/{invoiceitem}": EXPAND,
    "POST /v1/subscriptions/{subscription_exposed_id}/resume": EXPAND | {
        "billing_cycle_anchor": {"e": ["now", "unchanged"]}, "proration_date": "t",
        "proration_behavior": {"e": ["always_invoice", "create_prorations", "none"]}},
    "GET /v1/subscription_items/{item}": EXPAND,
    "POST /v1/coupons": EXPAND | {
        "id": "s", "name": "s", "percent_off": "f", "amount_off": "i", "currency": "s", "metadata": "m",
        "duration": {"e": ["forever", "once", "repeating"]}, "duration_in_months": "i", "max_redemptions": "i",
        "redeem_by": "t", "applies_to": {"p": {"products": {"a": "s"}}}},
    "GET /v1/coupons": PAGE | CREATED,
    "GET /v1/coupons/{coupon}": EXPAND,
    "POST /v1/coupons/{coupon}": EXPAND | {"name": "s", "metadata": "m"},
    "DELETE /v1/coupons/{coupon}": EXPAND,
    "POST /v1/promotion_codes": EXPAND | {
        "promotion": {"p": {"type": {"e": ["coupon"]}, "coupon": "s"}, "q": ["type"]}, "code": "s", "active": "b",
        "customer": "s", "expires_at": "t", "max_redemptions": "i", "metadata": "m",
        "restrictions": {"p": {"first_time_transaction": "b", "minimum_amount": "i", "minimum_amount_currency": "s"}}},
    "GET /v1/promotion_codes": PAGE | CREATED | {"code": "s", "active": "b", "coupon": "s", "customer": "s"},
    "GET /v1/promotion_codes/{promotion_code}": EXPAND,
    "POST /v1/promotion_codes/{promotion_code}": EXPAND | {"active": "b", "metadata": "m"},
    "GET /v1/customers/{customer}/payment_methods/{payment_method}": EXPAND,
}
needed = {"POST /v1/invoices": ["customer"], "POST /v1/invoiceitems": ["customer"]}
for call, fields in more.items():
    if call not in calls:
        calls[call] = fields if fields == "*" else {"p": fields} | ({"q": needed[call]} if call in needed else {})

(HERE / "parameters.json").write_text("{\n" + ",\n".join(
    f"{json.dumps(call)}: {json.dumps(of, separators=(',', ':'))}" for call, of in sorted(calls.items())) + "\n}\n")


def without_words(value):
    if isinstance(value, dict):
        return {key: without_words(of) for key, of in value.items()
                if not (key in ("description", "title", "x-expansionResources") and not isinstance(of, dict) or key == "x-expansionResources")}
    return [without_words(one) for one in value] if isinstance(value, list) else value


kept = json.dumps({"components": {"schemas": without_words(schemas)}}, separators=(",", ":"), sort_keys=True)
with gzip.GzipFile(HERE.parent / "tests" / "sandbox" / "schemas.json.gz", "wb", 9, mtime=0) as file:
    file.write(kept.encode())
