//! The admin port: local by default, closed with a token where it is not, and out of reach for pages of other sites.

use http::{Method, StatusCode, header};
use tidegate_tests::certificates::Authority;
use tidegate_tests::client::Answer;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::process::Process;
use tidegate_tests::router::TestRouter;

const TOKEN: &str = "admin-token-0123456789";
/// What only operators may see and do.
const CLOSED: [(Method, &str); 6] = [
    (Method::GET, "/"),
    (Method::GET, "/fleet"),
    (Method::GET, "/live"),
    (Method::GET, "/metrics"),
    (Method::POST, "/demo-load"),
    (Method::POST, "/try/v1/chat/completions"),
];

async fn router(flags: &[&str]) -> (FakeNode, TestRouter) {
    let node = FakeNode::start(4, Plan::Answer(std::time::Duration::ZERO)).await;
    let router = TestRouter::start(&[&["--backend", &node.url], flags].concat()).await;
    (node, router)
}

#[tokio::test]
async fn an_open_admin_port_without_a_token_is_refused() {
    let flags = ["--port", "0", "--admin-port", "0", "--admin-host", "0.0.0.0"];
    let mut router = Process::start("tidegate-router", &flags);
    assert!(!router.ended().await.success());
    let output = router.output();
    assert!(output.contains("--admin-host") && output.contains("--admin-token-file"), "{output}");
    let folder = Authority::new();
    let short = folder.file("short", "secret");
    let mut router =
        Process::start("tidegate-router", &[&flags[..], &["--admin-token-file", &short]].concat());
    assert!(!router.ended().await.success());
    assert!(router.output().contains("16 characters") && !router.output().contains("secret"));
    let good = folder.file("good", TOKEN);
    let flags = [&flags[..], &["--admin-token-file", &good, "--backend", "http://127.0.0.1:1"]].concat();
    let router = Process::start("tidegate-router", &flags);
    router.operators().await;
    assert!(router.output().contains("without TLS"), "{}", router.output());
}

#[tokio::test]
async fn operators_show_the_token_and_everybody_may_ask_the_probes() {
    let folder = Authority::new();
    let tokens = folder.file("tokens", TOKEN);
    let (_node, router) = router(&["--admin-token-file", &tokens]).await;
    for path in ["/livez", "/readyz", "/health"] {
        assert_eq!(router.admin.get(path).await.status, StatusCode::OK, "{path}");
    }
    let bearer = format!("Bearer {TOKEN}");
    for (method, path) in CLOSED {
        for wrong in ["", "Bearer", "Bearer admin-token-012345678", &format!("Basic {TOKEN}")] {
            let answer = router.admin.send(method.clone(), path, &[("authorization", wrong)], "").await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}: {}", answer.text);
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
        let right = [("authorization", bearer.as_str())];
        let answer = router.admin.open(method, path, &right, "{}".into()).await;
        assert_ne!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn a_browser_gets_a_pass_for_the_token() {
    let folder = Authority::new();
    let tokens = folder.file("tokens", TOKEN);
    let (_node, router) = router(&["--admin-token-file", &tokens]).await;
    let html = [("accept", "text/html,application/xhtml+xml")];
    let login = router.admin.send(Method::GET, "/", &html, "").await;
    assert!(
        login.status == StatusCode::UNAUTHORIZED && login.text.contains("action=\"/login\""),
        "{}",
        login.text
    );
    let give = |token, site| log_in(&router, token, site);
    let wrong = give("admin-token-012345678", "same-origin").await;
    assert!(wrong.status == StatusCode::UNAUTHORIZED && wrong.text.contains("not this router's token"));
    assert_eq!(give(TOKEN, "cross-site").await.status, StatusCode::FORBIDDEN);
    let right = give(TOKEN, "same-origin").await;
    assert_eq!((right.status, right.header("location")), (StatusCode::SEE_OTHER, "/"));
    let cookie = right.headers[header::SET_COOKIE].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Max-Age=", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(TOKEN), "a browser keeps no token");
    let pass = cookie.split(';').next().unwrap();
    for path in ["/", "/fleet", "/metrics"] {
        let answer = router.admin.send(Method::GET, path, &[("cookie", pass)], "").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
    let stretched = stretched(pass);
    let answer = router.admin.send(Method::GET, "/fleet", &[("cookie", stretched.as_str())], "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    std::fs::write(folder.path("tokens"), "another-token-0123456789").unwrap();
    tidegate_tests::wait::until("the old token's pass is no good", || async {
        let answer = router.admin.send(Method::GET, "/fleet", &[("cookie", pass)], "").await;
        (answer.status == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
}

/// Sends a token as the form does.
async fn log_in(router: &TestRouter, token: &str, site: &str) -> Answer {
    let headers = [("content-type", "text/plain"), ("sec-fetch-site", site)];
    router.admin.send(Method::POST, "/login", &headers, format!("token={token}\r\n")).await
}

/// A pass with a later end, which its tag does not cover.
fn stretched(pass: &str) -> String {
    let (name, value) = pass.split_once('=').unwrap();
    let (_, tag) = value.split_once('.').unwrap();
    format!("{name}=99999999999.{tag}")
}

#[tokio::test]
async fn pages_of_other_sites_reach_nothing_under_their_own_names() {
    let (_node, router) = router(&[]).await;
    for (method, path) in CLOSED {
        let headers = [("host", "evil.example:8001"), ("sec-fetch-site", "same-origin")];
        let answer = router.admin.send(method, path, &headers, "{}").await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "other_host"), "{path}");
    }
    assert_eq!(router.admin.get("/fleet").await.status, StatusCode::OK);
}

#[tokio::test]
async fn top_shows_the_token_and_says_when_one_is_wanted() {
    let folder = Authority::new();
    let tokens = folder.file("tokens", TOKEN);
    let server = folder.issue("server");
    let (ca, other) = (folder.ca(), folder.file("other", "other-token-0123456789"));
    let node = FakeNode::start(4, Plan::Answer(std::time::Duration::ZERO)).await;
    let flags = ["--port", "0", "--admin-port", "0", "--admin-host", "0.0.0.0", "--backend", &node.url];
    let secure = ["--tls-cert", &server.cert, "--tls-key", &server.key, "--admin-token-file", &tokens];
    let router = Process::start("tidegate-router", &[&flags[..], &secure].concat());
    let admin = router.operators().await.replace("0.0.0.0", "localhost");
    assert!(admin.starts_with("https://"), "{admin}");
    let top = |more: &[&str]| {
        let flags = ["top", "--once", "--admin", &admin, "--ca-file", &ca];
        Process::start("tidegate-router", &[&flags[..], more].concat())
    };
    for more in [&[][..], &["--token-file", &other]] {
        let mut refused = top(more);
        assert!(!refused.ended().await.success());
        refused.says("--token-file").await;
    }
    let mut shown = top(&["--token-file", &tokens]);
    assert!(shown.ended().await.success(), "{}", shown.output());
    assert!(shown.output().contains(MODEL), "{}", shown.output());
}
