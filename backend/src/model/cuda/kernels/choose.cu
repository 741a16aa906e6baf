// The next tokens, so that only they leave the GPU: the likeliest, or one drawn from the whole distribution.
//
// The same as the sampler on the host, number for number: its `exp`, its weights, its order of tokens. Sums are in double precision but
// go over the vocabulary in other groups, so that a draw differs only where it falls on the border of two tokens to within some 1e-16.

#define CHOOSERS 1024

// e^x for x up to 0: 2^n e^r with the Taylor series of e^r to the seventh power. No multiplication may be fused with an addition here.
__device__ inline float host_exp(float x) {
    const float ROUND = 12582912.0f, high = 355.0f / 512.0f, low = -2.1219444e-4f;
    const float least = fmaxf(x, -87.0f);
    const float shifted = __fadd_rn(__fmul_rn(least, LOG2_E), ROUND), n = __fadd_rn(shifted, -ROUND);
    const float r = __fadd_rn(__fadd_rn(least, -__fmul_rn(n, high)), -__fmul_rn(n, low));
    const float taylor[6] = {1.0f / 5040.0f, 1.0f / 720.0f, 1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f, 0.5f};
    float series = 0.0f;
    for (int i = 0; i < 6; i++) series = __fadd_rn(__fmul_rn(series, r), taylor[i]);
    const float scale = __int_as_float((int)(((u32)__float_as_int(shifted) << 23) + (127u << 23)));
    const float result = __fmul_rn(__fadd_rn(__fadd_rn(__fmul_rn(__fmul_rn(series, r), r), r), 1.0f), scale);
    return x < -87.0f ? 0.0f : result;
}

struct Chosen {
    u32 token;
    // The largest logit: not finite where there is no choice.
    float max;
};

// A row for each thread block: `logits [rows, vocabulary]`. `inverse_temperature[row]` 0: the likeliest, the lowest of equals; else
// the token at `point[row]`, in [0, 1), when all weights are laid end to end.
extern "C" __global__ void choose(
    const float* logits, const float* inverse_temperature, const double* point, Chosen* chosen, u32 vocabulary) {
    await_previous();
    __shared__ float maxima[CHOOSERS];
    __shared__ u32 tokens[CHOOSERS];
    __shared__ double masses[CHOOSERS];
    __shared__ double wanted;
    const float* row = logits + (size_t)blockIdx.x * vocabulary;
    const u32 me = threadIdx.x;

    // A NaN counts as larger than all, so that it comes out.
    float max = MINUS_INFINITY;
    u32 token = 0;
    for (u32 i = me; i < vocabulary; i += CHOOSERS)
        if (row[i] > max || (row[i] != row[i] && max == max)) max = row[i], token = i;
    maxima[me] = max;
    tokens[me] = token;
    __syncthreads();
    for (u32 half = CHOOSERS / 2; half > 0; half /= 2) {
        if (me < half) {
            const float mine = maxima[me], theirs = maxima[me + half];
            const bool larger = mine == mine && (theirs != theirs || theirs > mine || (theirs == mine && tokens[me + half] < tokens[me]));
            if (larger) maxima[me] = theirs, tokens[me] = tokens[me + half];
        }
        __syncthreads();
    }
    max = maxima[0];
    const float inverse = inverse_temperature[blockIdx.x];
    const bool finite = max - max == 0.0f;
    if (inverse == 0.0f || !finite) {
        if (me == 0) chosen[blockIdx.x] = {tokens[0], max};
        return;
    }

    // Neighbouring tokens for each thread, so that the mass before a token is that of the threads before and a few of its own.
    const u32 each = (vocabulary + CHOOSERS - 1) / CHOOSERS, begin = min(me * each, vocabulary), end = min(begin + each, vocabulary);
    double mass = 0.0;
    for (u32 i = begin; i < end; i++) mass += (double)host_exp(__fmul_rn(__fadd_rn(row[i], -max), inverse));
    masses[me] = mass;
    __syncthreads();
    if (me == 0) {
        double passed = 0.0;
        for (u32 i = 0; i < CHOOSERS; i++) {
            const double own = masses[i];
            masses[i] = passed;
            passed += own;
        }
        wanted = point[blockIdx.x] * passed;
        chosen[blockIdx.x] = {tokens[0], max};
    }
    __syncthreads();
    double passed = masses[me];
    if (mass == 0.0 || passed > wanted || passed + mass <= wanted) return;
    // Rounding may let no token pass: then it is the last of these that has any weight.
    u32 last = begin;
    for (u32 i = begin; i < end; i++) {
        const float weight = host_exp(__fmul_rn(__fadd_rn(row[i], -max), inverse));
        if (weight > 0.0f) last = i;
        passed += (double)weight;
        if (passed > wanted) break;
    }
    chosen[blockIdx.x] = {last, max};
}
