/* A peer made by hand from a loopback TCP socket, for what no well-behaved library does: dying in
 * the middle of a frame, saying nothing, looking at single frames. Every wait has a deadline. */
#ifndef WSABI_TESTS_RAW_PEER_H
#define WSABI_TESTS_RAW_PEER_H

#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "sha1.h"

#define RAW_CONTINUATION 0x0
#define RAW_TEXT 0x1
#define RAW_BINARY 0x2
#define RAW_CLOSE 0x8
#define RAW_PING 0x9
#define RAW_PONG 0xA
#define RAW_FIN 0x80

typedef struct raw_frame {
    int opcode;
    int fin;
    int masked;
    size_t len;
    uint8_t payload[70000]; /* unmasked, and followed by a NUL */
} raw_frame;

static inline struct sockaddr_in raw_address(int port)
{
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* Listens on a free port. */
static inline int raw_listen(int *port_out)
{
    struct sockaddr_in address = raw_address(0);
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(fd, 64) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    *port_out = ntohs(address.sin_port);
    return fd;
}

static inline int raw_connect(int port)
{
    struct sockaddr_in address = raw_address(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

static inline void raw_wait_readable(int fd)
{
    struct pollfd poller;
    int ready;
    poller.fd = fd;
    poller.events = POLLIN;
    do
        ready = poll(&poller, 1, DEADLINE_MS * slowness());
    while (ready < 0 && errno == EINTR);
    CHECK(ready == 1 && "the other side acts in time");
}

static inline int raw_accept(int listener)
{
    int fd;
    raw_wait_readable(listener);
    fd = accept(listener, NULL, NULL);
    CHECK(fd >= 0);
    return fd;
}

/* Whether nobody has connected so far. */
static inline int raw_nobody_waits(int listener)
{
    struct pollfd poller;
    poller.fd = listener;
    poller.events = POLLIN;
    return poll(&poller, 1, 0) == 0;
}

/* Sends all of it; returns 0 when the other side has gone. */
static inline int raw_send(int fd, const void *data, size_t len)
{
    const char *rest = (const char *)data;
    while (len > 0) {
        ssize_t sent = send(fd, rest, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return 0;
        rest += sent;
        len -= (size_t)sent;
    }
    return 1;
}

static inline int raw_send_text(int fd, const char *text)
{
    return raw_send(fd, text, strlen(text));
}

/* Receives at most `len` bytes; 0 when the other side has ended or reset the connection. */
static inline size_t raw_receive(int fd, void *data, size_t len)
{
    ssize_t received;
    raw_wait_readable(fd);
    do
        received = recv(fd, data, len, 0);
    while (received < 0 && errno == EINTR);
    return received < 0 ? 0 : (size_t)received;
}

/* Receives exactly `len` bytes; returns 0 when the connection ends before. */
static inline int raw_receive_all(int fd, void *data, size_t len)
{
    char *rest = (char *)data;
    while (len > 0) {
        size_t received = raw_receive(fd, rest, len);
        if (received == 0)
            return 0;
        rest += received;
        len -= received;
    }
    return 1;
}

/* Waits for the end of the connection, throwing away what comes before it. */
static inline void raw_wait_for_end(int fd)
{
    char scrap[4096];
    while (raw_receive(fd, scrap, sizeof scrap) > 0)
        continue;
}

/* Ends the connection with a reset instead of an orderly end. */
static inline void raw_reset(int fd)
{
    struct linger linger;
    linger.l_onoff = 1;
    linger.l_linger = 0;
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    close(fd);
}

/* Receives an HTTP head up to and including its empty line, as a string. */
static inline void raw_receive_head(int fd, char *head, size_t cap)
{
    size_t len = 0;
    head[0] = 0;
    while (strstr(head, "\r\n\r\n") == NULL) {
        CHECK(len + 1 < cap);
        CHECK(raw_receive_all(fd, head + len, 1));
        head[++len] = 0;
    }
}

/* Writes the response that accepts the upgrade request `head`. */
static inline void raw_write_response(const char *head, char *response, size_t cap)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    static const char field[] = "Sec-WebSocket-Key: ";
    char key_and_guid[24 + sizeof guid];
    char accept_key[SHA1_BASE64_SIZE];
    const char *key = strstr(head, field);
    CHECK(key != NULL);
    memcpy(key_and_guid, key + strlen(field), 24);
    memcpy(key_and_guid + 24, guid, sizeof guid);
    sha1_base64(key_and_guid, strlen(key_and_guid), accept_key);
    snprintf(response, cap,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n",
             accept_key);
}

/* Accepts a connection and its upgrade. */
static inline int raw_accept_websocket(int listener)
{
    char head[4096], response[512];
    int fd = raw_accept(listener);
    raw_receive_head(fd, head, sizeof head);
    raw_write_response(head, response, sizeof response);
    CHECK(raw_send_text(fd, response));
    return fd;
}

static inline void raw_request_upgrade(int fd)
{
    CHECK(raw_send_text(fd, "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
}

/* Connects and upgrades. */
static inline int raw_connect_websocket(int port)
{
    char head[4096];
    int fd = raw_connect(port);
    raw_request_upgrade(fd);
    raw_receive_head(fd, head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.1 101 ", 13) == 0);
    CHECK(strstr(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != NULL);
    return fd;
}

/* Sends one frame of at most 65,535 bytes. The mask key is zero, which leaves the payload as is. */
static inline int raw_send_frame(int fd, int first_byte, int masked, const void *data, size_t len)
{
    uint8_t head[8];
    size_t head_len = 2;
    CHECK(len <= 0xFFFF);
    memset(head, 0, sizeof head);
    head[0] = (uint8_t)first_byte;
    head[1] = (uint8_t)(len < 126 ? len : 126);
    if (len >= 126) {
        head[2] = (uint8_t)(len >> 8);
        head[3] = (uint8_t)len;
        head_len = 4;
    }
    if (masked) {
        head[1] |= 0x80;
        head_len += 4;
    }
    return raw_send(fd, head, head_len) && raw_send(fd, data, len);
}

/* Receives one frame; returns 0 when the connection ends before it is whole. */
static inline int raw_receive_frame(int fd, raw_frame *frame)
{
    uint8_t head[2], extended[8], key[4] = {0, 0, 0, 0};
    size_t i, extended_len;
    if (!raw_receive_all(fd, head, sizeof head))
        return 0;
    frame->fin = (head[0] & RAW_FIN) != 0;
    frame->opcode = head[0] & 0x0F;
    frame->masked = (head[1] & 0x80) != 0;
    frame->len = head[1] & 0x7F;
    extended_len = frame->len == 126 ? 2 : frame->len == 127 ? 8 : 0;
    if (!raw_receive_all(fd, extended, extended_len))
        return 0;
    if (extended_len > 0)
        frame->len = 0;
    for (i = 0; i < extended_len; i++)
        frame->len = frame->len << 8 | extended[i];
    if (frame->masked && !raw_receive_all(fd, key, sizeof key))
        return 0;
    CHECK(frame->len < sizeof frame->payload);
    if (!raw_receive_all(fd, frame->payload, frame->len))
        return 0;
    for (i = 0; i < frame->len; i++)
        frame->payload[i] ^= key[i % 4];
    frame->payload[frame->len] = 0;
    return 1;
}

/* Receives the Close frame, throwing away what comes before it; returns its code, 1005 for none,
 * or 1006 when the connection ends without one. */
static inline int raw_receive_close(int fd)
{
    raw_frame frame;
    while (raw_receive_frame(fd, &frame)) {
        if (frame.opcode == RAW_CLOSE)
            return frame.len < 2 ? 1005 : frame.payload[0] << 8 | frame.payload[1];
    }
    return 1006;
}

#endif
