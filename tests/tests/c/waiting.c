/* waiting bind|cancel: 16 threads that bind at once, each its own port, and may have to wait for the helper. Tells what
 * they got, and what 1000 binds get thereafter. With cancel they are cancelled while they wait. */
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

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    struct sigaction action = {.sa_handler = handle};
    sigset_t handled = only(SIGUSR2);
    cancel = argc == 2 && !strcmp(argv[1], "cancel");
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
