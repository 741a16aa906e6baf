// Attention of neighbouring tokens of one sequence, chunks of prompts, on tensor cores: 16-bit numbers, heads of a multiple of 16.
//
// A thread block takes one query head of up to TILE_ROWS neighbouring tokens, 16 for each warp, and walks over the positions that they see, TILE_KEYS
// at a time and always from multiples of it, so that a token's sums do not depend on how its prompt was cut. Softmax goes along
// (Milakov and Gimelshein 2018; Dao et al., FlashAttention, 2022). Fragments are laid out as the PTX manual describes for
// mma.m16n8k16: in the result, lane l holds row l / 4 and row l / 4 + 8, columns 2 (l % 4) and the next.

#if !defined(ELEMENT_F32) && HEAD_DIM % 16 == 0

#define TILE_ROWS 64
#define TILE_KEYS (HEAD_DIM <= 128 ? 64 : 32)
// Rows in shared memory are 16 bytes longer than a head, so that eight of them begin in different banks.
#define TILE_WIDTH (HEAD_DIM + 8)
// Queries of wide heads do not fit the registers, and are read again for each tile.
#define KEEP_QUERIES (HEAD_DIM <= 128)

#ifndef HOST
__device__ inline void multiply_add(float (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1) {
#if defined(ELEMENT_BF16)
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
#else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
#endif
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline void load_matrices(u32 (&out)[4], const element* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"((u32)__cvta_generic_to_shared(row)));
}
__device__ inline void load_matrices_turned(u32 (&out)[4], const element* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"((u32)__cvta_generic_to_shared(row)));
}
#endif

__device__ inline u32 pair(float low, float high) { return (u32)rounded(low) | (u32)rounded(high) << 16; }

// Rows 0 and 8 of this lane, columns of the k-th 16 dimensions; rows that are not there are zeros.
__device__ inline void load_query(u32 (&out)[4], const element* queries, const bool (&there)[2], size_t width, int k) {
    const u32 column = k * 16 + threadIdx.x % 4 * 2;
    for (int i = 0; i < 4; i++) {
        const element* at = queries + (i % 2) * 8 * width + column + i / 2 * 8;
        out[i] = there[i % 2] ? *(const u32*)at : 0;
    }
}

// Brings the keys or values of [start, start + TILE_KEYS) to shared memory; zeros from `end` on and before `first`.
__device__ inline void load_tile(
    element (*tile)[TILE_WIDTH], const element* pool, const u32* table, u32 start, u32 first, u32 end, size_t width, u32 column) {
    for (u32 i = threadIdx.x; i < TILE_KEYS * HEAD_DIM / 8; i += THREADS) {
        const u32 key = i / (HEAD_DIM / 8), at = i % (HEAD_DIM / 8) * 8, position = start + key;
        uint4 eight = {0, 0, 0, 0};
        if (position >= first && position < end) {
            const size_t slot = (size_t)table[position / BLOCK_TOKENS] * BLOCK_TOKENS + position % BLOCK_TOKENS;
            eight = *(const uint4*)(pool + slot * width + column + at);
        }
        *(uint4*)&tile[key][at] = eight;
    }
}

// Grid: (tiles, heads). A tile: its first token's row, the number of its tokens, the first one's position, where its table begins.
extern "C" __global__ void __launch_bounds__(THREADS) attend_tiles(
    const element* queries, const element* keys, const element* values, element* out, const u32* tables, const uint4* tiles,
    u32 kv_heads, u32 window, float scale, float cap) {
    await_previous();
    alignas(16) __shared__ element key_tile[TILE_KEYS][TILE_WIDTH];
    alignas(16) __shared__ element value_tile[TILE_KEYS][TILE_WIDTH];

    const uint4 tile = tiles[blockIdx.x];
    const u32 token = tile.x, tokens = tile.y, position = tile.z;
    const u32* table = tables + tile.w;
    const u32 head = blockIdx.y, heads = gridDim.y, lane = threadIdx.x % WARP;
    const size_t kv_width = (size_t)kv_heads * HEAD_DIM, width = (size_t)heads * HEAD_DIM;
    const u32 column = head / GROUP * HEAD_DIM;
    const u32 row = threadIdx.x / WARP * 16 + lane / 4;
    const bool there[2] = {row < tokens, row + 8 < tokens};
    const u32 visible[2] = {position + row + 1, position + row + 9};
    const element* my_queries = queries + (size_t)(token + row) * width + (size_t)head * HEAD_DIM;

    u32 query[KEEP_QUERIES ? HEAD_DIM / 16 : 1][4];
    if (KEEP_QUERIES)
#pragma unroll
        for (int k = 0; k < HEAD_DIM / 16; k++) load_query(query[KEEP_QUERIES ? k : 0], my_queries, there, width, k);
    float sums[HEAD_DIM / 8][4];
#pragma unroll
    for (int i = 0; i < HEAD_DIM / 8; i++)
        for (int j = 0; j < 4; j++) sums[i][j] = 0.0f;
    float largest[2] = {MINUS_INFINITY, MINUS_INFINITY}, total[2] = {0.0f, 0.0f};

    const u32 first = first_visible(position + 1, window), end = position + tokens;
    for (u32 start = first / TILE_KEYS * TILE_KEYS; start < end; start += TILE_KEYS) {
        __syncthreads();
        load_tile(key_tile, keys, table, start, first, end, kv_width, column);
        load_tile(value_tile, values, table, start, first, end, kv_width, column);
        __syncthreads();

        float scores[TILE_KEYS / 8][4];
#pragma unroll
        for (int i = 0; i < TILE_KEYS / 8; i++)
            for (int j = 0; j < 4; j++) scores[i][j] = 0.0f;
#pragma unroll
        for (int k = 0; k < HEAD_DIM / 16; k++) {
            if (!KEEP_QUERIES) load_query(query[0], my_queries, there, width, k);
#pragma unroll
            for (int i = 0; i < TILE_KEYS / 16; i++) {
                u32 matrices[4];
                load_matrices(matrices, &key_tile[i * 16 + lane / 16 * 8 + lane % 8][k * 16 + lane / 8 % 2 * 8]);
                multiply_add(scores[2 * i], query[KEEP_QUERIES ? k : 0], matrices[0], matrices[1]);
                multiply_add(scores[2 * i + 1], query[KEEP_QUERIES ? k : 0], matrices[2], matrices[3]);
            }
        }

        float tile_max[2] = {MINUS_INFINITY, MINUS_INFINITY};
#pragma unroll
        for (int i = 0; i < TILE_KEYS / 8; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const u32 at = start + i * 8 + lane % 4 * 2 + j % 2, sees = visible[j / 2];
                float x = scores[i][j] * scale;
                if (cap > 0.0f) x = cap * tanhf(x / cap);
                scores[i][j] = at < sees && at >= first_visible(sees, window) ? x * LOG2_E : MINUS_INFINITY;
                tile_max[j / 2] = fmaxf(tile_max[j / 2], scores[i][j]);
            }
        float keep[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            // Four lanes share a row.
            tile_max[i] = fmaxf(tile_max[i], __shfl_xor_sync(ALL_LANES, tile_max[i], 1));
            tile_max[i] = fmaxf(tile_max[i], __shfl_xor_sync(ALL_LANES, tile_max[i], 2));
            const float max = fmaxf(largest[i], tile_max[i]);
            keep[i] = power(largest[i], max);
            largest[i] = max;
            total[i] *= keep[i];
        }
#pragma unroll
        for (int i = 0; i < TILE_KEYS / 8; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                scores[i][j] = power(scores[i][j], largest[j / 2]);
                total[j / 2] += scores[i][j];
            }
#pragma unroll
        for (int i = 0; i < HEAD_DIM / 8; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) sums[i][j] *= keep[j / 2];

        // The result of one product is laid out as the next one's left side: weights stay in their lanes.
#pragma unroll
        for (int k = 0; k < TILE_KEYS / 16; k++) {
            const u32 weights[4] = {
                pair(scores[2 * k][0], scores[2 * k][1]), pair(scores[2 * k][2], scores[2 * k][3]),
                pair(scores[2 * k + 1][0], scores[2 * k + 1][1]), pair(scores[2 * k + 1][2], scores[2 * k + 1][3])};
#pragma unroll
            for (int i = 0; i < HEAD_DIM / 16; i++) {
                u32 matrices[4];
                load_matrices_turned(matrices, &value_tile[k * 16 + lane % 16][i * 16 + lane / 16 * 8]);
                multiply_add(sums[2 * i], weights, matrices[0], matrices[1]);
                multiply_add(sums[2 * i + 1], weights, matrices[2], matrices[3]);
            }
        }
    }

#pragma unroll
    for (int i = 0; i < 2; i++) {
        total[i] += __shfl_xor_sync(ALL_LANES, total[i], 1);
        total[i] += __shfl_xor_sync(ALL_LANES, total[i], 2);
        element* to = out + (size_t)(token + row + 8 * i) * width + (size_t)head * HEAD_DIM + lane % 4 * 2;
        if (there[i])
#pragma unroll
            for (int j = 0; j < HEAD_DIM / 8; j++)
                *(u32*)(to + j * 8) = pair(sums[j][2 * i] / total[i], sums[j][2 * i + 1] / total[i]);
    }
}

#endif
