/* waiting bind|fill|cancel: 16 threads that bind at once, each its own port, and may have to wait for the helper. Tells
 * what they got, and what 1000 binds get thereafter. With fill the channel has no room for so many requests; with
 * cancel the threads are cancelled while they wait. */
#include "bind.h"

enum { THREADS = 16 };

static int cancel, sockets[THREADS], errors[THREADS];

static void handle(int signal)
{
    (void)signal;
    MUST(write(1, "handled\n", 8) == 8);
}

static void *work(void *argument)
{
    int i = (intptr_t)argument;
    sigset_t handled = only(SIGUSR2);
    MUST(pthread_sigmask(SIG_UNBLOCK, &handled, NULL) == 0);
    errors[i] = try_ip(sockets[i], "127.0.0.1", 200 + i);
    pthread_testcancel();
    return argument;
}

static void tell(int count, const char *what, int error)
{
    printf("%d %s: %s\n", count, what, error_name(error));
    fflush(stdout);
}

/* Gives the channel room for a few requests. */
static int narrow_channel(void)
{
    int protocol, channel;
    MUST(sscanf(getenv("RAUTHBIND_CHANNEL"), "%d:%d:", &protocol, &channel) == 2);
    MUST(setsockopt(channel, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int)) == 0);
    return channel;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    struct sigaction action = {.sa_handler = handle};
    sigset_t handled = only(SIGUSR2);
    cancel = argc == 2 && !strcmp(argv[1], "cancel");
    struct pollfd channel = {.fd = -1, .events = POLLOUT};
    if (argc == 2 && !strcmp(argv[1], "fill"))
        channel.fd = narrow_channel();
    prepare_stops();
    MUST(pthread_sigmask(SIG_BLOCK, &handled, NULL) == 0 && sigaction(SIGUSR2, &action, NULL) == 0);
    int fd = tcp();
    granted(fd, 80);
    close(fd);
    int before = count_descriptors();
    stop_at("ready");
    for (intptr_t i = 0; i < THREADS; i++) {
        sockets[i] = tcp();
        MUST(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    }
    if (channel.fd >= 0) {
        stop_at("waiting");
        MUST(poll(&channel, 1, 0) == 0);
        puts("full");
        fflush(stdout);
    }
    if (cancel) {
        stop_at("waiting");
        for (int i = 0; i < THREADS; i++)
            MUST(pthread_cancel(threads[i]) == 0);
        puts("cancelled");
        fflush(stdout);
    }
    for (int i = 0; i < THREADS; i++) {
        void *result;
        MUST(pthread_join(threads[i], &result) == 0 && result == (cancel ? PTHREAD_CANCELED : (void *)(intptr_t)i));
        MUST(errors[i] == errors[0]);
    }
    tell(THREADS, "at once", errors[0]);
    stop_at("answered");
    for (int i = 0; i < THREADS; i++) {
        MUST(port_of(sockets[i]) == (errors[i] ? 0 : 200 + i));
        close(sockets[i]);
    }
    for (int i = 0; i < 1000; i++) {
        fd = tcp();
        errors[0] = try_ip(fd, "127.0.0.1", 80);
        MUST(i == 0 || errors[0] == errors[1]);
        errors[1] = errors[0];
        MUST(port_of(fd) == (errors[0] ? 0 : 80));
        close(fd);
    }
    tell(1000, "thereafter", errors[0]);
    MUST(count_descriptors() == before);
    return 0;
}
