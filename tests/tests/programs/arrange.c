/* arrange WORD... -- COMMAND [ARG...]: becomes COMMAND in unusual circumstances. The words:
 *
 *   block N, ignore N, raise N   a signal: in the mask, without effect, sent to this process
 *   close N, open N PATH         a descriptor
 *   clear, entry TEXT            the environment: emptied, one entry more, whatever it looks like
 *   session, terminal            a session of its own, and one with a controlling terminal
 *   alarm, subreaper             a timer that runs, prctl(PR_SET_CHILD_SUBREAPER)
 *   broken N, channel            descriptor N is a pipe that nobody reads, standard input a channel that has ended
 *   nameless                     argc is 0
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void move_to(int from, int to)
{
    if (from < 0)
        err(99, "open");
    if (from != to && (dup2(from, to) != to || close(from)))
        err(99, "dup2");
}

static void open_terminal(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master) || setsid() < 0 || open(ptsname(master), O_RDWR) < 0)
        err(99, "terminal");
}

static void break_pipe(int writer)
{
    int ends[2];
    if (pipe(ends))
        err(99, "pipe");
    move_to(ends[1], writer);
    close(ends[0]);
}

static void open_ended_channel(void)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends))
        err(99, "socketpair");
    move_to(ends[0], 0);
    close(ends[1]);
}

static char **at; /* the word at hand */

static int is(const char *name)
{
    return !strcmp(*at, name);
}

static int number(void)
{
    return atoi(*++at);
}

int main(int argc, char **argv)
{
    static char *environment[1000], *nameless[] = {NULL};
    int entries = 0, named = 1, fd;
    sigset_t blocked;

    sigprocmask(SIG_BLOCK, NULL, &blocked);
    for (; environ[entries]; entries++)
        environment[entries] = environ[entries];
    for (at = argv + 1; *at && !is("--"); at++) {
        if (is("block")) {
            sigaddset(&blocked, number());
            sigprocmask(SIG_SETMASK, &blocked, NULL);
        } else if (is("ignore"))
            signal(number(), SIG_IGN);
        else if (is("raise"))
            kill(getpid(), number());
        else if (is("close"))
            close(number());
        else if (is("open")) {
            fd = number();
            move_to(open(*++at, O_RDWR | O_CREAT, 0666), fd);
        } else if (is("broken"))
            break_pipe(number());
        else if (is("channel"))
            open_ended_channel();
        else if (is("clear"))
            entries = 0;
        else if (is("entry"))
            environment[entries++] = *++at;
        else if (is("session"))
            setsid();
        else if (is("terminal"))
            open_terminal();
        else if (is("alarm"))
            alarm(100000);
        else if (is("subreaper"))
            prctl(PR_SET_CHILD_SUBREAPER, 1);
        else if (is("nameless"))
            named = 0;
        else
            errx(99, "arrange: %s", *at);
    }
    environment[entries] = NULL;
    execvpe(at[1], named ? at + 1 : nameless, environment);
    err(99, "%s", at[1]);
}
