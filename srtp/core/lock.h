/* The lock of a direction. It is held for the few hundred nanoseconds of a packet, or the microseconds of a batch, so
 * a waiter yields instead of sleeping; unheld it costs one atomic exchange and one store. */
#ifndef SRTP_LOCK_H
#define SRTP_LOCK_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct {
    atomic_flag held;
} srtp_lock;

static inline void srtp_lock_init(srtp_lock *lock) { atomic_flag_clear(&lock->held); }

/* Whether the lock was free and is taken now. */
static inline bool srtp_lock_try(srtp_lock *lock) {
    return !atomic_flag_test_and_set_explicit(&lock->held, memory_order_acquire);
}

static inline void srtp_lock_acquire(srtp_lock *lock) {
    while (!srtp_lock_try(lock)) sched_yield();
}

static inline void srtp_lock_release(srtp_lock *lock) {
    atomic_flag_clear_explicit(&lock->held, memory_order_release);
}

#endif
