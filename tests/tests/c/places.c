/* places vfork|stack|blocked|cancelled|descriptors: binds in one of the places where an app may bind. */
#include "bind.h"

/* What a bind is worth that some other thread of control did. */
typedef struct {
    int fd, port, error;
} bind_of;

static void *bind_it(void *argument)
{
    bind_of *it = argument;
    it->error = try_ip(it->fd, "127.0.0.1", it->port);
    return NULL;
}

static void *bind_cancelled(void *argument)
{
    MUST(pthread_cancel(pthread_self()) == 0);
    bind_it(argument);
    pthread_testcancel();
    _exit(1);
}

/* Sees that this gets port 80, and is refused port 99; in this order, the place may be used up then. */
static void both(void (*place)(bind_of *))
{
    bind_of good = {tcp(), 80, -1}, bad = {tcp(), 99, -1};
    place(&bad);
    place(&good);
    MUST(good.error == 0 && port_of(good.fd) == 80);
    MUST(bad.error == EACCES && port_of(bad.fd) == 0);
    close(good.fd);
    close(bad.fd);
}

/* A child that has our memory. */
static void in_vfork(bind_of *it)
{
    int status;
    pid_t pid = vfork();
    MUST(pid >= 0);
    if (pid == 0) {
        bind_it(it);
        _exit(0);
    }
    MUST(waitpid(pid, &status, 0) == pid && status == 0);
}

/* The smallest stack that a thread can have. */
static void on_a_small_stack(bind_of *it)
{
    pthread_attr_t attributes;
    pthread_t thread;
    MUST(pthread_attr_init(&attributes) == 0);
    MUST(pthread_attr_setstacksize(&attributes, sysconf(_SC_THREAD_STACK_MIN)) == 0);
    MUST(pthread_create(&thread, &attributes, bind_it, it) == 0 && pthread_join(thread, NULL) == 0);
}

/* Every signal blocked, and some pending. */
static void with_blocked_signals(bind_of *it)
{
    sigset_t all, before = {0}, after = {0}, pending = {0}, still = {0};
    sigfillset(&all);
    MUST(sigprocmask(SIG_SETMASK, &all, NULL) == 0 && sigprocmask(SIG_SETMASK, NULL, &before) == 0);
    raise(SIGTERM);
    raise(SIGPIPE);
    MUST(sigpending(&pending) == 0 && sigismember(&pending, SIGTERM) && sigismember(&pending, SIGPIPE));
    bind_it(it);
    MUST(sigprocmask(SIG_SETMASK, NULL, &after) == 0 && memcmp(&before, &after, sizeof after) == 0);
    MUST(sigpending(&still) == 0 && memcmp(&pending, &still, sizeof still) == 0);
}

/* A thread that is to end at the next cancellation point, which bind is none. */
static void in_a_cancelled_thread(bind_of *it)
{
    pthread_t thread;
    void *result;
    MUST(pthread_create(&thread, NULL, bind_cancelled, it) == 0 && pthread_join(thread, &result) == 0);
    MUST(result == PTHREAD_CANCELED);
}

/* No descriptor is free: a refusal, and nothing is held against us when there are some again. */
static void without_descriptors(bind_of *it)
{
    struct rlimit limit, before;
    int last = dup(0);
    MUST(last >= 0 && getrlimit(RLIMIT_NOFILE, &before) == 0);
    limit = before;
    limit.rlim_cur = last + 1;
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0 && dup(0) == -1 && errno == EMFILE);
    for (int i = 0; i < 100; i++) {
        bind_it(it);
        MUST(it->error == EACCES && port_of(it->fd) == 0);
    }
    MUST(setrlimit(RLIMIT_NOFILE, &before) == 0);
    bind_it(it);
    close(last);
}

int main(int argc, char **argv)
{
    const struct {
        const char *name;
        void (*place)(bind_of *);
    } places[] = {
        {"vfork", in_vfork},
        {"stack", on_a_small_stack},
        {"blocked", with_blocked_signals},
        {"cancelled", in_a_cancelled_thread},
        {"descriptors", without_descriptors},
    };
    MUST(argc == 2);
    for (int i = 0; i < 5; i++)
        if (!strcmp(argv[1], places[i].name)) {
            both(places[i].place);
            int before = count_descriptors();
            for (int round = 0; round < 20; round++)
                both(places[i].place);
            MUST(count_descriptors() == before);
            puts("done");
            fflush(stdout);
            _exit(0);
        }
    return 1;
}
