/* Detection of CPU features: CPUID and XGETBV on x86-64, the auxiliary vector on AArch64. */
#include "cpu.h"

#if defined(__x86_64__)

#include <cpuid.h>

#define BIT(word, n) (((word) >> (n)) & 1u)

/* XCR0: which register states the operating system saves. Only to be asked where CPUID shows OSXSAVE. */
static uint64_t saved_states(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

uint32_t srtp_cpu_features(void)
{
    uint32_t a, b, c, d, features = 0;
    uint64_t states = 0;

    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    const int sse = BIT(c, 9) && BIT(c, 19);
    const int aesni = sse && BIT(c, 25) && BIT(c, 1);
    const int avx = BIT(c, 28);
    if (BIT(c, 27))
        states = saved_states();
    if (aesni)
        features |= SRTP_CPU_AESNI;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return features;
    if (sse && BIT(b, 29))
        features |= SRTP_CPU_SHANI;
    const int vaes = aesni && BIT(c, 9) && BIT(c, 10);
    if (avx && (states & 0x06) == 0x06 && BIT(b, 5)) {
        features |= SRTP_CPU_AVX2;
        if (vaes)
            features |= SRTP_CPU_VAES256;
        if ((states & 0xE6) == 0xE6 && BIT(b, 16) && BIT(b, 30) && BIT(b, 31)) {
            features |= SRTP_CPU_AVX512;
            if (vaes)
                features |= SRTP_CPU_VAES512;
        }
    }
    return features;
}

#elif defined(__aarch64__) && defined(__linux__)

#include <sys/auxv.h>

/* The kernel's HWCAP bits, spelled out since older headers lack some. */
#define HWCAP_BIT_AES (1ul << 3)
#define HWCAP_BIT_PMULL (1ul << 4)
#define HWCAP_BIT_SHA1 (1ul << 5)

uint32_t srtp_cpu_features(void)
{
    const unsigned long needed = HWCAP_BIT_AES | HWCAP_BIT_PMULL | HWCAP_BIT_SHA1;
    return (getauxval(AT_HWCAP) & needed) == needed ? SRTP_CPU_ARMV8 : 0;
}

#else

uint32_t srtp_cpu_features(void)
{
    return 0;
}

#endif
