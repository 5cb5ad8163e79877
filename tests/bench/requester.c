/* Asks an HTTP server for redirects as many clients, each named in X-Forwarded-For, over connections that stay open.
 *
 * requester -p PORT -f CLIENTS [-n CLIENTS] [-z ZIPF] [-w CONNECTIONS] [-t SECONDS] [-s SEED] [-k] [-o]
 *
 * On each connection one request is always under way. CLIENTS is a file of 8 bytes a client, as for the generator: its network, and
 * the address to which it must be sent; -k: where it is sent does not count; -o: each client asks once, and then it ends. Prints one line of JSON; a request without a reply
 * for 3 s, or whose connection was closed, is lost. Replies have a Content-Length, or no body.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 256
#define DRAWN (1 << 18)
#define GIVE_UP 3000000000LL

struct client { uint8_t network[4], expected[4]; };
struct connection { int have; int64_t asked; uint32_t client; char in[8192]; };
static struct client *clients;
static uint32_t drawn[DRAWN], next_draw;
static struct connection connections[MOST];
static struct pollfd watched[MOST];
static struct sockaddr_in server;
static uint64_t random_state = 1;
static float *latencies;
static size_t answered, room;
static long asked, wrong, failed, lost;
static int check = 1, once;
static uint32_t count;

static void die(const char *what) { perror(what); exit(1); }

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static double uniform(void) { /* xorshift64*, Vigna 2016 */
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (random_state * 2685821657736338717ULL >> 11) * 0x1p-53;
}

static void draw_clients(double zipf) {
    double *sum = malloc(count * sizeof *sum), total = 0;
    if (!sum) die("malloc");
    for (uint32_t i = 0; i < count; i++) sum[i] = total += pow(i + 1, -zipf);
    for (int i = 0; i < DRAWN; i++) {
        double point = uniform() * total;
        uint32_t low = 0, high = count - 1;
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            if (sum[middle] <= point) low = middle + 1; else high = middle;
        }
        drawn[i] = low;
    }
    free(sum);
}

static void open_connection(int number) {
    int one = 1;
    if (watched[number].fd > 0) close(watched[number].fd);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server)) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watched[number] = (struct pollfd){fd, POLLIN, 0};
}

static void ask(int number) {
    struct connection *connection = &connections[number];
    char out[512];
    connection->client = once ? next_draw++ % count : drawn[next_draw++ & (DRAWN - 1)];
    const uint8_t *network = clients[connection->client].network;
    int length = snprintf(out, sizeof out,
        "GET /films/%u/part.mp4?bits=%u HTTP/1.1\r\nHost: www.cdn.example.net\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        "X-Forwarded-For: %u.%u.%u.%u\r\n\r\n",
        next_draw & 4095, next_draw & 7, network[0], network[1], network[2], network[3]);
    connection->have = 0;
    connection->asked = now();
    asked++;
    if (write(watched[number].fd, out, length) != length) { lost++; open_connection(number); ask(number); }
}

static void count_reply(struct connection *connection, int64_t came) {
    const uint8_t *to = clients[connection->client].expected;
    char wanted[64];
    if (answered == room) {
        room = room ? 2 * room : 1 << 18;
        if (!(latencies = realloc(latencies, room * sizeof *latencies))) die("realloc");
    }
    latencies[answered++] = (came - connection->asked) / 1e3;
    if (memcmp(connection->in + 8, " 302", 4)) { failed++; return; }
    snprintf(wanted, sizeof wanted, "ocation: http://%u.%u.%u.%u/films/", to[0], to[1], to[2], to[3]);
    if (check && !strstr(connection->in, wanted)) wrong++;
}

/* Whether the reply is whole. */
static int whole(const struct connection *connection) {
    const char *end = strstr(connection->in, "\r\n\r\n"), *length = strcasestr(connection->in, "\r\ncontent-length:");
    return end && connection->have >= end + 4 - connection->in + (length && length < end ? atol(length + 17) : 0);
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double part(double share) { return answered ? latencies[(size_t)fmin(answered - 1, share * answered)] : 0; }

int main(int argc, char **argv) {
    double seconds = 2, zipf = 1;
    long first = 0;
    int port = 80, window = 32, option;
    const char *path = NULL;
    while ((option = getopt(argc, argv, "p:f:n:z:w:t:s:ko")) != -1) switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'f': path = optarg; break;
        case 'n': first = atol(optarg); break; /* clients of the file that ask */
        case 'z': zipf = atof(optarg); break;
        case 'w': window = atoi(optarg); break;
        case 't': seconds = atof(optarg); break;
        case 's': random_state = strtoull(optarg, NULL, 10) * 2654435769ULL + 1; break;
        case 'k': check = 0; break;
        case 'o': once = 1; break;
        default: return 2;
    }
    if (!path || window < 1 || window > MOST) { fputs("requester: -f CLIENTS, -w 1..256\n", stderr); return 2; }
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    fseek(file, 0, SEEK_END);
    count = ftell(file) / sizeof *clients;
    rewind(file);
    if (!(clients = malloc(count * sizeof *clients + 1)) || fread(clients, sizeof *clients, count, file) != count)
        die(path);
    fclose(file);
    if (first > 0 && first < count) count = first;
    if (count < 1) { fputs("requester: no clients\n", stderr); return 2; }
    draw_clients(zipf);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    for (int i = 0; i < window; i++) open_connection(i);
    int64_t at = now(), end = at + (int64_t)(seconds * 1e9), checked = at;
    for (int i = 0; i < window; i++) ask(i);
    while (at < end && !(once && asked >= (long)count + window)) {
        int ready = poll(watched, window, 100);
        at = now();
        for (int i = 0; ready > 0 && i < window; i++) {
            struct connection *connection = &connections[i];
            if (!watched[i].revents) continue;
            ready--;
            ssize_t got = read(watched[i].fd, connection->in + connection->have, sizeof connection->in - 1 - connection->have);
            if (got <= 0) { lost++; open_connection(i); ask(i); continue; }
            connection->in[connection->have += got] = 0;
            if (!whole(connection)) continue;
            count_reply(connection, now());
            ask(i);
        }
        if (at - checked > 200000000)
            for (int i = (checked = at, 0); i < window; i++)
                if (at - connections[i].asked > GIVE_UP) { lost++; open_connection(i); ask(i); }
    }
    qsort(latencies, answered, sizeof *latencies, by_value);
    printf("{\"seconds\":%.4f,\"asked\":%ld,\"answered\":%zu,\"failed\":%ld,\"wrong\":%ld,\"lost\":%ld,\"qps\":%.1f,"
           "\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}\n",
           seconds, asked - window, answered, failed, wrong, lost, (answered - failed) / seconds, part(.5), part(.9), part(.99),
           part(.999), part(1));
    return 0;
}
