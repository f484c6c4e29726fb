//! Where settings come from: defaults, then `portico.toml`, then the environment.

use std::{collections::HashMap, env, fs, io};

use anyhow::Context;
use config::{Config, Environment, File, FileFormat};
use portico_runtime::settings::sources::normalize;
use serde::Deserialize;

use super::{Settings, value::Setting};

/// Name of the file, in the working directory.
const FILE: &str = "portico.toml";

/// What a file and the environment say about settings.
pub struct Sources {
    file: Config,
    all: Config,
    /// Names of the variables, as they were set.
    variables: Vec<String>,
}

impl Sources {
    /// Reads `portico.toml` in the working directory, and the environment.
    ///
    /// # Errors
    /// When the file cannot be read or is not TOML.
    pub fn read() -> anyhow::Result<Self> {
        let file = match fs::read_to_string(FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            found => found.with_context(|| format!("{FILE} cannot be read"))?,
        };
        Self::new(
            &file,
            env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        )
    }

    /// From the text of a file and from variables.
    ///
    /// # Errors
    /// When the text is not TOML, or a file that a variable names cannot be read.
    pub fn new(toml: &str, environment: HashMap<String, String>) -> anyhow::Result<Self> {
        let variables =
            environment.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.clone()).collect();
        let file = File::from_str(toml, FileFormat::Toml);
        let variables_of_ours = Environment::with_prefix("PORTICO")
            .prefix_separator("__")
            .separator("__")
            .ignore_empty(true)
            .source(Some(normalize(environment)?));
        Ok(Self {
            file: Config::builder().add_source(file.clone()).build().context(FILE)?,
            all: Config::builder().add_source(file).add_source(variables_of_ours).build()?,
            variables,
        })
    }

    /// The settings.
    ///
    /// # Errors
    /// With all problems that were found, a line each; or the first value that has another type than its setting.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let settings = Settings::deserialize(Setting(self.all.cache.clone()))?;
        settings.check()?;
        Ok(settings)
    }

    /// Where the value of a setting comes from: the name of a variable, the file, or neither.
    pub fn origin(&self, setting: &str) -> Option<&str> {
        let name = format!("PORTICO__{}", setting.to_uppercase().replace('.', "__"));
        let of_file = format!("{name}_FILE");
        let is_it = |variable: &&String| {
            **variable == name
                || **variable == of_file
                || (setting == "profile" && *variable == "PORTICO_PROFILE")
        };
        let variable = self.variables.iter().find(is_it).map(String::as_str);
        variable.or_else(|| self.file.get::<config::Value>(setting).is_ok().then_some(FILE))
    }
}
