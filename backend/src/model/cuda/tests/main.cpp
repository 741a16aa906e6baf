// Launches that come on the standard input: which kernel, its grid, its arguments; what they may have written goes back.

#include <string>
#include <tuple>
#include <type_traits>

// Bytes around a buffer that no kernel may write, and that make wrong what is read from them.
static const size_t MARGIN = 4096;
static const unsigned char POISON = 0xff;

static void read_all(void* to, size_t bytes) {
    if (fread(to, 1, bytes, stdin) != bytes) exit(feof(stdin) ? 0 : 1);
}
template <typename T>
static T read_one() {
    T value;
    read_all(&value, sizeof value);
    return value;
}

struct Buffer {
    std::vector<unsigned char> bytes;
    size_t begin = 0, length = 0;
    bool written = false, null = false;
};
static std::vector<std::unique_ptr<Buffer>> buffers;

template <typename T>
struct Read {
    static T next() {
        if constexpr (std::is_pointer_v<T>) {
            auto buffer = std::make_unique<Buffer>();
            const uint64_t length = read_one<uint64_t>(), offset = read_one<uint64_t>();
            buffer->null = length == ~0ull;
            buffer->length = buffer->null ? 0 : length;
            buffer->written = !std::is_const_v<std::remove_pointer_t<T>>;
            buffer->bytes.assign(2 * MARGIN + 256 + buffer->length, POISON);
            // As far from a multiple of 256 as on the device.
            const uintptr_t address = (uintptr_t)buffer->bytes.data() + MARGIN;
            buffer->begin = MARGIN + (256 - address % 256) % 256 + offset % 256;
            if (!buffer->null) read_all(buffer->bytes.data() + buffer->begin, buffer->length);
            buffers.push_back(std::move(buffer));
            Buffer& last = *buffers.back();
            return last.null ? nullptr : (T)(last.bytes.data() + last.begin);
        } else {
            return read_one<T>();
        }
    }
};

static void write_back() {
    for (const auto& buffer : buffers) {
        if (!buffer->written || buffer->null) continue;
        for (size_t i = 0; i < buffer->bytes.size(); i++)
            if ((i < buffer->begin || i >= buffer->begin + buffer->length) && buffer->bytes[i] != POISON) {
                fprintf(stderr, "a kernel writes past the end of its argument\n");
                exit(2);
            }
        fwrite(buffer->bytes.data() + buffer->begin, 1, buffer->length, stdout);
    }
    fflush(stdout);
    buffers.clear();
}

template <typename... Args>
static void launch(void (*kernel)(Args...), unsigned threads) {
    // In the order of the arguments, as braces guarantee.
    std::tuple<Args...> args{Read<Args>::next()...};
    for (unsigned z = 0; z < gridDim.z; z++)
        for (unsigned y = 0; y < gridDim.y; y++)
            for (unsigned x = 0; x < gridDim.x; x++) {
                blockIdx = {x, y, z};
                run_block(threads, [&] { std::apply(kernel, args); });
            }
    write_back();
}

int main() {
    for (;;) {
        std::string name(read_one<uint32_t>(), ' ');
        read_all(name.data(), name.size());
        chance.seed(read_one<uint64_t>());
        gridDim = read_one<Index>();
        const unsigned threads = read_one<uint32_t>();
        if (name == "attend_rows") launch(attend_rows, threads);
        else if (name == "merge_parts") launch(merge_parts, threads);
#if !defined(ELEMENT_F32) && HEAD_DIM % 16 == 0
        else if (name == "attend_tiles") launch(attend_tiles, threads);
#endif
        else if (name == "angles") launch(angles, threads);
        else if (name == "take_apart") launch(take_apart, threads);
        else if (name == "add_norm") launch(add_norm, threads);
        else if (name == "gate") launch(gate, threads);
        else if (name == "multiply_1") launch(multiply_1, threads);
        else if (name == "multiply_2") launch(multiply_2, threads);
        else if (name == "multiply_3") launch(multiply_3, threads);
        else if (name == "multiply_4") launch(multiply_4, threads);
        else if (name == "choose") launch(choose, threads);
        else {
            fprintf(stderr, "there is no kernel %s\n", name.c_str());
            return 2;
        }
    }
}
