/* user_data: which handlers get it, and that its release function runs exactly once for each that
 * was handed over, after the last handler that sees it. */
#include "pair.h"

static void a_clients_user_data_is_released_after_its_last_handler(void)
{
    pair it;
    pair_init(&it);
    pair_connect(&it);
    CHECK_OK(wsabi_socket_close(it.client, 1000, "", 0));
    wait_for_close(&it.at_client);
    wait_for_close(&it.at_server);
    CHECK_OK(wsabi_socket_release(it.client));
    wait_for_releases(&it.at_client, 1);
    CHECK_EVENTS(&it.at_client, "OC");
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_release(it.client));
    pair_free(&it);
}

static void releasing_an_open_socket_drops_it_without_a_further_event(void)
{
    pair it;
    pair_init(&it);
    pair_connect(&it);
    CHECK_OK(wsabi_socket_release(it.client));
    wait_for_releases(&it.at_client, 1);
    wait_for_error(&it.at_server, WSABI_ERR_IO);
    CHECK_EVENTS(&it.at_client, "O");
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_ready_state(it.client));
    pair_free(&it);
}

static void freeing_the_runtime_releases_everything_in_it(void)
{
    pair it;
    pair_init(&it);
    pair_connect(&it);
    CHECK_OK(wsabi_runtime_free(it.runtime));
    wait_for_releases(&it.at_client, 1);
    wait_for_releases(&it.at_server, 1);
    /* With polling there is nobody to tell. */
    CHECK_EVENTS(&it.at_client, is_polled() ? "O" : "OEC");
    CHECK_EVENTS(&it.at_server, is_polled() ? "O" : "OEC");
    if (!is_polled())
        wait_for_error(&it.at_client, WSABI_ERR_ABORTED);
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_ready_state(it.client));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_server_port(it.server));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_runtime_free(it.runtime));
    it.runtime = 0;
    pair_free(&it);
}

static void one_pointer_handed_over_twice_is_released_twice(void)
{
    pair it;
    wsabi_socket second;
    pair_init(&it);
    it.at_client.handed_over = 2;
    pair_connect(&it);
    second = connect_to_port(it.runtime, wsabi_server_port(it.server), it.client_options,
                             &it.at_client);
    wait_for_event(&it.at_client, WSABI_EVENT_OPEN, 2);
    CHECK_OK(wsabi_socket_release(second));
    wait_for_releases(&it.at_client, 1);
    CHECK_OK(wsabi_socket_release(it.client));
    wait_for_releases(&it.at_client, 2);
    pair_free(&it);
}

static void the_next_event_gets_the_user_data_that_was_set(void)
{
    pair it;
    recorder other;
    pair_init(&it);
    recorder_init(&other);
    pair_connect(&it);
    CHECK_OK(wsabi_socket_set_user_data(it.client, &other));
    wait_for_releases(&it.at_client, 1);
    CHECK_OK(wsabi_socket_send_text(accepted(&it), "to the other", WSABI_NUL_TERMINATED));
    wait_for_message(&other, 1);
    CHECK_OK(wsabi_socket_close(it.client, 1000, "", 0));
    wait_for_close(&other);
    CHECK_OK(wsabi_socket_release(it.client));
    wait_for_releases(&other, 1);
    CHECK_EVENTS(&it.at_client, "O");
    CHECK_EVENTS(&other, "MC");
    pair_free(&it);
    recorder_free(&other);
}

static void a_servers_user_data_is_shared_until_the_last_socket_ends(void)
{
    wsabi_runtime runtime = new_runtime();
    wsabi_options options = recording_options();
    wsabi_server server;
    wsabi_socket clients[3];
    recorder shared, own, at_client[3];
    size_t i;
    recorder_init(&shared);
    recorder_init(&own);
    server = listen_on_loopback(runtime, options, &shared);
    for (i = 0; i < COUNT_OF(clients); i++) {
        recorder_init(&at_client[i]);
        clients[i] =
            connect_to_port(runtime, wsabi_server_port(server), options, &at_client[i]);
        wait_for_event(&shared, WSABI_EVENT_OPEN, i + 1);
    }
    CHECK_OK(wsabi_socket_set_user_data(shared.records[0].handle, &own));
    CHECK(count_releases(&shared) == 0);
    CHECK_OK(wsabi_server_close(server));
    for (i = 0; i < COUNT_OF(clients); i++)
        CHECK(wait_for_close(&at_client[i]).code == 1001);
    CHECK(wait_for_close(&own).was_clean);
    wait_for_event(&shared, WSABI_EVENT_CLOSE, 2);
    wait_for_releases(&own, 1);
    wait_for_releases(&shared, 1);
    CHECK_EVENTS(&own, "C");
    CHECK_EVENTS(&shared, "OOOCC");
    for (i = 0; i < COUNT_OF(clients); i++)
        CHECK_OK(wsabi_socket_release(clients[i]));
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK_OK(wsabi_options_free(options));
    for (i = 0; i < COUNT_OF(clients); i++) {
        wait_for_releases(&at_client[i], 1);
        recorder_free(&at_client[i]);
    }
    recorder_free(&shared);
    recorder_free(&own);
}

static void a_servers_socket_handle_ends_after_its_close(void)
{
    pair it;
    recorder own;
    wsabi_socket ended;
    pair_init(&it);
    recorder_init(&own);
    pair_connect(&it);
    ended = accepted(&it);
    CHECK_OK(wsabi_socket_set_user_data(ended, &own));
    CHECK_OK(wsabi_socket_close(it.client, 1000, "", 0));
    wait_for_releases(&own, 1);
    CHECK_EVENTS(&own, "C");
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_ready_state(ended));
    wait_for_close(&it.at_client);
    CHECK(wsabi_socket_ready_state(it.client) == WSABI_CLOSED);
    pair_free(&it);
    recorder_free(&own);
}

static void options_can_be_freed_while_their_sockets_live(void)
{
    pair it;
    pair_init(&it);
    pair_connect(&it);
    CHECK_OK(wsabi_options_free(it.client_options));
    CHECK_OK(wsabi_options_free(it.server_options));
    CHECK_OK(wsabi_socket_send_text(accepted(&it), "still here", WSABI_NUL_TERMINATED));
    wait_for_message(&it.at_client, 1);
    it.client_options = 0;
    it.server_options = 0;
    pair_free(&it);
}

int main(void)
{
    a_clients_user_data_is_released_after_its_last_handler();
    releasing_an_open_socket_drops_it_without_a_further_event();
    freeing_the_runtime_releases_everything_in_it();
    one_pointer_handed_over_twice_is_released_twice();
    the_next_event_gets_the_user_data_that_was_set();
    a_servers_user_data_is_shared_until_the_last_socket_ends();
    a_servers_socket_handle_ends_after_its_close();
    options_can_be_freed_while_their_sockets_live();
    return 0;
}
