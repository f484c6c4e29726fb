//! The command line.

use std::{io::Write as _, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use portico::{
    api_docs, billing, demo, health_check, reseal, run,
    settings::{Profile, Settings, Sources, reference},
    startup,
};
use portico_runtime::{settings::Problems, telemetry};

#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The backend behind a customer portal.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server (the default).
    Serve {
        /// Answer requests only; `portico worker` does the rest.
        #[arg(long)]
        no_worker: bool,
    },
    /// Run background work only: jobs, event readers, schedules.
    Worker,
    /// Manage the database schema.
    Migrate {
        #[arg(value_enum)]
        action: MigrateAction,
        /// How many migrations `down` reverts.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// Write the plans that are not there and the library of templates; changes nothing that is up to date, and no plan or
    /// template that staff edited.
    Seed {
        /// For development: also make a customer with people of every role, a published site and sample data, and print the
        /// accounts. Their password is taken from PORTICO_DEMO_PASSWORD, or generated. Leaves what exists as it is.
        #[arg(long)]
        demo: bool,
    },
    /// Print the API document (OpenAPI 3.1).
    Openapi,
    /// Manage the administrators of the platform.
    Admin {
        #[command(subcommand)]
        action: AdminAction,
    },
    /// Check what was billed.
    Billing {
        #[command(subcommand)]
        action: BillingAction,
    },
    /// Check whether the instance on this machine is ready; exit code 0 when it is.
    Health {
        /// Its port, if that is not `server.port`.
        #[arg(long)]
        port: Option<u16>,
    },
    /// Manage the secrets of the installation.
    Secrets {
        #[command(subcommand)]
        action: SecretsAction,
    },
    /// Print the completions of a shell.
    Completions {
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Inspect the settings without starting anything.
    Config {
        #[arg(value_enum)]
        action: ConfigAction,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum MigrateAction {
    Up,
    Down,
    Status,
}

#[derive(Subcommand)]
enum AdminAction {
    /// Create a super admin: a new account, or the one with that verified address. The password of a new one is taken from
    /// PORTICO_ADMIN_PASSWORD, or generated and printed.
    Create {
        /// Email address to sign in with.
        #[arg(long)]
        email: String,
        /// Name of the person.
        #[arg(long, default_value = "Administrator")]
        name: String,
    },
}

#[derive(Subcommand)]
enum BillingAction {
    /// Check that every transaction of the ledger sums to zero and that the purchases of all tenants agree with it, and print the
    /// balances and what differs; exit code 1 when anything does. Changes nothing, and may run beside the server.
    Verify,
}

#[derive(Clone, Copy, ValueEnum)]
enum ConfigAction {
    /// Validate the settings.
    Check,
    /// Print each setting with its value (secrets masked) and where it comes from.
    Show,
    /// Print a portico.toml with every setting at its default, commented out.
    Example,
    /// Print the reference of the settings: docs/settings.md.
    Docs,
}

#[derive(Subcommand)]
enum SecretsAction {
    /// Encrypt stored secrets with the current security.sealing_secret, where they are encrypted with an earlier one; exit code
    /// 1 when some cannot be read.
    Reseal,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // These read no settings.
    match &cli.command {
        Some(Command::Openapi) => return print_document(),
        Some(Command::Completions { shell }) => return print_completions(*shell),
        Some(Command::Config { action: ConfigAction::Example }) => return print(&reference::example()),
        Some(Command::Config { action: ConfigAction::Docs }) => return print(&reference::document()),
        _ => {}
    }
    let settings = Sources::read().and_then(|sources| Ok((sources.settings()?, sources)));
    let (settings, sources) = match settings {
        Ok(found) => found,
        Err(error) => {
            let text = match error.downcast_ref::<Problems>() {
                Some(problems) => problems.to_string(),
                None => one_line(&error),
            };
            for problem in text.lines() {
                eprintln!("portico: settings: {problem}");
            }
            return ExitCode::from(2);
        }
    };
    match &cli.command {
        Some(Command::Config { action: ConfigAction::Show }) => {
            return print(&reference::values(&settings, &sources));
        }
        Some(Command::Config { .. }) => return print("The settings are valid.\n"),
        _ => {}
    }
    telemetry::start_logging(settings.profile == Profile::Production);
    match start(cli.command.unwrap_or(Command::Serve { no_worker: false }), settings) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("portico: {}", one_line(&error));
            // A failed start is nearly always a wrong setting: an unreachable database, a port in use.
            ExitCode::from(2)
        }
    }
}

fn start(command: Command, settings: Settings) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Serve { no_worker } => run::serve(settings, !no_worker).await?,
            Command::Worker => run::work(settings).await?,
            Command::Migrate { action, steps } => {
                if !matches!(action, MigrateAction::Status) {
                    let store = startup::connect(&settings).await?;
                    match action {
                        MigrateAction::Down => store.migrate_down(steps).await?,
                        _ => store.migrate().await?,
                    }
                    store.close().await;
                }
                for migration in startup::migration_status(&settings).await? {
                    say(&format!(
                        "{} {}",
                        if migration.applied { "applied" } else { "pending" },
                        migration.name
                    ));
                }
            }
            Command::Seed { demo: true } => {
                let password = std::env::var("PORTICO_DEMO_PASSWORD").ok();
                say(&demo::seed(settings, password).await?);
            }
            Command::Seed { demo: false } => {
                let store = startup::connect(&settings).await?;
                store.migrate().await?;
                let (plans, templates) = startup::seed(&store, &portico_security::system_env()).await?;
                say(&format!("{plans} plans and {templates} templates written."));
                store.close().await;
            }
            Command::Admin { action: AdminAction::Create { email, name } } => {
                let password = std::env::var("PORTICO_ADMIN_PASSWORD").ok();
                let created = startup::create_admin(settings, email, name, password).await?;
                say(&created);
            }
            Command::Secrets { action: SecretsAction::Reseal } => {
                let done = reseal::reseal(&settings).await?;
                say(&format!(
                    "{} secrets are encrypted anew; {} cannot be read.",
                    done.renewed, done.unreadable
                ));
                return Ok(ExitCode::from(u8::from(done.unreadable > 0)));
            }
            Command::Billing { action: BillingAction::Verify } => {
                let report = billing::verify(&settings).await?;
                say(&report.to_string());
                return Ok(ExitCode::from(u8::from(report.differing > 0)));
            }
            Command::Health { port } => health_check::ask(&settings, port).await?,
            // They were answered without a runtime.
            Command::Config { .. } | Command::Completions { .. } | Command::Openapi => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn print(text: &str) -> ExitCode {
    let _ = write!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}

fn print_completions(shell: Shell) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "portico", &mut text);
    let _ = std::io::stdout().write_all(&text);
    ExitCode::SUCCESS
}

fn print_document() -> ExitCode {
    match api_docs::DOCUMENT.text() {
        Ok(document) => print(&document),
        Err(error) => {
            eprintln!("portico: {error}");
            ExitCode::from(2)
        }
    }
}

fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

/// The output of a command. A reader that has seen enough, such as `head`, is no failure.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
