/* Mappings that come, change their protection, fault, move and go, with their contents checked. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096
#define PAGES 32

static sigjmp_buf back;
static unsigned faults;
static void on_fault(int number) { (void)number; faults++; siglongjmp(back, 1); }

static int faults_at(volatile unsigned char *byte, int write) {
    if (sigsetjmp(back, 1)) return 1;
    if (write) *byte = 1; else (void)*byte;
    return 0;
}

int main(void) {
    signal(SIGSEGV, on_fault);
    unsigned random = 1, sum = 0;
    for (int round = 0; round < 1500; round++) {
        random = random * 1664525u + 1013904223u;
        unsigned page = random >> 16 & (PAGES - 1);
        unsigned char *map = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED) { perror("mmap"); return 1; }
        for (unsigned i = 0; i < PAGES; i += 1 + (random & 3)) map[i * PAGE + (random >> 8 & 4095)] = (unsigned char)(i + round);
        unsigned char *at = map + page * PAGE;
        mprotect(at, PAGE, PROT_READ);
        if (!faults_at(at, 1) || faults_at(at, 0)) { printf("a read-only page was written\n"); return 1; }
        mprotect(at, PAGE, PROT_NONE);
        if (!faults_at(at, 0)) { printf("a page without access was read\n"); return 1; }
        mprotect(at, PAGE, PROT_READ | PROT_WRITE);
        if (faults_at(at, 1)) { printf("a page stayed protected\n"); return 1; }
        for (unsigned i = 0; i < PAGES; i++) sum = sum * 31 + map[i * PAGE + (random >> 8 & 4095)];
        if (round % 3 == 0) {
            unsigned char *moved = mremap(map, PAGES * PAGE, 2 * PAGES * PAGE, MREMAP_MAYMOVE);
            if (moved == MAP_FAILED) { perror("mremap"); return 1; }
            sum = sum * 31 + moved[page * PAGE] + moved[PAGES * PAGE];
            munmap(moved, 2 * PAGES * PAGE);
        } else {
            madvise(at, PAGE, MADV_DONTNEED);
            sum = sum * 31 + *at;
            munmap(map, PAGES * PAGE);
            if (round % 50 == 1 && !faults_at(at, 0)) { printf("a page outlived its mapping\n"); return 1; }
        }
    }
    printf("%u %08x\n", faults, sum);
    return 0;
}
