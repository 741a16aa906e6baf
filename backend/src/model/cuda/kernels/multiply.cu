// Matrix times a few vectors, as one to four streams decode: nothing but reading the weights once, as fast as memory gives them.
//
// A warp takes two outputs; its lanes go along the inputs 16 bytes at a time. An output's sum has the same order for any number of tokens.

// Outputs that a warp takes: its loads of the tokens' numbers serve them all.
#define OUTPUTS_EACH 2
// Loads of each output that a lane has on their way at once. They go to shared memory: the compiler would not keep registers for them.
// Several tokens need the room for the first cache, which holds their numbers. (A power of two.)
#define VECTORS_AHEAD(tokens) ((tokens) == 1 ? 8 : 4)

template <int tokens>
__device__ inline void multiply_add_vector(
    float (&sums)[OUTPUTS_EACH][tokens], const Sixteen (&row)[OUTPUTS_EACH], const Sixteen* x, u32 i, u32 vectors) {
    float weights[OUTPUTS_EACH][SIXTEEN];
#pragma unroll
    for (int o = 0; o < OUTPUTS_EACH; o++) numbers(row[o], weights[o]);
#pragma unroll
    for (int t = 0; t < tokens; t++) {
        const Sixteen loaded = x[(size_t)t * vectors + i];
        float token[SIXTEEN];
        numbers(loaded, token);
#pragma unroll
        for (int o = 0; o < OUTPUTS_EACH; o++)
#pragma unroll
            for (int j = 0; j < SIXTEEN; j++) sums[o][t] += weights[o][j] * token[j];
    }
}

template <int tokens>
__device__ inline void multiply(
    const element* x, const element* weights, const element* bias, element* out, u32 inputs, u32 outputs) {
    const u32 lane = threadIdx.x % WARP, first = (blockIdx.x * WARPS + threadIdx.x / WARP) * OUTPUTS_EACH;
    if (first >= outputs) return await_previous();
    const u32 vectors = inputs / SIXTEEN;
    const Sixteen* rows[OUTPUTS_EACH];
    float sums[OUTPUTS_EACH][tokens];
#pragma unroll
    for (int o = 0; o < OUTPUTS_EACH; o++) {
        // Behind the last output it is taken twice, and written once.
        rows[o] = (const Sixteen*)weights + (size_t)min(first + o, outputs - 1) * vectors;
        for (int t = 0; t < tokens; t++) sums[o][t] = 0.0f;
    }
    constexpr u32 AHEAD_OF_USE = VECTORS_AHEAD(tokens);
    __shared__ Sixteen ahead[AHEAD_OF_USE][OUTPUTS_EACH][THREADS];
    const auto fetch = [&](u32 i, u32 place) {
        if (i < vectors)
#pragma unroll
            for (int o = 0; o < OUTPUTS_EACH; o++) begin_copy(&ahead[place][o][threadIdx.x], rows[o] + i);
        end_group();
    };
#pragma unroll
    for (u32 v = 0; v < AHEAD_OF_USE - 1; v++) fetch(lane + v * WARP, v);
    // Weights are nobody's output.
    await_previous();
    u32 place = 0;
    for (u32 i = lane; i < vectors; i += WARP) {
        fetch(i + (AHEAD_OF_USE - 1) * WARP, (place + AHEAD_OF_USE - 1) % AHEAD_OF_USE);
        await_groups<AHEAD_OF_USE - 1>();
        Sixteen row[OUTPUTS_EACH];
#pragma unroll
        for (int o = 0; o < OUTPUTS_EACH; o++) row[o] = ahead[place][o][threadIdx.x];
        multiply_add_vector<tokens>(sums, row, (const Sixteen*)x, i, vectors);
        place = (place + 1) % AHEAD_OF_USE;
    }
#pragma unroll
    for (int o = 0; o < OUTPUTS_EACH; o++)
#pragma unroll
        for (int t = 0; t < tokens; t++) {
            const float sum = warp_sum(sums[o][t]);
            if (lane == 0 && first + o < outputs)
                out[(size_t)t * outputs + first + o] = rounded(sum + (bias ? number(bias[first + o]) : 0.0f));
        }
}

// Grid: outputs over WARPS * OUTPUTS_EACH. `x [tokens, inputs]`, `weights [outputs, inputs]`, inputs a multiple of SIXTEEN.
#define MULTIPLY(tokens)                                                                                                      \
    extern "C" __global__ void __launch_bounds__(THREADS) multiply_##tokens(                                                  \
        const element* x, const element* weights, const element* bias, element* out, u32 inputs, u32 outputs) {               \
        multiply<tokens>(x, weights, bias, out, inputs, outputs);                                                             \
    }
MULTIPLY(1)
MULTIPLY(2)
MULTIPLY(3)
MULTIPLY(4)
