/* Marking secrets for valgrind's memcheck, as ctgrind does. Programs that include this are linked with
 * --wrap=srtp_equal: whether a tag is right is no secret, all that went into it is. */
#ifndef NATIVE_SECRETS_H
#define NATIVE_SECRETS_H

#include <valgrind/memcheck.h>

#include "kernels/kernels.h"

#define SECRET(object) (void)VALGRIND_MAKE_MEM_UNDEFINED(&(object), sizeof(object))
#define PUBLIC(object) (void)VALGRIND_MAKE_MEM_DEFINED(&(object), sizeof(object))

int __real_srtp_equal(const uint8_t *a, const uint8_t *b, size_t length);
int __wrap_srtp_equal(const uint8_t *a, const uint8_t *b, size_t length);

int __wrap_srtp_equal(const uint8_t *a, const uint8_t *b, size_t length)
{
    int equal = __real_srtp_equal(a, b, length);
    PUBLIC(equal);
    return equal;
}

#endif
