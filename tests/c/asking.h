/* A server that is asked about each request, and a client of it. */
#ifndef WSABI_TESTS_ASKING_H
#define WSABI_TESTS_ASKING_H

#include "pair.h"

/* A pair whose server asks. `opened` records what happens to the sockets that it accepts. */
typedef struct asking {
    pair pair;
    recorder opened;
} asking;

static inline void asking_init(asking *self, void (*hook)(const wsabi_event *, recorder *))
{
    pair_init(&self->pair);
    recorder_init(&self->opened);
    self->opened.handed_over = 0;
    self->pair.at_server.hook = hook;
    self->pair.at_server.context = self;
    CHECK_OK(wsabi_options_on_event(self->pair.server_options, WSABI_EVENT_REQUEST, record_event));
}

static inline int asking_listen(asking *self)
{
    pair *it = &self->pair;
    it->server = listen_on_loopback(it->runtime, it->server_options, &it->at_server);
    return wsabi_server_port(it->server);
}

/* Starts both, and returns the request. */
static inline wsabi_request asking_begin(asking *self)
{
    pair *it = &self->pair;
    int port = asking_listen(self);
    it->client = connect_to_port(it->runtime, port, it->client_options, &it->at_client);
    return wait_for_event(&it->at_server, WSABI_EVENT_REQUEST, 1).handle;
}

/* A server that may have no client of the pair. */
static inline void asking_free(asking *self)
{
    int handed_over = self->opened.handed_over;
    pair_free(&self->pair);
    wait_for_releases(&self->opened, handed_over);
    recorder_free(&self->opened);
}

static inline int32_t try_to_accept(asking *self, wsabi_request request, const char *subprotocol,
                                    wsabi_socket *socket)
{
    int32_t status;
    pthread_mutex_lock(&self->opened.mutex);
    self->opened.handed_over++;
    pthread_mutex_unlock(&self->opened.mutex);
    status = wsabi_request_accept(request, subprotocol,
                                  subprotocol == NULL ? 0 : WSABI_NUL_TERMINATED, &self->opened,
                                  socket);
    if (status == WSABI_OK)
        return status;
    pthread_mutex_lock(&self->opened.mutex);
    self->opened.handed_over--;
    pthread_mutex_unlock(&self->opened.mutex);
    return status;
}

static inline wsabi_socket accept_request(asking *self, wsabi_request request,
                                          const char *subprotocol)
{
    wsabi_socket socket = 0;
    CHECK_OK(try_to_accept(self, request, subprotocol, &socket));
    CHECK(socket != 0);
    return socket;
}

#endif
