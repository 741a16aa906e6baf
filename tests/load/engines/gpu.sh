#!/usr/bin/env bash
# What the engine does on an NVIDIA GPU, in one call of some minutes: is what it computes right, do sequences change when they share
# a step, and how fast is it. Prints a table for docs/engine-benchmarks.md. Fails, and says why, where there is no GPU.
#
#   tests/load/engines/gpu.sh pack TARGET   on the machine that built with `--features cuda` into TARGET (docs/cuda.md): packs the
#                                           programs into target/gpu, some 50 MB
#   tests/load/engines/gpu.sh [serve]       on the machine with the GPU: needs no toolchain, but the driver and CUDA's run-time
#                                           libraries (cudart, cublas, curand, nvrtc), from the system or from Python's nvidia-* packages
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
readonly PACKED=target/gpu
readonly PROGRAMS=(examples/gpu-check examples/engine-bench tidegate-backend)
readonly WORK=${TMPDIR:-/tmp}/tidegate-gpu.$$
# Llama-3.1-8B without its input embedding, of which a token reads one row: 16-bit numbers.
readonly BYTES_8B=15009849344

fail() {
    echo "gpu.sh: $*" >&2
    exit 1
}

pack() {
    local target=$1 program
    command -v xz >/dev/null || fail "xz is missing: apt-get install xz-utils"
    mkdir -p "$PACKED"
    for program in "${PROGRAMS[@]}"; do
        local built=$target/release/$program packed=$PACKED/${program##*/}
        [[ -x $built ]] || fail "$built is not there: cargo build --release -p tidegate-backend --features cuda --bins --examples"
        strip -o "$packed" "$built"
        xz -f -1 -T0 "$packed"
    done
    du -h "$PACKED"/*.xz
}

# Folders with CUDA's libraries, most of which no linker looks into by itself.
libraries() {
    local folder
    for folder in /usr/local/cuda/lib64 /usr/local/cuda-13*/lib64 "$PACKED/lib"; do
        [[ -d $folder ]] && echo "$folder"
    done
    python3 - 2>/dev/null <<'PYTHON' || true
import glob, site, sys
for packages in {*site.getsitepackages(), *[path for path in sys.path if path.endswith("-packages")]}:
    print("\n".join(glob.glob(packages + "/nvidia/*/lib")))
PYTHON
}

prepare() {
    command -v nvidia-smi >/dev/null || fail "no NVIDIA GPU here: nvidia-smi is not there. Nothing was checked."
    nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader ||
        fail "the driver finds no GPU. Nothing was checked."
    mkdir -p "$WORK"
    trap 'rm -rf "$WORK"' EXIT
    local program
    for program in "${PROGRAMS[@]##*/}"; do
        [[ -f $PACKED/$program.xz ]] || fail "$PACKED/$program.xz is not there: run \`gpu.sh pack\` where it was built"
        xz -dc "$PACKED/$program.xz" >"$WORK/$program"
        chmod +x "$WORK/$program"
    done
    local path
    path=$(libraries | paste -sd:)
    export LD_LIBRARY_PATH=$path${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    local missing
    missing=$(ldd "$WORK/gpu-check" | grep "not found" || true)
    [[ -z $missing ]] || fail "libraries are missing (LD_LIBRARY_PATH=$LD_LIBRARY_PATH):"$'\n'"$missing"
}

# config NAME HIDDEN LAYERS HEADS KV_HEADS INNER VOCABULARY: the shape of a Llama.
config() {
    cat >"$WORK/$1.json" <<JSON
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": $2, "num_hidden_layers": $3,
 "num_attention_heads": $4, "num_key_value_heads": $5, "intermediate_size": $6, "vocab_size": $7, "rms_norm_eps": 1e-05,
 "max_position_embeddings": 8192, "rope_theta": 500000.0, "hidden_act": "silu", "tie_word_embeddings": false,
 "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16"}
JSON
}

# figure NAME JSON: a number by its name.
figure() { grep -o "\"$1\":[0-9.eE+-]*" <<<"$2" | sed -n 1p | cut -d: -f2; }

# row LABEL JSON LIMIT: a line of the table.
row() {
    local streams cells=""
    for streams in 1 4 16 64; do
        cells+=" $(awk -v x="$(figure "$streams" "$2")" 'BEGIN { if (x == "") print "–"; else printf "%.0f", x }') |"
    done
    awk -v label="$1" -v cells="$cells" -v one="$(figure 1 "$2")" -v many="$(figure 64 "$2")" -v limit="$3" \
        -v prefill="$(figure prefill "$2")" -v first="$(figure first_token_ms "$2")" 'BEGIN {
            printf "| %s |%s %.0f | %.1f | %.0f %% | %s |\n", label, cells, prefill, first, 100 * one / limit,
                many == "" ? "–" : sprintf("%.1f", many / one) }'
}

