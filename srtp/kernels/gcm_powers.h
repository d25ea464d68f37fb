/* The powers of the GHASH key as the kernels with carry-less multiplication want them.
 *
 * They work on blocks with their bytes reversed, as numbers whose lowest bit is x^127: the multiplication of POLYVAL
 * (RFC 8452 appendix A), a b x^-128, which needs no shift. With P = H x in place of H, the products are GHASH's.
 * Stored highest power first, P^16 ... P^1, so that blocks in a row meet their powers in a row. */
#ifndef SRTP_GCM_POWERS_H
#define SRTP_GCM_POWERS_H

#include "functions.h"

/* Modulus x^128 + x^127 + x^126 + x^121 + 1: its high word without x^128. */
#define SRTP_POLYVAL_HIGH 0xC200000000000000u

/* From H (as encrypted, in `h`) to the words of P, low and high. */
SRTP_INLINE void srtp_gcm_first_power(uint64_t power[2], const uint8_t h[16])
{
    const uint64_t high = srtp_load_be64(h), low = srtp_load_be64(h + 8);
    const uint64_t carry = 0 - (high >> 63);
    power[0] = low << 1 ^ (carry & 1);
    power[1] = (high << 1 | low >> 63) ^ (carry & SRTP_POLYVAL_HIGH);
}

/* Where P^n stands. */
SRTP_INLINE const uint8_t *srtp_gcm_power(const srtp_gcm_key *key, size_t n)
{
    return key->powers + 16 * (SRTP_GCM_POWERS - n);
}

#endif
