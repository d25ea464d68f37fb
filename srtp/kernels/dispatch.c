/* The tables of kernels, best first, and the choice among them. */
#include <stdatomic.h>
#include <stdlib.h>

#include "cpu.h"
#include "functions.h"

typedef struct {
    uint32_t needs; /* CPU features, of cpu.h */
    srtp_kernels kernels;
} table;

#define AES(kernel) .aes_expand = srtp_aes_expand_##kernel, .aes_encrypt_block = srtp_aes_encrypt_block_##kernel
#define CTR(kernel) .aes_ctr = srtp_aes_ctr_##kernel, .aes_ctr_batch = srtp_aes_ctr_batch_##kernel
#define SHA1(kernel) .sha1_blocks = srtp_sha1_blocks_##kernel, .hmac_sha1 = srtp_hmac_sha1_##kernel
#define HMAC_BATCH(kernel) .hmac_sha1_batch = srtp_hmac_sha1_batch_##kernel
#define GCM_KEY(kernel) .gcm_expand = srtp_gcm_expand_##kernel
#define GCM(kernel) .gcm_seal = srtp_gcm_seal_##kernel, .gcm_open = srtp_gcm_open_##kernel

static const table TABLES[] = {
#ifdef SRTP_X86
    {SRTP_CPU_VAES512 | SRTP_CPU_SHANI,
     {.name = "vaes512", AES(aesni), CTR(vaes512), SHA1(shani), HMAC_BATCH(avx512_shani), GCM_KEY(aesni),
      GCM(vaes512)}},
    {SRTP_CPU_VAES256 | SRTP_CPU_SHANI,
     {.name = "vaes256", AES(aesni), CTR(vaes256), SHA1(shani), HMAC_BATCH(avx2_shani), GCM_KEY(aesni),
      GCM(vaes256)}},
    {SRTP_CPU_AESNI | SRTP_CPU_SHANI,
     {.name = "aesni-shani", AES(aesni), CTR(aesni), SHA1(shani), HMAC_BATCH(shani), GCM_KEY(aesni), GCM(aesni)}},
    {SRTP_CPU_AESNI | SRTP_CPU_AVX512,
     {.name = "aesni-avx512", AES(aesni), CTR(aesni), SHA1(portable), HMAC_BATCH(avx512), GCM_KEY(aesni), GCM(aesni)}},
    {SRTP_CPU_AESNI | SRTP_CPU_AVX2,
     {.name = "aesni-avx2", AES(aesni), CTR(aesni), SHA1(portable), HMAC_BATCH(avx2), GCM_KEY(aesni), GCM(aesni)}},
    {SRTP_CPU_AESNI,
     {.name = "aesni", AES(aesni), CTR(aesni), SHA1(portable), HMAC_BATCH(portable), GCM_KEY(aesni), GCM(aesni)}},
#endif
#ifdef SRTP_ARM64
    {SRTP_CPU_ARMV8,
     {.name = "armv8", AES(armv8), CTR(armv8), SHA1(armv8), HMAC_BATCH(armv8), GCM_KEY(armv8), GCM(armv8)}},
#endif
    {0,
     {.name = "portable", AES(portable), CTR(portable), SHA1(portable), HMAC_BATCH(portable), GCM_KEY(portable),
      GCM(portable)}},
};
#define TABLE_COUNT (sizeof TABLES / sizeof TABLES[0])

/* The features with a bit added that says that they were asked for; 0 is "not yet". */
#define KNOWN (1u << 31)

static uint32_t features(void)
{
    static _Atomic uint32_t cache;
    uint32_t known = atomic_load_explicit(&cache, memory_order_relaxed);
    if (known == 0) {
        known = srtp_cpu_features() | KNOWN;
        atomic_store_explicit(&cache, known, memory_order_relaxed);
    }
    return known;
}

const srtp_kernels *srtp_kernels_available(size_t i)
{
    for (size_t t = 0; t < TABLE_COUNT; t++)
        if ((TABLES[t].needs & ~features()) == 0 && i-- == 0)
            return &TABLES[t].kernels;
    return NULL;
}

const srtp_kernels *srtp_kernels_select(const char *name)
{
    const srtp_kernels *k;
    if (name == NULL)
        name = getenv("SRTP_KERNELS");
    if (name == NULL || name[0] == '\0')
        return srtp_kernels_available(0);
    for (size_t i = 0; (k = srtp_kernels_available(i)) != NULL; i++)
        if (strcmp(k->name, name) == 0)
            return k;
    return NULL;
}
