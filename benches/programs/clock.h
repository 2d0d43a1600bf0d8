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

/* The mean of the quickest quarter: what it takes where nothing else gets in the way, and finer than the clock. */
static double undisturbed(long *times, int count)
{
    double sum = 0;
    int quarter = (count + 3) / 4;
    qsort(times, count, sizeof *times, compare);
    for (int i = 0; i < quarter; i++)
        sum += times[i];
    return sum / quarter;
}

/* What the benchmark reads. */
static void tell(double nanoseconds)
{
    printf("%.4f\n", nanoseconds / 1000);
}
