/* signals: tells of each signal that it gets, one line for each time, until SIGTERM, of which it ends. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    printf("ready %d\n", getpid());
    for (int got; fflush(stdout), sigwait(&all, &got) == 0;) {
        printf("signal %d\n", got);
        if (got == SIGTERM)
            break;
    }
    fflush(stdout);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
    signal(SIGTERM, SIG_DFL);
    raise(SIGTERM);
    return 1;
}
