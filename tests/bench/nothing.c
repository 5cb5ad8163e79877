/* A PowerDNS coprocess that does nothing: a bare read/write loop with constant replies, the least that any can cost.
 *
 * Arguments: the zone, and the reply to ANY, with \t and \n written out.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char in[65536], any[4096], soa[1024];

static void say(const char *text, size_t length) {
    while (length > 0) {
        ssize_t count = write(1, text, length);
        if (count <= 0) _exit(0);
        text += count;
        length -= count;
    }
}

int main(int argc, char **argv) {
    size_t any_length = 0, soa_length, zone_length, have = 0;
    if (argc != 3) return 2;
    for (const char *p = argv[2]; *p && any_length < sizeof any; p++) {
        if (*p == '\\' && (p[1] == 't' || p[1] == 'n')) any[any_length++] = *++p == 't' ? '\t' : '\n';
        else any[any_length++] = *p;
    }
    zone_length = strlen(argv[1]);
    soa_length = snprintf(soa, sizeof soa,
        "DATA\t0\t1\t%s\tIN\tSOA\t300\t1\tns1.example.net hostmaster.example.net 1 3600 600 604800 30\nEND\n", argv[1]);
    for (;;) {
        ssize_t count = read(0, in + have, sizeof in - 1 - have);
        char *line = in, *end;
        if (count <= 0) return 0;
        have += count;
        in[have] = 0;
        while ((end = memchr(line, '\n', in + have - line))) {
            *end = 0;
            if (strstr(line, "\tANY\t")) say(any, any_length);
            else if (line[0] == 'H') say("OK\tnothing\n", 11);
            else if (strstr(line, "\tSOA\t") && !strncmp(line + 2, argv[1], zone_length) && line[2 + zone_length] == '\t')
                say(soa, soa_length);
            else say("END\n", 4);
            line = end + 1;
        }
        have = in + have - line;
        memmove(in, line, have);
    }
}
