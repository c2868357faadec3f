/* Programs that write programs: in place, through a second mapping, from another thread, and over themselves. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint32_t (*function)(uint32_t);

/* lea eax, [rdi + rdi*SCALE + ADD]; ret */
static void emit(unsigned char *to, uint32_t scale_bits, int32_t add) {
    unsigned char code[8] = {0x8d, 0x84, (unsigned char)(scale_bits << 6 | 0x3f)};
    memcpy(code + 3, &add, 4);
    code[7] = 0xc3;
    memcpy(to, code, 8);
}
static uint32_t expected(uint32_t value, uint32_t scale_bits, int32_t add) {
    return value + (value << scale_bits) + (uint32_t)add;
}

static unsigned char *shared;
static volatile int turn;

static void *writer(void *argument) {
    (void)argument;
    for (int i = 0; i < 400; i++) {
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != 0) usleep(0);
        emit(shared + 2048, (uint32_t)i & 3, i * 7);
        __atomic_store_n(&turn, 1, __ATOMIC_RELEASE);
    }
    return 0;
}

int main(void) {
    int file = memfd_create("code", 0);
    if (file < 0 || ftruncate(file, 8192) != 0) { perror("memfd"); return 1; }
    unsigned char *both = mmap(0, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, file, 0);
    unsigned char *alias = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (both == MAP_FAILED || alias == MAP_FAILED) { perror("mmap"); return 1; }
    shared = both;
    uint32_t sum = 0;
    for (int i = 0; i < 6000; i++) {
        /* Some functions cross from one page into the next. */
        unsigned at = (unsigned)i * 61 % 4200;
        emit((i & 1 ? alias : both) + at, (uint32_t)i & 3, i * 3);
        __sync_synchronize();
        uint32_t got = ((function)(uintptr_t)(both + at))((uint32_t)i);
        if (got != expected((uint32_t)i, (uint32_t)i & 3, i * 3)) { printf("round %d: old code ran\n", i); return 1; }
        sum = sum * 31 + got;
    }
    pthread_t thread;
    pthread_create(&thread, 0, writer, 0);
    for (int i = 0; i < 400; i++) {
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != 1) usleep(0);
        __asm__ volatile("cpuid" : : "a"(0), "c"(0) : "rbx", "rdx", "memory");
        uint32_t got = ((function)(uintptr_t)(both + 2048))(5);
        if (got != expected(5, (uint32_t)i & 3, i * 7)) { printf("turn %d: the other thread's old code ran\n", i); return 1; }
        sum = sum * 31 + got;
        __atomic_store_n(&turn, 0, __ATOMIC_RELEASE);
    }
    pthread_join(thread, 0);
    /* A loop that changes the immediate of the addition that it runs next: add eax, imm32 at byte 11. */
    static const unsigned char loop[] = {
        0x31, 0xc0,                         /* xor eax, eax */
        0xff, 0x05, 0x03, 0, 0, 0,          /* inc dword [rip+3]: the addition's immediate */
        0x90, 0x90,                         /* nop; nop */
        0x05, 1, 0, 0, 0,                   /* add eax, 1 */
        0xff, 0xcf,                         /* dec edi */
        0x75, 0xef,                         /* jnz to inc */
        0xc3};
    memcpy(both + 6000, loop, sizeof loop);
    uint32_t got = ((function)(uintptr_t)(both + 6000))(300);
    if (got != 300u * 303 / 2) { printf("a loop over itself gave %u\n", got); return 1; }
    printf("%08x %u\n", sum, got);
    return 0;
}
