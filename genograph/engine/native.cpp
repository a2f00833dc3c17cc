// The fused layer of the delta engine for the CPU, forward and backward.
//
// A plain C interface, so that no header of another library is needed and a build takes seconds.
// Threads share out strains; every sum has one order, whatever their number, except those over
// strains into the wild type, which add up thread by thread.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

// Before a loop over rows that do not overlap. Without it the compiler makes two loops, and which of
// them runs, hence the order of a sum, would depend on where in memory the rows happen to lie.
#ifdef __clang__
#define APART _Pragma("clang loop vectorize(assume_safety)")
#else
#define APART _Pragma("GCC ivdep")
#endif

namespace {

template <class F> void share_out(int64_t n, int64_t n_thread, F work) {
    n_thread = std::max<int64_t>(1, std::min(n_thread, n));
    std::vector<std::thread> others;
    for (int64_t t = 1; t < n_thread; ++t)
        others.emplace_back([=] { work(t, n * t / n_thread, n * (t + 1) / n_thread); });
    work(0, 0, n / n_thread);
    for (auto &other : others) other.join();
}

// 32 bytes of numbers, anywhere in memory
template <class T> struct Wide {
    typedef T type __attribute__((vector_size(32), aligned(sizeof(T)), may_alias));
    static constexpr int size = 32 / sizeof(T);
};

// row += weight * x, of a width that is known when D > 0
template <class T, int D>
inline void add(T *__restrict row, const T *__restrict x, T weight, int64_t d) {
    if constexpr (D > 0) {
        typedef typename Wide<T>::type V;
        V *to = (V *)row;
        const V *from = (const V *)x;
#pragma GCC unroll 16
        for (int k = 0; k < D / Wide<T>::size; ++k) to[k] += weight * from[k];
    } else {
        for (int64_t k = 0; k < d; ++k) row[k] += weight * x[k];
    }
}

// Bring a row nearer before it is needed; rows of the wild type stand far apart.
template <class T, int D> inline void soon(const T *row, int64_t d) {
    for (int64_t k = 0; k < (D ? D : d); k += 64 / int64_t(sizeof(T))) __builtin_prefetch(row + k);
}

} // namespace

// One layer of the delta engine over a batch of strains. Mirrored by native.LayerCall.
struct Layer {
    int64_t n_strain, n_node, d, n_thread;
    double epsilon;
    // the genome: segments of edges of one relation by source, sorted by target
    const int64_t *segment_offsets; // node + 1
    const int32_t *segment_relation;
    const int64_t *segment_start; // segment + 1
    const int32_t *target;
    const float *share;
    const int32_t *kind; // of each node
    const int32_t *slot; // of each relation among the blocks of a sender
    // rows that differ before and after, by strain, then node
    const int64_t *source_offsets, *source_node, *source_base;
    const int64_t *found_offsets, *found_node;
    const void *dose; // of each found row; null: 1
    // numbers
    const void *sent, *change, *pre, *state, *scale, *shift;
    const void *rest; // what is taken off the answer, node by node; null: nothing
    void *out, *normal, *spread; // normal and spread may be null
    // gradients
    const void *d_out;
    void *d_sent, *d_change, *d_pre, *d_state, *d_scale, *d_shift, *d_rest;
};

