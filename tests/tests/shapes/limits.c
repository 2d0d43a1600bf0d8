/* limits RESOURCE...: binds without the channel under a limit that leaves room for the helper (granted), or not (refused). */
#include "unseen.h"

static void limit(int resource, rlim_t value)
{
    struct rlimit limit = {value, value};
    MUST(setrlimit(resource, &limit) == 0);
}

/* Sees that what would be granted is refused, and nothing is to be seen of that either. */
static void refuse_unseen(void)
{
    static surroundings before, after;
    int fd = tcp();
    look(&before);
    refused(fd, 80);
    look(&after);
    must_be_same(&before, &after);
    close(fd);
}

int main(int argc, char **argv)
{
    let_go();
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "core"))
            limit(RLIMIT_CORE, 0), bind_unseen();
        else if (!strcmp(argv[i], "fsize"))
            limit(RLIMIT_FSIZE, 0), bind_unseen();
        else if (!strcmp(argv[i], "nproc"))
            limit(RLIMIT_NPROC, 1), refuse_unseen();
        else if (!strcmp(argv[i], "as"))
            /* Enough for this program as it is, and for the helper. */
            limit(RLIMIT_AS, 16 << 20), bind_unseen();
        else if (!strcmp(argv[i], "little"))
            limit(RLIMIT_AS, 1 << 20), refuse_unseen();
        else
            return 2;
    puts("done");
    return 0;
}
