/* rebind TIMES: takes 127.0.0.1:80 and lets go of it, over and over; each time the port must be taken while it is, and
 * free, for everybody to see, when it is not. */
#include "bind.h"

int main(int argc, char **argv)
{
    int times = argc == 2 ? atoi(argv[1]) : 0;
    address a = ip("127.0.0.1", 80);
    prepare_stops();
    stop_at("ready");
    for (int i = 0; i < times; i++) {
        int type = i % 2 ? SOCK_DGRAM : SOCK_STREAM;
        int fd = socket(AF_INET, type, 0), other = socket(AF_INET, type, 0), client = socket(AF_INET, type, 0);
        MUST(try_ip(other, "127.0.0.1", 81) == EACCES);
        MUST(try_ip(fd, "127.0.0.1", 80) == 0);
        MUST(type == SOCK_DGRAM || listen(fd, 1) == 0);
        close(fd);
        /* Were there another descriptor of it, it would still answer. */
        int connected = connect(client, &a.any, sizeof a.v4);
        if (type == SOCK_STREAM) {
            MUST(connected == -1 && errno == ECONNREFUSED);
        } else {
            struct timeval patience = {10, 0};
            char byte = 0;
            MUST(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
            MUST(send(client, &byte, 1, 0) == 1);
            MUST(recv(client, &byte, 1, 0) == -1 && errno == ECONNREFUSED);
        }
        close(client);
        fd = socket(AF_INET, type, 0);
        MUST(try_ip(fd, "127.0.0.1", 80) == 0);
        MUST(try_ip(other, "127.0.0.1", 80) == EADDRINUSE);
        close(fd);
        MUST(try_ip(other, "127.0.0.1", 80) == 0);
        close(other);
    }
    puts("done");
    return 0;
}
