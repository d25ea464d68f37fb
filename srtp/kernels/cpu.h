/* What the CPU, and the operating system on it, can run. */
#ifndef SRTP_CPU_H
#define SRTP_CPU_H

#include <stdint.h>

enum {
    SRTP_CPU_AESNI = 1 << 0,     /* AES-NI, PCLMULQDQ, SSSE3, SSE4.1 */
    SRTP_CPU_SHANI = 1 << 1,     /* SHA extensions, with SSSE3 and SSE4.1 */
    SRTP_CPU_AVX2 = 1 << 2,      /* AVX2, registers saved by the system */
    SRTP_CPU_VAES256 = 1 << 3,   /* VAES and VPCLMULQDQ on 256 bits */
    SRTP_CPU_AVX512 = 1 << 4,    /* AVX-512 F, BW, VL, registers saved by the system */
    SRTP_CPU_VAES512 = 1 << 5,   /* VAES and VPCLMULQDQ on 512 bits */
    SRTP_CPU_ARMV8 = 1 << 6,     /* AES, PMULL and SHA-1 instructions of ARMv8 */
};

/* The set of the above that can be used. Asks the CPU each time: callers keep the answer. */
uint32_t srtp_cpu_features(void);

#endif
