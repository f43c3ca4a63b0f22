/* What a request says, and what the answer to it cannot be made to say. */
#include "asking.h"
#include "raw_peer.h"

/* What is refused as a header field of the answer, by name and value with their lengths. */
static void refuse_header(wsabi_request request, const char *name, size_t name_len,
                          const char *value, size_t value_len)
{
    CHECK_STATUS(WSABI_ERR_ARGUMENT,
                 wsabi_request_add_header(request, name, name_len, value, value_len));
}

static void what_could_split_an_answer_is_refused(void)
{
    static const struct {
        const char *text;
        size_t len;
    } names[] = {{"", 0},
                 {"X\r\nInjected", 11},
                 {"X\nInjected", 10},
                 {"X\rInjected", 10},
                 {"X\0Injected", 10},
                 {"X\0", 2},
                 {"X Injected", 10},
                 {"X:", 2},
                 {"\xC3\xA9", 2}},
      values[] = {{"a\r\nInjected: b", 14},
                  {"a\nInjected: b", 13},
                  {"a\rInjected: b", 13},
                  {"a\0Injected", 10},
                  {"a\0", 2},
                  {"\r\n\r\nInjected", 12},
                  {" a", 2},
                  {"a\t", 2},
                  {"\xFF", 1}};
    static const char *const owned[] = {
        "Sec-WebSocket-Accept", "sec-websocket-protocol", "Sec-WebSocket-Extensions",
        "SEC-WEBSOCKET-VERSION", "Upgrade", "upgrade", "Connection", "CONNECTION",
        "Content-Length", "Transfer-Encoding", "Host"};
    int accept;
    size_t i;
    for (accept = 0; accept < 2; accept++) {
        asking it;
        wsabi_request request;
        char head[1024];
        int fd;
        asking_init(&it, NULL);
        fd = raw_connect(asking_listen(&it));
        raw_request_upgrade(fd);
        request = wait_for_event(&it.pair.at_server, WSABI_EVENT_REQUEST, 1).handle;
        for (i = 0; i < sizeof names / sizeof names[0]; i++)
            refuse_header(request, names[i].text, names[i].len, "a", 1);
        for (i = 0; i < sizeof values / sizeof values[0]; i++)
            refuse_header(request, "X", 1, values[i].text, values[i].len);
        for (i = 0; i < sizeof owned / sizeof owned[0]; i++)
            refuse_header(request, owned[i], strlen(owned[i]), "Injected", 8);
        CHECK_OK(wsabi_request_add_header(request, "X-Good", 6, "a, \xC3\xA9", 5));
        CHECK_OK(wsabi_request_add_header(request, "X-Empty", 7, NULL, 0));
        if (accept)
            accept_request(&it, request, NULL);
        else
            CHECK_OK(wsabi_request_reject(request, 403, NULL, 0));
        raw_receive_head(fd, head, sizeof head);
        CHECK(strncmp(head, accept ? "HTTP/1.1 101 " : "HTTP/1.1 403 ", 13) == 0);
        CHECK(strstr(head, "\r\nX-Good: a, \xC3\xA9\r\n") != NULL);
        CHECK(strstr(head, "\r\nX-Empty: \r\n") != NULL);
        CHECK(strstr(head, "Injected") == NULL && strstr(head, "\r\nX:") == NULL);
        close(fd);
        asking_free(&it);
    }
}

/* A room of `cap` bytes gets as many of a text, and the length of all is returned. */
static void check_cut(int64_t len, const char *room, size_t cap, const char *text)
{
    size_t whole = strlen(text), written = whole < cap ? whole : cap;
    CHECK(len == (int64_t)whole);
    CHECK(memcmp(room, text, written) == 0);
    CHECK(whole >= cap || room[whole] == '\0');
    CHECK(room[whole < cap ? whole + 1 : cap] == '#');
}

static void what_a_request_says_is_cut_to_the_room(void)
{
    asking it;
    wsabi_request request;
    char room[32], address[32];
    size_t cap;
    int fd;
    asking_init(&it, NULL);
    fd = raw_connect(asking_listen(&it));
    CHECK(raw_send_text(fd, "GET http://a.test/b?c=d HTTP/1.1\r\nHost: b.test\r\n"
                            "Upgrade: websocket\r\nConnection: Upgrade\r\nX-Part: one\r\n"
                            "Sec-WebSocket-Version: 13\r\nx-part: two\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
    request = wait_for_event(&it.pair.at_server, WSABI_EVENT_REQUEST, 1).handle;
    CHECK(wsabi_request_peer_address(request, address, sizeof address) > 10);
    for (cap = 0; cap < 24; cap++) {
        memset(room, '#', sizeof room);
        check_cut(wsabi_request_target(request, room, cap), room, cap, "/b?c=d");
        memset(room, '#', sizeof room);
        check_cut(wsabi_request_header(request, "X-PART", 6, room, cap), room, cap, "one, two");
        memset(room, '#', sizeof room);
        check_cut(wsabi_request_header(request, "host", 4, room, cap), room, cap, "a.test");
        memset(room, '#', sizeof room);
        check_cut(wsabi_request_peer_address(request, room, cap), room, cap, address);
    }
    CHECK(wsabi_request_header(request, "X-Part", 6, NULL, 0) == 8);
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_request_header(request, "X-Part", 6, NULL, 1));
    close(fd);
    asking_free(&it);
}

int main(void)
{
    what_could_split_an_answer_is_refused();
    what_a_request_says_is_cut_to_the_room();
    return 0;
}
