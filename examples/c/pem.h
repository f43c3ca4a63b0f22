/* Certificates and keys in files. The library takes them as text. */
#ifndef EXAMPLES_PEM_H
#define EXAMPLES_PEM_H

#include <stdio.h>
#include <stdlib.h>

#include <wsabi.h>

#define LONGEST_PEM 65536

/* Reads a file, as a text. Returns 0, after a sentence about it, if it cannot be read. */
static inline int read_pem(const char *path, char text[LONGEST_PEM])
{
    FILE *file = fopen(path, "rb");
    size_t len;
    int is_read;
    if (file == NULL) {
        perror(path);
        return 0;
    }
    len = fread(text, 1, LONGEST_PEM, file);
    is_read = !ferror(file) && len < LONGEST_PEM;
    if (is_read)
        text[len] = '\0';
    else
        fprintf(stderr, "%s: cannot be read, or is too long\n", path);
    fclose(file);
    return is_read;
}

/* Gives a server the certificate and the private key in two files. Returns 0, after a sentence
 * about it, if they are none. */
static inline int try_identify(wsabi_options options, const char *cert_path, const char *key_path)
{
    char cert[LONGEST_PEM];
    char key[LONGEST_PEM];
    if (!read_pem(cert_path, cert) || !read_pem(key_path, key))
        return 0;
    if (wsabi_options_set_tls_identity(options, cert, WSABI_NUL_TERMINATED, key,
                                       WSABI_NUL_TERMINATED) != WSABI_OK) {
        fprintf(stderr, "%s, %s: %s\n", cert_path, key_path, wsabi_last_error());
        return 0;
    }
    return 1;
}

/* The same, but ends the program if they are none. */
static inline void identify(wsabi_options options, const char *cert_path, const char *key_path)
{
    if (!try_identify(options, cert_path, key_path))
        exit(EXIT_FAILURE);
}

/* Makes a client trust the authorities in a file, and no others. */
static inline void trust(wsabi_options options, const char *ca_path)
{
    char ca[LONGEST_PEM];
    if (!read_pem(ca_path, ca))
        exit(EXIT_FAILURE);
    if (wsabi_options_set_tls_ca(options, ca, WSABI_NUL_TERMINATED) != WSABI_OK) {
        fprintf(stderr, "%s: %s\n", ca_path, wsabi_last_error());
        exit(EXIT_FAILURE);
    }
}

#endif
