//! Secrets stay in their files: nothing that a process prints, logs, traces, answers or shows in the list of processes holds one, also
//! when it fails.

use super::admin_token;
use http::Method;
use tidegate_tests::certificates::Authority;
use tidegate_tests::client::{Client, chat_body};
use tidegate_tests::collector::Collector;
use tidegate_tests::process::Process;
use tidegate_tests::redis::RedisServer;
use tidegate_tests::wait;
