//! `POST /demo-load`: a short burst of requests to the embedded backend, so that a newcomer sees queue and curve at work.
//!
//! The requests are real ones: they go through the same service that the client port serves, are admitted, queued and
//! refused like any other, and are counted with them.

use crate::error::{Error, ErrorKind};
use crate::request::way::WayService;
use crate::server::client_paths;
use crate::shared::Shared;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tidegate_admission::Priority;
use tidegate_serve::door::Front;
use tidegate_wire::error::ErrorBody;
use tidegate_wire::header as names;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tower::ServiceExt;

/// Seconds of a burst that says nothing of them.
const SECONDS: f64 = 10.0;
/// Times the capacity, for a burst that says nothing of its rate: enough for every colour of the page.
const TIMES: f64 = 4.0;
/// The longest burst in seconds.
const MOST_SECONDS: f64 = 20.0;
/// The highest rate in requests per second that can be asked for.
const MOST_RATE: f64 = 40.0;
/// The highest rate that follows from times the capacity: with many slots a burst below it would show nothing.
const MOST_MEASURED_RATE: f64 = 400.0;
/// The rate, while no service time is known that would tell the capacity.
const UNMEASURED_RATE: f64 = 20.0;
/// Answers that a request may ask for: as many as a slot may be asked for.
const MOST_ANSWERS: u32 = 16;
/// Answers of a request, while no service time is known.
const UNMEASURED_ANSWERS: u32 = 8;
/// Seconds that a request should take. The demo model gives an answer in so little time that the requests which a burst may have
/// would not fill three slots: each asks for several answers.
const REQUEST_SECONDS: f64 = 0.25;
/// Requests whose time tells the pace: the first one is often slow.
const FIRST_REQUESTS: u32 = 3;
/// The longest that they are waited for.
const FIRST_TAKE: Duration = Duration::from_secs(5);
/// How many of ten requests have high, normal and low priority.
const MIX: [(Priority, u32); 3] = [(Priority::High, 2), (Priority::Normal, 5), (Priority::Low, 3)];

/// What bursts are made of, and the one place for a burst that runs.
#[derive(Debug)]
pub struct DemoLoad {
    model: String,
    embeds: bool,
    questions: Vec<&'static str>,
    running: Arc<Semaphore>,
    /// Answers that the requests of the last burst asked for: the measured service time is theirs.
    answers: AtomicU32,
}

/// How fast a pool works.
#[derive(Debug, Clone, Copy)]
struct Pace {
    slots: f64,
    /// Seconds of a slot that an answer takes.
    answer: f64,
}

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    seconds: Option<f64>,
    rate: Option<f64>,
    times: Option<f64>,
}

/// What a burst will do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Plan {
    /// How long requests are sent.
    seconds: f64,
    /// Requests per second.
    rate: f64,
    /// Requests in all.
    requests: u32,
    /// Answers that each request asks for.
    answers: u32,
}

impl DemoLoad {
    /// Bursts of these questions to `model`, which makes embeddings (`embeds`) or text.
    pub fn new(model: String, embeds: bool, questions: Vec<&'static str>) -> Self {
        let (running, answers) = (Arc::new(Semaphore::new(1)), AtomicU32::new(1));
        Self { model, embeds, questions, running, answers }
    }

