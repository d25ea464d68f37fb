/* HMAC-SHA1 of a few packets by AVX-512 on 256 bits, eight lanes: for batches that would leave most of sixteen lanes
 * idle. The rotations and three-input functions of AVX-512 make it faster than AVX2. */
#include "functions.h"

#ifdef SRTP_X86

#include <immintrin.h>

#define LANES_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx2")))
#define LANES_INLINE static inline __attribute__((always_inline, target("avx512f,avx512bw,avx512vl,avx2")))
#define ROTATE(x, n) _mm256_rol_epi32(x, n)
/* By the truth tables of the three functions. */
#define CHOOSE(b, c, d) _mm256_ternarylogic_epi32(b, c, d, 0xCA)
#define PARITY(b, c, d) _mm256_ternarylogic_epi32(b, c, d, 0x96)
#define MAJORITY(b, c, d) _mm256_ternarylogic_epi32(b, c, d, 0xE8)
#include "hmac_eight_lanes.h"

/* Eight lanes take as long as three blocks one at a time by SHA-NI, or one in plain C. */
LANES_TARGET void srtp_hmac_sha1_batch_avx512_x8_shani(srtp_hmac_sha1_job *jobs, size_t count)
{
    lanes_batch(jobs, count, 4, 3, hash, outer, srtp_sha1_blocks_shani, srtp_hmac_sha1_batch_shani);
}

LANES_TARGET void srtp_hmac_sha1_batch_avx512_x8(srtp_hmac_sha1_job *jobs, size_t count)
{
    lanes_batch(jobs, count, 2, 1, hash, outer, srtp_sha1_blocks_portable, srtp_hmac_sha1_batch_portable);
}

#endif
