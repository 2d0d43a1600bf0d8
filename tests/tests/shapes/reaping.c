/* reaping handled|ignored|no-wait|default|all|pidfd: a thread binds 500 times without the channel while another starts
 * children and a third waits for any child: by SIGCHLD's default; with a handler for it; with SIGCHLD ignored, or such
 * that no child is kept; with __WALL; or for each child by its own pidfd. What arrives is the program's own children,
 * each once and with its own status. */
#include "unseen.h"
#include <sys/pidfd.h>

enum { CHILDREN = 300, BINDS = 500 };

static const char *how;
static pid_t children[CHILDREN], keeper;
static int reaped[CHILDREN];
static atomic_int started, signals, binder_done;

static int is(const char *name)
{
    return !strcmp(how, name);
}

static void handle(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    signals++;
}

static void *bind_often(void *argument)
{
    for (int i = 0; i < BINDS; i++) {
        int fd = tcp();
        if (i % 10 == 0)
            refused(fd, 99);
        granted_at(i, fd, 80);
        close(fd);
    }
    binder_done = 1;
    return argument;
}

static void count(pid_t pid, int status)
{
    for (int i = 0; i < started; i++)
        if (children[i] == pid) {
            MUST(WIFEXITED(status) && WEXITSTATUS(status) == i % 200);
            reaped[i]++;
            return;
        }
    /* Whoever asks for children of every kind may be given a stranger, as authbind's would be to everybody. */
    MUST(is("all"));
}

/* Waits for any child until there is none. The last is the keeper, which lives until all is done. */
static void *reap(void *argument)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, is("all") ? __WALL : 0)) > 0) {
        if (pid == keeper)
            continue;
        /* It may be quicker than fork's return in the parent. */
        MUST(pthread_mutex_lock(argument) == 0);
        count(pid, status);
        MUST(pthread_mutex_unlock(argument) == 0);
    }
    MUST(errno == ECHILD);
    return NULL;
}

static void wait_by_pidfd(pid_t pid)
{
    struct pollfd end = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    int status;
    MUST(end.fd >= 0 && poll(&end, 1, -1) == 1);
    MUST(waitpid(pid, &status, 0) == pid);
    count(pid, status);
    close(end.fd);
}

static pid_t start(int number)
{
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        if (number < 0)
            for (;;)
                pause();
        _exit(number % 200);
    }
    return pid;
}

int main(int argc, char **argv)
{
    static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigaction no_wait = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
    pthread_t binder, reaper;
    MUST(argc == 2);
    how = argv[1];
    let_go();
    int kept = !is("ignored") && !is("no-wait");
    if (is("handled"))
        MUST(sigaction(SIGCHLD, &action, NULL) == 0);
    if (is("ignored"))
        MUST(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    if (is("no-wait"))
        MUST(sigaction(SIGCHLD, &no_wait, NULL) == 0);
    bind_unseen();
    MUST(signals == 0);
    keeper = start(-1);
    MUST(pthread_create(&binder, NULL, bind_often, NULL) == 0);
    if (!is("pidfd"))
        MUST(pthread_create(&reaper, NULL, reap, &table) == 0);
    /* Children as long as there are binds, but no more than there is room for. */
    while (started < CHILDREN && !binder_done) {
        MUST(pthread_mutex_lock(&table) == 0);
        children[started] = start(started);
        started++;
        MUST(pthread_mutex_unlock(&table) == 0);
        if (is("pidfd"))
            wait_by_pidfd(children[started - 1]);
        sched_yield();
    }
    MUST(pthread_join(binder, NULL) == 0);
    MUST(started > 10);
    MUST(kill(keeper, SIGKILL) == 0);
    if (is("pidfd"))
        MUST(waitpid(keeper, NULL, 0) == keeper);
    else
        MUST(pthread_join(reaper, NULL) == 0);
    for (int i = 0; i < started; i++)
        MUST(reaped[i] == kept);
    MUST(is("handled") ? signals > 0 && signals <= started + 1 : signals == 0);
    MUST(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD);
    puts("done");
    return 0;
}
