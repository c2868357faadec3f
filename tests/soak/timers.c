/* Timers: intervals by signal and by descriptor, sleeps that must not end early, clocks that must not go back. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t alarms;
static void on_alarm(int number) { (void)number; alarms++; }

static int64_t now_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(void) {
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, 0);
    struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    int64_t last = now_ns(CLOCK_MONOTONIC);
    setitimer(ITIMER_REAL, &often, 0);
    while (alarms < 60) {
        int64_t now = now_ns(CLOCK_MONOTONIC);
        if (now < last) { printf("the clock went back by %lld ns\n", (long long)(last - now)); return 1; }
        last = now;
    }
    setitimer(ITIMER_REAL, &never, 0);
    for (int i = 1; i <= 20; i++) {
        struct timespec sleep = {0, i * 200000};
        int64_t start = now_ns(CLOCK_MONOTONIC);
        while (nanosleep(&sleep, &sleep) != 0) {}
        if (now_ns(CLOCK_MONOTONIC) - start < i * 200000) { printf("a sleep ended early\n"); return 1; }
    }
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec every = {{0, 1000000}, {0, 1000000}};
    uint64_t expired = 0, count;
    timerfd_settime(timer, 0, &every, 0);
    while (expired < 50 && read(timer, &count, sizeof count) == sizeof count) expired += count;
    if (expired < 50) { printf("the timer's descriptor failed\n"); return 1; }
    printf("timers\n");
    return 0;
}
