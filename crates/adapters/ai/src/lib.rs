//! The text generator at any server with the chat completions API of OpenAI
//! (<https://platform.openai.com/docs/api-reference/chat>): OpenAI itself, a gateway, or a self-hosted model.

mod chat;
mod prompt;
mod schema;
mod writer;

pub use chat::ChatConfig;
pub use writer::ChatWriter;
