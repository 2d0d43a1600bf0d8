/* hold FILE: keeps everybody else from opening or executing a file (a lease, see fcntl(2)). Tells who waits for it;
 * at SIGUSR1 lets go. */
#include "bind.h"

int main(int argc, char **argv)
{
    int fd, signal;
    sigset_t wanted = only(SIGIO);
    MUST(argc == 2);
    prepare_stops();
    MUST(sigprocmask(SIG_BLOCK, &wanted, NULL) == 0);
    MUST((fd = open(argv[1], O_RDONLY)) >= 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0);
    printf("held\n");
    fflush(stdout);
    MUST(sigwait(&wanted, &signal) == 0);
    stop_at("wanted");
    MUST(fcntl(fd, F_SETLEASE, F_UNLCK) == 0);
    return 0;
}
