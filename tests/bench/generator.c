/* Asks a DNS server for one name, or several, as many clients, each in an EDNS client subnet option (RFC 7871), over UDP.
 *
 * Closed loop: a window of questions is always under way, and a reply makes room for the next question. With a rate: questions
 * leave at random (Poisson) times, whether replies come or not, and a latency counts from the time that was meant, so that a
 * server that stalls cannot hide it by being asked less (coordinated omission). A question without a reply for 3 s is lost, and
 * its latency is those 3 s; when the time is over, what is still under way is waited for as long, but is no part of the rate.
 * "stalled" says by how many microseconds, at most, this program itself was woken too late with a rate.
 *
 * Prints one line of JSON. CLIENTS is a file of 8 bytes a client: its /24 and the IPv4 address that it must be given (0: any),
 * both in network order; with -6 of 10 bytes: a /48 and that address. The client of rank r is asked for in proportion to
 * 1 / r^ZIPF, each of the names with the same chance.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WINDOW_MAX 1024
#define OPEN_MOST 200 /* under way with a rate: more would overflow a server's socket buffer (212,992 bytes by default) */
#define BATCH 32
#define DRAWN (1 << 18) /* clients; then the same again. Each run draws them, also one of half a second */
#define NAMES 16
#define GIVE_UP 3000000000LL /* ns until a question counts as lost */

struct client { uint8_t network[6], expected[4]; };
struct question { uint8_t bytes[300]; int length, end, network_at; };
struct slot { int64_t meant; uint32_t client; uint16_t id; uint8_t busy, name; };
struct sample { float at, latency; }; /* seconds since the beginning, microseconds */

static struct client *clients;
static uint32_t *drawn, next_draw;
static struct slot slots[WINDOW_MAX];
static uint16_t idle[WINDOW_MAX];
static int idle_count, window = 32, sock;
static uint16_t turn;
static struct question questions[NAMES];
static int name_count, ipv6;
static uint64_t random_state = 1;
static struct sample *samples;
static size_t sample_count, sample_room;
static long sent, answered, failed, wrong, lost, in_time;
static int64_t began, stalled;

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

