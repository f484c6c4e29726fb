# Names for the commands of this repository; each recipe is one command that also works without `just`.

_default:
    @just --list

# Start the server on embedded parts: http://127.0.0.1:7600
run *ARGUMENTS:
    cargo run --release -- {{ARGUMENTS}}

# Walk through a running server: register, build a site, publish it
tour *ARGUMENTS:
    scripts/tour {{ARGUMENTS}}

# Every test, on SQLite and on a private Postgres
test *ARGUMENTS:
    scripts/test {{ARGUMENTS}}

# Everything that CI checks
ci:
    .ci/run

# Format the code
fmt:
    cargo fmt --all

# The lints, warnings denied
lint:
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# Licences, bans, sources and known holes of dependencies
deny *ARGUMENTS:
    scripts/deny {{ARGUMENTS}}

# Every test with coverage measured; fails below 80 % of the lines
coverage *ARGUMENTS:
    scripts/coverage {{ARGUMENTS}}

# Write the reference of the settings and the example anew
settings:
    cargo run --quiet -p portico -- config docs > docs/settings.md
    cargo run --quiet -p portico -- config example > deploy/portico.toml

# Write the OpenAPI document anew, and what is made from it
openapi:
    cargo run --quiet -p portico --features document --example openapi > docs/openapi.json
    scripts/api-reference

# Have the OpenAPI document checked by published linters
lint-openapi:
    scripts/lint-openapi

# Generate clients and have them use a server: scripts/check-clients [--rust]
check-clients *ARGUMENTS:
    scripts/check-clients {{ARGUMENTS}}

# Measure beside bare actix routes, or beside another commit, on a private Postgres: scripts/bench --against main
bench *ARGUMENTS:
    scripts/bench {{ARGUMENTS}}

# Whether a thousand times the rows take more time, statements or memory; writes docs/growth.md and its pictures
growth *ARGUMENTS:
    cargo build --profile dist -p portico && scripts/with-postgres cargo run --profile dist -p portico-bench -- growth --write docs {{ARGUMENTS}}

# Time the sums of the financial report over a ledger of 100,000 purchases
time-reports:
    scripts/with-postgres cargo test --profile dist -p portico-sql --test contracts -- --nocapture hundred_thousand_purchases

# What webhooks do under kills, under load and beside endpoints that never answer
webhooks *ARGUMENTS:
    cargo build --profile dist -p portico && scripts/with-postgres cargo run --profile dist -p portico-bench -- webhooks {{ARGUMENTS}}

# Have deliveries verified by published libraries, and by the receivers of the guide
check-webhooks:
    scripts/check-webhooks

# Have the parsers of the domains read a million made-up inputs each, or as many as are named
fuzz-parsers *ARGUMENTS:
    scripts/fuzz-parsers {{ARGUMENTS}}

# Buy in a real browser: products, plans and sites: scripts/check-purchases --pictures FOLDER
check-purchases *ARGUMENTS:
    scripts/check-purchases {{ARGUMENTS}}

# Have Stripe's own command line trigger its recipes at the payments sandbox
check-stripe-cli *EVENTS:
    scripts/check-stripe-cli {{EVENTS}}

# Live through a subscription on a moved clock: tried, paid, upgraded, failed, made up for, downgraded, ended
check-subscription-life:
    scripts/check-subscription-life

# Whether a refund at one instance ends the license at another, and how soon
check-two-instances *ARGUMENTS:
    scripts/check-two-instances {{ARGUMENTS}}

# Run the verifiers of license files on good and bad ones
check-license-files:
    scripts/check-license-files

# Whether known and unknown addresses can be told apart by time, on a server of its own
timing *ARGUMENTS:
    cargo build --profile dist -p portico && cargo run --profile dist -p portico-bench -- timing {{ARGUMENTS}}

# How it behaves when what it stands on fails: scripts/check-faults --help
check-faults *ARGUMENTS:
    scripts/check-faults {{ARGUMENTS}}
