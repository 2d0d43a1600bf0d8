/* children handled|ignored: threads bind while another waits for any child; with a handler for SIGCHLD, or with SIGCHLD
 * ignored. There is one child, and it is ours. */
#include "bind.h"

static atomic_int signals, reaped;
static pid_t child;
static int handled;

static void handle(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    MUST(info->si_pid == child);
    signals++;
}

static void *reap(void *argument)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        MUST(pid == child && WIFSIGNALED(status));
        reaped++;
    }
    MUST(errno == ECHILD);
    return argument;
}

static void *work(void *argument)
{
    for (int i = 0; i < 500; i++) {
        int fd = tcp();
        refused(fd, 99);
        granted(fd, 80 + (intptr_t)argument);
        close(fd);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t reaper, workers[4];
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART};
    handled = argc == 2 && !strcmp(argv[1], "handled");
    prepare_stops();
    MUST(handled ? sigaction(SIGCHLD, &action, NULL) == 0 : signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    MUST((child = fork()) >= 0);
    if (child == 0)
        for (;;)
            pause();
    MUST(pthread_create(&reaper, NULL, reap, NULL) == 0);
    stop_at("waiting");
    for (intptr_t i = 0; i < 4; i++)
        MUST(pthread_create(&workers[i], NULL, work, (void *)i) == 0);
    for (int i = 0; i < 4; i++)
        MUST(pthread_join(workers[i], NULL) == 0);
    MUST(signals == 0 && reaped == 0);
    MUST(kill(child, SIGKILL) == 0 && pthread_join(reaper, NULL) == 0);
    MUST(signals == handled && reaped == handled);
    puts("done");
    return 0;
}
