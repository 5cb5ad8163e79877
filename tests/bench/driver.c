/* Runs coprocesses of the pipe backend and asks them as PowerDNS does: one question, its reply, the next.
 *
 * driver [-w WORKERS] [-a ASKED] [-u UNCOUNTED] [-c CORE] [-s] QUESTIONS -- COMMAND...
 *
 * Starts WORKERS of them at once and times each from its start to its first answer. Then asks each in turn, alone, all of QUESTIONS
 * (a file of lines) or the first ASKED, in a loop if there are fewer; the first UNCOUNTED do not count. All run on CORE. With -s
 * it ends after the first answers. Prints one line of JSON; times are in microseconds, memory (PSS and private) in KiB.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST 256
struct worker { pid_t pid; int in, out; int64_t born; double first; int said, ready; };
static struct worker workers[MOST];
static char *text, **lines;
static size_t *lengths, line_count;

static void die(const char *what) { perror(what); exit(1); }

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void load(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    text = malloc(size + 1);
    if (!text || fread(text, 1, size, file) != (size_t)size) die(path);
    fclose(file);
    for (long i = 0; i < size; i++) line_count += text[i] == '\n';
    lines = malloc((line_count + 1) * sizeof *lines);
    lengths = malloc((line_count + 1) * sizeof *lengths);
    char *at = text;
    for (size_t i = 0; i < line_count; i++) {
        char *end = memchr(at, '\n', text + size - at);
        lines[i] = at;
        lengths[i] = end + 1 - at;
        at = end + 1;
    }
    if (!line_count) { fputs("driver: no questions\n", stderr); exit(2); }
}

static void start(struct worker *worker, char **command) {
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC)) die("pipe");
    worker->born = now();
    if ((worker->pid = fork()) < 0) die("fork");
    if (!worker->pid) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    worker->in = to[1];
    worker->out = from[0];
}

static int write_all(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t count = write(fd, bytes, length);
        if (count <= 0) return -1;
        bytes += count;
        length -= count;
    }
    return 0;
}

/* Reads one reply, up to END or FAIL; 1: it has records, 0: it has none, -1: FAIL, -2: the worker is gone. */
static int reply(int fd) {
    static char buffer[65536];
    size_t have = 0;
    for (;;) {
        ssize_t count = read(fd, buffer + have, sizeof buffer - have);
        if (count <= 0) return -2;
        have += count;
        if (have >= 4 && !memcmp(buffer + have - 4, "END\n", 4)) return buffer[0] == 'D';
        if (have >= 5 && !memcmp(buffer + have - 5, "FAIL\n", 5)) return -1;
        if (have == sizeof buffer) return -2;
    }
}

/* Nanoseconds that the main thread has run (proc(5), schedstat); coprocesses have one thread. */
static int64_t ran(pid_t pid) {
    char path[64];
    long long value = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%lld", &value) != 1) die(path);
    fclose(file);
    return value;
}

