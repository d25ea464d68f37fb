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
    if (length >= 2) { /* what is left of a tag of 80 bits */
        uint16_t left2, right2;
        memcpy(&left2, a, 2);
        memcpy(&right2, b, 2);
        difference |= (uint64_t)(left2 ^ right2);
        a += 2, b += 2, length -= 2;
    }
    if (length == 1)
        difference |= (uint64_t)(*a ^ *b);
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
