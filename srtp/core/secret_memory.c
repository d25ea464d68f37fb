#define _DEFAULT_SOURCE /* mmap() and madvise() */
#include "secret_memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "../kernels/kernels.h"
#include "lock.h"
#include "process.h"

/* Memory lies on cache lines, and pieces have whole ones. */
#define STEP ((size_t)64)

static size_t piece_of(size_t size) { return size == 0 ? STEP : (size + STEP - 1) / STEP * STEP; }

#if defined(__SANITIZE_ADDRESS__)
/* By malloc(), which the sanitizer watches. */
void *srtp_secret_new(size_t size) {
    void *memory = aligned_alloc(STEP, piece_of(size));
    return memory == NULL ? NULL : memset(memory, 0, piece_of(size));
}
void srtp_secret_free(void *memory, size_t size) {
    if (memory != NULL) srtp_wipe(memory, size);
    free(memory);
}
#else
/* Slabs of pieces of one size, each on a boundary of its own size, so that a piece tells its slab. */
#define SLAB ((size_t)1 << 16)
#define CLASSES ((size_t)64) /* pieces up to 4,096 bytes; what is larger has pages of its own */

typedef struct slab slab;
typedef struct piece {
    struct piece *next;
} piece;

/* At the slab's beginning, and so wiped in a child of fork(), which by this knows a slab of its parent. */
struct slab {
    slab *next;             /* of those of the class with pieces left */
    slab *previous;
    piece *unused;
    size_t fresh;           /* where the pieces that were never taken begin */
    size_t piece_size;
    uint32_t taken;
    uint32_t process;
};

static struct {
    srtp_lock lock;
    uint32_t process;
    slab *open[CLASSES];    /* slabs with pieces left */
} all;

/* In a child of fork() the lock may be held by a thread that is not there, and the slabs are the parent's. */
static void enter(void) {
    uint32_t process = srtp_process_enter();
    if (__atomic_load_n(&all.process, __ATOMIC_ACQUIRE) != process) {
        static _Atomic uint32_t beginning;
        uint32_t before = atomic_exchange(&beginning, process);
        if (before != process) {
            srtp_lock_init(&all.lock);
            memset(all.open, 0, sizeof all.open);
            __atomic_store_n(&all.process, process, __ATOMIC_RELEASE);
        }
        while (__atomic_load_n(&all.process, __ATOMIC_ACQUIRE) != process) sched_yield();
    }
    srtp_lock_acquire(&all.lock);
}

static void leave(void) { srtp_lock_release(&all.lock); }

static void advise(void *memory, size_t size) {
#ifdef MADV_DONTDUMP
    (void)madvise(memory, size, MADV_DONTDUMP);
#endif
#ifdef MADV_WIPEONFORK
    (void)madvise(memory, size, MADV_WIPEONFORK);
#endif
    (void)memory;
    (void)size;
}

static void *map(size_t size) {
    void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mapped == MAP_FAILED ? NULL : mapped;
}

static void *aligned_slab(void) {
    char *mapped = map(2 * SLAB);
    if (mapped == NULL) return NULL;
    size_t before = -(uintptr_t)mapped & (SLAB - 1);
    if (before > 0) (void)munmap(mapped, before);
    (void)munmap(mapped + before + SLAB, SLAB - before);
    advise(mapped + before, SLAB);
    return mapped + before;
}

static void link_slab(slab *s) {
    slab **head = &all.open[s->piece_size / STEP - 1];
    s->previous = NULL;
    s->next = *head;
    if (s->next != NULL) s->next->previous = s;
    *head = s;
}

static void unlink_slab(slab *s) {
    if (s->next != NULL) s->next->previous = s->previous;
    if (s->previous != NULL)
        s->previous->next = s->next;
    else
        all.open[s->piece_size / STEP - 1] = s->next;
}

static int is_full(const slab *s) { return s->unused == NULL && s->fresh + s->piece_size > SLAB; }

static slab *new_slab(size_t piece_size) {
    slab *s = aligned_slab();
    if (s == NULL) return NULL;
    s->piece_size = piece_size;
    s->fresh = STEP;
    s->process = all.process;
    link_slab(s);
    return s;
}

static void *take(size_t piece_size) {
    slab *s = all.open[piece_size / STEP - 1];
    if (s == NULL && (s = new_slab(piece_size)) == NULL) return NULL;
    void *taken = s->unused;
    if (taken != NULL) {
        s->unused = s->unused->next;
        memset(taken, 0, sizeof(piece));
    } else {
        taken = (char *)s + s->fresh;
        s->fresh += piece_size;
    }
    s->taken++;
    if (is_full(s)) unlink_slab(s);
    return taken;
}

static void give(void *memory) {
    slab *s = (slab *)((uintptr_t)memory & ~(uintptr_t)(SLAB - 1));
    if (s->process != all.process) return; /* the parent's, and wiped with all that was in it */
    if (is_full(s)) link_slab(s);
    ((piece *)memory)->next = s->unused;
    s->unused = memory;
    if (--s->taken > 0 || (s->next == NULL && s->previous == NULL)) return; /* the last one is kept for the next */
    unlink_slab(s);
    (void)munmap(s, SLAB);
}

static size_t whole_pages(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

void *srtp_secret_new(size_t size) {
    size_t piece_size = piece_of(size);
    if (piece_size > CLASSES * STEP) {
        void *pages = size > SIZE_MAX / 2 ? NULL : map(whole_pages(size));
        if (pages != NULL) advise(pages, whole_pages(size));
        return pages;
    }
    enter();
    void *taken = take(piece_size);
    leave();
    return taken;
}

void srtp_secret_free(void *memory, size_t size) {
    if (memory == NULL) return;
    srtp_wipe(memory, size);
    size_t piece_size = piece_of(size);
    if (piece_size > CLASSES * STEP) {
        (void)munmap(memory, whole_pages(size));
        return;
    }
    enter();
    give(memory);
    leave();
}
#endif
