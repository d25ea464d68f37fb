/* Bytes in hexadecimal, "-" for none, as the native programs read them. */
#ifndef NATIVE_WORDS_H
#define NATIVE_WORDS_H

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint8_t *bytes;
    size_t length;
} bytes;

static inline unsigned digit(char c)
{
    static const char DIGITS[] = "0123456789abcdef";
    const char *found = c != '\0' ? strchr(DIGITS, tolower((unsigned char)c)) : NULL;
    if (found == NULL) {
        fprintf(stderr, "not hexadecimal: %c\n", c);
        exit(2);
    }
    return (unsigned)(found - DIGITS);
}

static inline bytes from_hex(const char *word)
{
    bytes b = {NULL, 0};
    if (word == NULL) {
        fprintf(stderr, "a case lacks a word\n");
        exit(2);
    }
    if (strcmp(word, "-") != 0)
        b.length = strlen(word) / 2;
    b.bytes = malloc(b.length > 0 ? b.length : 1);
    for (size_t i = 0; i < b.length; i++)
        b.bytes[i] = (uint8_t)(digit(word[2 * i]) << 4 | digit(word[2 * i + 1]));
    return b;
}

#endif
