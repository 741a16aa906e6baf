// Numbers as the cache and the activations keep them, and sums over a warp and a block. Everything is computed in f32.
//
// Compiled for one model at a time: HEAD_DIM, GROUP (query heads that share a key head), BLOCK_TOKENS and one of ELEMENT_F32,
// ELEMENT_F16 and ELEMENT_BF16 are defined by who compiles. No header is included, so that a machine with the driver and
// the run-time compiler is enough. HOST is defined where a CPU plays the GPU; host.h then stands in for what is a GPU's own.

#define WARP 32
#define ALL_LANES 0xffffffffu
// Threads of a block, in all kernels but those over a vocabulary.
#define THREADS 128
#define WARPS (THREADS / WARP)
#define MINUS_INFINITY (-__int_as_float(0x7f800000))

typedef unsigned int u32;
typedef unsigned short u16;

#if defined(ELEMENT_F32)
typedef float element;
__device__ inline float number(element x) { return x; }
__device__ inline element rounded(float x) { return x; }
#elif defined(ELEMENT_BF16)
typedef u16 element;
__device__ inline float number(element x) { return __int_as_float((int)((u32)x << 16)); }
// To nearest, ties to even.
__device__ inline element rounded(float x) {
    if (x != x) return 0x7fff;
    u32 bits = (u32)__float_as_int(x);
    return (element)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
#elif defined(ELEMENT_F16)
typedef u16 element;
#ifndef HOST
__device__ inline float number(element x) {
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(x));
    return wide;
}
__device__ inline element rounded(float x) {
    element narrow;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(narrow) : "f"(x));
    return narrow;
}
#endif
#endif

// What one thread loads at once: 16 bytes of 16-bit numbers where the head allows it.
#if HEAD_DIM % 8 == 0
#define VECTOR 8
#elif HEAD_DIM % 4 == 0
#define VECTOR 4
#else
#define VECTOR 2
#endif

#define VECTOR_BYTES (VECTOR * sizeof(element))
struct alignas(VECTOR_BYTES < 16 ? VECTOR_BYTES : 16) Vector {
    element at[VECTOR];
};

// Every kernel calls this before it reads what another has written, and before it writes anything. With OVERLAP (GPUs of 2022 and later:
// programmatic dependent launch) a kernel is started while the one before still runs, and what it does until here costs no time of its own.
__device__ inline void await_previous() {
#ifdef OVERLAP
    asm volatile("griddepcontrol.launch_dependents;");
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Numbers that one load of 16 bytes brings.
#define SIXTEEN (16 / (int)sizeof(element))
struct alignas(16) Sixteen {
    u32 words[4];
};

__device__ inline void numbers(const Sixteen& from, float (&to)[SIXTEEN]) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
#if defined(ELEMENT_F32)
        to[i] = __int_as_float((int)from.words[i]);
#elif defined(ELEMENT_BF16)
        to[2 * i] = __int_as_float((int)(from.words[i] << 16));
        to[2 * i + 1] = __int_as_float((int)(from.words[i] & 0xffff0000u));
#else
        to[2 * i] = number((element)(from.words[i] & 0xffffu));
        to[2 * i + 1] = number((element)(from.words[i] >> 16));
#endif
    }
}

// Copies 16 bytes to shared memory in the background, for this thread's own use: what it has begun counts in groups, which end in their order.
__device__ inline void begin_copy(Sixteen* to, const Sixteen* from) {
#ifdef HOST
    *to = *from;
#else
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((u32)__cvta_generic_to_shared(to)), "l"(from) : "memory");
#endif
}
__device__ inline void end_group() {
#ifndef HOST
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// Returns when all groups but the last so many have come.
template <int groups>
__device__ inline void await_groups() {
#ifndef HOST
    asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
#endif
}

__device__ inline float warp_sum(float x) {
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2) x += __shfl_xor_sync(ALL_LANES, x, lanes);
    return x;
}

__device__ inline float warp_max(float x) {
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2) x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, lanes));
    return x;
}

// The sum over a block of so many warps, in every thread, always in the same order.
template <int warps>
__device__ inline float block_sum(float x) {
    __shared__ float parts[warps];
    x = warp_sum(x);
    __syncthreads();
    if (threadIdx.x % WARP == 0) parts[threadIdx.x / WARP] = x;
    __syncthreads();
    float sum = 0.0f;
    for (int warp = 0; warp < warps; warp++) sum += parts[warp];
    return sum;
}

// 2 to the power x of a difference to a maximum: 0 where nothing has been seen on either side.
__device__ inline float power(float x, float max) { return max == MINUS_INFINITY ? 0.0f : exp2f(x - max); }