    /// One request with a question and a priority drawn by chance.
    fn request(&self, answers: u32) -> Request<Body> {
        let mut random = rand::rng();
        let question = self.questions.choose(&mut random).copied().unwrap_or("What is 17 + 25?");
        let (path, body) = if self.embeds {
            let questions = vec![question; answers as usize];
            ("/v1/embeddings", json!({"model": self.model, "input": questions}))
        } else {
            let messages = json!([{"role": "user", "content": question}]);
            let body = json!({"model": self.model, "stream": true, "n": answers, "messages": messages});
            ("/v1/chat/completions", body)
        };
        let mut request = Request::new(Body::from(body.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = http::Uri::from_static(path);
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        let priority = priority(random.random_range(0..10));
        headers.insert(names::PRIORITY, header::HeaderValue::from_static(priority.as_str()));
        request
    }
}

/// The priority of a request that drew `number` of 0 to 9.
fn priority(number: u32) -> Priority {
    let mut below = 0;
    for (priority, share) in MIX {
        below += share;
        if number < below {
            return priority;
        }
    }
    Priority::Normal
}

/// The handler: answers what the burst will do, and lets it run.
pub async fn handle(State(shared): State<Shared>, body: Bytes) -> Response {
    let Some(demo) = shared.demo_load.clone() else {
        let message = "demo load is there in embedded mode only: this router serves backends of others";
        return refuse(
            StatusCode::NOT_FOUND,
            &ErrorBody::new("invalid_request_error", "not_embedded", message),
        );
    };
    if shared.leaving.is_cancelled() {
        let error = Error::new(ErrorKind::Draining, "this router is shutting down");
        return error.into_response(shared.config.overload_status);
    }
    let wanted = match Wanted::parse(&body) {
        Ok(wanted) => wanted,
        Err(error) => return error.into_response(shared.config.overload_status),
    };
    begin(shared, demo, &wanted).await
}

/// Plans a burst and starts it, unless one runs already.
async fn begin(shared: Shared, demo: Arc<DemoLoad>, wanted: &Wanted) -> Response {
    let overload_status = shared.config.overload_status;
    // What is wrong is said before any work is done.
    if let Err(error) = wanted.plan(None) {
        return error.into_response(overload_status);
    }
    let Ok(place) = demo.running.clone().try_acquire_owned() else {
        let message = "a burst is running; wait for its end";
        let body = ErrorBody::new("invalid_request_error", "demo_load_running", message);
        return refuse(StatusCode::CONFLICT, &body);
    };
    let pace =
        if wanted.rate.is_some() { pace(&shared, &demo).await } else { learn_pace(&shared, &demo).await };
    let plan = match wanted.plan(pace) {
        Ok(plan) => plan,
        Err(error) => return error.into_response(overload_status),
    };
    demo.answers.store(plan.answers, Ordering::Relaxed);
    tracing::info!(seconds = plan.seconds, rate = plan.rate, answers = plan.answers, "demo load begins");
    tokio::spawn(burst(shared, demo, plan, place));
    (StatusCode::ACCEPTED, Json(plan)).into_response()
}

/// The pace, by what is known and by requests made for it, whichever is faster: a burst that follows from one request that was slow by chance,
/// or from long chats of others, would show nothing.
async fn learn_pace(shared: &Shared, demo: &DemoLoad) -> Option<Pace> {
    let known = pace(shared, demo).await;
    let measured = tokio::time::timeout(FIRST_TAKE, quickest(shared, demo)).await.ok().flatten();
    let answer = known.map(|pace| pace.answer).into_iter().chain(measured).reduce(f64::min)?;
    let slots = pool(shared, demo).await.map(|(slots, _)| slots).filter(|slots| *slots > 0.0)?;
    Some(Pace { slots, answer })
}

/// Seconds of the quickest of some requests for one answer, one after the other; none where none was served.
async fn quickest(shared: &Shared, demo: &DemoLoad) -> Option<f64> {
    let service = client_paths(Shared { keys: None, ..shared.clone() });
    let mut quickest: Option<f64> = None;
    for _ in 0..FIRST_REQUESTS {
        let begun = Instant::now();
        if ask(service.clone(), demo.request(1)).await.is_success() {
            let took = begun.elapsed().as_secs_f64();
            quickest = Some(quickest.map_or(took, |best| best.min(took)));
        }
    }
    quickest
}

fn refuse(status: StatusCode, body: &ErrorBody) -> Response {
    tidegate_serve::door::error_response(status, body)
}

/// How fast the pool of the demo's model works; `None` until a service time is known.
async fn pace(shared: &Shared, demo: &DemoLoad) -> Option<Pace> {
    let (slots, mean) = pool(shared, demo).await?;
    let answer = mean / f64::from(demo.answers.load(Ordering::Relaxed));
    (answer > 0.0 && slots > 0.0).then_some(Pace { slots, answer })
}

/// Slots of the pool, and the mean service time of its requests in seconds, 0 while it is unknown.
async fn pool(shared: &Shared, demo: &DemoLoad) -> Option<(f64, f64)> {
    let fleet = shared.fleet.look().await;
    let pool = fleet.pools.iter().find(|pool| pool.model == demo.model)?;
    Some((f64::from(pool.slots), pool.service_mean))
}

impl Wanted {
    fn parse(body: &Bytes) -> Result<Self, Error> {
        if body.trim_ascii().is_empty() {
            return Ok(Self { seconds: None, rate: None, times: None });
        }
        serde_json::from_slice(body).map_err(|error| {
            let message = format!(
                "the body must be a JSON object with seconds, and rate or times, as numbers: {error}"
            );
            Error::new(ErrorKind::InvalidRequest, message)
        })
    }

    fn plan(&self, pace: Option<Pace>) -> Result<Plan, Error> {
        let seconds = within("seconds", self.seconds.unwrap_or(SECONDS), 1.0, MOST_SECONDS)?;
        let answers = pace.map_or(UNMEASURED_ANSWERS, |pace| {
            (REQUEST_SECONDS / pace.answer).clamp(1.0, f64::from(MOST_ANSWERS)) as u32
        });
        let capacity = pace.map(|pace| pace.slots / (pace.answer * f64::from(answers)));
        let rate = match (self.rate, self.times) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid("times", "rate and times exclude each other: give one of them"));
            }
            (Some(rate), None) => within("rate", rate, 0.1, MOST_RATE)?,
            (None, times) => {
                let times = within("times", times.unwrap_or(TIMES), 0.1, 10.0)?;
                capacity.map_or(UNMEASURED_RATE, |capacity| times * capacity).clamp(0.1, MOST_MEASURED_RATE)
            }
        };
        Ok(Plan { seconds, rate, requests: (seconds * rate).ceil() as u32, answers })
    }
}

