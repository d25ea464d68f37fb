#define _DEFAULT_SOURCE /* madvise() */
#include "stream_pool.h"

#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "stream.h"

#define PIECE ((sizeof(srtp_stream) + SRTP_CACHE_LINE - 1) / SRTP_CACHE_LINE * SRTP_CACHE_LINE)
/* Blocks double the pool until it has so many pieces, and then are huge pages: streams that come in any order cost a
 * walk through the page tables each on small ones. */
#define FEW_PIECES 1024
#define HUGE_PAGE ((size_t)1 << 21)

struct srtp_stream_block {
    srtp_stream_block *next;
    void *memory;
};

struct srtp_stream_piece {
    srtp_stream_piece *next;
};

static void *huge_page(void) {
    void *memory = aligned_alloc(HUGE_PAGE, HUGE_PAGE);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    /* Where the system refuses, small pages do as well. */
    if (memory != NULL) (void)madvise(memory, HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return memory;
}

static int grow(srtp_stream_pool *pool) {
    int few = pool->pieces < FEW_PIECES;
    size_t pieces = !few ? HUGE_PAGE / PIECE : pool->pieces > 0 ? pool->pieces : 1;
    srtp_stream_block *block = malloc(sizeof *block);
    if (block == NULL) return -1;
    block->memory = few ? aligned_alloc(SRTP_CACHE_LINE, pieces * PIECE) : huge_page();
    if (block->memory == NULL) {
        free(block);
        return -1;
    }
    block->next = pool->blocks;
    pool->blocks = block;
    pool->next = block->memory;
    pool->end = pool->next + pieces * PIECE;
    pool->pieces += pieces;
    return 0;
}

void *srtp_stream_pool_take(srtp_stream_pool *pool) {
    srtp_stream_piece *piece = pool->unused;
    if (piece != NULL) {
        pool->unused = piece->next;
        return piece;
    }
    if (pool->next == pool->end && grow(pool) != 0) return NULL;
    void *fresh = pool->next;
    pool->next += PIECE;
    return fresh;
}

void srtp_stream_pool_give(srtp_stream_pool *pool, void *piece) {
    srtp_stream_piece *back = piece;
    back->next = pool->unused;
    pool->unused = back;
}

void srtp_stream_pool_free(srtp_stream_pool *pool) {
    while (pool->blocks != NULL) {
        srtp_stream_block *block = pool->blocks;
        pool->blocks = block->next;
        free(block->memory);
        free(block);
    }
}
