/* Runs a program and writes what it took, as JSON, to a file: usage FILE COMMAND...; exits as the program did.
 *
 * A process starts with the peak memory of the one that it was before it called exec. Between a large parent and the program that
 * is measured, this small one sees to it that the peak is the program's own. Memory in KiB, times in seconds.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t) { return t.tv_sec + t.tv_usec / 1e6; }

int main(int argc, char **argv) {
    struct timespec began, ended;
    struct rusage used;
    int status;
    if (argc < 3) return 2;
    clock_gettime(CLOCK_MONOTONIC, &began);
    pid_t pid = fork();
    if (pid < 0) { perror("fork"); return 1; }
    if (!pid) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    if (wait4(pid, &status, 0, &used) != pid) { perror("wait4"); return 1; }
    clock_gettime(CLOCK_MONOTONIC, &ended);
    FILE *file = fopen(argv[1], "w");
    if (!file) { perror(argv[1]); return 1; }
    fprintf(file, "{\"seconds\":%.6f,\"cpu\":%.6f,\"peak\":%ld}\n",
            ended.tv_sec - began.tv_sec + (ended.tv_nsec - began.tv_nsec) / 1e9, seconds(used.ru_utime) + seconds(used.ru_stime),
            used.ru_maxrss);
    if (fclose(file)) { perror(argv[1]); return 1; }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
