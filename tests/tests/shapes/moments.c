/* moments fork|handler|alternate|little|blocked|cancelled: binds without the channel in one of the moments in which a program
 * may: in the child of a process of many threads; in a signal's handler, on the thread's stack or on one of its own; with
 * signals blocked, and some of them pending; in threads that are cancelled sooner or later. */
#include "unseen.h"

static atomic_int handled;

static void *sleep_on(void *argument)
{
    for (;;)
        pause();
    return argument;
}

/* A child that has the one thread that forked. */
static void in_a_child(void)
{
    pthread_t threads[8];
    int status;
    for (int i = 0; i < 8; i++)
        MUST(pthread_create(&threads[i], NULL, sleep_on, NULL) == 0);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        bind_unseen();
        _exit(0);
    }
    MUST(waitpid(pid, &status, 0) == pid && status == 0);
    bind_unseen();
}

static void handle(int signal)
{
    int error = errno;
    (void)signal;
    bind_unseen();
    handled++;
    errno = error;
}

static void in_a_handler(void)
{
    MUST(signal(SIGUSR2, handle) != SIG_ERR);
    for (int i = 0; i < 20; i++)
        raise(SIGUSR2);
    MUST(handled == 20);
}

/* Of the size that sysconf(3) advises, with nothing below it. */
static void on_an_alternate_stack(void)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
    long page = sysconf(_SC_PAGESIZE), size = sysconf(_SC_SIGSTKSZ);
    long whole = (size + page - 1) / page * page;
    char *memory = mmap(NULL, page + whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(memory != MAP_FAILED && mprotect(memory, page, PROT_NONE) == 0);
    MUST(sigaltstack(&(stack_t){.ss_sp = memory + page, .ss_size = size}, NULL) == 0);
    MUST(sigaction(SIGUSR2, &action, NULL) == 0);
    for (int i = 0; i < 20; i++)
        raise(SIGUSR2);
    MUST(handled == 20);
}

static address asked;
static int asking;

static void handle_by_bind(int signal)
{
    (void)signal;
    handled = bind(asking, &asked.any, sizeof asked.v4) ? errno : 0;
}

/* How much of an alternate stack a bind in a handler takes. */
static size_t stack_used(int port, int error)
{
    static unsigned char stack[65536];
    size_t unused = 0;
    memset(stack, 0xA5, sizeof stack);
    MUST(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL) == 0);
    asked = ip("127.0.0.1", port);
    asking = tcp();
    raise(SIGUSR2);
    MUST(handled == error);
    close(asking);
    while (stack[unused] == 0xA5)
        unused++;
    return sizeof stack - unused;
}

/* Little more without the channel than over it: that is the room for two processes. */
static void on_little_stack(void)
{
    struct sigaction action = {.sa_handler = handle_by_bind, .sa_flags = SA_ONSTACK};
    MUST(sigaction(SIGUSR2, &action, NULL) == 0);
    /* The first finds functions, which takes more. */
    stack_used(99, EACCES);
    size_t over_channel = stack_used(99, EACCES);
    let_go();
    MUST(stack_used(80, 0) <= over_channel + 3072);
    MUST(stack_used(99, EACCES) <= over_channel + 3072);
}

static void with_blocked_signals(void)
{
    uint64_t all = ~0ULL;
    MUST(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8) == 0);
    raise(SIGTERM);
    raise(SIGCHLD);
    raise(SIGRTMIN + 3);
    bind_unseen();
    sigset_t pending;
    MUST(sigpending(&pending) == 0 && sigismember(&pending, SIGTERM) && sigismember(&pending, SIGRTMIN + 3));
}

static atomic_int begun;

static void *bind_until_cancelled(void *argument)
{
    int fd = *(int *)argument;
    begun = 1;
    for (;;) {
        int error = try_ip(fd, "127.0.0.1", 80);
        /* The second time it is bound already. */
        MUST(error == 0 || (error == EINVAL && port_of(fd) == 80));
        pthread_testcancel();
    }
}

static void in_cancelled_threads(void)
{
    static surroundings before, after;
    pthread_t thread;
    void *result;
    for (int round = 0; round < 100; round++) {
        int fd = tcp();
        begun = 0;
        look(&before);
        MUST(pthread_create(&thread, NULL, bind_until_cancelled, &fd) == 0);
        while (!begun)
            sched_yield();
        for (volatile int later = 0; later < round * 10000; later++)
            continue;
        MUST(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
        /* No point of cancellation: what was begun is done. */
        MUST(port_of(fd) == 80);
        be_alone();
        look(&after);
        /* The first thread leaves its stack to those that come. */
        if (round > 0)
            must_be_same(&before, &after);
        close(fd);
    }
}

int main(int argc, char **argv)
{
    MUST(argc == 2);
    if (!strcmp(argv[1], "little")) {
        on_little_stack();
        puts("done");
        return 0;
    }
    let_go();
    if (!strcmp(argv[1], "fork"))
        in_a_child();
    else if (!strcmp(argv[1], "handler"))
        in_a_handler();
    else if (!strcmp(argv[1], "alternate"))
        on_an_alternate_stack();
    else if (!strcmp(argv[1], "blocked"))
        with_blocked_signals();
    else if (!strcmp(argv[1], "cancelled"))
        in_cancelled_threads();
    else
        return 2;
    puts("done");
    fflush(stdout);
    _exit(0);
}
