/* The errno with which a TCP socket can be bound to this port of 127.0.0.1; 0 for success. */
#include <arpa/inet.h>
#include <errno.h>
#include <unistd.h>

static int try_bind(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int failed = bind(fd, (struct sockaddr *)&address, sizeof address) ? errno : 0;
    close(fd);
    return failed;
}
