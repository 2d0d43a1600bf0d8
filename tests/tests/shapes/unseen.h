/* What a program could notice of a bind that runs a helper: looked at before and after. */
#include "bind.h"
#include <sys/prctl.h>
#include <sys/stat.h>

enum { DESCRIPTORS = 256 };

typedef struct {
    struct {
        dev_t device;
        ino_t inode;
        int flags;
    } open[DESCRIPTORS];
    uint64_t blocked, pending;
    stack_t alternate;
    sighandler_t handlers[65];
    pid_t child;   /* one that could be waited for, of whatever kind */
    int has_child; /* or why there is none */
    char threads[32], maps[65536];
} surroundings;

/* The start of a file, with no call that allocates; empty where there is no such file. */
static inline void read_file(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t got;
    while (fd >= 0 && length < room - 1 && (got = read(fd, text + length, room - 1 - length)) > 0)
        length += got;
    text[length] = 0;
    if (fd >= 0)
        close(fd);
}

/* Takes a line out that may change: a stack grows down as far as it is needed. */
static inline void leave_out(char *text, const char *mark)
{
    char *at = strstr(text, mark), *line = at;
    if (!at)
        return;
    while (line > text && line[-1] != '\n')
        line--;
    at = strchr(at, '\n');
    memmove(line, at + 1, strlen(at + 1) + 1);
}

/* The line of the status that counts threads. */
static inline void read_threads(char *line)
{
    static char status[8192];
    read_file("/proc/self/status", status, sizeof status);
    char *threads = strstr(status, "\nThreads:");
    if (threads)
        sprintf(line, "%.*s", (int)(strchr(threads + 1, '\n') - threads), threads);
}

/* Waits until this is the only thread: those that were joined may take a moment to be gone. */
static inline void be_alone(void)
{
    char threads[32] = {0};
    do
        read_threads(threads);
    while (strcmp(threads, "\nThreads:\t1"));
}

static inline void look(surroundings *now)
{
    struct sigaction action;
    struct stat file;
    siginfo_t child = {0};
    memset(now, 0, sizeof *now);
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        if (fstat(fd, &file) == 0) {
            now->open[fd].device = file.st_dev;
            now->open[fd].inode = file.st_ino;
            now->open[fd].flags = fcntl(fd, F_GETFD) << 24 | fcntl(fd, F_GETFL);
        }
    /* libc's functions keep back the signals that it uses itself. */
    MUST(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now->blocked, 8) == 0);
    MUST(syscall(SYS_rt_sigpending, &now->pending, 8) == 0);
    MUST(sigaltstack(NULL, &now->alternate) == 0);
    for (int signal = 1; signal < 65; signal++)
        if (sigaction(signal, NULL, &action) == 0)
            now->handlers[signal] = action.sa_handler;
    now->has_child = waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 ? 0 : errno;
    now->child = child.si_pid;
    read_threads(now->threads);
    read_file("/proc/self/maps", now->maps, sizeof now->maps);
    leave_out(now->maps, "[stack]");
}

/* Sees that nothing has changed. */
static inline void must_be_same(const surroundings *before, const surroundings *after)
{
    MUST(memcmp(before->open, after->open, sizeof before->open) == 0);
    MUST(before->blocked == after->blocked);
    MUST(before->pending == after->pending);
    MUST(memcmp(&before->alternate, &after->alternate, sizeof before->alternate) == 0);
    MUST(memcmp(before->handlers, after->handlers, sizeof before->handlers) == 0);
    MUST(before->child == after->child && before->has_child == after->has_child);
    MUST(strcmp(before->threads, after->threads) == 0);
    MUST(strcmp(before->maps, after->maps) == 0);
}

/* Sees that port 80 can be bound and port 99 cannot, and that there is nothing to be seen of it. */
static inline void bind_unseen(void)
{
    static surroundings before, after;
    int good = tcp(), bad = tcp();
    look(&before);
    refused(bad, 99);
    granted(good, 80);
    look(&after);
    must_be_same(&before, &after);
    close(good);
    close(bad);
}

/* Sees that a socket can be bound to this port of an address of its own, below 60,000: a child that is forked meanwhile
 * may have a copy of the one before. */
static inline void granted_at(int number, int fd, int port)
{
    char address[20];
    sprintf(address, "127.0.%d.%d", number / 250, number % 250 + 1);
    MUST(try_ip(fd, address, port) == 0);
    MUST(port_of(fd) == port);
}

/* The number of the channel's descriptor. */
static inline int channel(void)
{
    int fd = -1;
    const char *variable = getenv("RAUTHBIND_CHANNEL");
    MUST(variable && sscanf(variable, "1:%d:", &fd) == 1);
    return fd;
}

/* Closes the channel, and all else that was inherited. */
static inline void let_go(void)
{
    struct stat file;
    int fd = channel();
    MUST(fstat(fd, &file) == 0 && S_ISSOCK(file.st_mode));
    closefrom(3);
    MUST(fcntl(fd, F_GETFD) == -1);
}
