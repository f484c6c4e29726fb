//! The writer of texts at any server that speaks the chat completions API of OpenAI
//! (<https://platform.openai.com/docs/api-reference/chat>): OpenAI itself, a gateway, or a model on a machine of one's own.

mod chat;
mod prompt;
mod schema;
mod writer;

pub use chat::ChatConfig;
pub use writer::ChatWriter;
