# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_tidegate_router_global_optspecs
    string join \n host= port= admin-host= admin-port= max-body-size= max-body-memory= worker-threads= keep-alive= drain-timeout= request-timeout= max-queue-size= queue-rejection-threshold= vllm-rejection-threshold= wait-share= reset-interval= pool-memory= max-client-priority= api-keys-file= overload-status= redis-url= redis-prefix= redis-timeout= on-redis-loss= pool= backend= backend-dns= backends-file= balance= session-header= backend-slots= abandon-grace= log-format= log-content tls-cert= tls-key= admin-token-file= backend-ca-file= backend-client-cert= backend-client-key= backend-api-key-file= redis-password-file= redis-ca-file= redis-client-cert= redis-client-key= max-connections= max-connections-per-address= model-alias= fallback= backend-http2 connect-timeout= first-byte-timeout= idle-timeout= backend-keep-alive= client-keep-alive= client-write-timeout= cors-origin= drain-delay= model= model-name= device= dtype= quantize= max-model-len= max-concurrent-requests= kv-cache-memory= max-batch-tokens= engine-stall-timeout= h/help V/version
end

function __fish_tidegate_router_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_tidegate_router_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_tidegate_router_using_subcommand
    set -l cmd (__fish_tidegate_router_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l host -d 'Address to listen on for clients' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l port -d 'Port for clients; 0 takes a free one' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l admin-host -d 'Address to listen on for operators: /metrics, /fleet, /live, /livez, /readyz' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l admin-port -d 'Port for operators; 0 takes a free one' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l max-body-size -d 'Largest request body, in bytes' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l max-body-memory -d 'Bytes that the bodies of all requests may take together, from the first byte to the head of the answer; a request that finds no room is refused' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l worker-threads -d 'Threads that serve clients; each has connections to backends of its own [default: one for each core]' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l keep-alive -d 'Seconds of silence in a stream after which a comment keeps it open' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l drain-timeout -d 'Seconds that running requests get to end after SIGTERM or Ctrl-C; a second signal exits at once' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l request-timeout -d 'Seconds from a request\'s arrival to its last byte, waiting included; clients can shorten it with the header x-request-timeout-ms' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l max-queue-size -d 'Requests that may wait per model, over all routers' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l queue-rejection-threshold -d 'Share of the queue that normal priority may fill (low: half of it, high: all), 0 to 1' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l vllm-rejection-threshold -l rejection-start-threshold -d 'Share of the capacity (slots and queue) at which graduated rejection begins, 0 to 1' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l wait-share -d 'Share of its time that a request may spend waiting before it is refused at the door, 0 to 1; 1 lifts the bound' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l reset-interval -d 'Seconds between two resets of the abandoned count to what provably still runs' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l pool-memory -d 'Seconds for which requests for a model whose last backend has gone wait for another one to come' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l max-client-priority -d 'Highest priority that a client may ask for: high, normal or low' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l api-keys-file -d 'File with the API keys that clients must show, one JSON object a line: `tidegate-router keys make` writes it. It is read again whenever it changes. Without it everybody may come in' -r -F
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l overload-status -d 'HTTP status of a rejection: 429 or 503' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l redis-url -d 'Redis that all routers and backends share, such as redis://127.0.0.1:6379, or rediss://user@redis.example:6380 with TLS; a password belongs into --redis-password-file or this flag\'s variable. Without it the account is kept in this process and only --backend is served' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l redis-prefix -d 'Prefix of all keys in Redis: fleets with different prefixes do not see each other' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l redis-timeout -d 'Seconds that Redis gets to answer before this router goes on alone' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l on-redis-loss -d 'What a router does while Redis is out of reach: share (its share of the limits and slots), closed (admits nothing) or open (the full limits, as if it were alone)' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l pool -d 'Model whose requests wait for a first backend, however long that takes; repeat it for several' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l backend -d 'Base URL of a backend, any server with the OpenAI API; repeat it for several' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l backend-dns -d 'Name whose addresses are backends, as host:port; asked again each second. Repeat it for several' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l backends-file -d 'TOML file that lists backends with their own slots, models, weights and keys; read again when it changes' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l balance -d 'Which backend a request would rather have: least-loaded, prefix (the one that knows the beginning of its prompt), round-robin or random. One without a free slot is never waited for' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l session-header -d 'Header by which sessions are told: requests with the same value go to the same backend while it has a free slot' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l backend-slots -d 'Slots of each --backend that does not report its own' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l abandon-grace -d 'Seconds after which given-up work on a --backend that confirms nothing counts as stopped' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l log-format -d 'Form of the log: auto (text on a terminal, JSON elsewhere), text or json' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l tls-cert -d 'Certificate for clients, in PEM, with those between it and its authority; clients then speak TLS, and operators too where --admin-host is no loopback address. Read again when it changes' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l tls-key -d 'Private key of --tls-cert, in PEM' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l admin-token-file -d 'Tokens of operators, one a line; needed where --admin-host is no loopback address. Read again when it changes' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l backend-ca-file -d 'Authorities of backends at https://, in PEM [default: the system\'s]' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l backend-client-cert -d 'Certificate that this router shows to backends, in PEM' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l backend-client-key -d 'Private key of --backend-client-cert, in PEM' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l backend-api-key-file -d 'Key that backends want, in place of the client\'s Authorization: the first line of the file. Read again when it changes' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l redis-password-file -d 'Password for Redis; the user stands in --redis-url' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l redis-ca-file -d 'Authorities of a Redis at rediss://, in PEM [default: the system\'s]' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l redis-client-cert -d 'Certificate that this process shows to Redis, in PEM' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l redis-client-key -d 'Private key of --redis-client-cert, in PEM' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l max-connections -d 'Connections of clients, in all' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l max-connections-per-address -d 'Connections of clients from one address, or from one /64 of IPv6. A load balancer is one address' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l model-alias -d 'Further name of a model, as PUBLIC=REAL: requests for PUBLIC go to REAL, whose name stands in the body that the backend gets. Repeat it for several' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l fallback -d 'Model that serves instead of another one that is full or down, as BIG=SMALL; the answer says so in x-tidegate-fallback. Repeated for one model, they are tried in their order' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l connect-timeout -d 'Seconds that a connection to a backend may take to open' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l first-byte-timeout -d 'Seconds from sending a request to the head of its answer; 0 sets no limit of its own. An answer that is not streamed has its head at its end' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l idle-timeout -d 'Seconds of silence within a backend\'s answer after which it is given up; 0 sets no limit' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l backend-keep-alive -d 'Seconds for which an unused connection to a backend is kept; shorter than the backend\'s own time' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l client-keep-alive -d 'Seconds that a client may take to send a request\'s head, and leave a connection unused; longer than the load balancer\'s own time' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l client-write-timeout -d 'Seconds for which a client may take nothing of what is sent to it before its connection is closed' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l cors-origin -d 'Origin whose pages may call this router from a browser, such as https://chat.example.org, or * for all; repeat it for several' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l drain-delay -d 'Seconds for which a router that was asked to end serves on, while /readyz says that it leaves: load balancers need some time to look elsewhere' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l model -d 'Folder of the model (config.json, tokenizer.json, safetensors), GGUF file, or name on the Hugging Face Hub: organisation/name or organisation/name@revision [default: the demo model that is compiled in]' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l model-name -d 'Name that requests ask for [default: the folder\'s or the file\'s name, organisation/name, or tidegate-demo]' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l device -d 'Where the model runs: auto, cpu, cuda:N or metal' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l dtype -d 'Precision of weights and cache: auto, f32, f16 or bf16' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l quantize -d 'What weights are kept as: auto (as they are in the file), q8_0, q4_k, or none (numbers, also from a quantised file)' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l max-model-len -d 'Tokens that a request may have, prompt and answer together [default: what the model was made for]' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l max-concurrent-requests -d 'Requests that run at once; a backend that is full answers 503 concurrency' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l kv-cache-memory -d 'Memory for keys and values, such as 8GiB or 500MB [default: on a GPU 0.9 of what the weights leave; on the CPU full contexts for all requests, at most half of what is free]' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l max-batch-tokens -d 'Tokens that one step computes: one for each running answer, the rest from prompts, which get at least 16 [default: 256 on the CPU, 4096 on a GPU]' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l engine-stall-timeout -d 'Seconds without a step after which a busy engine counts as broken: the backend turns unready and exits' -r
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l log-content -d 'Writes prompts and answers into the log and into spans. Without it neither ever holds any of them'
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -l backend-http2 -d 'Speaks HTTP/2 to backends: over TLS where they choose it, else by prior knowledge. An entry of --backends-file can say otherwise'
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -s V -l version -d 'Print version'
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -f -a "top" -d 'Shows in a terminal what the fleet does now, as any router\'s admin port tells it'
complete -c tidegate-router -n "__fish_tidegate_router_needs_command" -f -a "keys" -d 'Makes, lists and revokes API keys in the key file'
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand top" -l admin -d 'Address of a router\'s admin port' -r
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand top" -l token-file -d 'File with the token that the router wants (its --admin-token-file): the first line is shown' -r -F
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand top" -l ca-file -d 'Authorities of a router at https://, in PEM [default: the system\'s]' -r -F
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand top" -l once -d 'Print one snapshot as plain text and end; also what happens where standard output is no terminal'
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and not __fish_seen_subcommand_from make list revoke" -l api-keys-file -d 'The key file; `make` creates it where there is none' -r -F
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and not __fish_seen_subcommand_from make list revoke" -s h -l help -d 'Print help'
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and not __fish_seen_subcommand_from make list revoke" -f -a "make" -d 'Makes a key and prints it. It is shown this once: the file keeps a hash of it'
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and not __fish_seen_subcommand_from make list revoke" -f -a "list" -d 'Lists the keys, without what would let anybody in'
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and not __fish_seen_subcommand_from make list revoke" -f -a "revoke" -d 'Ends a key at once; it stays listed'
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and __fish_seen_subcommand_from make" -l tenant -d 'Whose key it is. A tenant may have several' -r
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and __fish_seen_subcommand_from make" -l label -d 'A name for people' -r
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and __fish_seen_subcommand_from make" -l requests-per-minute -d 'Requests a minute, per model' -r
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and __fish_seen_subcommand_from make" -l tokens-per-minute -d 'Tokens a minute, of prompts and answers, per model' -r
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and __fish_seen_subcommand_from make" -l max-concurrent-requests -d 'Requests at once, per model, waiting ones among them' -r
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and __fish_seen_subcommand_from make" -l model -d 'A model that it may ask for; repeat it. Without it: all' -r
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and __fish_seen_subcommand_from make" -l max-priority -d 'The highest priority that it may ask for: high, normal or low' -r
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and __fish_seen_subcommand_from make" -l weight -d 'The tenant\'s part of a busy fleet is in proportion to this; the same for all its keys' -r
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and __fish_seen_subcommand_from make" -l api-keys-file -d 'The key file; `make` creates it where there is none' -r -F
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and __fish_seen_subcommand_from make" -s h -l help -d 'Print help'
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and __fish_seen_subcommand_from list" -l api-keys-file -d 'The key file; `make` creates it where there is none' -r -F
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l api-keys-file -d 'The key file; `make` creates it where there is none' -r -F
complete -c tidegate-router -n "__fish_tidegate_router_using_subcommand keys; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
