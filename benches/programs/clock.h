/* What all programs here measure with. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* In nanoseconds. */
static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static int compare(const void *one, const void *other)
{
    long a = *(const long *)one, b = *(const long *)other;
    return (a > b) - (a < b);
}

/* The mean of the middle half: as steady as the median, and finer than the clock. */
static double typical(long *times, int count)
{
    double sum = 0;
    int from = count / 4, to = count - from;
    qsort(times, count, sizeof *times, compare);
    for (int i = from; i < to; i++)
        sum += times[i];
    return sum / (to - from);
}

/* What the benchmark reads. */
static void tell(double nanoseconds)
{
    printf("%.4f\n", nanoseconds / 1000);
}
