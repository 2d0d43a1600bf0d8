/* alone: looks for its helper and for what it could notice of it: a child, a signal. Then lets go of the channel, waits
 * for the helper's end, looks again, binds again, and looks again. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "try_bind.h"

static void notice(void)
{
    sigset_t pending;
    sigpending(&pending);
    int failed = waitpid(-1, NULL, WNOHANG | __WALL) < 0 ? errno : 0;
    printf("wait %d, SIGCHLD %d\n", failed, sigismember(&pending, SIGCHLD));
}

/* The process id of the one helper that runs in this world. */
static int helper(void)
{
    DIR *processes = opendir("/proc");
    struct dirent *entry;
    char path[300];
    char state;
    int pid, parent, group, session, terminal, found = 0;
    while ((entry = readdir(processes))) {
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *file = fopen(path, "r");
        const char *format = "%d (rauthbind-helpe) %c %d %d %d %d";
        int fields = file ? fscanf(file, format, &pid, &state, &parent, &group, &session, &terminal) : 0;
        if (fields == 6 && state != 'Z') {
            printf("helper: parent %d, group %s, session %s, terminal %d\n", parent, group == pid ? "own" : "shared",
                   session == pid ? "own" : "shared", terminal);
            found = pid;
        }
        if (file)
            fclose(file);
    }
    closedir(processes);
    return found;
}

int main(void)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    printf("bind %d\n", try_bind(80));
    struct pollfd end = {.fd = syscall(SYS_pidfd_open, helper(), 0), .events = POLLIN};
    notice();
    dup2(end.fd, 3);
    end.fd = 3;
    closefrom(4);
    printf("ended %d\n", poll(&end, 1, -1));
    notice();
    printf("bind %d\n", try_bind(80));
    notice();
    return 0;
}
