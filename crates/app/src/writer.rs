//! Selection of the text generator.

use std::sync::Arc;

use portico_ai::{ChatConfig, ChatWriter};
use portico_kernel::Env;
use portico_sandbox::SandboxWriter;
use portico_sites::ports::ContentGenerator;

use crate::{
    outbound,
    settings::{Profile, Settings},
};

/// The generator of the settings: the server at `ai.base_url`, or else the offline one. `None` in production where
/// `allow_in_production` does not list `sandbox_ai`: customers must not get texts of a stand-in for those of a model.
pub fn from_settings(settings: &Settings, env: &Env) -> anyhow::Result<Option<Arc<dyn ContentGenerator>>> {
    let ai = &settings.ai;
    let (Some(base_url), Some(model)) = (&ai.base_url, &ai.model) else {
        let welcome = settings.profile == Profile::Development || settings.accepts("sandbox_ai");
        return Ok(welcome.then(|| Arc::new(SandboxWriter) as Arc<dyn ContentGenerator>));
    };
    let config = ChatConfig {
        base_url: base_url.to_string(),
        model: model.clone(),
        api_key: ai.api_key.clone(),
        timeout: ai.timeout,
        max_output_tokens: ai.max_output_tokens,
        max_attempts: ai.max_attempts,
    };
    Ok(Some(Arc::new(ChatWriter::new(config, outbound::for_ai(settings), env.clone()))))
}
