/* share tcp|udp [alone]: binds 127.0.0.1:80, with SO_REUSEPORT unless alone; tells the errno, or each time that it is
 * reached. */
#include "bind.h"

int main(int argc, char **argv)
{
    int stream = !strcmp(argv[1], "tcp"), shared = argc == 2, error;
    int fd = socket(AF_INET, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
    MUST(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, sizeof shared) == 0);
    if ((error = try_ip(fd, "127.0.0.1", 80))) {
        printf("%s\n", error_name(error));
        return 0;
    }
    MUST(!stream || listen(fd, 100) == 0);
    for (puts("bound"); !fflush(stdout); puts("reached")) {
        char byte;
        int client = stream ? accept(fd, NULL, NULL) : recv(fd, &byte, 1, 0);
        MUST(client > 0);
        if (stream)
            close(client);
    }
    return 0;
}
