/* closing WAY [REPORT]: lets go of the channel in one of the ways that programs have, and binds. A daemon tells the file
 * REPORT when it is done, everybody else ends with status 0. */
#include "unseen.h"

static void by_loop(void)
{
    for (int fd = 3; fd < sysconf(_SC_OPEN_MAX); fd++)
        close(fd);
}

static void by_closefrom(void)
{
    closefrom(3);
}

static void by_range(void)
{
    MUST(close_range(3, ~0U, 0) == 0);
}

static void standard_ones_too(void)
{
    closefrom(0);
}

static void standard_input_too(void)
{
    closefrom(3);
    close(0);
}

/* The number is that of a file then, */
static void file_in_its_place(void)
{
    int fd = open("/etc/passwd", O_RDONLY);
    MUST(dup2(fd, channel()) == channel());
    close(fd);
}

/* or of a socket, */
static void socket_in_its_place(void)
{
    int fd = new_socket(SOCK_DGRAM);
    MUST(dup2(fd, channel()) == channel());
    close(fd);
}

/* or of one that looks like the channel, whose peer would get what is sent. */
static int peer = -1;

static void pair_in_its_place(void)
{
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    MUST(dup2(pair[0], channel()) == channel());
    close(pair[0]);
    peer = pair[1];
}

static const char *report;

/* From here on the report is where a failure is told. */
static void begin_report(void)
{
    int fd = open(report, O_WRONLY | O_CREAT, 0644);
    MUST(fd >= 0 && dup2(fd, 2) == 2);
    if (fd != 2)
        close(fd);
}

static void daemon_of_libc(void)
{
    MUST(daemon(0, 0) == 0);
    closefrom(3);
    begin_report();
}

static void daemon_by_two_forks(void)
{
    for (int forks = 0; forks < 2; forks++) {
        pid_t pid = fork();
        MUST(pid >= 0);
        if (pid > 0)
            _exit(0);
        if (forks == 0)
            MUST(setsid() > 0);
    }
    closefrom(0);
    begin_report();
}

int main(int argc, char **argv)
{
    const struct {
        const char *name;
        void (*close)(void);
    } ways[] = {
        {"loop", by_loop},
        {"closefrom", by_closefrom},
        {"range", by_range},
        {"all", standard_ones_too},
        {"input", standard_input_too},
        {"file", file_in_its_place},
        {"socket", socket_in_its_place},
        {"pair", pair_in_its_place},
        {"daemon", daemon_of_libc},
        {"forks", daemon_by_two_forks},
    };
    char byte;
    MUST(argc >= 2);
    report = argv[2];
    /* At exec: what then runs has nothing open, and finds no channel at its number. */
    if (!strcmp(argv[1], "exec")) {
        MUST(close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0);
        execl(argv[0], argv[0], "executed", NULL);
    }
    if (!strcmp(argv[1], "executed")) {
        MUST(fcntl(channel(), F_GETFD) == -1);
        bind_unseen();
        return 0;
    }
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (!strcmp(argv[1], ways[i].name)) {
            ways[i].close();
            for (int round = 0; round < 3; round++)
                bind_unseen();
            if (peer != -1)
                MUST(recv(peer, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
            if (report)
                dprintf(2, "done\n");
            return 0;
        }
    return 2;
}
