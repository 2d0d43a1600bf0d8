/* look [ARG...]: tells, to descriptor 9 where that is open and else to 1, what a program is given at its start; then
 * whether it may bind 127.0.0.1:80. A line is a name and a value; bytes that do not print are written as \ooo, and this
 * process's own id as "own". */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "try_bind.h"

static int report;

static void tell_text(const char *name, const char *text)
{
    dprintf(report, "%s ", name);
    for (; *text; text++)
        dprintf(report, *text > ' ' && *text < 127 && *text != '\\' ? "%c" : "\\%03o", (unsigned char)*text);
    dprintf(report, "\n");
}

static void tell_descriptors(void)
{
    char path[32], target[4096];
    for (int fd = 0; fd < 4096; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[strncmp(target, "pipe:", 5) ? length : 4] = 0; /* without its number */
        dprintf(report, "fd %d %s at %ld flags %x %x\n", fd, target, (long)lseek(fd, 0, SEEK_CUR), fcntl(fd, F_GETFD),
                fcntl(fd, F_GETFL));
    }
}

static void tell_file(const char *path, const char *name, int is_kept(const char *line))
{
    char line[4096];
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (is_kept(line))
            dprintf(report, "%s%s", name, line);
    if (file)
        fclose(file);
}

static int is_any(const char *line)
{
    return *line;
}

static int is_lasting(const char *line)
{
    static const char *const lasting[] = {"Umask",  "Uid",    "Gid", "Groups",     "SigPnd",  "ShdPnd", "SigBlk",
                                          "SigIgn", "SigCgt", "Cap", "NoNewPrivs", "Seccomp", "Cpus_allowed_list"};
    for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++)
        if (!strncmp(line, lasting[i], strlen(lasting[i])))
            return 1;
    return 0;
}

static void tell_process(const char *name, int pid)
{
    if (pid == getpid())
        dprintf(report, "%s own\n", name);
    else
        dprintf(report, "%s %d\n", name, pid);
}

static void tell_relations(void)
{
    int group, session, terminal, foreground;
    FILE *file = fopen("/proc/self/stat", "r");
    if (!file || fscanf(file, "%*d (%*[^)]) %*c %*d %d %d %d %d", &group, &session, &terminal, &foreground) != 4)
        return;
    fclose(file);
    dprintf(report, "pid %d\nparent %d\nterminal %d\n", getpid(), getppid(), terminal);
    tell_process("group", group);
    tell_process("session", session);
    tell_process("foreground", foreground);
}

int main(int argc, char **argv, char **envp)
{
    int signal, reaper;
    char cwd[4096];

    report = fcntl(9, F_GETFD) < 0 ? 1 : 9;
    tell_descriptors();
    tell_relations();
    for (int i = 0; i < argc; i++)
        tell_text("argument", argv[i]);
    for (int i = 0; envp[i]; i++)
        tell_text(envp[i] == environ[i] ? "entry" : "entry-of-envp-alone", envp[i]);
    tell_file("/proc/self/status", "", is_lasting);
    tell_file("/proc/self/limits", "", is_any);
    tell_file("/proc/self/oom_score_adj", "oom ", is_any);
    ssize_t length = readlink("/proc/self/cwd", cwd, sizeof cwd - 1);
    cwd[length < 0 ? 0 : length] = 0;
    tell_text("cwd", cwd);
    prctl(PR_GET_PDEATHSIG, &signal);
    prctl(PR_GET_CHILD_SUBREAPER, &reaper);
    dprintf(report, "parent-death-signal %d\nsubreaper %d\n", signal, reaper);
    dprintf(report, "dumpable %d\n", prctl(PR_GET_DUMPABLE));
    dprintf(report, "nice %d\npolicy %d\n", getpriority(PRIO_PROCESS, 0), sched_getscheduler(0));
    dprintf(report, "alarm %d\n", alarm(0) > 0);
    dprintf(report, "bind %d\n", try_bind(80));
    dprintf(report, "wait %d\n", waitpid(-1, NULL, WNOHANG | __WALL) < 0 ? errno : 0);
    return 0;
}
