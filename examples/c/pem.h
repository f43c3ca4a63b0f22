/* Certificates and keys in files. The library takes them as text. */
#ifndef EXAMPLES_PEM_H
#define EXAMPLES_PEM_H

#include <stdio.h>
#include <stdlib.h>

#include <wsabi.h>

#define LONGEST_PEM 65536

/* The text of a file, to be freed. Ends the program if it cannot be read. */
static inline char *read_pem(const char *path)
{
    char *text = malloc(LONGEST_PEM);
    FILE *file = fopen(path, "rb");
    size_t len;
    if (text == NULL || file == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    len = fread(text, 1, LONGEST_PEM, file);
    if (ferror(file) || len == LONGEST_PEM) {
        fprintf(stderr, "%s: cannot be read, or is too long\n", path);
        exit(EXIT_FAILURE);
    }
    text[len] = '\0';
    fclose(file);
    return text;
}

/* Makes a client trust the authorities in a file, and no others. */
static inline void trust(wsabi_options options, const char *ca_path)
{
    char *ca = read_pem(ca_path);
    if (wsabi_options_set_tls_ca(options, ca, WSABI_NUL_TERMINATED) != WSABI_OK) {
        fprintf(stderr, "%s: %s\n", ca_path, wsabi_last_error());
        exit(EXIT_FAILURE);
    }
    free(ca);
}

/* Makes a server the one whose certificate and private key are in two files. */
static inline void identify(wsabi_options options, const char *cert_path, const char *key_path)
{
    char *cert = read_pem(cert_path);
    char *key = read_pem(key_path);
    if (wsabi_options_set_tls_identity(options, cert, WSABI_NUL_TERMINATED, key,
                                       WSABI_NUL_TERMINATED) != WSABI_OK) {
        fprintf(stderr, "%s, %s: %s\n", cert_path, key_path, wsabi_last_error());
        exit(EXIT_FAILURE);
    }
    free(key);
    free(cert);
}

#endif
