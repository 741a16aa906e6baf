//! `tidegate-router top`, in a real terminal against real routers, and as text for scripts.

use std::process::Command;
use std::time::Duration;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::process::Process;
use tidegate_tests::redis::free_port;
use tidegate_tests::router::TestRouter;
use tidegate_tests::terminal::Terminal;
use tidegate_tests::wait;
use vt100::Color;

const ROUTER: &str = "tidegate-router";

/// A router with one slot, one request that runs and two that wait. The requests end with the handles.
async fn loaded_router(node: &FakeNode) -> (TestRouter, Vec<tokio::task::JoinHandle<()>>) {
    let router =
        TestRouter::start(&["--backend", &node.url, "--wait-share", "1"]).await.with_backends(1).await;
    let chats = (0..3)
        .map(|_| {
            let client = router.client.clone();
            tokio::spawn(async move { drop(client.chat(MODEL, "x").await) })
        })
        .collect();
    router.until_counts(&[("running", 1), ("queued", 2)]).await;
    (router, chats)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_sees_the_pool_and_gets_the_terminal_back() {
    let node = FakeNode::start(1, Plan::Answer(Duration::from_secs(60))).await;
    let (router, chats) = loaded_router(&node).await;
    let mut terminal = Terminal::start("", ROUTER, &["top", "--admin", &router.admin_base]);
    // Each is waited for: a picture comes in pieces.
    for part in [
        "1 of 1 slot busy, 2 wait",
        "fake: ",
        "● live",
        "■ 1/1",
        "Queue: 2 of 50",
        "normal   2",
        "Rejection curve",
        "accepted /s",
        "(this)",
    ] {
        terminal.shows(part).await;
    }
    assert!(terminal.screen().alternate_screen() && terminal.screen().hide_cursor());
    terminal.press("w");
    terminal.shows("Last 5 minutes").await;
    chats.iter().for_each(tokio::task::JoinHandle::abort);
    terminal.shows("nobody waits").await;
    terminal.press("q");
    terminal.ends_with(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_colour_it_is_complete_and_ctrl_c_ends_it() {
    let node = FakeNode::start(1, Plan::Answer(Duration::from_secs(60))).await;
    let (router, _chats) = loaded_router(&node).await;
    for (environment, coloured) in [("NO_COLOR=1", false), ("NO_COLOR=", true)] {
        let mut terminal = Terminal::start(environment, ROUTER, &["top", "--admin", &router.admin_base]);
        terminal.shows("1 of 1 slot busy, 2 wait").await;
        let screen = terminal.screen();
        let cells = (0..24).flat_map(|row| (0..80).map(move |column| (row, column)));
        let colours = cells.filter_map(|(row, column)| screen.cell(row, column));
        let any = colours
            .into_iter()
            .any(|cell| cell.fgcolor() != Color::Default || cell.bgcolor() != Color::Default);
        assert_eq!(any, coloured, "{environment}");
        terminal.press(if coloured { "\u{1b}" } else { "\u{3}" });
        terminal.ends_with(0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_goes_away_is_missed_and_found_again() {
    let node = FakeNode::start(1, Plan::Answer(Duration::from_millis(1))).await;
    let port = free_port().to_string();
    let flags = ["--backend", &node.url, "--port", "0", "--admin-port", &port];
    let admin = format!("127.0.0.1:{port}");
    let mut terminal = Terminal::start("", ROUTER, &["top", "--admin", &admin]);
    terminal.shows("GONE: http://127.0.0.1:").await;
    let router = Process::start(ROUTER, &flags);
    terminal.shows("fake: Serving at once").await;
    drop(router);
    for part in ["GONE: http://127.0.0.1:", "What is shown is old", "Slots"] {
        terminal.shows(part).await;
    }
    let _router = Process::start(ROUTER, &flags);
    terminal.shows("● live").await;
    terminal.press("q");
    terminal.ends_with(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_gives_the_terminal_back_too() {
    let node = FakeNode::start(1, Plan::Answer(Duration::from_millis(1))).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("process-id");
    // A shell writes down its process id and then becomes the program.
    let before = format!("sh -c 'echo $$ >{}; exec \"$0\" \"$@\"'", file.display());
    let terminal = Terminal::start(&before, ROUTER, &["top", "--admin", &router.admin_base]);
    terminal.shows("● live").await;
    let id = std::fs::read_to_string(&file).unwrap();
    assert!(Command::new("kill").args(["-s", "TERM", id.trim()]).status().unwrap().success());
    terminal.ends_with(0).await;
}

#[tokio::test]
async fn scripts_get_one_snapshot_as_text() {
    let node = FakeNode::start(1, Plan::Answer(Duration::from_secs(60))).await;
    let (router, _chats) = loaded_router(&node).await;
    for flags in
        [&["top", "--once", "--admin", &router.admin_base][..], &["top", "--admin", &router.admin_base]]
    {
        let mut top = Process::start(ROUTER, flags);
        assert!(top.ended().await.success(), "{}", top.output());
        let text = top.says("Routers 1").await;
        assert!(text.contains("1 of 1 slot busy, 2 wait") && !text.contains('\u{1b}'), "{text}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_in_one_line() {
    let port = free_port();
    let cases: [(&[&str], &str); 4] = [
        (&["top", "--once", "--admin", &format!("http://127.0.0.1:{port}")], "Connection refused"),
        (&["top", "--once", "--admin", "ftp://127.0.0.1:8001"], "http://127.0.0.1:8001"),
        (&["top", "--port", "1"], "unexpected argument '--port'"),
        (&["--port", "0", "top"], "cannot be used with"),
    ];
    for (flags, expected) in cases {
        let mut top = Process::start(ROUTER, flags);
        assert!(!top.ended().await.success(), "{flags:?}");
        top.says(expected).await;
    }
    let node = FakeNode::start(1, Plan::Answer(Duration::from_millis(1))).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let mut top = Process::start(ROUTER, &["top", "--once", "--admin", &router.base]);
    assert!(!top.ended().await.success());
    top.says("is it a router's admin port").await;
    let help = Process::start(ROUTER, &["--help"]);
    wait::until("the help names top", || async {
        let text = help.output();
        (text.contains("Commands:") && text.contains("top ") && text.contains("--max-queue-size"))
            .then_some(())
    })
    .await;
}
