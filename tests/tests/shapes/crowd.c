/* crowd: 1,000 processes bind all at once over one channel, each an address of its own; twice. From the first answer on,
 * nobody waits a hundred times as long for an answer as half of them do. */
#include "unseen.h"

enum { PROCESSES = 1000 };

static double now(void)
{
    struct timespec time;
    MUST(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int work(int number, int gate, double *answered)
{
    char byte;
    int fd = tcp();
    MUST(read(gate, &byte, 1) == 0);
    granted_at(number, fd, 80);
    *answered = now();
    return 0;
}

static int by_size(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static void run(double *answered, const char *ready, const char *done)
{
    int gate[2], status;
    MUST(pipe(gate) == 0);
    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();
        MUST(pid >= 0);
        if (pid == 0) {
            close(gate[1]);
            _exit(work(i, gate[0], &answered[i]));
        }
    }
    close(gate[0]);
    stop_at(ready);
    close(gate[1]);
    for (int i = 0; i < PROCESSES; i++)
        MUST(wait(&status) > 0 && status == 0);
    qsort(answered, PROCESSES, sizeof *answered, by_size);
    double half = answered[PROCESSES / 2] - answered[0], all = answered[PROCESSES - 1] - answered[0];
    printf("half of them after %.6f s, all after %.6f s\n", half, all);
    MUST(all <= 100 * half);
    stop_at(done);
}

int main(void)
{
    double *answered = mmap(NULL, PROCESSES * sizeof *answered, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(answered != MAP_FAILED);
    prepare_stops();
    run(answered, "first ready", "first answered");
    run(answered, "then ready", "then answered");
    puts("done");
    return 0;
}
