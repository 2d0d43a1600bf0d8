/* same_port: 8 threads take one port from each other until it has been taken 10,000 times. One of them forks, each time
 * that it has tried ten times: children that end at once, that execute a program, and that bind. */
#include "bind.h"

enum { THREADS = 8 };

static int times;
static atomic_int taken, owners;

static void child(int number)
{
    switch (number % 3) {
    case 0:
        _exit(0);
    case 1:
        execl("/bin/true", "true", NULL);
        _exit(1);
    default:
        refused(tcp(), 99);
        granted(tcp(), 81);
        _exit(0);
    }
}

static void start_child(int number)
{
    int status;
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0)
        child(number);
    MUST(waitpid(pid, &status, 0) == pid && status == 0);
}

static void *take(void *forks)
{
    for (int tries = 0; taken < times; tries++) {
        int fd = tcp(), error = try_ip(fd, "127.0.0.1", 80);
        MUST(error == 0 || error == EADDRINUSE);
        MUST(port_of(fd) == (error ? 0 : 80));
        if (!error) {
            MUST(atomic_fetch_add(&owners, 1) == 0);
            atomic_fetch_add(&taken, 1);
            MUST(atomic_fetch_sub(&owners, 1) == 1);
        }
        close(fd);
        if (forks && tries % 10 == 0)
            start_child(tries / 10);
    }
    return NULL;
}

static void run(int number)
{
    pthread_t threads[THREADS];
    times = taken + number;
    for (intptr_t i = 0; i < THREADS; i++)
        MUST(pthread_create(&threads[i], NULL, take, (void *)(intptr_t)(i == 0)) == 0);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
}

int main(void)
{
    prepare_stops();
    run(1000);
    int before = count_descriptors();
    stop_at("warm");
    run(10000);
    MUST(count_descriptors() == before);
    stop_at("done");
    return 0;
}
