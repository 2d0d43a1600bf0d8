/* traced PROGRAM: runs a program that is traced from its first instruction on, and ends as it does. traced -n PROGRAM:
 * runs it with no arguments at all, not even a name, and does not trace it. */
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char *nothing[] = {NULL};
    if (argc == 3 && !strcmp(argv[1], "-n")) {
        execve(argv[2], nothing, nothing);
        return 127;
    }
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(argv[1], argv + 1);
        _exit(127);
    }
    int status;
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) ptrace(PTRACE_CONT, child, 0, 0);
    return WEXITSTATUS(status);
}
