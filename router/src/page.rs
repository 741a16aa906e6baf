//! The live page for people on the admin port: plain HTML, style sheets and ES modules that are part of the binary, so that
//! it works with no network and always fits the feed of the same version.

use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use std::hash::{DefaultHasher, Hash, Hasher};

/// What the page may do: run its own modules, and talk to this port; nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// A file of the page.
#[derive(Debug, Clone, Copy)]
struct Asset {
    name: &'static str,
    content_type: &'static str,
    content: &'static str,
}

/// Names a file beside this one, with its content type.
macro_rules! asset {
    ($name:literal, $content_type:expr) => {
        Asset { name: $name, content_type: $content_type, content: include_str!(concat!("page/", $name)) }
    };
}

const INDEX: Asset = asset!("index.html", HTML);

const ASSETS: [Asset; 22] = [
    asset!("icon.svg", PICTURE),
    asset!("style.css", STYLE),
    asset!("panels.css", STYLE),
    asset!("app.js", SCRIPT),
    asset!("canvas.js", SCRIPT),
    asset!("charts.js", SCRIPT),
    asset!("curve.js", SCRIPT),
    asset!("demo.js", SCRIPT),
    asset!("dom.js", SCRIPT),
    asset!("feed.js", SCRIPT),
    asset!("fleet.js", SCRIPT),
    asset!("history.js", SCRIPT),
    asset!("lost.js", SCRIPT),
    asset!("pools.js", SCRIPT),
    asset!("queue.js", SCRIPT),
    asset!("slots.js", SCRIPT),
    asset!("sse.js", SCRIPT),
    asset!("status.js", SCRIPT),
    asset!("timeline.js", SCRIPT),
    asset!("trends.js", SCRIPT),
    asset!("tryit.js", SCRIPT),
    asset!("words.js", SCRIPT),
];

/// The page at `/`, and its files under `/page/`.
pub fn page_paths<S: Clone + Send + Sync + 'static>() -> axum::Router<S> {
    axum::Router::new().route("/", get(index)).route("/page/{file}", get(file))
}

async fn index(headers: HeaderMap) -> Response<Body> {
    answer(&INDEX, &headers)
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => answer(asset, &headers),
        None => empty(StatusCode::NOT_FOUND),
    }
}

/// The file, or 304 where the browser has it. Browsers ask each time, so that a new version is seen at once.
fn answer(asset: &Asset, asked: &HeaderMap) -> Response<Body> {
    let tag = tag(asset.content);
    let known = asked.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = if known.is_some_and(|known| known.split(',').any(|each| each.trim() == tag)) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        Response::new(Body::from(asset.content))
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A strong entity tag of this content.
fn tag(content: &str) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn ask(path: &str, known: Option<&str>) -> Response<Body> {
        let mut request = Request::get(path);
        if let Some(known) = known {
            request = request.header(header::IF_NONE_MATCH, known);
        }
        page_paths::<()>().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn every_file_that_the_page_names_is_there() {
        let mut sources = vec![INDEX.content];
        sources.extend(ASSETS.iter().map(|asset| asset.content));
        let mut named = 0;
        for source in sources {
            let absolute = source.split('"').filter_map(|text| text.strip_prefix("/page/"));
            let relative = source.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next());
            for name in absolute.chain(relative) {
                named += 1;
                let response = ask(&format!("/page/{name}"), None).await;
                assert_eq!(response.status(), StatusCode::OK, "{name}");
            }
        }
        assert!(named > ASSETS.len(), "{named}");
        assert_eq!(ask("/page/page.rs", None).await.status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_file_that_the_browser_has_is_not_sent_again() {
        let first = ask("/", None).await;
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        assert!(
            first.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("default-src 'none'")
        );
        assert!(!first.into_body().collect().await.unwrap().to_bytes().is_empty());
        let again = ask("/", Some(&tag)).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(again.into_body().collect().await.unwrap().to_bytes().is_empty());
        assert_eq!(ask("/", Some("\"other\"")).await.status(), StatusCode::OK);
    }
}
