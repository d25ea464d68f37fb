/* Memory of streams: pieces of one size out of growing blocks, so that many streams lie on few pages. */
#ifndef SRTP_STREAM_POOL_H
#define SRTP_STREAM_POOL_H

#include <stddef.h>

typedef struct srtp_stream_block srtp_stream_block;
typedef struct srtp_stream_piece srtp_stream_piece;

/* All zero is a pool without memory yet. Pieces that come back are kept for the next streams. */
typedef struct {
    srtp_stream_block *blocks;
    srtp_stream_piece *unused;
    char *next;                 /* of the newest block: the pieces that were never taken */
    char *end;
    size_t pieces;              /* in all blocks */
} srtp_stream_pool;

/* A piece for a stream, on a boundary of cache lines and not zeroed; NULL without memory. */
void *srtp_stream_pool_take(srtp_stream_pool *pool);
/* Takes a piece back. */
void srtp_stream_pool_give(srtp_stream_pool *pool, void *piece);
/* Frees the blocks, and with them all pieces. */
void srtp_stream_pool_free(srtp_stream_pool *pool);

#endif
