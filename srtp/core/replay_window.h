/* The replay list of RFC 3711 3.3.2: a sliding window over packet indexes. */
#ifndef SRTP_REPLAY_WINDOW_H
#define SRTP_REPLAY_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define SRTP_MIN_WINDOW 64
#define SRTP_MAX_WINDOW 32768

/* The window covers [top - size + 1, top]. `bits` is circular: index i has bit i mod capacity, capacity being
 * the power of two from size up. It is the owner's memory, capacity / 64 words, zeroed. */
typedef struct {
    uint64_t *bits;
    uint64_t top;
    uint32_t size;
    uint32_t capacity;
    int started;
} srtp_replay_window;

/* Words that a window of `size` indexes needs; size is 64 to 32,768. */
size_t srtp_replay_words(uint32_t size);
void srtp_replay_init(srtp_replay_window *window, uint64_t *bits, uint32_t size);
/* SRTP_OK, SRTP_REPLAYED or SRTP_TOO_OLD; changes nothing. */
srtp_status srtp_replay_check(const srtp_replay_window *window, uint64_t index);
/* Records an index that srtp_replay_check() let pass. */
void srtp_replay_commit(srtp_replay_window *window, uint64_t index);
/* Empties the window and moves its top. */
void srtp_replay_move(srtp_replay_window *window, uint64_t top);
/* Makes `window` one in which all is used up to the top of `other` plus `gap`; an empty one if `other` never started. */
void srtp_replay_use_up(srtp_replay_window *window, const srtp_replay_window *other, uint64_t gap);

#endif
