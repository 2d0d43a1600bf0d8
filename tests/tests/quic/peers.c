/* peers PORT COUNT: serves UDP as QUIC servers do: each new peer gets a socket of its own, bound to the same port with
 * SO_REUSEADDR and SO_REUSEPORT and connected to the peer. It greets each peer once and echoes what that says then. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void must(int so, const char *what)
{
    if (!so) {
        perror(what);
        exit(1);
    }
}

static int bound(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "SO_REUSEADDR");
    must(!setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one), "SO_REUSEPORT");
    must(!bind(fd, (struct sockaddr *)&address, sizeof address), "bind");
    return fd;
}

int main(int argc, char **argv)
{
    int port = atoi(argv[1]), first = -1, last = -1, server = bound(port);
    printf("ready\n");
    fflush(stdout);
    for (int count = atoi(argv[2]); count > 0; count--) {
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        char text[100];
        must(recvfrom(server, text, sizeof text, 0, (struct sockaddr *)&peer, &length) >= 0, "recvfrom");
        last = bound(port);
        first = first < 0 ? last : first;
        must(!connect(last, (struct sockaddr *)&peer, sizeof peer), "connect");
        must(send(last, "welcome", 7, 0) == 7, "send");
        length = recv(last, text, sizeof text, 0);
        must(send(last, text, length, 0) == (int)length, "send");
        close(last);
    }
    printf("descriptors from %d to %d\n", first, last);
    return 0;
}
