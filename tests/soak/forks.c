/* Fork storms: waves of children that share pages with their parent, write to them, exec, and are counted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned char pages[64][4096];

int main(void) {
    unsigned total = 0;
    for (int wave = 0; wave < 12; wave++) {
        for (int child = 0; child < 16; child++) {
            pid_t pid = fork();
            if (pid < 0) { perror("fork"); return 1; }
            if (pid == 0) {
                for (int page = 0; page < 64; page++) pages[page][child] = (unsigned char)(wave + page);
                unsigned sum = 0;
                for (int page = 0; page < 64; page++) sum += pages[page][child];
                if (child % 8 == 7) execl("/bin/busybox", "sh", "-c", "exit 7", (char *)0);
                _exit((int)(sum & 127));
            }
        }
        for (int child = 0; child < 16; child++) {
            int status;
            if (wait(&status) < 0 || !WIFEXITED(status)) { printf("a child was lost\n"); return 1; }
            total += (unsigned)WEXITSTATUS(status);
        }
    }
    for (int page = 0; page < 64; page++)
        for (int at = 0; at < 4096; at++)
            if (pages[page][at]) { printf("a child wrote into its parent\n"); return 1; }
    printf("%u\n", total);
    return 0;
}
