/* storm stack|alternate [restart|retry]: a timer's handler, on its thread's stack or on one of its own, binds a port,
 * again and again, while main, which it interrupts wherever it is, binds another. With restart, by a handler that has
 * system calls go on (SA_RESTART); with retry, one after which main does so itself. */
#include "bind.h"

enum { BINDS = 2000, INTERRUPTED = 200 };

static timer_t timer;
static atomic_int handled, interrupted, binding;

/* Has the handler run once more, not long from now. */
static void set_timer(void)
{
    struct itimerspec next = {.it_value.tv_nsec = 1000 + handled * 7919 % 150000};
    MUST(timer_settime(timer, 0, &next, NULL) == 0);
}

static void handle(int signal)
{
    int errno_of_main = errno, fd = tcp();
    (void)signal;
    refused(fd, 99);
    granted(fd, 81);
    close(fd);
    interrupted += binding;
    handled++;
    set_timer();
    errno = errno_of_main;
}

/* A stack of the usual size for handlers, with nothing below it. */
static void use_alternate_stack(void)
{
    long page = sysconf(_SC_PAGESIZE), size = sysconf(_SC_SIGSTKSZ);
    long whole = (size + page - 1) / page * page;
    char *memory = mmap(NULL, page + whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(memory != MAP_FAILED && mprotect(memory, page, PROT_NONE) == 0);
    MUST(sigaltstack(&(stack_t){.ss_sp = memory + page, .ss_size = size}, NULL) == 0);
}

/* Binds; where that may be interrupted, until it is not. */
static int bind_to(int fd, int port, int retry)
{
    int error;
    while ((error = try_ip(fd, "127.0.0.1", port)) == EINTR && retry)
        MUST(port_of(fd) == 0);
    return error;
}

int main(int argc, char **argv)
{
    int alternate = argc >= 2 && !strcmp(argv[1], "alternate"), before = count_descriptors();
    int restart = argc == 3 && !strcmp(argv[2], "restart"), retry = argc == 3 && !strcmp(argv[2], "retry");
    int flags = (alternate ? SA_ONSTACK : 0) | (restart ? SA_RESTART : 0);
    struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    if (alternate)
        use_alternate_stack();
    MUST(sigaction(SIGALRM, &action, NULL) == 0 && timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    set_timer();
    for (int binds = 0; binds < BINDS || handled < BINDS || interrupted < INTERRUPTED; binds++) {
        int fd = tcp();
        binding = 1;
        int other = bind_to(fd, 98, retry), error = bind_to(fd, 80, retry);
        binding = 0;
        MUST(error == 0 && other == EACCES && port_of(fd) == 80);
        close(fd);
    }
    MUST(timer_delete(timer) == 0);
    MUST(count_descriptors() == before);
    puts("done");
    return 0;
}
