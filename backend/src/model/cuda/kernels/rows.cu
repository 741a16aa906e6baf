// What happens to each token's row between the matrix products, each in one pass over memory.

// Threads that norm a row together: a step of one token has no other block to keep the device busy.
#define NORMERS 512

// Cosines and sines of a step: positions [tokens] times frequencies [pairs]. Grid: tokens.
extern "C" __global__ void angles(const u32* positions, const float* frequencies, float* cosines, float* sines, u32 pairs, float amplitude) {
    await_previous();
    for (u32 i = threadIdx.x; i < pairs; i += THREADS) {
        const float angle = (float)positions[blockIdx.x] * frequencies[i];
        cosines[(size_t)blockIdx.x * pairs + i] = cosf(angle) * amplitude;
        sines[(size_t)blockIdx.x * pairs + i] = sinf(angle) * amplitude;
    }
}

// One over the root of the mean square of a head, over a warp.
__device__ inline float head_factor(const element* head, float eps) {
    float squares = 0.0f;
    for (u32 i = threadIdx.x % WARP; i < HEAD_DIM; i += WARP) squares += number(head[i]) * number(head[i]);
    return rsqrtf(warp_sum(squares) / HEAD_DIM + eps);
}

// Takes the rows [queries | keys | values] of a step apart: queries and keys are normed where there are weights for it, and turned by
// their token's angles (first half of the turned dimensions with the second, as GPT-NeoX does); queries go to `queries`, keys and values
// to the cache. A warp takes a head. Grid: (tokens, heads and twice the key heads over WARPS).
extern "C" __global__ void take_apart(
    const element* rows, element* queries, element* keys, element* values, const u32* slots, const float* cosines, const float* sines,
    const element* query_norm, const element* key_norm, u32 kv_heads, u32 pairs, float eps) {
    await_previous();
    const u32 token = blockIdx.x, heads = kv_heads * GROUP, head = blockIdx.y * WARPS + threadIdx.x / WARP;
    if (head >= heads + 2 * kv_heads) return;
    const element* from = rows + ((size_t)token * (heads + 2 * kv_heads) + head) * HEAD_DIM;
    const size_t slot = (size_t)slots[token] * kv_heads;
    if (head >= heads + kv_heads) {
        element* to = values + (slot + head - heads - kv_heads) * HEAD_DIM;
        for (u32 i = threadIdx.x % WARP; i < HEAD_DIM; i += WARP) to[i] = from[i];
        return;
    }
    const bool is_query = head < heads;
    element* to = is_query ? queries + ((size_t)token * heads + head) * HEAD_DIM : keys + (slot + head - heads) * HEAD_DIM;
    const element* norm = is_query ? query_norm : key_norm;
    const float factor = norm ? head_factor(from, eps) : 1.0f;
    cosines += (size_t)token * pairs;
    sines += (size_t)token * pairs;
    for (u32 i = threadIdx.x % WARP; i < HEAD_DIM; i += WARP) {
        float x = number(from[i]) * factor * (norm ? number(norm[i]) : 1.0f);
        if (i < 2 * pairs) {
            const u32 pair = i < pairs ? i : i - pairs, other = i < pairs ? i + pairs : pair;
            const float y = number(from[other]) * factor * (norm ? number(norm[other]) : 1.0f);
            x = i < pairs ? x * cosines[pair] - y * sines[pair] : x * cosines[pair] + y * sines[pair];
        }
        to[i] = rounded(x);
    }
}

// `sum` becomes x + y, or stays untouched where there is no y; `normed` its root mean square norm (Zhang and Sennrich 2019). With
// `y_norm`, y is normed first. Grid: tokens, blocks of NORMERS.
extern "C" __global__ void add_norm(
    const element* x, const element* y, const element* y_norm, const element* weight, element* sum, element* normed, u32 width, float eps) {
    await_previous();
    const size_t row = (size_t)blockIdx.x * width;
    float y_factor = 1.0f;
    if (y_norm) {
        float squares = 0.0f;
        for (u32 i = threadIdx.x; i < width; i += NORMERS) squares += number(y[row + i]) * number(y[row + i]);
        y_factor = rsqrtf(block_sum<NORMERS / WARP>(squares) / width + eps);
    }
    float squares = 0.0f;
    for (u32 i = threadIdx.x; i < width; i += NORMERS) {
        element both = x[row + i];
        if (y) {
            float added = number(y[row + i]);
            if (y_norm) added *= y_factor * number(y_norm[i]);
            both = rounded(number(both) + added);
            sum[row + i] = both;
        }
        squares += number(both) * number(both);
    }
    // Each thread reads below what it has written itself.
    const element* source = y ? sum : x;
    const float factor = rsqrtf(block_sum<NORMERS / WARP>(squares) / width + eps);
    for (u32 i = threadIdx.x; i < width; i += NORMERS)
        normed[row + i] = rounded(number(source[row + i]) * factor * number(weight[i]));
}

// Rows [gate | up] of twice `width` to act(gate) * up. `gelu`: the tanh form of GELU, else SiLU. Grid: (tokens, blocks over the width).
extern "C" __global__ void gate(const element* both, element* out, u32 width, u32 gelu) {
    await_previous();
    const u32 i = blockIdx.y * THREADS + threadIdx.x;
    if (i >= width) return;
    const size_t row = (size_t)blockIdx.x * 2 * width;
    const float x = number(both[row + i]), up = number(both[row + width + i]);
    const float inner = 0.7978845608f * (x + 0.044715f * x * x * x);
    const float act = gelu ? 0.5f * x * (1.0f + tanhf(inner)) : x / (1.0f + expf(-x));
    out[(size_t)blockIdx.x * width + i] = rounded(act * up);
}
