/* Which process this is. A child of fork() has all that its parent has, indexes included: were it to go on with a
 * session, both would encrypt under one index. So what belongs to one process remembers its number. */
#ifndef SRTP_PROCESS_H
#define SRTP_PROCESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* From 1 on; one more in each child. */
__attribute__((visibility("hidden"))) extern _Atomic uint32_t srtp_process_count;

/* The number of this process, from now on counted at each fork. */
uint32_t srtp_process_enter(void);

/* Whether `number`, which srtp_process_enter() gave, is of this process. */
static inline bool srtp_process_is(uint32_t number) {
    return __builtin_expect(atomic_load_explicit(&srtp_process_count, memory_order_relaxed) == number, 1);
}

#endif
