// Matrix times a few vectors, as one to four streams decode: nothing but reading the weights once, as fast as memory gives them.
//
// A warp takes two outputs; its lanes go along the inputs 16 bytes at a time. An output's sum has the same order for any number of tokens.

// Outputs that a warp takes: its loads of the tokens' numbers serve them all.
#define OUTPUTS_EACH 2
#define SIXTEEN (16 / (int)sizeof(element))

struct alignas(16) Sixteen {
    element at[SIXTEEN];
};

template <int tokens>
__device__ inline void multiply(
    const element* x, const element* weights, const element* bias, element* out, u32 inputs, u32 outputs) {
    const u32 lane = threadIdx.x % WARP, first = (blockIdx.x * WARPS + threadIdx.x / WARP) * OUTPUTS_EACH;
    if (first >= outputs) return;
    const u32 vectors = inputs / SIXTEEN;
    const Sixteen* rows[OUTPUTS_EACH];
    float sums[OUTPUTS_EACH][tokens];
    for (int o = 0; o < OUTPUTS_EACH; o++) {
        // Behind the last output it is taken twice, and written once.
        rows[o] = (const Sixteen*)weights + (size_t)min(first + o, outputs - 1) * vectors;
        for (int t = 0; t < tokens; t++) sums[o][t] = 0.0f;
    }
#pragma unroll 4
    for (u32 i = lane; i < vectors; i += WARP) {
        Sixteen row[OUTPUTS_EACH];
#pragma unroll
        for (int o = 0; o < OUTPUTS_EACH; o++) row[o] = rows[o][i];
#pragma unroll
        for (int t = 0; t < tokens; t++) {
            const Sixteen token = ((const Sixteen*)x)[(size_t)t * vectors + i];
#pragma unroll
            for (int o = 0; o < OUTPUTS_EACH; o++)
#pragma unroll
                for (int j = 0; j < SIXTEEN; j++) sums[o][t] += number(row[o].at[j]) * number(token.at[j]);
        }
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
