/* attack PID: tries to get into a process, and prints what came of each attempt. With 0: into a child of its own, to show
 * that the attempts are made well. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void told(const char *attempt, long result) {
    printf("%s: %s\n", attempt, result < 0 ? strerrorname_np(errno) : "done");
}

int main(int argc, char **argv) {
    pid_t target = argc > 1 ? atoi(argv[1]) : 0;
    int own = target == 0;
    if (own && (target = fork()) == 0)
        for (;;) pause();

    long attached = ptrace(PTRACE_ATTACH, target, 0, 0);
    told("PTRACE_ATTACH", attached);
    if (attached == 0) {
        waitpid(target, NULL, 0);
        ptrace(PTRACE_DETACH, target, 0, 0);
    }
    told("PTRACE_SEIZE", ptrace(PTRACE_SEIZE, target, 0, 0));
    told("pidfd_getfd", syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, target, 0), 0, 0));

    char ours[1];
    struct iovec here = {ours, 1}, there = {argv[0], 1};
    told("process_vm_readv", process_vm_readv(target, &here, 1, &there, 1, 0));
    told("process_vm_writev", process_vm_writev(target, &here, 1, &there, 1, 0));

    const char *files[] = {"mem", "environ", "maps", "auxv", "fd/0", "cwd", "root", "exe", "map_files", "io"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/%s", target, files[i]);
        told(files[i], open(path, O_RDONLY | O_CLOEXEC));
    }
    if (own) kill(target, SIGKILL);
    return 0;
}
