// Attention of single tokens over the cache's blocks: decoding, and every token where the tiles cannot be used.
//
// A row is a token: it sees the positions [first, visible) of its sequence, found through the sequence's table of blocks.
// Positions are cut into parts of PART, always at multiples of it, so that the sums of a row depend on its sequence alone,
// not on the batch or on how the parts are spread over the GPU. A thread block takes one row, some of the query heads that share a
// key head, and one part or several; the parts' results are merged in their order, here or by `merge_parts`.

#define PART 256
#define PART_BLOCKS (PART / BLOCK_TOKENS)

// Query heads that a thread block takes: all that share a key head, or a divisor of them that fits its registers.
#if GROUP <= 8
#define TOGETHER GROUP
#elif GROUP % 8 == 0
#define TOGETHER 8
#elif GROUP % 7 == 0
#define TOGETHER 7
#elif GROUP % 6 == 0
#define TOGETHER 6
#elif GROUP % 5 == 0
#define TOGETHER 5
#elif GROUP % 4 == 0
#define TOGETHER 4
#elif GROUP % 3 == 0
#define TOGETHER 3
#elif GROUP % 2 == 0
#define TOGETHER 2
#else
#define TOGETHER 1
#endif

// Lanes that share a position: a power of two, so that shuffles add up their products.
#define HEAD_VECTORS (HEAD_DIM / VECTOR)
#define LANES (HEAD_VECTORS <= 1 ? 1 : HEAD_VECTORS <= 2 ? 2 : HEAD_VECTORS <= 4 ? 4 : HEAD_VECTORS <= 8 ? 8 : HEAD_VECTORS <= 16 ? 16 : 32)
#define TEAMS (THREADS / LANES)
// Loads that a team has in flight.
#define AHEAD 4

#define LOG2_E 1.4426950408889634f

// A row's result over some of its positions: weights add up to `sum` beside exp2(`max`).
struct Part {
    float max;
    float sum;
};

// How the results of two neighbouring stretches of positions become one.
struct Merge {
    float max;
    float mine;
    float theirs;
    __device__ Merge(float my_max, float their_max) {
        max = fmaxf(my_max, their_max);
        mine = power(my_max, max);
        theirs = power(their_max, max);
    }
};

__device__ inline u32 first_visible(u32 visible, u32 window) { return visible > window ? visible - window : 0; }

// Scores (times log2 e) of one position for each head of the thread block, complete in every lane of the team.
__device__ inline void score(const float (&query)[TOGETHER][VECTOR], const Vector& key, float scale, float cap, float (&out)[TOGETHER]) {
    for (int head = 0; head < TOGETHER; head++) {
        float sum = 0.0f;
        for (int i = 0; i < VECTOR; i++) sum += query[head][i] * number(key.at[i]);
        for (int lanes = LANES / 2; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, lanes);
        sum *= scale;
        if (cap > 0.0f) sum = cap * tanhf(sum / cap);
        out[head] = sum * LOG2_E;
    }
}

