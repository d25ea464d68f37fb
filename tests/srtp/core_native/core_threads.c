/* Threads on one session, for ThreadSanitizer: each sends and receives packets of an SSRC of its own, one at a time and
 * in batches, while another changes keys and reads counters, and two fan out to many. All of them hold the direction's
 * lock, as the callers of the core must; with the argument "unlocked" two senders do not, to show that it would be
 * seen. */
#include "core_check.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define SENDERS 4
#define FANS 2
#define RECIPIENTS 6
#define ROUNDS 150
#define BATCH 9
#define LENGTH 60
#define ROOM 100

static srtp_direction *sender, *receiver, *recipients[RECIPIENTS];
static atomic_int running = SENDERS;
static atomic_int failures;

static void fail(const char *what, int detail)
{
    fprintf(stderr, "%s: %d\n", what, detail);
    failures++;
}

static void make(uint8_t *packet, uint32_t ssrc, unsigned number)
{
    memset(packet, (int)number, LENGTH);
    packet[0] = 0x80;
    packet[2] = (uint8_t)(number >> 8);
    packet[3] = (uint8_t)number;
    srtp_store32(packet + 8, ssrc);
}

static void exchange(uint8_t packets[BATCH][ROOM], int batch)
{
    srtp_packet p[BATCH];
    for (size_t i = 0; i < BATCH; i++)
        p[i] = (srtp_packet){.in = packets[i], .out = packets[i], .length = LENGTH, .capacity = ROOM};
    for (int side = 0; side < 2; side++) {
        srtp_direction *direction = side == 0 ? sender : receiver;
        if (batch) {
            srtp_lock_acquire(&direction->lock);
            (side == 0 ? srtp_protect_batch : srtp_unprotect_batch)(direction, p, BATCH);
            srtp_lock_release(&direction->lock);
        }
        for (size_t i = 0; i < BATCH; i++) {
            if (!batch) {
                srtp_lock_acquire(&direction->lock);
                (side == 0 ? srtp_protect : srtp_unprotect)(direction, &p[i]);
                srtp_lock_release(&direction->lock);
            }
            if (p[i].status != SRTP_OK)
                fail(side == 0 ? "protect" : "unprotect", (int)p[i].status);
            p[i].length = p[i].out_length;
        }
    }
}

static void *send(void *argument)
{
    const uint32_t ssrc = *(const uint32_t *)argument;
    uint8_t packets[BATCH][ROOM], expected[LENGTH];
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < BATCH; i++)
            make(packets[i], ssrc, round * BATCH + i);
        exchange(packets, (int)(round % 2));
        for (unsigned i = 0; i < BATCH; i++) {
            make(expected, ssrc, round * BATCH + i);
            if (memcmp(packets[i], expected, LENGTH) != 0)
                fail("another packet", (int)i);
        }
    }
    running--;
    return NULL;
}

/* Adds a key, sends with it and takes the one before away, the receiver always ahead of the sender. */
static void *rekey(void *argument)
{
    static const uint8_t secret[64];
    uint8_t mki = 1;
    (void)argument;
    while (running > 0) {
        const uint8_t next = (uint8_t)(mki + 1);
        srtp_direction *const both[] = {receiver, sender};
        for (int side = 0; side < 2; side++) {
            srtp_lock_acquire(&both[side]->lock);
            srtp_master_key *key = core_add_key(both[side]->any, secret + next % 16, secret + 32, &next);
            if (side == 1)
                srtp_context_switch(both[side]->any, key);
            srtp_lock_release(&both[side]->lock);
        }
        srtp_lock_acquire(&sender->lock);
        srtp_master_key *gone = srtp_context_key(sender->any, &mki);
        if (gone != NULL)
            srtp_context_remove_key(sender->any, gone);
        const uint64_t counted = sender->rtp.processed;
        srtp_lock_release(&sender->lock);
        if (counted > (uint64_t)SENDERS * ROUNDS * BATCH)
            fail("more packets than were sent", (int)counted);
        mki = next;
        if (mki == 250)
            break;
    }
    return NULL;
}

