/* Packets that lie in one arena, described by arrays, as recvmmsg and sendmmsg want them. */
#ifndef SRTP_ARENA_H
#define SRTP_ARENA_H

#include "direction.h"

typedef struct {
    uint8_t *bytes;
    size_t size;
    const int64_t *offsets;     /* where packet i begins */
    int32_t *lengths;           /* changed to the new length of each packet that was processed */
    const int32_t *capacities;  /* bytes from the offset on that packet i may take */
    int8_t *statuses;
} srtp_arena;

/* Processes packets 0 to count - 1 in place, in order, and returns how many were. A packet that does not lie within
 * the arena, or not within its capacity, gets SRTP_NO_ROOM. */
size_t srtp_run_arena(srtp_direction *direction, srtp_batch_operation operation, const srtp_arena *arena,
                      size_t count);

#endif
