// A GPU played on the CPU, as far as the kernels need one: thread blocks one after the other, their threads as fibers that
// change places at barriers and shuffles only, in an order that the seed shuffles each time, so that a barrier that is missing shows.

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#define HOST
#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(threads)

using std::max;
using std::min;

struct Index {
    unsigned x, y, z;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
static Index threadIdx, blockIdx, gridDim;

struct Barrier {
    unsigned live = 0, arrived = 0, generation = 0;
};

struct Fiber {
    ucontext_t start;
    jmp_buf at;
    bool begun, done;
    Barrier* waits;
    unsigned generation;
    std::unique_ptr<char[]> stack;
};

static const unsigned LANES_OF_WARP = 32, STACK = 128 << 10;
static std::vector<Fiber> fibers(1024);
static unsigned current;
static jmp_buf scheduler;
static Barrier block_barrier, warp_barriers[32];
static std::mt19937_64 chance;

// What a lane shows the others of its warp.
struct Shown {
    float number;
    unsigned words[6];
    const unsigned short* row;
};
static Shown shown[1024];

inline void arrive(Barrier& barrier) {
    if (++barrier.arrived >= barrier.live) {
        barrier.arrived = 0;
        barrier.generation++;
    }
}

inline void wait(Barrier& barrier) {
    Fiber& me = fibers[current];
    me.waits = &barrier;
    me.generation = barrier.generation;
    arrive(barrier);
    if (!_setjmp(me.at)) _longjmp(scheduler, 1);
}

inline void __syncthreads() { wait(block_barrier); }
inline void sync_warp() { wait(warp_barriers[current / LANES_OF_WARP]); }

// Runs `thread` once for each thread of a block.
template <typename Thread>
void run_block(unsigned threads, Thread thread) {
    static Thread* body;
    body = &thread;
    block_barrier = Barrier{threads, 0, 0};
    for (unsigned warp = 0; warp * LANES_OF_WARP < threads; warp++)
        warp_barriers[warp] = Barrier{min(LANES_OF_WARP, threads - warp * LANES_OF_WARP), 0, 0};
    std::vector<unsigned> order(threads);
    for (unsigned i = 0; i < threads; i++) {
        Fiber& fiber = fibers[i];
        if (!fiber.stack) fiber.stack.reset(new char[STACK]);
        fiber.begun = fiber.done = false;
        fiber.waits = nullptr;
        order[i] = i;
        getcontext(&fiber.start);
        fiber.start.uc_stack = {fiber.stack.get(), 0, STACK};
        fiber.start.uc_link = nullptr;
        void (*enter)() = [] {
            (*body)();
            fibers[current].done = true;
            // Who has left is waited for no more.
            for (Barrier* barrier : {&block_barrier, &warp_barriers[current / LANES_OF_WARP]})
                if (--barrier->live > 0 && barrier->arrived >= barrier->live) {
                    barrier->arrived = 0;
                    barrier->generation++;
                }
            _longjmp(scheduler, 1);
        };
        makecontext(&fiber.start, enter, 0);
    }
    static unsigned left, next;
    static bool moved;
    static std::vector<unsigned>* turns;
    turns = &order;
    left = threads;
    while (left > 0) {
        std::shuffle(turns->begin(), turns->end(), chance);
        moved = false;
        for (next = 0; next < turns->size(); next++) {
            current = (*turns)[next];
            Fiber& fiber = fibers[current];
            if (fiber.done || (fiber.waits && fiber.generation == fiber.waits->generation)) continue;
            moved = true;
            fiber.waits = nullptr;
            threadIdx = {current, 0, 0};
            if (!_setjmp(scheduler)) {
                if (fibers[current].begun) _longjmp(fibers[current].at, 1);
                fibers[current].begun = true;
                setcontext(&fibers[current].start);
            }
            if (fibers[current].done) left--;
        }
        if (!moved) {
            fprintf(stderr, "the threads of a block wait for each other\n");
            exit(2);
        }
    }
}

inline float __shfl_xor_sync(unsigned, float x, unsigned lanes) {
    shown[current].number = x;
    sync_warp();
    const float theirs = shown[current ^ lanes].number;
    sync_warp();
    return theirs;
}

inline float __int_as_float(int x) {
    float y;
    memcpy(&y, &x, 4);
    return y;
}
inline int __float_as_int(float x) {
    int y;
    memcpy(&y, &x, 4);
    return y;
}
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
// Compiled without contraction, these are what they are on a GPU.
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fmul_rn(float x, float y) { return x * y; }

#if defined(ELEMENT_F16)
inline float number(unsigned short x) {
    const int exponent = x >> 10 & 31, fraction = x & 1023, sign = x >> 15;
    const float size = exponent == 31   ? (fraction ? NAN : INFINITY)
                       : exponent == 0 ? ldexpf((float)fraction, -24)
                                       : ldexpf((float)(1024 + fraction), exponent - 25);
    return sign ? -size : size;
}
inline unsigned short rounded(float x) {
    const unsigned short sign = std::signbit(x) ? 0x8000 : 0;
    if (x != x) return 0x7fff;
    const float size = fabsf(x);
    if (size >= 65520.0f) return sign | 0x7c00;
    int exponent = size < 6.103515625e-5f ? -14 : ilogbf(size);
    // Steps of the last digit, to nearest, ties to even: the CPU's default.
    const int steps = (int)nearbyintf(ldexpf(size, 10 - exponent));
    return exponent == -14 && steps < 1024 ? sign | steps : sign | (unsigned short)(((exponent + 15) << 10) + steps - 1024);
}
#endif

#if !defined(ELEMENT_F32)
inline float number(unsigned short);
#endif
