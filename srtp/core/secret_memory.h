/* Memory for keys: zeroed, wiped when it is given back, in no core dump and not inherited by a fork, as far as the
 * kernel allows (MADV_DONTDUMP, MADV_WIPEONFORK). */
#ifndef SRTP_SECRET_MEMORY_H
#define SRTP_SECRET_MEMORY_H

#include <stddef.h>

/* On a boundary of 64 bytes; NULL without memory. */
void *srtp_secret_new(size_t size);
/* `size` is what it was made with; NULL is allowed. */
void srtp_secret_free(void *memory, size_t size);

#endif
