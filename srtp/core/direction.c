#include "direction.h"

#include <stdlib.h>

srtp_direction *srtp_direction_new(const srtp_kernels *kernels, const srtp_parameters *parameters,
                                   const uint8_t *master_key, const uint8_t master_salt[SRTP_SALT_LENGTH]) {
    /* The members are aligned for plain stores only; kernels need no alignment of their keys. */
    srtp_direction *direction = calloc(1, sizeof *direction);
    if (direction == NULL) return NULL;
    direction->kernels = kernels;
    direction->parameters = *parameters;
    size_t n = parameters->key_length;
    srtp_derive_session_keys(kernels, &direction->rtp_keys, master_key, n, master_salt, SRTP_LABEL_RTP_ENCRYPTION);
    srtp_derive_session_keys(kernels, &direction->rtcp_keys, master_key, n, master_salt, SRTP_LABEL_RTCP_ENCRYPTION);
    return direction;
}

void srtp_direction_free(srtp_direction *direction) {
    if (direction == NULL) return;
    for (size_t i = 0; i < direction->streams.capacity; i++) srtp_stream_free(direction->streams.slots[i]);
    free(direction->streams.slots);
    srtp_wipe(direction, sizeof *direction);
    free(direction);
}

size_t srtp_rtp_overhead(const srtp_direction *direction) {
    return direction->parameters.mki_length + direction->parameters.rtp_tag_length;
}

size_t srtp_rtcp_overhead(const srtp_direction *direction) {
    return 4 + direction->parameters.mki_length + direction->parameters.rtcp_tag_length;
}
