//! How a model writes its calls of tools. Nothing in a model's files says so but its chat template, which writes earlier
//! calls of a conversation as the model was trained to write them.

/// The way calls stand in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolFormat {
    /// `<tool_call>\n{"name": …, "arguments": …}\n</tool_call>`, once for each call: Hermes, Qwen 2.5, Qwen 3 and others.
    Hermes,
    /// The answer is `{"name": …, "parameters": …}`: Llama 3.1 and later. One call.
    Llama,
    /// The answer is `[{"name": …, "arguments": …}, …]` after a special token: Mistral up to its tokenizers' version 3.
    Mistral,
}

impl ToolFormat {
    /// None where the template has no place for tools, or calls in a way that is not known here.
    pub(super) fn of(template: &str) -> Option<Self> {
        let has = |text: &str| template.contains(text);
        if !has("tools") {
            return None;
        }
        if has("<tool_call>") {
            // Some write the arguments of such a call as XML.
            return (!has("<function=")).then_some(Self::Hermes);
        }
        if has("[TOOL_CALLS]") {
            return (!has("[ARGS]")).then_some(Self::Mistral);
        }
        (has("<|python_tag|>") || (has("ipython") && has("\"parameters\": "))).then_some(Self::Llama)
    }
}
