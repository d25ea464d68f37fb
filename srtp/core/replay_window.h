/* The replay list of RFC 3711 3.3.2: a sliding window over packet indexes. */
#ifndef SRTP_REPLAY_WINDOW_H
#define SRTP_REPLAY_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define SRTP_MIN_WINDOW 64
#define SRTP_MAX_WINDOW 32768

#define SRTP_FEW_WORDS 2

/* The window covers [top - size + 1, top]. `bits` is circular: index i has bit i mod capacity, capacity being
 * the power of two from size up. Up to 128 of them lie in `few`, beside the rest of the window, more in the owner's
 * memory, zeroed. A window with `few` cannot be moved, nor copied but by srtp_replay_copy(). */
typedef struct {
    uint64_t top;
    uint64_t *bits;
    uint64_t few[SRTP_FEW_WORDS];
    uint16_t size;
    uint16_t capacity;
    uint8_t started;
} srtp_replay_window;

/* Indexes that a window of `size` has bits for; size is 64 to 32,768. */
uint32_t srtp_replay_capacity(uint32_t size);
/* Words of memory that it needs besides `few`. */
size_t srtp_replay_words(uint32_t size);
/* `memory` is that of srtp_replay_words(). */
void srtp_replay_init(srtp_replay_window *window, uint64_t *memory, uint32_t size);

/* SRTP_OK, SRTP_REPLAYED or SRTP_TOO_OLD; changes nothing. */
static inline srtp_status srtp_replay_check(const srtp_replay_window *window, uint64_t index) {
    if (!window->started || index > window->top) return SRTP_OK;
    if (window->top - index >= window->size) return SRTP_TOO_OLD;
    return window->bits[(index & (window->capacity - 1)) / 64] >> (index & 63) & 1 ? SRTP_REPLAYED : SRTP_OK;
}

/* Moves the top of a window up to an index, or starts it there: what lies between is not used yet. */
void srtp_replay_jump(srtp_replay_window *window, uint64_t index);

/* Records an index that srtp_replay_check() let pass. */
static inline void srtp_replay_commit(srtp_replay_window *window, uint64_t index) {
    if (__builtin_expect(window->started && index == window->top + 1, 1))
        window->top = index;
    else if (!window->started || index > window->top)
        srtp_replay_jump(window, index);
    else if (window->top - index >= window->size)
        return; /* it was not checked: the window has no bit for it */
    window->bits[(index & (window->capacity - 1)) / 64] |= (uint64_t)1 << (index & 63);
}

/* Makes the window one that has not started. */
void srtp_replay_restart(srtp_replay_window *window);
/* Makes `window`, of the same size, one with the same indexes. */
void srtp_replay_copy(srtp_replay_window *window, const srtp_replay_window *other);
/* Has all indexes below `end` used. */
void srtp_replay_use_up(srtp_replay_window *window, uint64_t end);
/* Makes `window`, a new one, one with the indexes of another size: what lies before the other counts as used. */
void srtp_replay_resized(srtp_replay_window *window, const srtp_replay_window *other);

#endif
