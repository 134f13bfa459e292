/* Does one thing wrong, the one named on the command line, for scripts/asan.sh to see it reported. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *global_take(size_t), global_give(void *, size_t);
void *heap_take(size_t), heap_give(void *, size_t), heap_collect(void);

static void *(*take)(size_t);
static void (*give)(void *, size_t);

static void clean(void) {
    static const size_t sizes[] = {1, 8, 24, 64, 100, 777, 4096, 10000, 70000, 300000, 2000000};
    enum { LIVE = 64 };
    char *live[LIVE] = {0};
    size_t of[LIVE] = {0};
    for (unsigned n = 0; n < 20000; n++) {
        unsigned at = n * 31 % LIVE;
        if (live[at]) give(live[at], of[at]);
        of[at] = sizes[n * 7 % 11];
        live[at] = memset(take(of[at]), n, of[at]);
    }
    for (unsigned at = 0; at < LIVE; at++) give(live[at], of[at]);
    heap_collect();
    /* Where heaps had their segments anybody may have memory now. */
    for (unsigned n = 0; n < 20; n++) {
        char *all = mmap(0, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(all, 1, 32 << 20);
    }
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    const char *bug = arguments[2];
    int global = !strcmp(arguments[1], "global");
    take = global ? global_take : heap_take;
    give = global ? global_give : heap_give;
    volatile char *a = take(64), *b = take(64), *c = take(64);
    volatile char *run = take(100000), *mapping = take(3000000);
    if (!strcmp(bug, "none")) clean();
    else if (!strcmp(bug, "overflow-into-live")) b[64] = 1;
    else if (!strcmp(bug, "overflow-into-free")) { give((void *)a, 64); give((void *)c, 64); b[64] = 1; }
    else if (!strcmp(bug, "underflow")) b[-1] = 1;
    else if (!strcmp(bug, "overflow-of-a-run")) run[100000] = 1;
    else if (!strcmp(bug, "overflow-of-a-mapping")) mapping[3000000] = 1;
    else if (!strcmp(bug, "use-after-free")) { give((void *)b, 64); printf("%d\n", b[20]); }
    else if (!strcmp(bug, "write-after-free")) { give((void *)b, 64); b[0] = 1; }
    else return 2;
    puts("not noticed");
    return 0;
}
