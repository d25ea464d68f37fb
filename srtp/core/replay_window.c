#include "replay_window.h"

#include <string.h>

static uint32_t capacity_of(uint32_t size) {
    uint32_t capacity = SRTP_MIN_WINDOW;
    while (capacity < size) capacity *= 2;
    return capacity;
}

size_t srtp_replay_words(uint32_t size) { return capacity_of(size) / 64; }

void srtp_replay_init(srtp_replay_window *window, uint64_t *bits, uint32_t size) {
    window->bits = bits;
    window->size = size;
    window->capacity = capacity_of(size);
    window->top = 0;
    window->started = 0;
}

srtp_status srtp_replay_check(const srtp_replay_window *window, uint64_t index) {
    if (!window->started || index > window->top) return SRTP_OK;
    if (window->top - index >= window->size) return SRTP_TOO_OLD;
    uint64_t bit = index & (window->capacity - 1);
    return (window->bits[bit / 64] >> (bit % 64)) & 1 ? SRTP_REPLAYED : SRTP_OK;
}

void srtp_replay_commit(srtp_replay_window *window, uint64_t index) {
    uint64_t mask = window->capacity - 1;
    if (!window->started) {
        srtp_replay_move(window, index);
    } else if (index > window->top) {
        if (index - window->top >= window->capacity) {
            memset(window->bits, 0, window->capacity / 8);
        } else {
            for (uint64_t i = window->top + 1; i < index; i++)
                window->bits[(i & mask) / 64] &= ~((uint64_t)1 << (i & 63));
        }
        window->top = index;
    }
    window->started = 1;
    window->bits[(index & mask) / 64] |= (uint64_t)1 << (index & 63);
}

void srtp_replay_move(srtp_replay_window *window, uint64_t top) {
    memset(window->bits, 0, window->capacity / 8);
    window->top = top;
}

void srtp_replay_use_up(srtp_replay_window *window, const srtp_replay_window *other, uint64_t gap) {
    window->started = other->started;
    if (!other->started) return;
    window->top = other->top + gap;
    memset(window->bits, 0xff, window->capacity / 8);
}
