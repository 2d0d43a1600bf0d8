/* locks [DESCRIPTOR]: a thread binds without the channel, by a helper that is held up; meanwhile another becomes this
 * program again, which finds the lock of the file at DESCRIPTOR, a process's own, where it was. */
#include "unseen.h"

static void *bind_it(void *argument)
{
    try_ip(*(int *)argument, "127.0.0.1", 80);
    _exit(1);
}

static void become_next(void)
{
    pthread_t binder;
    char number[12];
    int fd, file;
    /* The channel's helper serves, so that when it is gone there is none. */
    fd = tcp();
    granted(fd, 80);
    close(fd);
    let_go();
    file = open("/run/tmp/locks", O_RDWR | O_CREAT | O_EXCL, 0600);
    struct flock lock = {.l_type = F_WRLCK};
    MUST(file >= 0 && fcntl(file, F_SETLK, &lock) == 0);
    fd = tcp();
    stop_at("ready");
    MUST(pthread_create(&binder, NULL, bind_it, &fd) == 0);
    stop_at("binding");
    sprintf(number, "%d", file);
    execl("/proc/self/exe", "locks", number, NULL);
    _exit(1);
}

/* Sees that the lock is this process's, by the eyes of another. */
static void must_be_locked(int file)
{
    int status;
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        struct flock lock = {.l_type = F_WRLCK};
        MUST(fcntl(file, F_GETLK, &lock) == 0);
        _exit(lock.l_type == F_WRLCK && lock.l_pid == getppid() ? 0 : 1);
    }
    MUST(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(int argc, char **argv)
{
    prepare_stops();
    if (argc < 2)
        become_next();
    must_be_locked(atoi(argv[1]));
    stop_at("executed");
    /* The process that has run the helper, which is gone with it. */
    MUST(waitpid(-1, NULL, __WALL) > 0);
    must_be_locked(atoi(argv[1]));
    puts("done");
    return 0;
}
