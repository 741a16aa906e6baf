#compdef tidegate-backend

autoload -U is-at-least

_tidegate-backend() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'--model=[Folder of the model (config.json, tokenizer.json, safetensors), GGUF file, or name on the Hugging Face Hub\: organisation/name or organisation/name@revision \[default\: the demo model that is compiled in\]]:PATH|NAME:_default' \
'--model-name=[Name that requests ask for \[default\: the folder'\''s or the file'\''s name, organisation/name, or tidegate-demo\]]:NAME:_default' \
'--device=[Where the model runs\: auto, cpu, cuda\:N or metal]:DEVICE:_default' \
'--dtype=[Precision of weights and cache\: auto, f32, f16 or bf16]:DTYPE:_default' \
'--quantize=[What weights are kept as\: auto (as they are in the file), q8_0, q4_k, or none (numbers, also from a quantised file)]:TYPE:_default' \
'--max-model-len=[Tokens that a request may have, prompt and answer together \[default\: what the model was made for\]]:N:_default' \
'--max-concurrent-requests=[Requests that run at once; a backend that is full answers 503 concurrency]:N:_default' \
'--kv-cache-memory=[Memory for keys and values, such as 8GiB or 500MB \[default\: on a GPU 0.9 of what the weights leave; on the CPU full contexts for all requests, at most half of what is free\]]:BYTES:_default' \
'--max-batch-tokens=[Tokens that one step computes\: one for each running answer, the rest from prompts, which get at least 16 \[default\: 256 on the CPU, 4096 on a GPU\]]:N:_default' \
'--engine-stall-timeout=[Seconds without a step after which a busy engine counts as broken\: the backend turns unready and exits]:SECONDS:_default' \
'--host=[Address to listen on]:ADDRESS:_default' \
'--port=[Port to listen on; 0 takes a free one]:PORT:_default' \
'--request-timeout=[Seconds from a request'\''s arrival to the last byte of its answer; what takes longer is stopped with 504]:SECONDS:_default' \
'--reset-interval=[Seconds after which the count of given-up requests is set to what provably still runs]:SECONDS:_default' \
'--drain-timeout=[Seconds that a stopping backend waits for what runs \[default\: the request timeout and 5 seconds\]]:SECONDS:_default' \
'--log-format=[Form of the log\: auto (text on a terminal, JSON elsewhere), text or json]:FORMAT:_default' \
'--redis-url=[Redis in which routers find this backend, such as redis\://host\:6379, or rediss\://user@host\:6380 with TLS; a password belongs into --redis-password-file or this flag'\''s variable \[default\: none, it does not register\]]:URL:_default' \
'--redis-prefix=[Prefix of all keys in Redis; the same on all routers and backends of a fleet]:TEXT:_default' \
'--advertise-url=[URL under which routers reach this backend \[default\: its own address, or the one that faces Redis\]]:URL:_default' \
'--tls-cert=[Certificate, in PEM, with those between it and its authority; clients then speak TLS. Read again when it changes]:FILE:_default' \
'--tls-key=[Private key of --tls-cert, in PEM]:FILE:_default' \
'--client-ca-file=[Authorities whose clients may come in, in PEM; who shows no certificate of theirs gets the probes and nothing else]:FILE:_default' \
'--token-file=[Tokens, one a line; who shows none of them gets the probes and nothing else. Read again when it changes]:FILE:_default' \
'--redis-password-file=[Password for Redis; the user stands in --redis-url]:FILE:_default' \
'--redis-ca-file=[Authorities of a Redis at rediss\://, in PEM \[default\: the system'\''s\]]:FILE:_default' \
'--redis-client-cert=[Certificate that this process shows to Redis, in PEM]:FILE:_default' \
'--redis-client-key=[Private key of --redis-client-cert, in PEM]:FILE:_default' \
'--max-connections=[Connections, in all]:N:_default' \
'--max-connections-per-address=[Connections from one address, or from one /64 of IPv6]:N:_default' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
&& ret=0
}

(( $+functions[_tidegate-backend_commands] )) ||
_tidegate-backend_commands() {
    local commands; commands=()
    _describe -t commands 'tidegate-backend commands' commands "$@"
}

if [ "$funcstack[1]" = "_tidegate-backend" ]; then
    _tidegate-backend "$@"
else
    compdef _tidegate-backend tidegate-backend
fi