fn within(name: &str, value: f64, least: f64, most: f64) -> Result<f64, Error> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(Error::invalid(name, format!("'{name}' must be a number from {least} to {most}")))
}

/// Sends the requests of a plan and waits for their ends, unless the router drains: then those under way are given up. Holds the
/// place of the running burst all the while.
async fn burst(shared: Shared, demo: Arc<DemoLoad>, plan: Plan, place: OwnedSemaphorePermit) {
    let draining = shared.draining.clone();
    let mut under_way = JoinSet::new();
    let sending = async {
        // An operator asks for it, who needs no key.
        let service = client_paths(Shared { keys: None, ..shared });
        let end = Instant::now() + Duration::from_secs_f64(plan.seconds);
        let mut ticks = interval(Duration::from_secs_f64(1.0 / plan.rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..plan.requests {
            ticks.tick().await;
            if Instant::now() >= end {
                break;
            }
            under_way.spawn(ask(service.clone(), demo.request(plan.answers)));
            // Those that have ended take no room until the end of the burst.
            while under_way.try_join_next().is_some() {}
        }
        while under_way.join_next().await.is_some() {}
    };
    let finished = draining.run_until_cancelled(sending).await.is_some();
    tracing::info!(finished, "demo load ends");
    drop(place);
}

/// One request, read to its end as a client does; its answer's status.
async fn ask(service: Front<WayService>, request: Request<Body>) -> StatusCode {
    let Ok(response) = service.oneshot(request).await;
    let (head, mut body) = response.into_parts();
    while let Some(Ok(_)) = body.frame().await {}
    head.status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(body: &str, answer: Option<f64>) -> Result<Plan, String> {
        let pace = answer.map(|answer| Pace { slots: 3.0, answer });
        Wanted::parse(&Bytes::from(body.to_owned()))
            .and_then(|wanted| wanted.plan(pace))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_burst_is_bounded_whatever_is_asked() {
        assert_eq!(plan("", None), Ok(Plan { seconds: 10.0, rate: 20.0, requests: 200, answers: 8 }));
        let twice = plan("{\"times\": 2}", Some(0.025)).unwrap();
        assert_eq!((twice.answers, twice.rate.round()), (10, 24.0));
        let most = plan("{\"seconds\": 20, \"times\": 10}", Some(1e-9)).unwrap();
        assert_eq!((most.rate, most.requests, most.answers), (400.0, 8000, 16));
        let slow = plan("{\"seconds\": 1, \"times\": 1}", Some(9.0)).unwrap();
        assert_eq!((slow.answers, slow.requests), (1, 1));
    }

    #[test]
    fn bad_wishes_are_named() {
        for (body, name) in [
            ("{\"seconds\": 21}", "'seconds'"),
            ("{\"rate\": 41}", "'rate'"),
            ("{\"rate\": -1}", "'rate'"),
            ("{\"times\": 11}", "'times'"),
            ("{\"rate\": 1, \"times\": 1}", "exclude each other"),
            ("{\"rates\": 1}", "unknown field"),
            ("[", "JSON object"),
            ("{\"rate\": \"1\"}", "JSON object"),
        ] {
            let error = plan(body, None).unwrap_err();
            assert!(error.contains(name), "{body}: {error}");
        }
    }

    #[test]
    fn the_mix_has_all_priorities() {
        let drawn: Vec<Priority> = (0..10).map(priority).collect();
        for (expected, share) in MIX {
            assert_eq!(drawn.iter().filter(|priority| **priority == expected).count() as u32, share);
        }
    }
}
