/* storms restart|interrupt: binds 300 times without the channel while a timer, ten thousand times a second, and another
 * thread, as often as it can, interrupt it, by signals with SA_RESTART or without. */
#include "unseen.h"

static atomic_int handled, done;

static void handle(int signal)
{
    (void)signal;
    handled++;
}

static void *interrupt(void *target)
{
    while (!done) {
        pthread_kill(*(pthread_t *)target, SIGUSR2);
        sched_yield();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = handle};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct itimerspec often = {{0, 100000}, {0, 100000}};
    sigset_t mine = only(SIGALRM);
    pthread_t self = pthread_self(), other;
    timer_t timer;
    MUST(argc == 2);
    let_go();
    int before = count_descriptors();
    action.sa_flags = strcmp(argv[1], "restart") ? 0 : SA_RESTART;
    MUST(sigaction(SIGALRM, &action, NULL) == 0 && sigaction(SIGUSR2, &action, NULL) == 0);
    MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    MUST(pthread_sigmask(SIG_BLOCK, &mine, NULL) == 0 && pthread_create(&other, NULL, interrupt, &self) == 0);
    MUST(pthread_sigmask(SIG_UNBLOCK, &mine, NULL) == 0 && timer_settime(timer, 0, &often, NULL) == 0);
    for (int i = 0; i < 300; i++) {
        int fd = tcp();
        if (i % 10 == 0)
            refused(fd, 99);
        granted(fd, 80);
        close(fd);
    }
    done = 1;
    MUST(pthread_join(other, NULL) == 0 && timer_delete(timer) == 0);
    MUST(handled > 300);
    MUST(count_descriptors() == before);
    be_alone();
    bind_unseen();
    puts("done");
    return 0;
}
