/* The core on random packets under random policies: four parties do the same, each its own way, and must agree. */
#include "core_check.h"

#include "../native_random.h"

#define PACKETS 150
#define LONGEST 700
#define ROOM (LONGEST + 160)
#define ROUNDS 60

/* How a party works: by which table, and whether one at a time, in batches beside or in an arena. */
typedef enum { SINGLE_PORTABLE, SINGLE, BATCH, ARENA, PARTIES } party;

typedef struct {
    uint8_t bytes[ROOM];
    size_t length;
    srtp_status status;
} result;

static size_t random_packet(uint8_t *packet, uint32_t ssrc, uint32_t number)
{
    static const size_t LENGTHS[] = {0, 1, 15, 16, 17, 20, 160, 161, 300, LONGEST - 12 - 60 - 40};
    const size_t csrcs = random_below(4) ? 0 : random_below(16), extension = random_below(3) == 0;
    size_t length = 12 + 4 * csrcs;
    fill(packet, LONGEST);
    packet[0] = (uint8_t)(0x80 | extension << 4 | csrcs);
    packet[2] = (uint8_t)(number >> 8);
    packet[3] = (uint8_t)number;
    srtp_store32(packet + 8, ssrc);
    if (extension) {
        const size_t words = random_below(6);
        packet[length] = random_below(4) ? 0xBE : 0x10;
        packet[length + 1] = packet[length] == 0xBE ? 0xDE : 0;
        packet[length + 2] = 0;
        packet[length + 3] = (uint8_t)words;
        length += 4 + 4 * words;
    }
    length += LENGTHS[random_below(sizeof LENGTHS / sizeof LENGTHS[0])];
    return random_below(40) ? length : random_below(length); /* some are cut */
}

static srtp_parameters random_parameters(void)
{
    const core_profile *profile = &CORE_PROFILES[random_below(CORE_PROFILE_COUNT)];
    srtp_parameters p = core_parameters(profile);
    const int aead = profile->cipher == SRTP_AES_GCM, null = profile->cipher == SRTP_NULL_CIPHER;
    if (random_below(2))
        return p;
    p.mki_length = random_below(2) ? 0 : 1 + random_below(8);
    p.key_derivation_rate = random_below(3) ? 0 : 8;
    if (!null && random_below(3) == 0)
        p.cryptex = 1 + (srtp_cryptex_use)random_below(2);
    else if (!null && random_below(2))
        p.shape.header_keys = 1;
    fill(p.encrypted_extensions, sizeof p.encrypted_extensions);
    if (!aead && p.rtp_tag_length > 4 && random_below(3) == 0) {
        p.roc_mode = 1 + (int)random_below(3);
        p.roc_rate = 4;
    } else if (!aead && random_below(6) == 0) {
        p.rtp_tag_length = 0;
    } else if (random_below(4) == 0) {
        p.allow_repeat_tx = 1;
    }
    if (!aead && p.cryptex == SRTP_CRYPTEX_OFF && random_below(5) == 0)
        p.encrypt_rtp = 0;
    p.rtp_window = 64 + (uint32_t)random_below(200);
    return p;
}

static srtp_direction *direction_of(const srtp_kernels *k, const srtp_parameters *parameters, const uint8_t secret[80])
{
    srtp_context *context = srtp_context_new(k, parameters);
    core_add_key(context, secret, secret + 32, secret + 48);
    if (parameters->mki_length > 0)
        core_add_key(context, secret + 16, secret + 40, secret + 60);
    return srtp_direction_new(context);
}

static void run_single(srtp_direction *direction, srtp_operation operation, const buffer *in, result *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        srtp_packet packet = {.in = in[i].bytes, .out = out[i].bytes, .length = in[i].length, .capacity = ROOM};
        out[i].status = operation(direction, &packet);
        out[i].length = packet.out_length;
    }
}

static void run_batch(srtp_direction *direction, srtp_batch_operation operation, const buffer *in, result *out,
                      size_t count)
{
    srtp_packet packets[PACKETS];
    for (size_t i = 0; i < count; i++)
        packets[i] = (srtp_packet){.in = in[i].bytes, .out = out[i].bytes, .length = in[i].length, .capacity = ROOM};
    operation(direction, packets, count);
    for (size_t i = 0; i < count; i++) {
        out[i].status = packets[i].status;
        out[i].length = packets[i].out_length;
    }
}

