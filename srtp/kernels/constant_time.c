/* Comparing and wiping of secrets. */
#include "kernels.h"

#include <string.h>

int srtp_equal(const uint8_t *a, const uint8_t *b, size_t length)
{
    uint64_t difference = 0, left, right;
    for (; length >= 8; a += 8, b += 8, length -= 8) {
        memcpy(&left, a, 8);
        memcpy(&right, b, 8);
        difference |= left ^ right;
    }
    if (length >= 4) {
        uint32_t left4, right4;
        memcpy(&left4, a, 4);
        memcpy(&right4, b, 4);
        difference |= left4 ^ right4;
        a += 4, b += 4, length -= 4;
    }
    for (size_t i = 0; i < length; i++)
        difference |= (uint64_t)(a[i] ^ b[i]);
    /* Hidden from the optimiser, which might otherwise leave the loop at the first difference. */
    __asm__ volatile("" : "+r"(difference));
    return (int)(1 ^ (difference | (0 - difference)) >> 63);
}

void srtp_wipe(void *data, size_t length)
{
    if (length == 0)
        return;
    memset(data, 0, length);
    /* The memory counts as read from here on, so that the memset stays. */
    __asm__ volatile("" : : "r"(data) : "memory");
}
