/* SHA-1 in base64, for the accept key of the opening handshake (RFC 6455 section 4.2.2). */
#ifndef WSABI_TESTS_SHA1_H
#define WSABI_TESTS_SHA1_H

#include <stdint.h>
#include <string.h>

#define SHA1_BASE64_SIZE 29 /* 28 characters and a NUL */

static inline uint32_t sha1_rotate(uint32_t word, int bits)
{
    return word << bits | word >> (32 - bits);
}

/* FIPS 180-4, section 6.1.2. */
static inline void sha1_block(uint32_t state[5], const uint8_t block[64])
{
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    int t;
    for (t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
               (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    for (t = 16; t < 80; t++)
        w[t] = sha1_rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    for (t = 0; t < 80; t++) {
        uint32_t f, k, next;
        if (t < 20) {
            f = (b & c) | (~b & d);
            k = 0x5A827999;
        } else if (t < 40) {
            f = b ^ c ^ d;
            k = 0x6ED9EBA1;
        } else if (t < 60) {
            f = (b & c) | (b & d) | (c & d);
            k = 0x8F1BBCDC;
        } else {
            f = b ^ c ^ d;
            k = 0xCA62C1D6;
        }
        next = sha1_rotate(a, 5) + f + e + k + w[t];
        e = d;
        d = c;
        c = sha1_rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

/* The digest of at most 119 bytes, which fit into two blocks with their padding. */
static inline void sha1_base64(const char *text, size_t len, char out[SHA1_BASE64_SIZE])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    uint8_t blocks[128], digest[21];
    size_t i, end = len < 56 ? 64 : 128;
    memset(blocks, 0, sizeof blocks);
    memcpy(blocks, text, len);
    blocks[len] = 0x80;
    blocks[end - 2] = (uint8_t)(len * 8 >> 8);
    blocks[end - 1] = (uint8_t)(len * 8);
    for (i = 0; i < end; i += 64)
        sha1_block(state, blocks + i);
    for (i = 0; i < 20; i++)
        digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
    digest[20] = 0;
    for (i = 0; i < 7; i++) {
        uint32_t three = (uint32_t)digest[3 * i] << 16 | (uint32_t)digest[3 * i + 1] << 8 |
                         digest[3 * i + 2];
        out[4 * i] = digits[three >> 18];
        out[4 * i + 1] = digits[three >> 12 & 63];
        out[4 * i + 2] = digits[three >> 6 & 63];
        out[4 * i + 3] = digits[three & 63];
    }
    out[27] = '=';
    out[28] = 0;
}

#endif
