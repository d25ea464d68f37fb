#define _DEFAULT_SOURCE /* pthread_atfork() */
#include "process.h"

#include <pthread.h>

_Atomic uint32_t srtp_process_count = 1;

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* In the child, before anything else runs there. */
static void count(void) { atomic_fetch_add_explicit(&srtp_process_count, 1, memory_order_relaxed); }

static void watch(void) { (void)pthread_atfork(NULL, NULL, count); }

uint32_t srtp_process_enter(void) {
    (void)pthread_once(&once, watch);
    return atomic_load_explicit(&srtp_process_count, memory_order_relaxed);
}