static void memory(pid_t pid, long *pss, long *private) {
    char path[64], line[256];
    long value;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(path, "r");
    *pss = *private = 0;
    if (!file) return;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "Pss: %ld", &value) == 1) *pss = value;
        if (sscanf(line, "Private_Clean: %ld", &value) == 1 || sscanf(line, "Private_Dirty: %ld", &value) == 1) *private += value;
    }
    fclose(file);
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    int count = 1, option, only_start = 0;
    long asked = 0, uncounted = 0;
    while ((option = getopt(argc, argv, "+w:a:u:c:s")) != -1) switch (option) {
        case 'w': count = atoi(optarg); break;
        case 'a': asked = atol(optarg); break;
        case 'u': uncounted = atol(optarg); break;
        case 'c': {
            cpu_set_t set;
            CPU_ZERO(&set);
            CPU_SET(atoi(optarg), &set);
            if (sched_setaffinity(0, sizeof set, &set)) die("sched_setaffinity");
            break;
        }
        case 's': only_start = 1; break;
        default: return 2;
    }
    if (argc - optind < 2 || count < 1 || count > MOST) { fputs("driver: QUESTIONS -- COMMAND...\n", stderr); return 2; }
    load(argv[optind]);
    char **command = argv + optind + 1;
    if (!strcmp(command[0], "--")) command++;
    if (asked <= 0) asked = line_count;
    signal(SIGPIPE, SIG_IGN);

    int64_t began = now(), ready_at = 0;
    struct pollfd watched[MOST];
    for (int i = 0; i < count; i++) {
        start(&workers[i], command);
        watched[i] = (struct pollfd){workers[i].out, POLLIN, 0};
        write_all(workers[i].in, "HELO\t3\n", 7);
    }
    for (int ready = 0; ready < count;) {
        poll(watched, count, -1);
        for (int i = 0; i < count; i++) {
            struct worker *worker = &workers[i];
            if (!watched[i].revents) continue;
            if (!worker->said) { /* the banner */
                char banner[4096];
                if (read(worker->out, banner, sizeof banner) <= 0) { fputs("driver: no banner\n", stderr); return 1; }
                worker->said = 1;
                write_all(worker->in, lines[0], lengths[0]);
                continue;
            }
            int what = reply(worker->out);
            if (what < 1) { fprintf(stderr, "driver: first answer is %s\n", what == -2 ? "missing" : what ? "FAIL" : "empty"); return 1; }
            ready_at = now();
            worker->first = (ready_at - worker->born) / 1e3;
            watched[i].fd = -1;
            ready++;
        }
    }

    float *latencies = malloc((asked + 1) * count * sizeof *latencies);
    size_t measured = 0;
    long failed = 0, empty = 0;
    double cpu = 0, own = 0, wall = 0;
    for (int i = 0; i < count && !only_start; i++) {
        struct worker *worker = &workers[i];
        int64_t before = 0, before_own = 0, from = 0;
        for (long n = 0; n < uncounted + asked; n++) {
            if (n == uncounted) {
                before = ran(worker->pid);
                before_own = ran(getpid());
                from = now();
            }
            int64_t sent = now();
            write_all(worker->in, lines[n % line_count], lengths[n % line_count]);
            int what = reply(worker->out);
            if (what == -2) { fputs("driver: the worker is gone\n", stderr); return 1; }
            if (n >= uncounted) {
                latencies[measured++] = (now() - sent) / 1e3;
                failed += what == -1;
                empty += what == 0;
            }
        }
        wall += (now() - from) / 1e3;
        cpu += (ran(worker->pid) - before) / 1e3;
        own += (ran(getpid()) - before_own) / 1e3;
    }
    qsort(latencies, measured, sizeof *latencies, by_value);
    long pss = 0, private = 0;
    printf("{\"first\":[");
    for (int i = 0; i < count; i++) printf("%s%.1f", i ? "," : "", workers[i].first);
    printf("],\"all_first\":%.1f,\"pss\":[", (ready_at - began) / 1e3);
    for (int i = 0; i < count; i++) {
        long one, mine;
        memory(workers[i].pid, &one, &mine);
        pss += one;
        private += mine;
        printf("%s%ld", i ? "," : "", one);
    }
    double questions = measured ? measured : 1;
    printf("],\"pss_total\":%ld,\"private_total\":%ld,\"asked\":%zu,\"failed\":%ld,\"empty\":%ld,\"cpu\":%.4f,\"driver_cpu\":%.4f,"
           "\"wall\":%.4f,\"p50\":%.2f,\"p99\":%.2f,\"p999\":%.2f,\"max\":%.2f}\n",
           pss, private, measured, failed, empty, cpu / questions, own / questions, wall / questions,
           measured ? latencies[measured / 2] : 0, measured ? latencies[measured * 99 / 100] : 0,
           measured ? latencies[measured * 999 / 1000] : 0, measured ? latencies[measured - 1] : 0);
    for (int i = 0; i < count; i++) close(workers[i].in); /* the end of their input ends them */
    int left = count;
    for (int tries = 0; left && tries < 300; tries++) {
        while (left && waitpid(-1, NULL, WNOHANG) > 0) left--;
        if (left) usleep(10000);
    }
    for (int i = 0; left && i < count; i++) kill(workers[i].pid, SIGKILL);
    return 0;
}
