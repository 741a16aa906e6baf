//! `{% generation %}`: transformers' own tag marks what the assistant wrote, for training. It prints its body.

use std::borrow::Cow;

/// The template with `{% generation %}` and `{% endgeneration %}` as a block that is always printed, with the same
/// treatment of white space around it.
pub(super) fn replaced(source: &str) -> String {
    if !source.contains("generation") {
        return source.to_owned();
    }
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else { break };
        let end = start + length + 2;
        out.push_str(&rest[..start]);
        out.push_str(&tag(&rest[start..end]));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

fn tag(tag: &str) -> Cow<'_, str> {
    let name = tag[2..tag.len() - 2].trim_matches(['-', '+']).trim();
    match name {
        "generation" => Cow::Owned(tag.replace("generation", "if true")),
        "endgeneration" => Cow::Owned(tag.replace("endgeneration", "endif")),
        _ => Cow::Borrowed(tag),
    }
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn keeps_the_white_space_marks_and_everything_else() {
        let source =
            "{%- generation -%}a{% endgeneration +%}{% if add_generation_prompt %}generation{% endif %}";
        let expected = "{%- if true -%}a{% endif +%}{% if add_generation_prompt %}generation{% endif %}";
        assert_eq!(replaced(source), expected);
    }
}
