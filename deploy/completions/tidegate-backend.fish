complete -c tidegate-backend -l model -d 'Folder of the model (config.json, tokenizer.json, safetensors), GGUF file, or name on the Hugging Face Hub: organisation/name or organisation/name@revision [default: the demo model that is compiled in]' -r
complete -c tidegate-backend -l model-name -d 'Name that requests ask for [default: the folder\'s or the file\'s name, organisation/name, or tidegate-demo]' -r
complete -c tidegate-backend -l device -d 'Where the model runs: auto, cpu, cuda:N or metal' -r
complete -c tidegate-backend -l dtype -d 'Precision of weights and cache: auto, f32, f16 or bf16' -r
complete -c tidegate-backend -l quantize -d 'What weights are kept as: auto (as they are in the file), q8_0, q4_k, or none (numbers, also from a quantised file)' -r
complete -c tidegate-backend -l max-model-len -d 'Tokens that a request may have, prompt and answer together [default: what the model was made for]' -r
complete -c tidegate-backend -l max-concurrent-requests -d 'Requests that run at once; a backend that is full answers 503 concurrency' -r
complete -c tidegate-backend -l kv-cache-memory -d 'Memory for keys and values, such as 8GiB or 500MB [default: on a GPU 0.9 of what the weights leave; on the CPU full contexts for all requests, at most half of what is free]' -r
complete -c tidegate-backend -l max-batch-tokens -d 'Tokens that one step computes: one for each running answer, the rest from prompts, which get at least 16 [default: 256 on the CPU, 4096 on a GPU]' -r
complete -c tidegate-backend -l engine-stall-timeout -d 'Seconds without a step after which a busy engine counts as broken: the backend turns unready and exits' -r
complete -c tidegate-backend -l host -d 'Address to listen on' -r
complete -c tidegate-backend -l port -d 'Port to listen on; 0 takes a free one' -r
complete -c tidegate-backend -l request-timeout -d 'Seconds from a request\'s arrival to the last byte of its answer; what takes longer is stopped with 504' -r
complete -c tidegate-backend -l reset-interval -d 'Seconds after which the count of given-up requests is set to what provably still runs' -r
complete -c tidegate-backend -l drain-timeout -d 'Seconds that a stopping backend waits for what runs [default: the request timeout and 5 seconds]' -r
complete -c tidegate-backend -l log-format -d 'Form of the log: auto (text on a terminal, JSON elsewhere), text or json' -r
complete -c tidegate-backend -l redis-url -d 'Redis in which routers find this backend, such as redis://host:6379, or rediss://user@host:6380 with TLS; a password belongs into --redis-password-file or this flag\'s variable [default: none, it does not register]' -r
complete -c tidegate-backend -l redis-prefix -d 'Prefix of all keys in Redis; the same on all routers and backends of a fleet' -r
complete -c tidegate-backend -l advertise-url -d 'URL under which routers reach this backend [default: its own address, or the one that faces Redis]' -r
complete -c tidegate-backend -l tls-cert -d 'Certificate, in PEM, with those between it and its authority; clients then speak TLS. Read again when it changes' -r
complete -c tidegate-backend -l tls-key -d 'Private key of --tls-cert, in PEM' -r
complete -c tidegate-backend -l client-ca-file -d 'Authorities whose clients may come in, in PEM; who shows no certificate of theirs gets the probes and nothing else' -r
complete -c tidegate-backend -l token-file -d 'Tokens, one a line; who shows none of them gets the probes and nothing else. Read again when it changes' -r
complete -c tidegate-backend -l redis-password-file -d 'Password for Redis; the user stands in --redis-url' -r
complete -c tidegate-backend -l redis-ca-file -d 'Authorities of a Redis at rediss://, in PEM [default: the system\'s]' -r
complete -c tidegate-backend -l redis-client-cert -d 'Certificate that this process shows to Redis, in PEM' -r
complete -c tidegate-backend -l redis-client-key -d 'Private key of --redis-client-cert, in PEM' -r
complete -c tidegate-backend -l max-connections -d 'Connections, in all' -r
complete -c tidegate-backend -l max-connections-per-address -d 'Connections from one address, or from one /64 of IPv6' -r
complete -c tidegate-backend -s h -l help -d 'Print help'
complete -c tidegate-backend -s V -l version -d 'Print version'
