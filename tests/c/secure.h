/* A pair over ws or wss, whose server shows the certificate of certificate.h. */
#ifndef WSABI_TESTS_SECURE_H
#define WSABI_TESTS_SECURE_H

#include "pair.h"

#include "certificate.h"

/* The server is who the certificate says, and the client trusts that. */
static inline void pair_secure(pair *self)
{
    CHECK_OK(wsabi_options_set_tls_identity(self->server_options, cert_pem, WSABI_NUL_TERMINATED,
                                            key_pem, WSABI_NUL_TERMINATED));
    CHECK_OK(wsabi_options_set_tls_ca(self->client_options, cert_pem, WSABI_NUL_TERMINATED));
}

static inline void pair_listen_over(pair *self, const char *scheme)
{
    char url[64];
    snprintf(url, sizeof url, "%s://127.0.0.1:0/", scheme);
    CHECK_OK(wsabi_server_listen(self->runtime, url, WSABI_NUL_TERMINATED, self->server_options,
                                 &self->at_server, &self->server));
}

/* A client of whoever listens there. */
static inline wsabi_socket pair_dial_port(pair *self, const char *scheme, int port)
{
    char url[64];
    wsabi_socket socket = 0;
    snprintf(url, sizeof url, "%s://127.0.0.1:%d/", scheme, port);
    CHECK_OK(wsabi_socket_connect(self->runtime, url, WSABI_NUL_TERMINATED, self->client_options,
                                  &self->at_client, &socket));
    return socket;
}

/* One more client of the server. */
static inline wsabi_socket pair_dial_over(pair *self, const char *scheme)
{
    return pair_dial_port(self, scheme, wsabi_server_port(self->server));
}

/* As pair_connect does. */
static inline void pair_connect_over(pair *self, const char *scheme)
{
    pair_secure(self);
    pair_listen_over(self, scheme);
    self->client = pair_dial_over(self, scheme);
    wait_for_open(&self->at_client);
    wait_for_open(&self->at_server);
}

#endif
