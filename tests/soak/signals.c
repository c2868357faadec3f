/* Signals: sent to oneself, queued between processes, taken on another stack with vector registers in use. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t count;
static volatile long sum;
static volatile double spoiled = 1.5;

static void handler(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    spoiled = spoiled * 1.0000001 + 0.25;
    count++;
    sum += info->si_value.sival_int;
}

int main(void) {
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaltstack(&stack, 0);
    sigaction(SIGUSR1, &action, 0);
    sigaction(SIGRTMIN, &action, 0);
    double value = 1;
    for (int i = 0; i < 20000; i++) {
        value = value * 1.0001 + i;
        raise(SIGUSR1);
        if (value > 1e9) value /= 3;
    }
    if (count != 20000) { printf("%d of 20000 signals\n", (int)count); return 1; }
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, &old);
    count = 0, sum = 0;
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        for (int i = 0; i < 500; i++) sigqueue(parent, SIGRTMIN, (union sigval){.sival_int = i});
        _exit(0);
    }
    while (count < 500) sigsuspend(&old);
    waitpid(child, 0, 0);
    printf("%.17g %d %ld\n", value, (int)count, sum);
    return 0;
}
