#ifndef KERNEL_CHECK_H
#define KERNEL_CHECK_H

#include "kernels/kernels.h"

/* Counts a difference and says it on standard error. */
void report_difference(const char *table, const char *what, size_t length, size_t detail);

/* Compares all functions of a table with those of another on random keys, lengths and addresses. */
void compare_random(const srtp_kernels *k, const srtp_kernels *other, uint64_t seed);

#endif
