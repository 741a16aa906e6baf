//! What a backend's text says after what happened.

use super::*;

fn demo() -> BackendMetrics {
    BackendMetrics::new(&Served {
        model_name: "demo".to_owned(),
        engine: EngineMetrics::default(),
        block_tokens: 16,
        blocks: 100,
    })
}

fn busy() -> EngineSample {
    EngineSample {
        running: 3,
        waiting: 1,
        slots: 3,
        cache_usage: 0.25,
        since_step: Duration::from_millis(1500),
        prompt_tokens: 40,
        prefix_queries: 40,
        prefix_hits: 16,
        preemptions: 2,
        cancelled: 1,
        ..Default::default()
    }
}

fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|found| found == *line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_scrape_shows_the_engine_and_never_goes_back() {
    let metrics = demo();
    let sample = busy();
    metrics.set_engine(&sample);
    metrics.set_engine(&EngineSample { prompt_tokens: 39, generation_tokens: 5, ..sample });
    assert_lines(
        &metrics.encode(),
        &[
            "tidegate:num_requests_running{model_name=\"demo\"} 3",
            "tidegate:num_requests_waiting{model_name=\"demo\"} 1",
            "tidegate:num_slots{model_name=\"demo\"} 3",
            "tidegate:kv_cache_usage_perc{model_name=\"demo\"} 0.25",
            "tidegate:cache_config_info{model_name=\"demo\",block_size=\"16\",num_blocks=\"100\"} 1",
            "tidegate:engine_since_last_step_seconds{model_name=\"demo\"} 1.5",
            "tidegate:prompt_tokens_total{model_name=\"demo\"} 40",
            "tidegate:generation_tokens_total{model_name=\"demo\"} 5",
            "tidegate:prefix_cache_queries_total{model_name=\"demo\"} 40",
            "tidegate:prefix_cache_hits_total{model_name=\"demo\"} 16",
            "tidegate:num_preemptions_total{model_name=\"demo\"} 2",
            "tidegate:engine_sequences_ended_total{model_name=\"demo\",ended=\"cancelled\"} 1",
        ],
    );
}

#[test]
fn a_request_counts_in_vllms_names_and_in_opentelemetrys() {
    let metrics = demo();
    metrics.prompt(12);
    metrics.first_token("chat", Duration::from_millis(20), None);
    metrics.finished("stop");
    metrics.generated("chat", 5, Duration::from_millis(8), None);
    metrics.answered("/v1/chat/completions", "chat", 200, Duration::from_secs(1), None);
    metrics.answered("/v1/chat/completions", "chat", 503, Duration::from_millis(1), None);
    metrics.refused_concurrency();
    let ours =
        "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"tidegate\",gen_ai_request_model=\"demo\"";
    let gen_ai = |what: &str, rest: &str| format!("gen_ai_server_{what}{{{ours}{rest}");
    let text = metrics.encode();
    assert_lines(
        &text,
        &[
            "tidegate:requests_total{model_name=\"demo\",route=\"/v1/chat/completions\",status=\"200\"} 1",
            "tidegate:concurrency_refusals_total{model_name=\"demo\"} 1",
            "tidegate:request_success_total{model_name=\"demo\",finished_reason=\"stop\"} 1",
            "tidegate:request_prompt_tokens_sum{model_name=\"demo\"} 12.0",
            "tidegate:request_generation_tokens_sum{model_name=\"demo\"} 5.0",
            "tidegate:time_to_first_token_seconds_count{model_name=\"demo\"} 1",
            "tidegate:request_time_per_output_token_seconds_sum{model_name=\"demo\"} 0.002",
            &gen_ai("request_duration_seconds_count", ",error_type=\"\"} 1"),
            &gen_ai("request_duration_seconds_count", ",error_type=\"503\"} 1"),
            &gen_ai("time_to_first_token_seconds_count", ",error_type=\"\"} 1"),
            &gen_ai("time_per_output_token_seconds_count", ",error_type=\"\"} 1"),
        ],
    );
}

#[test]
fn one_token_says_nothing_about_those_after_it() {
    let metrics = demo();
    metrics.generated("chat", 1, Duration::ZERO, None);
    metrics.generated("chat", 0, Duration::ZERO, None);
    assert_lines(
        &metrics.encode(),
        &[
            "tidegate:request_time_per_output_token_seconds_count{model_name=\"demo\"} 0",
            "tidegate:request_generation_tokens_count{model_name=\"demo\"} 2",
        ],
    );
}

#[test]
fn the_engines_own_histograms_are_in_the_text() {
    let engine = EngineMetrics::default();
    let served =
        Served { model_name: "demo".to_owned(), engine: engine.clone(), block_tokens: 16, blocks: 1 };
    let metrics = BackendMetrics::new(&served);
    engine.step(Duration::from_millis(2), 3, 40);
    engine.entered(Duration::from_millis(1));
    engine.first_token(Duration::from_millis(5));
    engine.next_token(Duration::from_millis(2));
    engine.finished(Duration::from_millis(10), Duration::from_millis(15));
    let one = |name: &str| format!("tidegate:{name}_count{{model_name=\"demo\"}} 1");
    let names = [
        "engine_step_seconds",
        "engine_step_sequences",
        "iteration_tokens_total",
        "request_queue_time_seconds",
        "request_prefill_time_seconds",
        "inter_token_latency_seconds",
        "request_decode_time_seconds",
        "request_inference_time_seconds",
    ];
    let text = metrics.encode();
    for name in names {
        assert_lines(&text, &[&one(name)]);
    }
}