// Grid: (rows, key heads * GROUP / TOGETHER, stretches of `parts_each` parts).
// `partial_*` take what is to be merged: [rows, heads, parts, HEAD_DIM] and [rows, heads, parts]; null where one stretch holds all.
extern "C" __global__ void attend_rows(
    const element* queries, const element* keys, const element* values, element* out, const u32* tables, const u32* row_token,
    const u32* row_table, const u32* row_visible, float* partial_out, Part* partial, u32 kv_heads, u32 window, u32 parts,
    u32 parts_each, float scale, float cap) {
    await_previous();
    __shared__ float scores[TOGETHER][PART];
    __shared__ u32 blocks[PART_BLOCKS];
    __shared__ float sums[TEAMS][TOGETHER][LANES * VECTOR];
    __shared__ float reduced[TOGETHER][2];

    const u32 row = blockIdx.x, token = row_token[row], visible = row_visible[row];
    const u32 first = first_visible(visible, window), first_part = first / PART;
    const u32 part_count = (visible + PART - 1) / PART - first_part;
    const u32 begin = blockIdx.z * parts_each;
    if (begin >= part_count) return;
    const u32 end = min(begin + parts_each, part_count);

    const u32 kv_head = blockIdx.y / (GROUP / TOGETHER), head = blockIdx.y * TOGETHER, heads = kv_heads * GROUP;
    const u32 lane = threadIdx.x % LANES, team = threadIdx.x / LANES;
    const bool used = lane < HEAD_VECTORS;
    // Offset of this lane's numbers within the row of a token's keys.
    const size_t width = (size_t)kv_heads * HEAD_DIM, column = (size_t)kv_head * HEAD_DIM + lane * VECTOR;

    float query[TOGETHER][VECTOR];
    for (int h = 0; h < TOGETHER; h++)
        for (int i = 0; i < VECTOR; i++)
            query[h][i] = used ? number(queries[((size_t)token * heads + head + h) * HEAD_DIM + lane * VECTOR + i]) : 0.0f;

    // What this thread adds up in the end: one number of the head for each step of THREADS.
    constexpr int OWN = (TOGETHER * HEAD_DIM + THREADS - 1) / THREADS;
    float total[OWN];
    Part state[OWN];
    for (int i = 0; i < OWN; i++) {
        total[i] = 0.0f;
        state[i] = {MINUS_INFINITY, 0.0f};
    }

    for (u32 number_of_part = begin; number_of_part < end; number_of_part++) {
        const u32 start = (first_part + number_of_part) * PART;
        const u32 from = max(first, start) - start, to = min(visible, start + PART) - start;
        __syncthreads();
        for (u32 i = threadIdx.x; i < PART_BLOCKS && i * BLOCK_TOKENS < to; i += THREADS)
            blocks[i] = (i + 1) * BLOCK_TOKENS > from ? tables[row_table[row] + start / BLOCK_TOKENS + i] : 0;
        __syncthreads();

        // Scores: each team takes every TEAMS-th position. All lanes run the same rounds, since shuffles need them all.
        for (u32 round = from / TEAMS * TEAMS; round < to; round += TEAMS * AHEAD) {
            Vector key[AHEAD];
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                const u32 at = round + i * TEAMS + team;
                key[i] = Vector();
                if (used && at >= from && at < to)
                    key[i] = *(const Vector*)(keys + ((size_t)blocks[at / BLOCK_TOKENS] * BLOCK_TOKENS + at % BLOCK_TOKENS) * width + column);
            }
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                const u32 at = round + i * TEAMS + team;
                float result[TOGETHER];
                score(query, key[i], scale, cap, result);
                if (lane == 0 && at >= from && at < to)
                    for (int h = 0; h < TOGETHER; h++) scores[h][at] = result[h];
            }
        }
        __syncthreads();

        // Weights, a warp for each head in turn.
        for (u32 h = threadIdx.x / WARP; h < TOGETHER; h += WARPS) {
            float largest = MINUS_INFINITY, sum = 0.0f;
            for (u32 at = from + threadIdx.x % WARP; at < to; at += WARP) largest = fmaxf(largest, scores[h][at]);
            largest = warp_max(largest);
            for (u32 at = from + threadIdx.x % WARP; at < to; at += WARP) {
                const float weight = power(scores[h][at], largest);
                scores[h][at] = weight;
                sum += weight;
            }
            sum = warp_sum(sum);
            if (threadIdx.x % WARP == 0) {
                reduced[h][0] = largest;
                reduced[h][1] = sum;
            }
        }
        __syncthreads();

        // Values times weights: each team over its positions, then over the teams.
        float mixed[TOGETHER][VECTOR];
        for (int h = 0; h < TOGETHER; h++)
            for (int i = 0; i < VECTOR; i++) mixed[h][i] = 0.0f;
        for (u32 round = from / TEAMS * TEAMS; round < to; round += TEAMS * AHEAD) {
            Vector value[AHEAD];
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                const u32 at = round + i * TEAMS + team;
                value[i] = Vector();
                if (used && at >= from && at < to)
                    value[i] = *(const Vector*)(values + ((size_t)blocks[at / BLOCK_TOKENS] * BLOCK_TOKENS + at % BLOCK_TOKENS) * width + column);
            }
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                const u32 at = round + i * TEAMS + team;
                if (at < from || at >= to) continue;
                for (int h = 0; h < TOGETHER; h++) {
                    const float weight = scores[h][at];
                    for (int j = 0; j < VECTOR; j++) mixed[h][j] += weight * number(value[i].at[j]);
                }
            }
        }
        for (int h = 0; h < TOGETHER; h++)
            for (int i = 0; i < VECTOR; i++) sums[team][h][lane * VECTOR + i] = mixed[h][i];
        __syncthreads();

        for (int own = 0; own < OWN; own++) {
            const u32 index = own * THREADS + threadIdx.x, h = index / HEAD_DIM, at = index % HEAD_DIM;
            if (h >= TOGETHER) continue;
            float sum = 0.0f;
            for (int from_team = 0; from_team < TEAMS; from_team++) sum += sums[from_team][h][at];
            const Merge merge(state[own].max, reduced[h][0]);
            total[own] = total[own] * merge.mine + sum * merge.theirs;
            state[own] = {merge.max, state[own].sum * merge.mine + reduced[h][1] * merge.theirs};
        }
    }

    for (int own = 0; own < OWN; own++) {
        const u32 index = own * THREADS + threadIdx.x, h = index / HEAD_DIM, at = index % HEAD_DIM;
        if (h >= TOGETHER) continue;
        if (part_count <= parts_each) {
            out[((size_t)token * heads + head + h) * HEAD_DIM + at] = rounded(total[own] / state[own].sum);
            continue;
        }
        const size_t slot = ((size_t)row * heads + head + h) * parts + blockIdx.z;
        partial_out[slot * HEAD_DIM + at] = total[own];
        if (at == 0) partial[slot] = state[own];
    }
}

// Grid: (rows, heads). Merges the parts of rows that have several, one part a stretch.
extern "C" __global__ void merge_parts(
    element* out, const u32* row_token, const u32* row_visible, const float* partial_out, const Part* partial, u32 window, u32 parts) {
    await_previous();
    const u32 row = blockIdx.x, head = blockIdx.y, heads = gridDim.y, visible = row_visible[row];
    const u32 part_count = (visible + PART - 1) / PART - first_visible(visible, window) / PART;
    if (part_count <= 1) return;
    const size_t slot = ((size_t)row * heads + head) * parts;
    for (u32 at = threadIdx.x; at < HEAD_DIM; at += THREADS) {
        float total = 0.0f;
        Part state = {MINUS_INFINITY, 0.0f};
        for (u32 part = 0; part < part_count; part++) {
            const Part next = partial[slot + part];
            const Merge merge(state.max, next.max);
            total = total * merge.mine + partial_out[(slot + part) * HEAD_DIM + at] * merge.theirs;
            state = {merge.max, state.sum * merge.mine + next.sum * merge.theirs};
        }
        out[((size_t)row_token[row] * heads + head) * HEAD_DIM + at] = rounded(total / state.sum);
    }
}
