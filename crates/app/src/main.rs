//! The command line.

use std::{io::Write as _, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};
use portico::{
    health_check, run, server,
    settings::{Profile, Settings},
    startup,
};
use portico_runtime::telemetry;

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
    /// Write the catalogue of plans and the library of templates; changes nothing that is up to date, and no template that
    /// staff edited.
    Seed,
    /// Print the API document (OpenAPI 3.1).
    Openapi,
    /// Manage the administrators of the platform.
    Admin {
        #[command(subcommand)]
        action: AdminAction,
    },
    /// Check whether the instance on this machine is ready; exit code 0 when it is.
    Health {
        /// Its port, if that is not `server.port`.
        #[arg(long)]
        port: Option<u16>,
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

#[derive(Clone, Copy, ValueEnum)]
enum ConfigAction {
    /// Validate the settings.
    Check,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::Openapi) = cli.command {
        return print_document();
    }
    let settings = match Settings::load() {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("portico: settings: {}", one_line(&error));
            return ExitCode::from(2);
        }
    };
    telemetry::start_logging(settings.profile == Profile::Production);
    match start(cli.command.unwrap_or(Command::Serve { no_worker: false }), settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portico: {}", one_line(&error));
            // A failed start is nearly always a wrong setting: an unreachable database, a port in use.
            ExitCode::from(2)
        }
    }
}

fn start(command: Command, settings: Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Serve { no_worker } => run::serve(settings, !no_worker).await,
            Command::Worker => run::work(settings).await,
            Command::Migrate { action, steps } => {
                let store = startup::connect(&settings).await?;
                match action {
                    MigrateAction::Up => store.migrate().await?,
                    MigrateAction::Down => store.migrate_down(steps).await?,
                    MigrateAction::Status => {}
                }
                for migration in store.migration_status().await? {
                    say(&format!(
                        "{} {}",
                        if migration.applied { "applied" } else { "pending" },
                        migration.name
                    ));
                }
                store.close().await;
                Ok(())
            }
            Command::Seed => {
                let store = startup::connect(&settings).await?;
                store.migrate().await?;
                let (plans, templates) = startup::seed(&store, &portico_security::system_env()).await?;
                say(&format!("{plans} plans and {templates} templates written."));
                store.close().await;
                Ok(())
            }
            Command::Admin { action: AdminAction::Create { email, name } } => {
                let password = std::env::var("PORTICO_ADMIN_PASSWORD").ok();
                let created = startup::create_admin(settings, email, name, password).await?;
                say(&created);
                Ok(())
            }
            Command::Health { port } => health_check::ask(&settings, port).await,
            Command::Config { action: ConfigAction::Check } => {
                say("The settings are valid.");
                Ok(())
            }
            Command::Openapi => Ok(()),
        }
    })
}

fn print_document() -> ExitCode {
    match server::published() {
        Ok(json) => {
            say(&json);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("portico: {error}");
            ExitCode::FAILURE
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
