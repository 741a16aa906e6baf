//! Which texts name a model on the hub.

use super::HubModel;

#[test]
fn names_are_told_from_paths() {
    let named = |text: &str| HubModel::named(text).map(|model| (model.repository, model.revision));
    let main = |name: &str| Some((name.to_owned(), "main".to_owned()));
    assert_eq!(named("Qwen/Qwen3-0.6B"), main("Qwen/Qwen3-0.6B"));
    assert_eq!(named("a/b@v1.0"), Some(("a/b".to_owned(), "v1.0".to_owned())));
    assert_eq!(named("a/b@refs/pr/1"), Some(("a/b".to_owned(), "refs/pr/1".to_owned())));
    for path in [
        "model", "/a/b", "./a", "../a", "~/a", "a/b/c", "a/", "/a", "a/..", ".a/b", "a b/c", "a/b@",
        "a/b@../x", "a/b@x//y", "",
    ] {
        assert_eq!(named(path), None, "{path}");
    }
    let shown = |text: &str| HubModel::named(text).unwrap().to_string();
    assert_eq!([shown("a/b"), shown("a/b@main"), shown("a/b@v1")], ["a/b", "a/b", "a/b@v1"]);
}
