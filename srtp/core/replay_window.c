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
        memset(window->bits, 0, window->capacity / 8);
        window->top = index;
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

void srtp_replay_restart(srtp_replay_window *window) {
    memset(window->bits, 0, window->capacity / 8);
    window->top = 0;
    window->started = 0;
}

void srtp_replay_copy(srtp_replay_window *window, const srtp_replay_window *other) {
    window->started = other->started;
    window->top = other->top;
    memcpy(window->bits, other->bits, window->capacity / 8);
}

static void mark_used(srtp_replay_window *window, uint64_t index) {
    window->bits[(index & (window->capacity - 1)) / 64] |= (uint64_t)1 << (index & 63);
}

void srtp_replay_use_up(srtp_replay_window *window, uint64_t end) {
    if (end == 0) return;
    if (!window->started || end > window->top) {
        window->started = 1;
        window->top = end - 1;
        memset(window->bits, 0xff, window->capacity / 8);
        return;
    }
    uint64_t first = window->top >= window->capacity ? window->top - window->capacity + 1 : 0;
    for (uint64_t i = first; i < end; i++) mark_used(window, i);
}

void srtp_replay_resized(srtp_replay_window *window, const srtp_replay_window *other) {
    window->started = other->started;
    window->top = other->top;
    if (!other->started) return;
    for (uint64_t age = 0; age < window->size && age <= other->top; age++)
        if (srtp_replay_check(other, other->top - age) != SRTP_OK) mark_used(window, other->top - age);
}