/* In place, in memory allocated to the byte; a refused packet must stay as it was. */
static void run_arena(srtp_direction *direction, srtp_batch_operation operation, const buffer *in, result *out,
                      size_t count)
{
    int64_t offsets[PACKETS];
    int32_t lengths[PACKETS], capacities[PACKETS];
    int8_t statuses[PACKETS];
    uint8_t *bytes = malloc(count * ROOM);
    for (size_t i = 0; i < count; i++) {
        offsets[i] = (int64_t)(i * ROOM);
        capacities[i] = ROOM;
        lengths[i] = (int32_t)in[i].length;
        if (in[i].length > 0)
            memcpy(bytes + offsets[i], in[i].bytes, in[i].length);
    }
    const srtp_arena arena = {bytes, count * ROOM, offsets, lengths, capacities, statuses};
    srtp_run_arena(direction, operation, &arena, count);
    for (size_t i = 0; i < count; i++) {
        out[i].status = (srtp_status)statuses[i];
        out[i].length = (size_t)lengths[i];
        memcpy(out[i].bytes, bytes + offsets[i], (size_t)lengths[i]);
        if (statuses[i] != SRTP_OK && !same(bytes + offsets[i], in[i].bytes, in[i].length))
            report_difference("arena", "a refused packet", in[i].length, (size_t)statuses[i]);
    }
    free(bytes);
}

static unsigned long received;
static result results[PARTIES][PACKETS];

static void run_party(party who, srtp_direction *direction, int protect, const buffer *in, size_t count)
{
    const srtp_operation one = protect ? srtp_protect : srtp_unprotect;
    const srtp_batch_operation many = protect ? srtp_protect_batch : srtp_unprotect_batch;
    if (who == BATCH)
        run_batch(direction, many, in, results[who], count);
    else if (who == ARENA)
        run_arena(direction, many, in, results[who], count);
    else
        run_single(direction, one, in, results[who], count);
}

static void compare_results(const char *table, const char *what, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (party who = SINGLE; who < PARTIES; who++) {
            const result *found = &results[who][i], *expected = &results[SINGLE_PORTABLE][i];
            if (found->status != expected->status)
                report_difference(table, what, expected->length, (size_t)who);
            else if (found->status == SRTP_OK
                     && (found->length != expected->length || !same(found->bytes, expected->bytes, found->length)))
                report_difference(table, what, expected->length, (size_t)who);
        }
}

/* The counters and the windows of all streams. */
static void compare_states(const char *table, srtp_direction *const directions[PARTIES])
{
    const srtp_direction *expected = directions[SINGLE_PORTABLE];
    for (party who = SINGLE; who < PARTIES; who++) {
        if (memcmp(&directions[who]->rtp, &expected->rtp, sizeof expected->rtp) != 0
            || directions[who]->streams.count != expected->streams.count)
            report_difference(table, "counters", 0, (size_t)who);
        const srtp_stream *stream;
        for (size_t position = 0; (stream = srtp_stream_next(&expected->streams, &position)) != NULL;) {
            const srtp_stream *other = srtp_stream_find(&directions[who]->streams, stream->ssrc);
            const srtp_replay_window *window = &stream->rtp.window;
            if (other == NULL || other->rtp.window.top != window->top
                || memcmp(other->rtp.window.bits, window->bits, window->capacity / 8) != 0
                || memcmp(&other->rtp.counters, &stream->rtp.counters, sizeof(srtp_counters)) != 0)
                report_difference(table, "a stream's state", stream->ssrc, (size_t)who);
        }
    }
}

static int authenticates(const srtp_parameters *p)
{
    return p->rtp_tag_length > 0 && (p->roc_mode == 0 || p->roc_mode == 2);
}

/* What is received: the sent packets mixed up, some twice, some damaged, some cut. */
static size_t receive(buffer in[PACKETS], int damaged[PACKETS], size_t count)
{
    size_t taken = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t near = random_below(3) ? i : (i + random_below(20)) % count;
        const result *sent = &results[SINGLE_PORTABLE][near];
        if (sent->status != SRTP_OK)
            continue;
        damaged[taken] = random_below(4) == 0;
        in[taken] = random_buffer(damaged[taken] && random_below(4) == 0 ? random_below(sent->length) : sent->length);
        if (in[taken].length > 0)
            memcpy(in[taken].bytes, sent->bytes, in[taken].length);
        if (in[taken].length == sent->length && damaged[taken]) {
            const size_t place = random_below(random_below(2) ? 20 : sent->length);
            in[taken].bytes[place % sent->length] ^= (uint8_t)(1u << random_below(8));
        }
        taken++;
    }
    return taken;
}

