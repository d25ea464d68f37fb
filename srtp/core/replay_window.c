#include "replay_window.h"

#include <string.h>

uint32_t srtp_replay_capacity(uint32_t size) {
    uint32_t capacity = SRTP_MIN_WINDOW;
    while (capacity < size) capacity *= 2;
    return capacity;
}

size_t srtp_replay_words(uint32_t size) {
    size_t words = srtp_replay_capacity(size) / 64;
    return words <= SRTP_FEW_WORDS ? 0 : words;
}

void srtp_replay_init(srtp_replay_window *window, uint64_t *memory, uint32_t size) {
    memset(window, 0, sizeof *window);
    window->bits = srtp_replay_words(size) == 0 ? window->few : memory;
    window->size = (uint16_t)size;
    window->capacity = (uint16_t)srtp_replay_capacity(size);
}

void srtp_replay_jump(srtp_replay_window *window, uint64_t index) {
    uint64_t mask = window->capacity - 1;
    if (!window->started) {
        srtp_replay_move(window, index);
        window->started = 1;
        return;
    }
    if (index - window->top >= window->capacity) {
        memset(window->bits, 0, window->capacity / 8);
    } else {
        for (uint64_t i = window->top + 1; i < index; i++)
            window->bits[(i & mask) / 64] &= ~((uint64_t)1 << (i & 63));
    }
    window->top = index;
}

void srtp_replay_move(srtp_replay_window *window, uint64_t top) {
    memset(window->bits, 0, window->capacity / 8);
    window->top = top;
}

void srtp_replay_copy(srtp_replay_window *window, const srtp_replay_window *other) {
    window->started = other->started;
    window->top = other->top;
    memcpy(window->bits, other->bits, window->capacity / 8);
}

void srtp_replay_use_up(srtp_replay_window *window, const srtp_replay_window *other, uint64_t gap) {
    window->started = other->started;
    if (!other->started) return;
    window->top = other->top + gap;
    memset(window->bits, 0xff, window->capacity / 8);
}