/* The recipients in an order of its own, one of them twice: whoever waits for a lock holds none. */
static void *fan_out(void *argument)
{
    const uint32_t ssrc = *(const uint32_t *)argument;
    srtp_direction *directions[RECIPIENTS + 1];
    srtp_packet p[RECIPIENTS + 1];
    uint8_t packets[RECIPIENTS + 1][ROOM];
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i <= RECIPIENTS; i++) {
            directions[i] = recipients[(ssrc % 2 ? i + round : 2 * RECIPIENTS - i) % RECIPIENTS];
            make(packets[i], ssrc, 2 * round + (i == RECIPIENTS));
            p[i] = (srtp_packet){.in = packets[i], .out = packets[i], .length = LENGTH, .capacity = ROOM};
        }
        for (size_t done = 0; done <= RECIPIENTS;) {
            const size_t locked = srtp_lock_many(directions + done, RECIPIENTS + 1 - done);
            if (locked == 0)
                srtp_lock_wait(&directions[done]->lock);
            srtp_protect_fanout(directions + done, p + done, locked);
            srtp_release_many(directions + done, locked);
            done += locked;
        }
        for (unsigned i = 0; i <= RECIPIENTS; i++)
            if (p[i].status != SRTP_OK)
                fail("fanout", (int)p[i].status);
    }
    return NULL;
}

static void *send_unlocked(void *argument)
{
    uint8_t packet[ROOM];
    for (unsigned i = 0; i < 200; i++) {
        make(packet, *(const uint32_t *)argument, i);
        srtp_packet p = {.in = packet, .out = packet, .length = LENGTH, .capacity = ROOM};
        srtp_protect(sender, &p);
    }
    return NULL;
}

static srtp_direction *direction_of(const srtp_kernels *k)
{
    static const uint8_t secret[64], mki = 1;
    const core_profile profile = {SRTP_AES_CM, 16, 14, 10, 10};
    srtp_parameters parameters = core_parameters(&profile);
    parameters.mki_length = 1;
    srtp_context *context = srtp_context_new(k, &parameters);
    core_add_key(context, secret, secret + 32, &mki);
    return srtp_direction_new(context);
}

static void run_locked(void)
{
    static const uint32_t ssrcs[] = {1, 2, 3, 4, 5, 6};
    pthread_t threads[SENDERS + FANS + 1];
    uint64_t fanned = 0;

    for (int i = 0; i < RECIPIENTS; i++)
        recipients[i] = direction_of(srtp_kernels_select(NULL));
    for (int i = 0; i < SENDERS + FANS; i++)
        pthread_create(&threads[i], NULL, i < SENDERS ? send : fan_out, (void *)&ssrcs[i]);
    pthread_create(&threads[SENDERS + FANS], NULL, rekey, NULL);
    for (int i = 0; i <= SENDERS + FANS; i++)
        pthread_join(threads[i], NULL);
    if (sender->rtp.processed != SENDERS * ROUNDS * BATCH || receiver->rtp.processed != sender->rtp.processed)
        fail("packets that were counted", (int)sender->rtp.processed);
    for (int i = 0; i < RECIPIENTS; i++) {
        fanned += recipients[i]->rtp.processed;
        srtp_direction_free(recipients[i]);
    }
    if (fanned != FANS * ROUNDS * (RECIPIENTS + 1))
        fail("packets that were fanned out", (int)fanned);
}

/* Their streams are there already: nothing but counters and windows is raced for. */
static void run_unlocked(void)
{
    static const uint32_t ssrcs[] = {1, 2};
    pthread_t threads[2];
    send_unlocked((void *)&ssrcs[0]);
    send_unlocked((void *)&ssrcs[1]);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, send_unlocked, (void *)&ssrcs[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    sender = direction_of(srtp_kernels_select(NULL));
    receiver = direction_of(srtp_kernels_select(NULL));
    if (argc > 1 && strcmp(argv[1], "unlocked") == 0)
        run_unlocked();
    else
        run_locked();
    srtp_direction_free(sender);
    srtp_direction_free(receiver);
    return failures > 0;
}