static void draw_clients(uint32_t count, double zipf) {
    double *sum = malloc(count * sizeof *sum), total = 0;
    if (!(drawn = malloc(DRAWN * sizeof *drawn)) || !sum) die("malloc");
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

static void make_question(struct question *question, const char *name) {
    uint8_t *p = question->bytes;
    static const uint8_t head[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1};
    static const uint8_t tail[] = {0, 0, 1, 0, 1,                           /* A IN: the question ends here */
        0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0};      /* OPT, client subnet, IPv4, /24 */
    static const uint8_t tail6[] = {0, 0, 1, 0, 1,
        0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 14, 0, 8, 0, 10, 0, 2, 48, 0};     /* the same, IPv6, /48 */
    memcpy(p, head, sizeof head);
    p += sizeof head;
    while (*name) {
        size_t length = strcspn(name, ".");
        if (length > 63 || p + length > question->bytes + 250) { fputs("name too long\n", stderr); exit(2); }
        *p++ = length;
        memcpy(p, name, length);
        p += length;
        name += length + (name[length] == '.');
    }
    memcpy(p, ipv6 ? tail6 : tail, sizeof tail);
    question->end = p + 5 - question->bytes;
    question->network_at = p + sizeof tail - question->bytes;
    question->length = question->network_at + (ipv6 ? 6 : 3);
}

static uint8_t out_bytes[BATCH][300];
static struct iovec out_parts[BATCH];
static struct mmsghdr out[BATCH];
static int out_count;

static void flush_out(void) {
    int done = 0;
    while (done < out_count) {
        int count = sendmmsg(sock, out + done, out_count - done, 0);
        if (count > 0) done += count;
        else if (errno == ECONNREFUSED || errno == EINTR) continue; /* the error of an earlier packet */
        else if (errno == ENOBUFS || errno == EAGAIN) usleep(100);
        else die("sendmmsg");
    }
    out_count = 0;
}

static void ask(int number, int64_t meant) {
    struct slot *slot = &slots[number];
    uint8_t *packet = out_bytes[out_count];
    slot->client = drawn[next_draw++ & (DRAWN - 1)];
    slot->name = name_count > 1 ? uniform() * name_count : 0;
    const struct question *question = &questions[slot->name];
    slot->id = ++turn << 10 | number;
    slot->meant = meant;
    slot->busy = 1;
    memcpy(packet, question->bytes, question->length);
    packet[0] = slot->id >> 8;
    packet[1] = slot->id & 255;
    memcpy(packet + question->network_at, clients[slot->client].network, ipv6 ? 6 : 3);
    out_parts[out_count] = (struct iovec){packet, question->length};
    out[out_count].msg_hdr = (struct msghdr){.msg_iov = &out_parts[out_count], .msg_iovlen = 1};
    sent++;
    if (++out_count == BATCH) flush_out();
}

/* Whether the first A record of a reply is the address that the client must be given. */
static int right(const uint8_t *packet, int length, int at, const struct client *client) {
    if (!memcmp(client->expected, "\0\0\0\0", 4)) return 1;
    for (int left = packet[6] << 8 | packet[7]; left > 0; left--) {
        while (at < length && packet[at] && packet[at] < 192) at += packet[at] + 1;
        at += at < length && packet[at] ? 2 : 1;
        if (at + 10 > length) return 0;
        int type = packet[at] << 8 | packet[at + 1], size = packet[at + 8] << 8 | packet[at + 9];
        if (type == 1) return at + 14 <= length && !memcmp(packet + at + 10, client->expected, 4);
        at += 10 + size;
    }
    return 0;
}

static void keep(int64_t meant, int64_t latency) {
    if (sample_count == sample_room) {
        sample_room = sample_room ? 2 * sample_room : 1 << 18;
        if (!(samples = realloc(samples, sample_room * sizeof *samples))) die("realloc");
    }
    samples[sample_count++] = (struct sample){(meant - began) / 1e9, latency / 1e3};
}

/* Takes in what has come; the freed slots' numbers go to `freed`, their count is returned. */
static int take(int *freed, int wait) {
    static uint8_t bytes[BATCH][1500];
    static struct iovec parts[BATCH];
    static struct mmsghdr in[BATCH];
    int count, freed_count = 0;
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){bytes[i], sizeof bytes[i]};
        in[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    count = recvmmsg(sock, in, BATCH, wait ? MSG_WAITFORONE : MSG_DONTWAIT, NULL);
    int64_t came = now();
    for (int i = 0; i < count; i++) {
        uint8_t *packet = bytes[i];
        int length = in[i].msg_len;
        if (length < 12 || !(packet[2] & 128)) continue;
        uint16_t id = packet[0] << 8 | packet[1];
        struct slot *slot = &slots[id & (WINDOW_MAX - 1)];
        const struct question *question = &questions[slot->name];
        if (!slot->busy || slot->id != id) continue;
        if (length < question->end || memcmp(packet + 12, question->bytes + 12, question->end - 12)) continue;
        slot->busy = 0;
        freed[freed_count++] = id & (WINDOW_MAX - 1);
        if (packet[3] & 15) failed++;
        else {
            answered++;
            if (!right(packet, length, question->end, &clients[slot->client])) wrong++;
        }
        keep(slot->meant, came - slot->meant);
    }
    return freed_count;
}

static int give_up(int64_t at, int *freed) {
    int count = 0;
    for (int i = 0; i < WINDOW_MAX; i++)
        if (slots[i].busy && at - slots[i].meant > GIVE_UP) {
            slots[i].busy = 0;
            lost++;
            keep(slots[i].meant, GIVE_UP);
            freed[count++] = i;
        }
    return count;
}

/* Waits for what is still under way. */
static void drain(int64_t end) {
    int freed[WINDOW_MAX], busy = 0;
    for (int i = 0; i < WINDOW_MAX; i++) busy += slots[i].busy;
    while (busy > 0 && now() <= end + GIVE_UP) busy -= take(freed, 1);
    give_up(INT64_MAX, freed);
}

static void closed_loop(int64_t end) {
    int freed[WINDOW_MAX], count;
    int64_t at = now(), checked = at;
    for (int i = 0; i < window; i++) ask(i, at);
    while (at < end) {
        flush_out();
        count = take(freed, 1);
        at = now();
        for (int i = 0; i < count; i++) ask(freed[i], at);
        if (at - checked > 200000000) {
            checked = at;
            count = give_up(at, freed);
            for (int i = 0; i < count; i++) ask(freed[i], at);
        }
    }
    in_time = answered;
    flush_out();
    drain(end);
}

static void open_loop(int64_t end, double rate) {
    int freed[WINDOW_MAX], count;
    int64_t at = now(), due = at, checked = at;
    for (idle_count = 0; idle_count < OPEN_MOST; idle_count++) idle[idle_count] = idle_count;
    while (due < end && at < end + GIVE_UP) {
        while (due <= at && due < end && idle_count) {
            ask(idle[--idle_count], due);
            due += -log(1 - uniform()) / rate * 1e9;
        }
        flush_out();
        struct pollfd waiting = {sock, POLLIN, 0};
        int64_t left = due > at && idle_count ? due - at : 100000000;
        struct timespec patience = {left / 1000000000, left % 1000000000};
        int64_t wake = now() + left;
        ppoll(&waiting, 1, &patience, NULL);
        at = now();
        if (at - wake > stalled) stalled = at - wake;
        count = take(freed, 0);
        for (int i = 0; i < count; i++) idle[idle_count++] = freed[i];
        if (at - checked > 200000000) {
            checked = at;
            count = give_up(at, freed);
            for (int i = 0; i < count; i++) idle[idle_count++] = freed[i];
        }
    }
    in_time = answered;
    for (; due < end; due += -log(1 - uniform()) / rate * 1e9) { /* there was never room to send them */
        sent++;
        lost++;
        keep(due, GIVE_UP);
    }
    drain(end);
}

static int by_latency(const void *a, const void *b) {
    float x = ((const struct sample *)a)->latency, y = ((const struct sample *)b)->latency;
    return (x > y) - (x < y);
}

static double part(double share) {
    return sample_count ? samples[(size_t)fmin(sample_count - 1, share * sample_count)].latency : 0;
}

int main(int argc, char **argv) {
    double seconds = 2, rate = 0, zipf = 1;
    long take_first = 0;
    int port = 53, option;
    const char *path = NULL, *kept = NULL, *names[NAMES];
    while ((option = getopt(argc, argv, "6p:f:q:n:z:w:t:r:s:c:o:")) != -1) switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'f': path = optarg; break;             /* CLIENTS */
        case 'q':                                   /* a name; several are asked for in turn at random */
            if (name_count == NAMES) { fputs("generator: too many names\n", stderr); return 2; }
            names[name_count++] = optarg;
            break;
        case '6': ipv6 = 1; break;                  /* the clients are IPv6 */
        case 'n': take_first = atol(optarg); break; /* clients of the file that ask */
        case 'z': zipf = atof(optarg); break;
        case 'w': window = atoi(optarg); break;
        case 't': seconds = atof(optarg); break;
        case 'r': rate = atof(optarg); break;       /* questions a second; without it, closed loop */
        case 's': random_state = strtoull(optarg, NULL, 10) * 2654435769ULL + 1; break;
        case 'c': {
            cpu_set_t set;
            CPU_ZERO(&set);
            CPU_SET(atoi(optarg), &set);
            if (sched_setaffinity(0, sizeof set, &set)) die("sched_setaffinity");
            break;
        }
        case 'o': kept = optarg; break;             /* every sample: two floats, seconds and microseconds */
        default: return 2;
    }
    if (!path || !name_count || window < 1 || window > WINDOW_MAX) {
        fputs("generator: -f CLIENTS, -q NAME, -w 1..1024\n", stderr);
        return 2;
    }
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    fseek(file, 0, SEEK_END);
    size_t prefix = ipv6 ? 6 : 4;
    long count = ftell(file) / (prefix + 4);
    rewind(file);
    if (!(clients = malloc(count * sizeof *clients + 1))) die("malloc");
    for (long i = 0; i < count; i++)
        if (fread(clients[i].network, prefix, 1, file) != 1 || fread(clients[i].expected, 4, 1, file) != 1) die(path);
    fclose(file);
    if (take_first > 0 && take_first < count) count = take_first;
    if (count < 1) { fputs("generator: no clients\n", stderr); return 2; }
    draw_clients(count, zipf);
    for (int i = 0; i < name_count; i++) make_question(&questions[i], names[i]);
    prctl(PR_SET_TIMERSLACK, 1000);

    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval patience = {0, 200000};
    int room = 4 << 20;
    sock = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (sock < 0 || connect(sock, (struct sockaddr *)&server, sizeof server)) die("socket");

    began = now();
    int64_t end = began + (int64_t)(seconds * 1e9);
    if (rate > 0) open_loop(end, rate); else closed_loop(end);

    if (kept) {
        FILE *to = fopen(kept, "wb");
        if (!to || fwrite(samples, sizeof *samples, sample_count, to) != sample_count || fclose(to)) die(kept);
    }
    qsort(samples, sample_count, sizeof *samples, by_latency);
    printf("{\"seconds\":%.4f,\"asked\":%ld,\"answered\":%ld,\"failed\":%ld,\"wrong\":%ld,\"lost\":%ld,\"qps\":%.1f,"
           "\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,\"stalled\":%.1f}\n",
           seconds, sent, answered, failed, wrong, lost, in_time / seconds, part(.5), part(.9), part(.99), part(.999),
           part(1), stalled / 1e3);
    return 0;
}
