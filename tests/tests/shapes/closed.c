/* closed PROGRAM [ARG...]: becomes a program that has no channel. */
#include "unseen.h"

int main(int argc, char **argv)
{
    MUST(argc >= 2);
    let_go();
    execv(argv[1], argv + 1);
    return 1;
}
