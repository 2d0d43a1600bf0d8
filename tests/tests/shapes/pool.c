/* pool: 8 processes bind and close over and over, each a port out of 16 (200 and up), until SIGUSR1. Each bind does what
 * it says. In the end each gets a port of its own (300 and up). */
#include "unseen.h"

enum { PROCESSES = 8, PORTS = 16 };

/* What they share: whether to end, and how often there was which result. */
static struct {
    atomic_int done, bound, in_use, refused;
} *shared;

static int work(int number)
{
    unsigned int random = number;
    while (!shared->done) {
        int fd = tcp(), port = 200 + rand_r(&random) % PORTS;
        int error = try_ip(fd, "127.0.0.1", port);
        MUST(error == 0 || error == EADDRINUSE || error == EACCES);
        MUST(port_of(fd) == (error ? 0 : port));
        atomic_fetch_add(error == 0 ? &shared->bound : error == EACCES ? &shared->refused : &shared->in_use, 1);
        close(fd);
    }
    granted(tcp(), 300 + number);
    MUST(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD);
    return 0;
}

int main(void)
{
    int status;
    prepare_stops();
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(shared != MAP_FAILED);
    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();
        MUST(pid >= 0);
        if (pid == 0)
            _exit(work(i));
    }
    while (shared->bound < PROCESSES)
        sched_yield();
    stop_at("ready");
    shared->done = 1;
    for (int i = 0; i < PROCESSES; i++)
        MUST(wait(&status) > 0 && status == 0);
    printf("bound %d, in use %d, refused %d\ndone\n", shared->bound, shared->in_use, shared->refused);
    return 0;
}
