/* How many multiplications with addition a second one thread does in registers, by kind of number.
 *
 *     gcc -O3 -mavx512f -mavx512vnni -mavx512bf16 benches/products.c -o products && ./products
 *
 * Needs a CPU with AVX-512, VNNI and BF16. Twelve sums at once hide what one takes. */
#include <immintrin.h>
#include <stdio.h>
#include <time.h>

#define SUMS 12
#define STEPS 200000
#define TRIES 30

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* `products` are those of one instruction. */
#define MEASURE(instruction, products, vector, zero, a, b)                                        \
    {                                                                                             \
        double best = 1e9;                                                                        \
        for (int try = 0; try < TRIES; try++) {                                                   \
            vector sums[SUMS];                                                                    \
            _Pragma("GCC unroll 12") for (int i = 0; i < SUMS; i++) sums[i] = zero;               \
            double start = seconds();                                                             \
            for (int step = 0; step < STEPS; step++) {                                            \
                _Pragma("GCC unroll 12") for (int i = 0; i < SUMS; i++)                           \
                    __asm__ volatile(instruction " %1, %2, %0" : "+v"(sums[i]) : "v"(a), "v"(b)); \
            }                                                                                     \
            double took = seconds() - start;                                                      \
            if (took < best) best = took;                                                         \
        }                                                                                         \
        printf("%s: %.1f billion a second\n", instruction, 1e-9 * STEPS * SUMS * products / best); \
    }

int main(void) {
    __m512 x = _mm512_set1_ps(1.0f), y = _mm512_set1_ps(0.5f);
    __m512i m = _mm512_set1_epi32(1), n = _mm512_set1_epi32(3);
    MEASURE("vfmadd231ps", 16, __m512, _mm512_setzero_ps(), x, y)
    MEASURE("vdpbf16ps", 32, __m512, _mm512_setzero_ps(), x, y)
    MEASURE("vpdpwssd", 32, __m512i, _mm512_setzero_si512(), m, n)
    MEASURE("vpdpbusd", 64, __m512i, _mm512_setzero_si512(), m, n)
}
