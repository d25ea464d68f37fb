#include "arena.h"

#include "plan.h"

/* Reads each value once: the arrays are the caller's, and another thread may be writing them. */
static int take(const srtp_arena *arena, size_t i, srtp_packet *packet) {
    int64_t offset = arena->offsets[i];
    int32_t length = arena->lengths[i], capacity = arena->capacities[i];
    if (offset < 0 || length < 0 || capacity < length || (uint64_t)offset > arena->size ||
        (uint64_t)capacity > arena->size - (uint64_t)offset)
        return 0;
    uint8_t *bytes = arena->bytes + offset;
    *packet = (srtp_packet){.in = bytes, .out = bytes, .length = (size_t)length, .capacity = (size_t)capacity};
    return 1;
}

size_t srtp_run_arena(srtp_direction *direction, srtp_batch_operation operation, const srtp_arena *arena,
                      size_t count) {
    srtp_packet packets[SRTP_CHUNK];
    size_t owner[SRTP_CHUNK];
    size_t processed = 0;
    for (size_t next = 0; next < count;) {
        size_t taken = 0;
        for (; next < count && taken < SRTP_CHUNK; next++) {
            if (take(arena, next, &packets[taken]))
                owner[taken++] = next;
            else
                arena->statuses[next] = SRTP_NO_ROOM;
        }
        operation(direction, packets, taken);
        for (size_t i = 0; i < taken; i++) {
            arena->statuses[owner[i]] = (int8_t)packets[i].status;
            if (packets[i].status != SRTP_OK) continue;
            arena->lengths[owner[i]] = (int32_t)packets[i].out_length;
            processed++;
        }
    }
    return processed;
}
