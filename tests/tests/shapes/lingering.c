/* lingering: binds without the channel while another thread forks children that stay, and with them a copy of whatever
 * was open at that moment. */
#include "unseen.h"

enum { CHILDREN = 1000 };

static atomic_int done;

static void *fork_children(void *argument)
{
    pid_t children[CHILDREN];
    int count = 0;
    while (count < CHILDREN && !done) {
        MUST((children[count] = fork()) >= 0);
        if (children[count++] == 0)
            for (;;)
                pause();
    }
    while (!done)
        sched_yield();
    while (count-- > 0)
        MUST(kill(children[count], SIGKILL) == 0 && waitpid(children[count], NULL, 0) > 0);
    return argument;
}

int main(void)
{
    pthread_t forker;
    let_go();
    MUST(pthread_create(&forker, NULL, fork_children, NULL) == 0);
    for (int i = 0; i < 200; i++) {
        int fd = tcp();
        granted_at(i, fd, 80);
        close(fd);
    }
    done = 1;
    MUST(pthread_join(forker, NULL) == 0);
    puts("done");
    return 0;
}
