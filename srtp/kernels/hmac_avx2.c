/* HMAC-SHA1 of many packets by AVX2, eight lanes. */
#include "functions.h"

#ifdef SRTP_X86

#include <immintrin.h>

#define LANES_TARGET __attribute__((target("avx2")))
#define LANES_INLINE static inline __attribute__((always_inline, target("avx2")))
#define ROTATE(x, n) _mm256_or_si256(_mm256_slli_epi32(x, n), _mm256_srli_epi32(x, 32 - (n)))
#define CHOOSE(b, c, d) _mm256_xor_si256(_mm256_and_si256(_mm256_xor_si256(c, d), b), d)
#define PARITY(b, c, d) _mm256_xor_si256(_mm256_xor_si256(b, c), d)
/* b, unless both others differ from it. */
#define MAJORITY(b, c, d) _mm256_xor_si256(_mm256_and_si256(_mm256_xor_si256(b, c), _mm256_xor_si256(b, d)), b)
#include "hmac_eight_lanes.h"

/* Eight lanes take as long as two blocks one at a time in plain C, or four to five by SHA-NI. */
LANES_TARGET void srtp_hmac_sha1_batch_avx2(srtp_hmac_sha1_job *jobs, size_t count)
{
    lanes_batch(jobs, count, 3, 2, hash, outer, srtp_sha1_blocks_portable, srtp_hmac_sha1_batch_portable);
}

LANES_TARGET void srtp_hmac_sha1_batch_avx2_shani(srtp_hmac_sha1_job *jobs, size_t count)
{
    lanes_batch(jobs, count, 7, 4, hash, outer, srtp_sha1_blocks_shani, srtp_hmac_sha1_batch_shani);
}

#endif
