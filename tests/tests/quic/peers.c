/* UDP as QUIC servers speak it: each new peer gets a socket of its own, bound to the server's port and connected to the
 * peer.
 *   peers serve PORT THREADS       serves for ever: greets each peer once and echoes what that says then,
 *   peers ask PORT THREADS COUNT   has so many peers for each thread see that they are served so.
 * Both need the same number of threads: all peers of a round say hello, then all sockets for them are bound at once. A
 * hello that came while a socket is bound and not connected could be given to that one by the kernel, and be lost;
 * QUIC would say it again. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in server_address;
static int listener, rounds;
static pthread_barrier_t all;

static void must(int so, const char *what)
{
    if (!so) {
        perror(what);
        exit(1);
    }
}

static int bound(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
    must(!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "SO_REUSEADDR");
    must(!setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one), "SO_REUSEPORT");
    must(!bind(fd, (struct sockaddr *)&server_address, sizeof server_address), "bind");
    return fd;
}

static void *serve(void *unused)
{
    for (;;) {
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        char text[100];
        must(recvfrom(listener, text, sizeof text, 0, (struct sockaddr *)&peer, &length) >= 0, "recvfrom");
        pthread_barrier_wait(&all);
        int fd = bound();
        must(!connect(fd, (struct sockaddr *)&peer, sizeof peer), "connect");
        must(send(fd, "welcome", 7, 0) == 7, "send");
        int said = recv(fd, text, sizeof text, 0);
        must(said >= 0 && send(fd, text, said, 0) == said, "echo");
        close(fd);
    }
    return unused;
}

static void exchange(int fd, const char *say, const char *hear)
{
    char text[100] = "";
    must(send(fd, say, strlen(say), 0) == (int)strlen(say), "send");
    must(recv(fd, text, sizeof text - 1, 0) >= 0, "recv");
    if (strcmp(text, hear)) {
        fprintf(stderr, "heard %s in the place of %s\n", text, hear);
        exit(1);
    }
}

static void *ask(void *unused)
{
    for (int i = 0; i < rounds; i++) {
        struct timeval patience = {.tv_sec = 60};
        char name[100];
        /* Connected: what comes from another address or port than the server's is not heard. */
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        must(!connect(fd, (struct sockaddr *)&server_address, sizeof server_address), "connect");
        must(!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), "SO_RCVTIMEO");
        snprintf(name, sizeof name, "%p asks for the %dth time", (void *)&fd, i);
        pthread_barrier_wait(&all);
        exchange(fd, "hello", "welcome");
        exchange(fd, name, name);
        close(fd);
    }
    return unused;
}

int main(int argc, char **argv)
{
    int serving = !strcmp(argv[1], "serve"), count = atoi(argv[3]);
    pthread_t threads[count];
    pthread_barrier_init(&all, NULL, count);
    server_address.sin_family = AF_INET;
    server_address.sin_port = htons(atoi(argv[2]));
    server_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (serving) {
        listener = bound();
        printf("ready\n");
        fflush(stdout);
    } else
        rounds = atoi(argv[4]);
    for (int i = 0; i < count; i++)
        must(!pthread_create(&threads[i], NULL, serving ? serve : ask, NULL), "pthread_create");
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
