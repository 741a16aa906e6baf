//! Models by name, from a server that serves files as the Hugging Face Hub does, over real sockets.

use crate::process::{Process, text};
use axum::{
    Router,
    body::Body,
    extract::{Path as UrlPath, State},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::Error,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TAGGED: &str = "fedcba9876543210fedcba9876543210fedcba98";

/// Serves the models of a folder: `organisation/name` is the fixture `name`. Its branch is `main`, and there is a tag `v1`.
struct Hub {
    endpoint: String,
    state: Arc<Served>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Served {
    /// Who does not send this is not let in.
    token: Option<&'static str>,
    /// Files that break off in the middle the first time.
    breaks: Mutex<BTreeSet<String>>,
    /// Files whose content was asked for, and from which byte.
    asked: Mutex<Vec<(String, usize)>>,
}

impl Hub {
    async fn start(served: Served) -> Self {
        let state = Arc::new(served);
        let paths = Router::new()
            .route("/api/models/{organisation}/{name}/revision/{revision}", get(list))
            .route("/{organisation}/{name}/resolve/{revision}/{*file}", get(file))
            .with_state(state.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move { axum::serve(listener, paths).await.expect("it serves") });
        Self { endpoint, state, serving }
    }

    fn asked(&self) -> Vec<(String, usize)> {
        self.state.asked.lock().expect("no panic").clone()
    }

    /// Nobody listens there any more.
    async fn stop(self) -> String {
        self.serving.abort();
        let _aborted = self.serving.await;
        self.endpoint
    }
}

fn folder(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let kind = if fixtures.join("models").join(name).is_dir() { "models" } else { "embeddings" };
    fixtures.join(kind).join(name)
}

fn files(folder: &Path, prefix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut found: Vec<String> = entries
        .flat_map(|entry| {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let is_dir = entry.path().is_dir();
            if is_dir { files(&entry.path(), &format!("{name}/")) } else { vec![name] }
        })
        .collect();
    found.sort();
    found
}

fn commit(revision: &str) -> Option<&'static str> {
    match revision {
        "main" | COMMIT => Some(COMMIT),
        "v1" | TAGGED => Some(TAGGED),
        _ => None,
    }
}

fn allowed(served: &Served, headers: &HeaderMap) -> bool {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    served.token.is_none_or(|token| sent == Some(&format!("Bearer {token}")))
}

async fn list(
    State(served): State<Arc<Served>>,
    UrlPath((_, name, revision)): UrlPath<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    if !allowed(&served, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let (folder, Some(commit)) = (folder(&name), commit(&revision)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if !folder.is_dir() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let siblings: Vec<Value> =
        files(&folder, "").into_iter().map(|file| json!({"rfilename": file})).collect();
    json!({"sha": commit, "siblings": siblings}).to_string().into_response()
}

async fn file(
    State(served): State<Arc<Served>>,
    UrlPath((_, name, revision, file)): UrlPath<(String, String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let Some(commit) = commit(&revision).filter(|_| allowed(&served, &headers)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let content = std::fs::read(folder(&name).join(&file)).expect("a listed file");
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok()).expect("a range");
    let (first, last) = range.trim_start_matches("bytes=").split_once('-').expect("from and to");
    let first: usize = first.parse().expect("a number");
    let head = last == "0";
    let last = if head { 0 } else { content.len() - 1 };
    let answer = Response::builder()
        .status(StatusCode::PARTIAL_CONTENT)
        .header("etag", format!("\"{name}-{commit}-{}\"", file.replace('/', "-")))
        .header("x-repo-commit", commit)
        .header("content-range", format!("bytes {first}-{last}/{}", content.len()));
    if !head {
        served.asked.lock().expect("no panic").push((file.clone(), first));
    }
    let rest = content[first..=last].to_vec();
    if !head && served.breaks.lock().expect("no panic").remove(&file) {
        let half = rest[..rest.len() / 2].to_vec();
        // The server sends what it has when the next piece is not there yet.
        let break_off = async {
            tokio::task::yield_now().await;
            Err(Error::other("the line breaks"))
        };
        let body = Body::from_stream(stream::iter([Ok(half)]).chain(stream::once(break_off)));
        return answer.header("content-length", rest.len()).body(body).expect("an answer");
    }
    answer.body(Body::from(rest)).expect("an answer")
}

/// A process whose models come from `endpoint` to the cache in `home`.
fn start(model: &str, endpoint: &str, home: &TempDir, more: &[(&str, &str)]) -> Process {
    let mut variables = vec![("HF_ENDPOINT", endpoint), ("HF_HOME", text(home.path()))];
    variables.extend(["HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE"].map(|name| (name, "")));
    variables.extend(more);
    Process::start(&["--port", "0", "--model", model], &variables)
}

async fn refused(model: &str, endpoint: &str, home: &TempDir, more: &[(&str, &str)]) -> String {
    let (status, said) = start(model, endpoint, home, more).ended().await;
    assert!(!status.success() && status.code().is_some(), "{status}: {said}");
    said
}

/// The model that it says it serves.
async fn served(process: &mut Process) -> String {
    let line = process.logged("\"ready\"").await;
    let line: Value = serde_json::from_str(&line).expect("a JSON log line");
    format!("{} {}", line["model"].as_str().expect("a name"), line["architecture"].as_str().expect("a name"))
}

#[tokio::test]
async fn a_model_is_fetched_by_its_name_and_then_served_from_the_cache() {
    let (hub, home) = (Hub::start(Served::default()).await, tempfile::tempdir().expect("a folder"));
    let mut process = start("tiny/bert_mean", &hub.endpoint, &home, &[]);
    let line = process.logged("downloading").await;
    assert!(line.contains("model.safetensors") && line.contains("bytes"), "{line}");
    assert_eq!(served(&mut process).await, "tiny/bert_mean BertModel");
    drop(process);
    let asked: BTreeSet<String> = hub.asked().into_iter().map(|(file, _)| file).collect();
    assert!(asked.contains("1_Pooling/config.json") && asked.contains("tokenizer.json"), "{asked:?}");
    assert!(!asked.contains("reference.safetensors"), "not part of a model: {asked:?}");

    let before = hub.asked().len();
    assert_eq!(
        served(&mut start("tiny/bert_mean", &hub.endpoint, &home, &[])).await,
        "tiny/bert_mean BertModel"
    );
    assert_eq!(hub.asked().len(), before, "nothing is fetched twice");

    let endpoint = hub.stop().await;
    let mut process = start("tiny/bert_mean", &endpoint, &home, &[]);
    let line = process.logged("no hub").await;
    assert!(line.contains(&endpoint), "{line}");
    assert_eq!(served(&mut process).await, "tiny/bert_mean BertModel");
    let offline = [("HF_HUB_OFFLINE", "1")];
    assert_eq!(
        served(&mut start("tiny/bert_mean", &endpoint, &home, &offline)).await,
        "tiny/bert_mean BertModel"
    );

    let said = refused("tiny/plain", &endpoint, &home, &[]).await;
    for part in ["tiny/plain", endpoint.as_str(), "cannot be reached", "--model the path of a folder"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let said = refused("tiny/plain", &endpoint, &home, &offline).await;
    assert!(said.contains("HF_HUB_OFFLINE"), "{said}");
}

#[tokio::test]
async fn a_revision_has_files_of_its_own() {
    let (hub, home) = (Hub::start(Served::default()).await, tempfile::tempdir().expect("a folder"));
    assert_eq!(
        served(&mut start("tiny/sharded@v1", &hub.endpoint, &home, &[])).await,
        "tiny/sharded LlamaForCausalLM"
    );
    let snapshots = home.path().join("hub/models--tiny--sharded/snapshots");
    assert!(snapshots.join(TAGGED).join("model-00002-of-00003.safetensors").exists());
    assert!(!snapshots.join(COMMIT).exists());
    let said = refused("tiny/sharded@v2", &hub.endpoint, &home, &[]).await;
    assert!(said.contains("tiny/sharded@v2") && said.contains("no such revision"), "{said}");
    let said = refused("tiny/nothing", &hub.endpoint, &home, &[]).await;
    assert!(said.contains("tiny/nothing") && said.contains("no such model"), "{said}");
}

#[tokio::test]
async fn a_guarded_model_needs_the_token() {
    let hub = Hub::start(Served { token: Some("hf_secret"), ..Served::default() }).await;
    let home = tempfile::tempdir().expect("a folder");
    let said = refused("tiny/plain", &hub.endpoint, &home, &[]).await;
    assert!(said.contains("HF_TOKEN"), "{said}");
    let said = refused("tiny/plain", &hub.endpoint, &home, &[("HF_TOKEN", "hf_wrong")]).await;
    assert!(said.contains("the token may not read it") && !said.contains("hf_wrong"), "{said}");
    let mut process = start("tiny/plain", &hub.endpoint, &home, &[("HF_TOKEN", "hf_secret")]);
    assert_eq!(served(&mut process).await, "tiny/plain LlamaForCausalLM");
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke() {
    let breaks = Mutex::new(BTreeSet::from(["model.safetensors".to_owned()]));
    let hub = Hub::start(Served { breaks, ..Served::default() }).await;
    let home = tempfile::tempdir().expect("a folder");
    let mut process = start("tiny/plain", &hub.endpoint, &home, &[]);
    assert_eq!(served(&mut process).await, "tiny/plain LlamaForCausalLM");
    let asked = hub.asked();
    let from: Vec<usize> =
        asked.into_iter().filter(|(file, _)| file == "model.safetensors").map(|(_, from)| from).collect();
    assert!(from.len() == 2 && from[0] == 0 && from[1] > 0, "{from:?}");
    let fetched =
        home.path().join("hub/models--tiny--plain/snapshots").join(COMMIT).join("model.safetensors");
    let original = folder("plain").join("model.safetensors");
    assert_eq!(std::fs::read(fetched).expect("fetched"), std::fs::read(original).expect("there"));
}
