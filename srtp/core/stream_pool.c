#define _DEFAULT_SOURCE /* mmap() and madvise() */
#include "stream_pool.h"

#include <stdint.h>
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
    int huge;
};

struct srtp_stream_piece {
    srtp_stream_piece *next;
};

#if defined(__linux__) && defined(MADV_HUGEPAGE)
/* Straight from the system, since memory that was used before lies on small pages already. Where the system grants no
 * huge page, small ones do as well. */
static void *huge_page(void) {
    char *mapped = mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return NULL;
    size_t before = -(uintptr_t)mapped & (HUGE_PAGE - 1);
    char *page = mapped + before;
    if (before > 0) (void)munmap(mapped, before);
    (void)munmap(page + HUGE_PAGE, HUGE_PAGE - before);
    (void)madvise(page, HUGE_PAGE, MADV_HUGEPAGE);
    return page;
}
static void free_huge_page(void *page) { (void)munmap(page, HUGE_PAGE); }
#else
static void *huge_page(void) { return aligned_alloc(SRTP_CACHE_LINE, HUGE_PAGE); }
static void free_huge_page(void *page) { free(page); }
#endif

static int grow(srtp_stream_pool *pool) {
    int few = pool->pieces < FEW_PIECES;
    size_t pieces = !few ? HUGE_PAGE / PIECE : pool->pieces > 0 ? pool->pieces : 1;
    srtp_stream_block *block = malloc(sizeof *block);
    if (block == NULL) return -1;
    block->huge = !few;
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
        if (block->huge)
            free_huge_page(block->memory);
        else
            free(block->memory);
        free(block);
    }
}
