/* A clock that jumps by up to fifteen years, back or forth, every time somebody looks at it; with
   CLOCK_JUMPS=once it has jumped before the process began, and goes on from there.
   Only the time of day jumps; the clocks that measure how long something takes go on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t looks = 88172645463325252u;

static time_t jump(void) {
    uint64_t x = looks;
    if (getenv("CLOCK_JUMPS")) x = 2654435761u * (uint64_t)getpid();
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    looks = x;
    return (time_t)(x % 946728000u) - 473364000;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    static int (*true_one)(clockid_t, struct timespec *);
    if (!true_one) true_one = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = true_one(clock, out);
    if (!failed && clock == CLOCK_REALTIME) out->tv_sec += jump();
    return failed;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    if (!failed && out) {
        out->tv_sec = now.tv_sec;
        out->tv_usec = now.tv_nsec / 1000;
    }
    return failed;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
