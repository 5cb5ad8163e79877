/* What a worker's loop in C knows: services, the maps that they go by, and replies. Part of _answerer.c. */

#include "../../tables/table.h"

enum {
    CHUNK = 1 << 16,        /* bytes read at once, as in Python */
    FEWEST = 1 << 8,        /* places for replies at first; three quarters of them are used at most */
    MOST = 1 << 15,         /* at most */
    KEPT = 1 << 12,         /* replies that stay when tables change, at most: some are for records that nothing holds any more */
    RECENT = 1 << 11,       /* places for questions */
    LONGEST_RECENT = 256,   /* bytes of one */
    LONGEST_ADDRESS = 45,   /* characters */
    MOST_SERVICES = 1 << 20,
    MOST_TABLES = 8,
    MOST_LAYERS = 16,
    MOST_KEYS = 1 << 20,
    LONGEST_KEY = 512,      /* bytes of a key that is read here */
    REPLY = 1 << 14,        /* bytes of a reply that are read at once, as channel.py does */
    UNTRIED = -2,           /* whether there is epoll */
    ANY_SCOPE = 255,        /* under which it is noted that the entries that name a client have a reply, whatever its scope */
};

/* What the entries that name a client make together at most. */
#define MOST_CALLED ((uint64_t)1 << 60)

/* How a layer finds its entries in a record, as Keys of records.py does: by all of it, by its words, by the region in front, by
 * that region's country, or by the region where it is a continent. */
enum { WHOLE, WORDS, REGION, PLACE, KINDS };

/* What may be in a record, ASCII, and the number of the entry that it stands for; the text is one that `text` keeps. */
typedef struct {
    PyObject *text;
    const char *bytes;
    uint32_t size, hash, number;
} Key;

typedef struct {
    int kind;
    uint32_t table;
    uint64_t radix;         /* more than there are entries */
    Key *keys;              /* place by hash */
    uint32_t mask;
} Layer;

/* What services ask whose replies go by the entries of their map. */
typedef struct {
    Table *v4, *v6;         /* one of each for every table */
    Layer *layers;
    uint32_t table_count, layer_count;
    int usable;
} Map;

typedef struct {
    PyObject *name;         /* bytes, lower case */
    Table v4, v6;
    const Map *map;         /* NULL: it goes by the record of a single table */
} Service;

/* The reply for what a client is called and a scope: a record by its address, which the reference to it keeps from being another
 * one's; or the number that the entries of a map make. */
typedef struct {
    uint64_t called;
    PyObject *reply;        /* NULL: the place is empty */
    uint32_t service;
    uint16_t slot;
    uint8_t scope, is_record;
} Answer;

/* A question of late, by its hash, and where its answer stands. */
typedef struct {
    uint64_t tag;
    uint32_t number;        /* plus one; 0: the place is empty */
} Recent;

/* What a question led to besides its reply. */
typedef struct {
    unsigned __int128 address;
    uint32_t service;
    int bits;
    int missing;            /* a leaf, of a service with a map */
    int records;            /* how many were looked up */
    PyObject *record;       /* of a service without a map, borrowed; NULL: none was found */
    uint32_t scope;         /* that goes with it */
} Search;

typedef struct {
    PyObject_HEAD
    Py_buffer cells;        /* the counters: 64-bit numbers */
    Py_ssize_t hits;        /* which of them counts leaves that were here */
    Py_buffer floors;       /* 256 bytes: floor of the scope by an IPv4 address's first octet, 0 = Python says */
    Service *services;
    uint32_t service_count;
    Map *maps;
    uint32_t map_count;
    PyObject *bring, *observe, *again;
    PyObject *override_key, *nodes_prefix, *nodes, *take; /* of the keys that are read here; `take` NULL: none is */
    double patience;        /* seconds that a question may wait for a read */
    uint32_t *by_name;      /* place by hash -> number of a service + 1 */
    uint32_t by_name_mask;
    Answer *answers;
    uint32_t answer_mask, answer_count;
    Recent *recent;
    uint64_t key[2];        /* of the hash; a new one makes all recent questions unknown */
    unsigned long long answered;
    double asked;           /* when the question was read that was left to Python */
    int epoll;              /* of stdin, the pipe that wakes, and Redis; below 0: none is to be had */
    int watched;            /* Redis, there */
} Answerer;

static char in[CHUNK];
