// Warp-wide matrix instructions played on the CPU, from the layouts of fragments in the PTX manual (mma.m16n8k16, ldmatrix).

#if !defined(ELEMENT_F32)
// Element `column` of row `row` of the left side, 16 x 16.
inline float left_of(unsigned warp, unsigned row, unsigned column) {
    const unsigned lane = row % 8 * 4 + column % 8 / 2, word = row / 8 + column / 8 * 2;
    return number((unsigned short)(shown[warp + lane].words[word] >> (column % 2 * 16)));
}

// Element of the right side, 16 x 8.
inline float right_of(unsigned warp, unsigned row, unsigned column) {
    const unsigned lane = column * 4 + row % 8 / 2, word = 4 + row / 8;
    return number((unsigned short)(shown[warp + lane].words[word] >> (row % 2 * 16)));
}

inline void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    const unsigned words[6] = {a[0], a[1], a[2], a[3], b0, b1};
    memcpy(shown[current].words, words, sizeof words);
    sync_warp();
    const unsigned lane = current % LANES_OF_WARP, warp = current - lane;
    for (unsigned i = 0; i < 4; i++) {
        const unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (unsigned k = 0; k < 16; k++) sum[i] += left_of(warp, row, k) * right_of(warp, k, column);
    }
    sync_warp();
}

// Four matrices of 8 x 8; lane l brings row l % 8 of matrix l / 8.
inline void load_matrices_any(unsigned (&out)[4], const unsigned short* row, bool turned) {
    if ((uintptr_t)row % 16 != 0) {
        fprintf(stderr, "a row of a matrix does not begin at a multiple of 16 bytes\n");
        exit(2);
    }
    shown[current].row = row;
    sync_warp();
    const unsigned lane = current % LANES_OF_WARP, warp = current - lane;
    for (unsigned i = 0; i < 4; i++)
        for (unsigned half = 0; half < 2; half++) {
            const unsigned long_way = lane / 4, short_way = lane % 4 * 2 + half;
            const unsigned r = turned ? short_way : long_way, c = turned ? long_way : short_way;
            const unsigned value = shown[warp + i * 8 + r].row[c];
            out[i] = half ? out[i] | value << 16 : value;
        }
    sync_warp();
}
inline void load_matrices(unsigned (&out)[4], const unsigned short* row) { load_matrices_any(out, row, false); }
inline void load_matrices_turned(unsigned (&out)[4], const unsigned short* row) { load_matrices_any(out, row, true); }
#endif
