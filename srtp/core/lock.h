/* The lock of a direction. It is held for the few hundred nanoseconds of a packet, or the microseconds of a batch, so
 * a waiter yields instead of sleeping; unheld it costs one atomic exchange and one store. */
#ifndef SRTP_LOCK_H
#define SRTP_LOCK_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct {
    atomic_bool held;
    atomic_ulong owner;         /* the thread that runs Python while it holds the lock; else 0 */
} srtp_lock;

static inline void srtp_lock_init(srtp_lock *lock) {
    atomic_init(&lock->held, false);
    atomic_init(&lock->owner, 0);
}

/* Whether somebody holds it now; if not, all that the last holder did is seen. */
static inline bool srtp_lock_held(const srtp_lock *lock) {
    return atomic_load_explicit(&lock->held, memory_order_acquire);
}

/* Whether the lock was free and is taken now. */
static inline bool srtp_lock_try(srtp_lock *lock) {
    return !atomic_exchange_explicit(&lock->held, true, memory_order_acquire);
}

/* Returns when the lock has been free for a moment. */
static inline void srtp_lock_wait(const srtp_lock *lock) {
    while (srtp_lock_held(lock)) sched_yield();
}

static inline void srtp_lock_acquire(srtp_lock *lock) {
    while (!srtp_lock_try(lock)) srtp_lock_wait(lock);
}

static inline void srtp_lock_release(srtp_lock *lock) {
    atomic_store_explicit(&lock->held, false, memory_order_release);
}

#endif
