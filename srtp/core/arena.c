#include "arena.h"

#include "plan.h"

static int lies_within(const srtp_arena *arena, size_t i) {
    int64_t offset = arena->offsets[i];
    int32_t length = arena->lengths[i], capacity = arena->capacities[i];
    return offset >= 0 && length >= 0 && capacity >= length && (uint64_t)offset <= arena->size &&
           (uint64_t)capacity <= arena->size - (uint64_t)offset;
}

size_t srtp_run_arena(srtp_direction *direction, srtp_batch_operation operation, const srtp_arena *arena,
                      size_t count) {
    srtp_packet packets[SRTP_CHUNK];
    size_t owner[SRTP_CHUNK];
    size_t processed = 0;
    for (size_t next = 0; next < count;) {
        size_t taken = 0;
        for (; next < count && taken < SRTP_CHUNK; next++) {
            if (!lies_within(arena, next)) {
                arena->statuses[next] = SRTP_NO_ROOM;
                continue;
            }
            uint8_t *bytes = arena->bytes + arena->offsets[next];
            packets[taken] = (srtp_packet){.in = bytes,
                                           .out = bytes,
                                           .length = (size_t)arena->lengths[next],
                                           .capacity = (size_t)arena->capacities[next]};
            owner[taken++] = next;
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
