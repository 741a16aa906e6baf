//! The engine from outside: models as transformers computes them, refusals at load, batches that change nothing,
//! chat templates as transformers renders them. One binary, because linking costs more than the tests.

#[cfg(test)]
mod chat_templates;
#[cfg(feature = "demo-model")]
#[cfg(test)]
mod demo_gguf;
#[cfg(test)]
mod embeddings;
#[cfg(test)]
mod gguf_files;
#[cfg(feature = "demo-model")]
#[cfg(test)]
mod held_out;
#[cfg(test)]
mod invariance;
#[cfg(test)]
mod loading;
#[cfg(test)]
mod quantized;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod serial;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tool_formats;
