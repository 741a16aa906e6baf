#compdef tidegate-router

autoload -U is-at-least

_tidegate-router() {
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
'--host=[Address to listen on for clients]:HOST:_default' \
'--port=[Port for clients; 0 takes a free one]:PORT:_default' \
'--admin-host=[Address to listen on for operators\: /metrics, /fleet, /live, /livez, /readyz]:ADMIN_HOST:_default' \
'--admin-port=[Port for operators; 0 takes a free one]:ADMIN_PORT:_default' \
'--max-body-size=[Largest request body, in bytes]:MAX_BODY_SIZE:_default' \
'--max-body-memory=[Bytes that the bodies of all requests may take together, from the first byte to the head of the answer; a request that finds no room is refused]:MAX_BODY_MEMORY:_default' \
'--worker-threads=[Threads that serve clients; each has connections to backends of its own \[default\: one for each core\]]:WORKER_THREADS:_default' \
'--keep-alive=[Seconds of silence in a stream after which a comment keeps it open]:KEEP_ALIVE:_default' \
'--drain-timeout=[Seconds that running requests get to end after SIGTERM or Ctrl-C; a second signal exits at once]:DRAIN_TIMEOUT:_default' \
'--request-timeout=[Seconds from a request'\''s arrival to its last byte, waiting included; clients can shorten it with the header x-request-timeout-ms]:REQUEST_TIMEOUT:_default' \
'--max-queue-size=[Requests that may wait per model, over all routers]:MAX_QUEUE_SIZE:_default' \
'--queue-rejection-threshold=[Share of the queue that normal priority may fill (low\: half of it, high\: all), 0 to 1]:QUEUE_REJECTION_THRESHOLD:_default' \
'--vllm-rejection-threshold=[Share of the capacity (slots and queue) at which graduated rejection begins, 0 to 1]:VLLM_REJECTION_THRESHOLD:_default' \
'--rejection-start-threshold=[Share of the capacity (slots and queue) at which graduated rejection begins, 0 to 1]:VLLM_REJECTION_THRESHOLD:_default' \
'--wait-share=[Share of its time that a request may spend waiting before it is refused at the door, 0 to 1; 1 lifts the bound]:WAIT_SHARE:_default' \
'--reset-interval=[Seconds between two resets of the abandoned count to what provably still runs]:RESET_INTERVAL:_default' \
'--pool-memory=[Seconds for which requests for a model whose last backend has gone wait for another one to come]:POOL_MEMORY:_default' \
'--max-client-priority=[Highest priority that a client may ask for\: high, normal or low]:MAX_CLIENT_PRIORITY:_default' \
'--api-keys-file=[File with the API keys that clients must show, one JSON object a line\: \`tidegate-router keys make\` writes it. It is read again whenever it changes. Without it everybody may come in]:PATH:_files' \
'--overload-status=[HTTP status of a rejection\: 429 or 503]:OVERLOAD_STATUS:_default' \
'--redis-url=[Redis that all routers and backends share, such as redis\://127.0.0.1\:6379, or rediss\://user@redis.example\:6380 with TLS; a password belongs into --redis-password-file or this flag'\''s variable. Without it the account is kept in this process and only --backend is served]:REDIS_URL:_default' \
'--redis-prefix=[Prefix of all keys in Redis\: fleets with different prefixes do not see each other]:REDIS_PREFIX:_default' \
'--redis-timeout=[Seconds that Redis gets to answer before this router goes on alone]:REDIS_TIMEOUT:_default' \
'--on-redis-loss=[What a router does while Redis is out of reach\: share (its share of the limits and slots), closed (admits nothing) or open (the full limits, as if it were alone)]:ON_REDIS_LOSS:_default' \
'*--pool=[Model whose requests wait for a first backend, however long that takes; repeat it for several]:POOL:_default' \
'*--backend=[Base URL of a backend, any server with the OpenAI API; repeat it for several]:BACKEND:_default' \
'*--backend-dns=[Name whose addresses are backends, as host\:port; asked again each second. Repeat it for several]:BACKEND_DNS:_default' \
'--backends-file=[TOML file that lists backends with their own slots, models, weights and keys; read again when it changes]:BACKENDS_FILE:_default' \
'--balance=[Which backend a request would rather have\: least-loaded, prefix (the one that knows the beginning of its prompt), round-robin or random. One without a free slot is never waited for]:BALANCE:_default' \
'--session-header=[Header by which sessions are told\: requests with the same value go to the same backend while it has a free slot]:SESSION_HEADER:_default' \
'--backend-slots=[Slots of each --backend that does not report its own]:BACKEND_SLOTS:_default' \
'--abandon-grace=[Seconds after which given-up work on a --backend that confirms nothing counts as stopped]:ABANDON_GRACE:_default' \
'--log-format=[Form of the log\: auto (text on a terminal, JSON elsewhere), text or json]:LOG_FORMAT:_default' \
'--tls-cert=[Certificate for clients, in PEM, with those between it and its authority; clients then speak TLS, and operators too where --admin-host is no loopback address. Read again when it changes]:FILE:_default' \
'--tls-key=[Private key of --tls-cert, in PEM]:FILE:_default' \
'--admin-token-file=[Tokens of operators, one a line; needed where --admin-host is no loopback address. Read again when it changes]:FILE:_default' \
'--backend-ca-file=[Authorities of backends at https\://, in PEM \[default\: the system'\''s\]]:FILE:_default' \
'--backend-client-cert=[Certificate that this router shows to backends, in PEM]:FILE:_default' \
'--backend-client-key=[Private key of --backend-client-cert, in PEM]:FILE:_default' \
'--backend-api-key-file=[Key that backends want, in place of the client'\''s Authorization\: the first line of the file. Read again when it changes]:FILE:_default' \
'--redis-password-file=[Password for Redis; the user stands in --redis-url]:FILE:_default' \
'--redis-ca-file=[Authorities of a Redis at rediss\://, in PEM \[default\: the system'\''s\]]:FILE:_default' \
'--redis-client-cert=[Certificate that this process shows to Redis, in PEM]:FILE:_default' \
'--redis-client-key=[Private key of --redis-client-cert, in PEM]:FILE:_default' \
'--max-connections=[Connections of clients, in all]:N:_default' \
'--max-connections-per-address=[Connections of clients from one address, or from one /64 of IPv6. A load balancer is one address]:N:_default' \
'*--model-alias=[Further name of a model, as PUBLIC=REAL\: requests for PUBLIC go to REAL, whose name stands in the body that the backend gets. Repeat it for several]:MODEL_ALIAS:_default' \
'*--fallback=[Model that serves instead of another one that is full or down, as BIG=SMALL; the answer says so in x-tidegate-fallback. Repeated for one model, they are tried in their order]:FALLBACK:_default' \
'--connect-timeout=[Seconds that a connection to a backend may take to open]:CONNECT_TIMEOUT:_default' \
'--first-byte-timeout=[Seconds from sending a request to the head of its answer; 0 sets no limit of its own. An answer that is not streamed has its head at its end]:FIRST_BYTE_TIMEOUT:_default' \
'--idle-timeout=[Seconds of silence within a backend'\''s answer after which it is given up; 0 sets no limit]:IDLE_TIMEOUT:_default' \
'--backend-keep-alive=[Seconds for which an unused connection to a backend is kept; shorter than the backend'\''s own time]:BACKEND_KEEP_ALIVE:_default' \
'--client-keep-alive=[Seconds that a client may take to send a request'\''s head, and leave a connection unused; longer than the load balancer'\''s own time]:CLIENT_KEEP_ALIVE:_default' \
'--client-write-timeout=[Seconds for which a client may take nothing of what is sent to it before its connection is closed]:CLIENT_WRITE_TIMEOUT:_default' \
'*--cors-origin=[Origin whose pages may call this router from a browser, such as https\://chat.example.org, or * for all; repeat it for several]:CORS_ORIGIN:_default' \
'--drain-delay=[Seconds for which a router that was asked to end serves on, while /readyz says that it leaves\: load balancers need some time to look elsewhere]:DRAIN_DELAY:_default' \
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
'--log-content[Writes prompts and answers into the log and into spans. Without it neither ever holds any of them]' \
'--backend-http2[Speaks HTTP/2 to backends\: over TLS where they choose it, else by prior knowledge. An entry of --backends-file can say otherwise]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_tidegate-router_commands" \
"*::: :->tidegate-router" \
&& ret=0
    case $state in
    (tidegate-router)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:tidegate-router-command-$line[1]:"
        case $line[1] in
            (top)
_arguments "${_arguments_options[@]}" : \
'--admin=[Address of a router'\''s admin port]:URL:_default' \
'--token-file=[File with the token that the router wants (its --admin-token-file)\: the first line is shown]:FILE:_files' \
'--ca-file=[Authorities of a router at https\://, in PEM \[default\: the system'\''s\]]:FILE:_files' \
'--once[Print one snapshot as plain text and end; also what happens where standard output is no terminal]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(keys)
_arguments "${_arguments_options[@]}" : \
'--api-keys-file=[The key file; \`make\` creates it where there is none]:PATH:_files' \
'-h[Print help]' \
'--help[Print help]' \
":: :_tidegate-router__subcmd__keys_commands" \
"*::: :->keys" \
&& ret=0

    case $state in
    (keys)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:tidegate-router-keys-command-$line[1]:"
        case $line[1] in
            (make)
_arguments "${_arguments_options[@]}" : \
'--tenant=[Whose key it is. A tenant may have several]:TENANT:_default' \
'--label=[A name for people]:LABEL:_default' \
'--requests-per-minute=[Requests a minute, per model]:REQUESTS_PER_MINUTE:_default' \
'--tokens-per-minute=[Tokens a minute, of prompts and answers, per model]:TOKENS_PER_MINUTE:_default' \
'--max-concurrent-requests=[Requests at once, per model, waiting ones among them]:MAX_CONCURRENT_REQUESTS:_default' \
'*--model=[A model that it may ask for; repeat it. Without it\: all]:MODELS:_default' \
'--max-priority=[The highest priority that it may ask for\: high, normal or low]:MAX_PRIORITY:_default' \
'--weight=[The tenant'\''s part of a busy fleet is in proportion to this; the same for all its keys]:WEIGHT:_default' \
'--api-keys-file=[The key file; \`make\` creates it where there is none]:PATH:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(list)
_arguments "${_arguments_options[@]}" : \
'--api-keys-file=[The key file; \`make\` creates it where there is none]:PATH:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(revoke)
_arguments "${_arguments_options[@]}" : \
'--api-keys-file=[The key file; \`make\` creates it where there is none]:PATH:_files' \
'-h[Print help]' \
'--help[Print help]' \
':id -- The eight digits behind its `tg-`, as `list` shows them:_default' \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_tidegate-router_commands] )) ||
_tidegate-router_commands() {
    local commands; commands=(
'top:Shows in a terminal what the fleet does now, as any router'\''s admin port tells it' \
'keys:Makes, lists and revokes API keys in the key file' \
    )
    _describe -t commands 'tidegate-router commands' commands "$@"
}
(( $+functions[_tidegate-router__subcmd__keys_commands] )) ||
_tidegate-router__subcmd__keys_commands() {
    local commands; commands=(
'make:Makes a key and prints it. It is shown this once\: the file keeps a hash of it' \
'list:Lists the keys, without what would let anybody in' \
'revoke:Ends a key at once; it stays listed' \
    )
    _describe -t commands 'tidegate-router keys commands' commands "$@"
}
(( $+functions[_tidegate-router__subcmd__keys__subcmd__list_commands] )) ||
_tidegate-router__subcmd__keys__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'tidegate-router keys list commands' commands "$@"
}
(( $+functions[_tidegate-router__subcmd__keys__subcmd__make_commands] )) ||
_tidegate-router__subcmd__keys__subcmd__make_commands() {
    local commands; commands=()
    _describe -t commands 'tidegate-router keys make commands' commands "$@"
}
(( $+functions[_tidegate-router__subcmd__keys__subcmd__revoke_commands] )) ||
_tidegate-router__subcmd__keys__subcmd__revoke_commands() {
    local commands; commands=()
    _describe -t commands 'tidegate-router keys revoke commands' commands "$@"
}
(( $+functions[_tidegate-router__subcmd__top_commands] )) ||
_tidegate-router__subcmd__top_commands() {
    local commands; commands=()
    _describe -t commands 'tidegate-router top commands' commands "$@"
}

if [ "$funcstack[1]" = "_tidegate-router" ]; then
    _tidegate-router "$@"
else
    compdef _tidegate-router tidegate-router
fi