static void compare_round(const srtp_kernels *k, const srtp_kernels *portable)
{
    uint8_t secret[80];
    int damaged[PACKETS];
    buffer in[PACKETS];
    srtp_direction *senders[PARTIES], *receivers[PARTIES];
    const srtp_parameters parameters = random_parameters();
    uint32_t numbers[3] = {65500, 7, (uint32_t)random_below(65536)};

    fill(secret, sizeof secret);
    for (party who = 0; who < PARTIES; who++) {
        senders[who] = direction_of(who == SINGLE_PORTABLE ? portable : k, &parameters, secret);
        receivers[who] = direction_of(who == SINGLE_PORTABLE ? portable : k, &parameters, secret);
    }
    for (size_t i = 0; i < PACKETS; i++) {
        uint8_t packet[LONGEST];
        const size_t source = random_below(3);
        if (random_below(10))
            numbers[source]++;
        const size_t length = random_packet(packet, 0x1000 + (uint32_t)source, numbers[source]);
        in[i] = random_buffer(length);
        if (length > 0)
            memcpy(in[i].bytes, packet, length);
    }
    for (party who = 0; who < PARTIES; who++)
        run_party(who, senders[who], 1, in, PACKETS);
    compare_results(k->name, "protecting", PACKETS);
    compare_states(k->name, senders);
    for (size_t i = 0; i < PACKETS; i++)
        free(in[i].base);

    const size_t count = receive(in, damaged, PACKETS);
    for (party who = 0; who < PARTIES; who++)
        run_party(who, receivers[who], 0, in, count);
    compare_results(k->name, "unprotecting", count);
    compare_states(k->name, receivers);
    for (size_t i = 0; i < count; i++) {
        received += results[SINGLE][i].status == SRTP_OK;
        if (damaged[i] && authenticates(&parameters) && results[SINGLE][i].status == SRTP_OK)
            report_difference(k->name, "a forged packet was taken", in[i].length, i);
        free(in[i].base);
    }
    for (party who = 0; who < PARTIES; who++) {
        srtp_direction_free(senders[who]);
        srtp_direction_free(receivers[who]);
    }
}

static void compare_rtcp(const srtp_kernels *k, const srtp_kernels *portable)
{
    uint8_t secret[80], packet[LONGEST], one[ROOM], two[ROOM];
    srtp_parameters parameters = random_parameters();
    parameters.encrypt_rtcp = (int)random_below(2);
    fill(secret, sizeof secret);
    srtp_direction *sender = direction_of(k, &parameters, secret), *other = direction_of(portable, &parameters, secret);
    srtp_direction *receiver = direction_of(k, &parameters, secret);
    for (size_t i = 0; i < 40; i++) {
        const size_t words = 1 + random_below(100);
        fill(packet, sizeof packet);
        packet[0] = 0x80;
        packet[1] = 200;
        packet[2] = 0;
        packet[3] = (uint8_t)words;
        srtp_store32(packet + 4, 7);
        srtp_packet a = {.in = packet, .out = one, .length = 4 + 4 * words, .capacity = ROOM}, b = a;
        b.out = two;
        const srtp_status status = srtp_protect_rtcp(sender, &a);
        if (status != srtp_protect_rtcp(other, &b) || a.out_length != b.out_length || !same(one, two, a.out_length))
            report_difference(k->name, "SRTCP", a.length, i);
        buffer protected = random_buffer(a.out_length);
        memcpy(protected.bytes, one, a.out_length);
        const size_t place = random_below(a.out_length);
        protected.bytes[place] ^= 1;
        srtp_packet forged = {.in = protected.bytes, .out = two, .length = a.out_length, .capacity = ROOM};
        if (srtp_unprotect_rtcp(receiver, &forged) == SRTP_OK)
            report_difference(k->name, "a forged SRTCP packet was taken", a.length, place);
        protected.bytes[place] ^= 1;
        forged.out = protected.bytes;
        forged.capacity = protected.length;
        if (srtp_unprotect_rtcp(receiver, &forged) != SRTP_OK || forged.out_length != a.length
            || !same(protected.bytes, packet, a.length))
            report_difference(k->name, "RTCP", a.length, i);
        free(protected.base);
    }
    srtp_direction_free(sender);
    srtp_direction_free(other);
    srtp_direction_free(receiver);
}

unsigned long compare_core(const srtp_kernels *k, const srtp_kernels *portable, uint64_t seed)
{
    random_state = seed;
    received = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        compare_round(k, portable);
        compare_rtcp(k, portable);
    }
    return received;
}