namespace {

// How many rows ahead one is asked for.
constexpr int64_t AHEAD = 6;

inline double power(double x) { return std::exp(x); }

// e^x to 3e-7, relative, in plain arithmetic that a compiler turns into vectors without a call:
// 2^n times the series of e^r, |r| <= ln 2 / 2. Beyond 87 there is nothing left of SiLU's other half.
inline float power(float x) {
    x = x < -87.0f ? -87.0f : x > 87.0f ? 87.0f : x;
    const float n = __builtin_rintf(x * 1.44269504f);
    const float r = x - n * 0.693147181f;
    float sum = 1.0f / 720;
    sum = sum * r + 1.0f / 120;
    sum = sum * r + 1.0f / 24;
    sum = sum * r + 1.0f / 6;
    sum = sum * r + 0.5f;
    sum = sum * r + 1.0f;
    sum = sum * r + 1.0f;
    const int32_t bits = (int32_t(n) + 127) << 23;
    float two;
    std::memcpy(&two, &bits, 4);
    return sum * two;
}

template <class T, int D> void forward(const Layer &a) {
    share_out(a.n_strain, a.n_thread, [&a](int64_t, int64_t first, int64_t last) {
        const int64_t d = D ? D : a.d;
        const T *sent = (const T *)a.sent, *change = (const T *)a.change;
        const T *pre = (const T *)a.pre, *state = (const T *)a.state;
        const T *scale = (const T *)a.scale, *shift = (const T *)a.shift;
        const T *rest = (const T *)a.rest, *dose = (const T *)a.dose;
        std::vector<int32_t> place(a.n_node, -1);
        std::vector<int32_t> kept;
        std::vector<T> one(d);
        for (int64_t s = first; s < last; ++s) {
            const int64_t from = a.found_offsets[s], n = a.found_offsets[s + 1] - from;
            const int64_t *node = a.found_node + from;
            T *out = (T *)a.out + from * d;
            kept.assign(n, -1);
            for (int64_t i = 0; i < n; ++i) {
                place[node[i]] = int32_t(i);
                if (i + AHEAD < n) soon<T, D>(pre + node[i + AHEAD] * d, d);
                std::memcpy(out + i * d, pre + node[i] * d, sizeof(T) * d);
            }
            for (int64_t i = a.source_offsets[s]; i < a.source_offsets[s + 1]; ++i) {
                const int64_t u = a.source_node[i];
                const T *block = sent + a.source_base[i] * d;
                if (place[u] >= 0) {
                    kept[place[u]] = int32_t(i - a.source_offsets[s]);
                    add<T, D>(out + place[u] * d, block, T(1), d);
                }
                for (int64_t g = a.segment_offsets[u]; g < a.segment_offsets[u + 1]; ++g) {
                    const T *x = block + a.slot[a.segment_relation[g]] * d;
                    for (int64_t e = a.segment_start[g]; e < a.segment_start[g + 1]; ++e) {
                        const int32_t at = place[a.target[e]];
                        if (e + AHEAD < a.segment_start[g + 1]) {
                            const int32_t next = place[a.target[e + AHEAD]];
                            if (next >= 0) soon<T, D>(out + next * d, d);
                        }
                        if (at >= 0) add<T, D>(out + at * d, x, T(a.share[e]), d);
                    }
                }
            }
            for (int64_t i = 0; i < n; ++i) {
                T *row = out + i * d;
                if (i + AHEAD < n) {
                    soon<T, D>(state + node[i + AHEAD] * d, d);
                    if (rest) soon<T, D>(rest + node[i + AHEAD] * d, d);
                }
                T mean = 0, square = 0;
                APART
                for (int64_t k = 0; k < d; ++k) mean += row[k];
                mean /= T(d);
                APART
                for (int64_t k = 0; k < d; ++k) square += (row[k] - mean) * (row[k] - mean);
                const T spread = T(1) / std::sqrt(square / T(d) + T(a.epsilon));
                const T *by = scale + a.kind[node[i]] * d, *to = shift + a.kind[node[i]] * d;
                if (a.normal) {
                    T *normal = (T *)a.normal + (from + i) * d;
                    APART
                    for (int64_t k = 0; k < d; ++k) normal[k] = (row[k] - mean) * spread;
                    ((T *)a.spread)[from + i] = spread;
                }
                const T *old = state + node[i] * d;
                APART
                for (int64_t k = 0; k < d; ++k) {
                    const T z = (row[k] - mean) * spread * by[k] + to[k];
                    row[k] = old[k] + z / (T(1) + power(-z));
                }
                if (kept[i] >= 0) add<T, D>(row, change + (a.source_offsets[s] + kept[i]) * d, T(1), d);
                if (dose && dose[from + i] != T(1)) {
                    APART
                    for (int64_t k = 0; k < d; ++k) row[k] *= dose[from + i];
                }
                if (rest) add<T, D>(row, rest + node[i] * d, T(-1), d);
                place[node[i]] = -1;
            }
        }
    });
}

template <class T, int D> void backward(const Layer &a) {
    const int64_t d = D ? D : a.d;
    int64_t n_thread = std::max<int64_t>(1, std::min(a.n_thread, a.n_strain));
    const int64_t wide = a.n_node * d;
    // what several strains add to: a part a thread
    std::vector<std::vector<T>> parts(n_thread);
    for (int64_t t = 1; t < n_thread; ++t) parts[t].assign((a.rest ? 3 : 2) * wide + 6 * d, T(0));
    share_out(a.n_strain, n_thread, [&](int64_t thread, int64_t first, int64_t last) {
        const T *scale = (const T *)a.scale, *shift = (const T *)a.shift;
        const T *dose = (const T *)a.dose;
        T *part = thread ? parts[thread].data() : nullptr;
        T *d_pre = part ? part : (T *)a.d_pre, *d_state = part ? part + wide : (T *)a.d_state;
        T *d_scale = part ? part + 2 * wide : (T *)a.d_scale;
        T *d_shift = part ? part + 2 * wide + 3 * d : (T *)a.d_shift;
        T *d_rest = part ? part + 2 * wide + 6 * d : (T *)a.d_rest;
        std::vector<int32_t> place(a.n_node, -1);
        std::vector<T> scratch, g(d), up(d);
        for (int64_t s = first; s < last; ++s) {
            const int64_t from = a.found_offsets[s], n = a.found_offsets[s + 1] - from;
            const int64_t *node = a.found_node + from;
            scratch.resize(n * d);
            for (int64_t i = 0; i < n; ++i) {
                const T *normal = (const T *)a.normal + (from + i) * d;
                const T *given = (const T *)a.d_out + (from + i) * d;
                const T spread = ((const T *)a.spread)[from + i];
                const int64_t v = node[i];
                const T *by = scale + a.kind[v] * d, *to = shift + a.kind[v] * d;
                T *by_ = d_scale + a.kind[v] * d, *to_ = d_shift + a.kind[v] * d;
                T *row = scratch.data() + i * d;
                T mean = 0, along = 0;
                place[v] = int32_t(i);
                if (a.rest) add<T, D>(d_rest + v * d, given, T(-1), d);
                const T times = dose ? dose[from + i] : T(1);
                APART
                for (int64_t k = 0; k < d; ++k) up[k] = times * given[k];
                APART
                for (int64_t k = 0; k < d; ++k) {
                    const T z = normal[k] * by[k] + to[k];
                    const T part_ = T(1) / (T(1) + power(-z));
                    g[k] = up[k] * part_ * (T(1) + z * (T(1) - part_));
                }
                APART
                for (int64_t k = 0; k < d; ++k) {
                    to_[k] += g[k];
                    by_[k] += g[k] * normal[k];
                    g[k] *= by[k];
                    mean += g[k];
                    along += g[k] * normal[k];
                }
                mean /= T(d);
                along /= T(d);
                APART
                for (int64_t k = 0; k < d; ++k) row[k] = spread * (g[k] - mean - normal[k] * along);
                add<T, D>(d_pre + v * d, row, T(1), d);
                add<T, D>(d_state + v * d, up.data(), T(1), d);
            }
            for (int64_t i = a.source_offsets[s]; i < a.source_offsets[s + 1]; ++i) {
                const int64_t u = a.source_node[i];
                T *block = (T *)a.d_sent + a.source_base[i] * d;
                T *own = (T *)a.d_change + i * d;
                if (place[u] >= 0) {
                    const T *given = (const T *)a.d_out + (from + place[u]) * d;
                    const T times = dose ? dose[from + place[u]] : T(1);
                    APART
                    for (int64_t k = 0; k < d; ++k) own[k] = times * given[k];
                    std::memcpy(block, scratch.data() + place[u] * d, sizeof(T) * d);
                }
                for (int64_t q = a.segment_offsets[u]; q < a.segment_offsets[u + 1]; ++q) {
                    T *x = block + a.slot[a.segment_relation[q]] * d;
                    if constexpr (D > 0) {
                        // the sum stays in registers
                        typedef typename Wide<T>::type V;
                        constexpr int W = D / Wide<T>::size;
                        V sum[W] = {};
                        for (int64_t e = a.segment_start[q]; e < a.segment_start[q + 1]; ++e) {
                            const int32_t at = place[a.target[e]];
                            if (at < 0) continue;
                            const V *row = (const V *)(scratch.data() + at * D);
                            const T share = T(a.share[e]);
#pragma GCC unroll 16
                            for (int k = 0; k < W; ++k) sum[k] += share * row[k];
                        }
                        std::memcpy(x, sum, sizeof(sum));
                    } else {
                        for (int64_t e = a.segment_start[q]; e < a.segment_start[q + 1]; ++e) {
                            const int32_t at = place[a.target[e]];
                            if (at >= 0)
                                add<T, D>(x, scratch.data() + at * d, T(a.share[e]), d);
                        }
                    }
                }
            }
            for (int64_t i = 0; i < n; ++i) place[node[i]] = -1;
        }
    });
    for (int64_t t = 1; t < n_thread; ++t) {
        const T *part = parts[t].data();
        add<T, 0>((T *)a.d_pre, part, T(1), wide);
        add<T, 0>((T *)a.d_state, part + wide, T(1), wide);
        add<T, 0>((T *)a.d_scale, part + 2 * wide, T(1), 3 * d);
        add<T, 0>((T *)a.d_shift, part + 2 * wide + 3 * d, T(1), 3 * d);
        if (a.rest) add<T, 0>((T *)a.d_rest, part + 2 * wide + 6 * d, T(1), wide);
    }
}

} // namespace

#define BY_WIDTH(f, T, a)                                                                          \
    switch ((a)->d) {                                                                              \
    case 32: f<T, 32>(*(a)); break;                                                                \
    case 64: f<T, 64>(*(a)); break;                                                                \
    default: f<T, 0>(*(a));                                                                        \
    }

extern "C" {

void forward_float(const Layer *a) { BY_WIDTH(forward, float, a) }
void forward_double(const Layer *a) { BY_WIDTH(forward, double, a) }
void backward_float(const Layer *a) { BY_WIDTH(backward, float, a) }
void backward_double(const Layer *a) { BY_WIDTH(backward, double, a) }
}
