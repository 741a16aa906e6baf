//! What `--version` says: the version, the commit that it was built from, and what was built in.
//!
//! The commit comes from the variable `TIDEGATE_COMMIT` at build time, which images and releases set. A build without it names
//! none: asking git would rebuild everything with each commit, and say something wrong with changes that are in none.

/// The version, and on lines of their own the commit, where it is known, and those of `features` that are built in.
pub fn describe(features: &[(&str, bool)]) -> String {
    text(option_env!("TIDEGATE_COMMIT"), features)
}

fn text(commit: Option<&str>, features: &[(&str, bool)]) -> String {
    let built_in: Vec<&str> = features.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
    let mut lines = vec![env!("CARGO_PKG_VERSION").to_owned()];
    lines.extend(commit.filter(|commit| !commit.is_empty()).map(|commit| format!("commit: {commit}")));
    lines.push(format!(
        "features: {}",
        if built_in.is_empty() { "none".to_owned() } else { built_in.join(", ") }
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_or_not_built_in_is_not_named() {
        let version = env!("CARGO_PKG_VERSION");
        let full = text(Some("4f2a"), &[("embedded", true), ("cuda", false), ("demo-model", true)]);
        assert_eq!(full, format!("{version}\ncommit: 4f2a\nfeatures: embedded, demo-model"));
        assert_eq!(text(None, &[("cuda", false)]), format!("{version}\nfeatures: none"));
        assert_eq!(text(Some(""), &[]), format!("{version}\nfeatures: none"));
    }
}
