/* starts COUNT COMMAND [ARG...]: how long it takes to start the command and to wait for its end, in microseconds: the
 * quickest quarter of COUNT. */
#include <err.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "clock.h"

extern char **environ;

static long one(char **command)
{
    pid_t child;
    int status;
    long start = now();
    if (posix_spawnp(&child, command[0], NULL, NULL, command, environ) != 0)
        errx(1, "%s cannot be started", command[0]);
    if (waitpid(child, &status, 0) != child || status != 0)
        errx(1, "%s failed", command[0]);
    return now() - start;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        errx(2, "usage: starts COUNT COMMAND [ARG...]");
    int count = atoi(argv[1]);
    long *times = calloc(count, sizeof *times);
    one(argv + 2);
    for (int i = 0; i < count; i++)
        times[i] = one(argv + 2);
    tell(undisturbed(times, count));
    return 0;
}