bench() {
    "$WORK/engine-bench" --random "$WORK/8b.json" --device cuda:0 --bytes "$BYTES_8B" --max-batch-tokens 2048 \
        --prompt 2048 --json "$@"
}

measure() {
    local ours candle limit
    config 8b 4096 32 32 8 14336 128256
    ours=$(bench --streams 1,4,16,64 --tokens 128)
    candle=$(bench --streams 1,4,16 --tokens 32 --candle-kernels)
    limit=$(figure limit "$ours")
    echo
    echo "$(nvidia-smi --query-gpu=name --format=csv,noheader | sed -n 1p), Llama-3.1-8B shape, bf16, random weights, $(date -u +%F)"
    echo
    echo "| | 1 stream | 4 streams | 16 streams | 64 streams | prefill of 2048 | first token, 8 decode, ms | 1 stream of the limit | 64 streams to 1 |"
    echo "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    row "Tidegate" "$ours" "$limit"
    row "*with candle's kernels*" "$candle" "$limit"
    echo
    awk -v limit="$limit" -v bytes="$BYTES_8B" 'BEGIN {
        printf "Limit: %.1f tokens/s, %.2f GB a token at %.2f TB/s, which a copy of 2 GiB read and wrote in the same run.\n",
            limit, bytes / 1e9, limit * bytes / 1e12 }'
}

# answer DEVICE: what the backend says to a question on this device, in f32, and that it ends well.
answer() {
    local log=$WORK/serve.log port attempt pid
    "$WORK/tidegate-backend" --device "$1" --dtype f32 --port 0 --kv-cache-memory 1GiB --log-format text >"$log" 2>&1 &
    pid=$!
    for attempt in {1..300}; do
        port=$(sed -nE 's/.* ready .*address=127\.0\.0\.1:([0-9]+).*/\1/p' "$log")
        [[ -n $port ]] && break
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.2
    done
    [[ -n $port ]] || { kill "$pid" 2>/dev/null; fail "the backend is not ready after $attempt attempts: $(cat "$log")"; }
    curl -sf "http://127.0.0.1:$port/v1/chat/completions" -H 'content-type: application/json' -d '{"model": "tidegate-demo",
        "temperature": 0, "max_tokens": 48, "messages": [{"role": "user", "content": "What is Tidegate?"}]}' | grep -o '"content":"[^"]*"'
    kill "$pid"
    wait "$pid" || fail "the backend did not end well: $(cat "$log")"
}

# That the backend serves on the GPU as it does on the CPU, and that it may be stopped at any time.
serve() {
    local here there pid status after
    here=$(answer cpu)
    there=$(answer cuda:0)
    echo "on the GPU: $there"
    [[ -n $there && $here == "$there" ]] || fail "on the CPU the answer is another one: $here"
    for after in 0.3 0.6 1 2; do
        "$WORK/tidegate-backend" --device cuda:0 --port 0 >"$WORK/serve.log" 2>&1 &
        pid=$!
        sleep "$after"
        kill "$pid"
        status=0
        wait "$pid" || status=$?
        [[ $status == 0 ]] || fail "stopped after $after s, the backend exits with $status: $(cat "$WORK/serve.log")"
    done
    echo "stopped after 0.3, 0.6, 1 and 2 s it ends well"
}

main() {
    prepare
    config wide 1024 2 8 2 2816 4096
    local right=yes
    "$WORK/gpu-check" backend/tests/fixtures/models "$WORK/wide.json" || right=no
    measure
    echo
    (serve) || right=no
    [[ $right == yes ]] || fail "what was computed is not right: see above"
}

case ${1:-run} in
pack) pack "${2:?the target folder of the build}" ;;
run) main ;;
serve) prepare && serve ;;
*) fail "unknown: $1" ;;
esac
