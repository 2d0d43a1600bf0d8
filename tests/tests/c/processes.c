/* processes [LIMIT]: 50 processes, each of them a program executed anew, bind over and over, all at once, each its own
 * port; with a limit of open descriptors, if one is given. */
#include "bind.h"

enum { PROCESSES = 50 };

/* processes NUMBER GATE: one of them, to begin when the gate's other end is closed. */
static int work(int number, int gate)
{
    char byte;
    MUST(read(gate, &byte, 1) == 0);
    for (int round = 0; round < 20; round++) {
        int fd = tcp();
        refused(fd, 300 + number);
        granted(fd, 200 + number);
        close(fd);
    }
    return 0;
}

int main(int argc, char **argv)
{
    int gate[2], status;
    struct rlimit limit;
    char number[20], descriptor[20];
    if (argc == 3)
        return work(atoi(argv[1]), atoi(argv[2]));
    prepare_stops();
    granted(tcp(), 80);
    MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (argc == 2)
        limit.rlim_cur = atoi(argv[1]);
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    MUST(pipe2(gate, O_CLOEXEC) == 0 && fcntl(gate[0], F_SETFD, 0) == 0);
    sprintf(descriptor, "%d", gate[0]);
    for (int i = 0; i < PROCESSES; i++) {
        sprintf(number, "%d", i);
        pid_t pid = fork();
        MUST(pid >= 0);
        if (pid == 0) {
            execl(argv[0], argv[0], number, descriptor, NULL);
            _exit(1);
        }
    }
    stop_at("ready");
    close(gate[1]);
    for (int i = 0; i < PROCESSES; i++)
        MUST(wait(&status) > 0 && status == 0);
    stop_at("done");
    return 0;
}
