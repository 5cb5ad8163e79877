/* The worker's loop for what it knows already: poll, read a question, look its client up, write the reply.
 *
 * Optional: `compiled.py` loads it where it was built, and the loop in Python does the same without it. It decides nothing.
 * Replies come from Python, each for a record of a table and a scope, or, for services that ask several tables or one of many
 * records, for the entries of their map that name a client and a scope; here a question is taken apart, its client's records and
 * the prefix that has them found in the leaves that Python holds, and the reply written that goes with them. For services with
 * a map, leaves that are not here are had from Python meanwhile. Whatever is not exactly as expected goes to Python as it was
 * read: another kind of question, a leaf that is not to be had, a record that has no reply yet. What Redis, a signal or a timer
 * wants goes there before a question is read, as in Python's own loop.
 *
 * Only the stable interface of CPython 3.11 is used, so that one file serves every later version.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CHUNK = 1 << 16,        /* bytes read at once, as in Python */
    FEWEST = 1 << 8,        /* places for replies at first; three quarters of them are used at most */
    MOST = 1 << 15,         /* at most */
    RECENT = 1 << 11,       /* places for questions */
    LONGEST_RECENT = 256,   /* bytes of one */
    SEVERAL = 0xFFFF,       /* of tree.py, as this one */
    QUICK = 13,
    LONGEST_ADDRESS = 45,   /* characters */
    MOST_SERVICES = 1 << 20,
    HEADER = 10,            /* of page_format.py, as those that follow */
    PAGE_VERSION = 1,
    MOST_ENTRIES = 256,
    MOST_BYTES = 8192,
    MOST_LEVELS = 8,
    FEW_RECORDS = 32,       /* of leaf.py, as the next one */
    SHORT_RECORD = 6,
    MOST_DIGITS = 7,        /* of a text's length, as in conversation.py */
    MOST_BRANCHES = 1 << 14,
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

/* Leaves that follow one another, as Branch has them. */
typedef struct {
    PyObject *slots;        /* list of leaves */
    Py_buffer starts;       /* where each leaf begins: unsigned integers */
} Branch;

/* One family of a service's table, as Tree has it. */
typedef struct {
    PyObject *slots;        /* list of leaves; NULL: there are branches, or else this family goes to Python */
    Py_buffer starts;       /* where each leaf begins: unsigned integers, the first of them 0 */
    Py_buffer quick;        /* IPv4, `obj` NULL where there is none: number of the leaf by the first `QUICK` bits */
    Branch *branches;       /* of a table with many leaves */
    uint64_t *tops;         /* where each of them begins, the first at 0 */
    uint32_t branch_count;
    int absent;             /* nothing is published: nothing is known of anybody */
} Table;

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

static PyObject *str_cells, *str_index, *str_starts, *str_shift, *str_mask, *str_host, *str_page;

/* ------------------------------------------------------------------ questions of late */

static uint64_t turned(uint64_t number, int bits) { return number << bits | number >> (64 - bits); }

static void sip_round(uint64_t v[4]) {
    v[0] += v[1], v[1] = turned(v[1], 13) ^ v[0], v[0] = turned(v[0], 32);
    v[2] += v[3], v[3] = turned(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = turned(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = turned(v[1], 17) ^ v[2], v[2] = turned(v[2], 32);
}

/* SipHash-1-3 (Aumasson and Bernstein, 2012), as Python hashes bytes: 64 bits that stand for a question, by a key that nobody
 * outside knows. reply_memory.py has it likewise. */
static uint64_t tag_of(const uint64_t key[2], const char *data, size_t size) {
    uint64_t v[4] = {
        key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    uint64_t word = 0, last = (uint64_t)size << 56;
    for (; size >= 8; data += 8, size -= 8) {
        memcpy(&word, data, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    for (size_t at = 0; at < size; at++) last |= (uint64_t)(unsigned char)data[at] << (8 * at);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int round = 0; round < 3; round++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void forget_recent(Answerer *self) { self->key[0]++; }

/* ------------------------------------------------------------------ memory of replies */

static uint32_t place_of(uint64_t called, uint32_t service, uint32_t scope) {
    uint64_t mixed = called ^ (called >> 4) ^ ((uint64_t)service << 40) ^ ((uint64_t)scope << 32);
    mixed *= 0x9E3779B97F4A7C15u;
    return (uint32_t)(mixed >> 32);
}

static Answer *find_answer(const Answerer *self, uint64_t called, uint32_t service, uint32_t scope) {
    for (uint32_t at = place_of(called, service, scope);; at++) {
        Answer *answer = &self->answers[at & self->answer_mask];
        if (!answer->reply || (answer->called == called && answer->service == service && answer->scope == scope)) return answer;
    }
}

static void forget_answers(Answerer *self) {
    Answer *old = self->answers;
    uint32_t places = self->answers ? self->answer_mask + 1 : 0;
    self->answers = NULL;
    self->answer_mask = self->answer_count = 0;
    forget_recent(self);
    for (uint32_t at = 0; at < places; at++) {
        if (old[at].is_record) Py_DECREF((PyObject *)(uintptr_t)old[at].called);
        Py_XDECREF(old[at].reply);
    }
    PyMem_Free(old);
}

static int more_answers(Answerer *self) {
    uint32_t places = self->answers ? self->answer_mask + 1 : 0, more = places ? 2 * places : FEWEST;
    Answer *old = self->answers, *fresh = PyMem_Calloc(more, sizeof *fresh);
    if (!fresh) {
        PyErr_NoMemory();
        return -1;
    }
    self->answers = fresh;
    self->answer_mask = more - 1;
    forget_recent(self);
    for (uint32_t at = 0; at < places; at++)
        if (old[at].reply) *find_answer(self, old[at].called, old[at].service, old[at].scope) = old[at];
    PyMem_Free(old);
    return 0;
}

/* Have room for one more; 0, or -1 with an exception. */
static int make_room(Answerer *self) {
    if (self->answers && 4 * self->answer_count <= 3 * self->answer_mask) return 0;
    if (self->answers && self->answer_mask + 1 >= MOST) forget_answers(self);
    return more_answers(self);
}

/* Keep a reply where there is room. */
static void keep_answer(Answerer *self, Answer fresh) {
    Answer *answer = find_answer(self, fresh.called, fresh.service, fresh.scope);
    Py_INCREF(fresh.reply);
    if (answer->reply) {
        PyObject *old = answer->reply;
        answer->reply = fresh.reply;
        answer->slot = fresh.slot;
        Py_DECREF(old);
    } else {
        if (fresh.is_record) Py_INCREF((PyObject *)(uintptr_t)fresh.called);
        *answer = fresh;
        self->answer_count++;
    }
}

/* ------------------------------------------------------------------ services */

static uint32_t add_to_hash(uint32_t hash, unsigned char byte) { return (hash ^ byte) * 16777619u; }

static unsigned char lower(unsigned char byte) { return byte >= 'A' && byte <= 'Z' ? byte | 32 : byte; }

static void release_table(Table *table) {
    Py_CLEAR(table->slots);
    PyBuffer_Release(&table->starts);
    PyBuffer_Release(&table->quick);
    for (uint32_t at = 0; at < table->branch_count; at++) {
        Py_CLEAR(table->branches[at].slots);
        PyBuffer_Release(&table->branches[at].starts);
    }
    table->branch_count = 0;
    PyMem_Free(table->branches);
    PyMem_Free(table->tops);
    table->branches = NULL;
    table->tops = NULL;
}

static void release_map(Map *map) {
    for (uint32_t at = 0; at < map->table_count; at++) {
        release_table(&map->v4[at]);
        release_table(&map->v6[at]);
    }
    for (uint32_t at = 0; at < map->layer_count; at++) {
        Layer *layer = &map->layers[at];
        for (uint32_t place = 0; layer->keys && place <= layer->mask; place++) Py_CLEAR(layer->keys[place].text);
        PyMem_Free(layer->keys);
    }
    PyMem_Free(map->v4);
    PyMem_Free(map->v6);
    PyMem_Free(map->layers);
}

static void forget_services(Answerer *self) {
    Service *old = self->services;
    uint32_t count = self->service_count;
    self->services = NULL;
    self->service_count = 0;
    PyMem_Free(self->by_name);
    self->by_name = NULL;
    for (uint32_t at = 0; at < count; at++) {
        Py_CLEAR(old[at].name);
        release_table(&old[at].v4);
        release_table(&old[at].v6);
    }
    PyMem_Free(old);
    Map *maps = self->maps;
    count = self->map_count;
    self->maps = NULL;
    self->map_count = 0;
    for (uint32_t at = 0; at < count; at++) release_map(&maps[at]);
    PyMem_Free(maps);
    Py_CLEAR(self->bring);
    Py_CLEAR(self->observe);
}

static int must_be_tuple(PyObject *described) {
    if (PyTuple_Check(described)) return 0;
    PyErr_SetString(PyExc_TypeError, "tuples of (name, IPv4 table, IPv6 table) or (name, map), and of tables, layers and keys are wanted");
    return -1;
}

static int is_unsigned(const Py_buffer *view, Py_ssize_t size) {
    return view->itemsize == size && view->format && strchr("BHILQ", view->format[0]) && view->format[0];
}

/* What a Branch has; 1: taken, 0: it is of another shape, -1: an exception. */
static int take_branch(Branch *branch, PyObject *described, Py_ssize_t width) {
    PyObject *slots, *starts;
    if (must_be_tuple(described) < 0 || !PyArg_ParseTuple(described, "OO", &slots, &starts)) return -1;
    if (!PyList_Check(slots) || !PyObject_CheckBuffer(starts)) return 0;
    if (PyObject_GetBuffer(starts, &branch->starts, PyBUF_ND | PyBUF_FORMAT) < 0) return -1;
    Py_ssize_t count = branch->starts.len / width;
    if (!is_unsigned(&branch->starts, width) || !count || count != PyList_Size(slots)) return 0;
    Py_INCREF(slots);
    branch->slots = slots;
    return 1;
}

/* The branches of a Tree as a list of (slots, starts); where one is of another shape, the family is left to Python. */
static int take_branches(Table *table, PyObject *listed, Py_ssize_t width) {
    Py_ssize_t count = PyList_Size(listed);
    if (!count || count > MOST_BRANCHES) return 0;
    table->branches = PyMem_Calloc(count, sizeof *table->branches);
    table->tops = PyMem_Calloc(count, sizeof *table->tops);
    if (!table->branches || !table->tops) {
        release_table(table);
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t at = 0; at < count; at++) {
        Branch *branch = &table->branches[at];
        table->branch_count = (uint32_t)at + 1;
        int taken = take_branch(branch, PyList_GetItem(listed, at), width);
        if (taken > 0) table->tops[at] = width == 4 ? ((uint32_t *)branch->starts.buf)[0] : ((uint64_t *)branch->starts.buf)[0];
        if (taken <= 0 || (at ? table->tops[at] <= table->tops[at - 1] : table->tops[0] != 0)) {
            release_table(table);
            return taken < 0 ? -1 : 0;
        }
    }
    return 0;
}

/* What Tree has as (slots, starts, quick); where it is of another shape, the family is left to Python. */
static int take_table(Table *table, PyObject *described, Py_ssize_t width) {
    PyObject *slots, *starts, *quick;
    if (described == Py_None) return 0;
    if (PyList_Check(described)) return take_branches(table, described, width);
    if (must_be_tuple(described) < 0) return -1;
    if (!PyTuple_Size(described)) {
        table->absent = 1;
        return 0;
    }
    if (!PyArg_ParseTuple(described, "OOO", &slots, &starts, &quick)) return -1;
    if (!PyList_Check(slots) || !PyObject_CheckBuffer(starts)) return 0;
    if (PyObject_GetBuffer(starts, &table->starts, PyBUF_ND | PyBUF_FORMAT) < 0) return -1;
    if (quick != Py_None && PyObject_GetBuffer(quick, &table->quick, PyBUF_ND | PyBUF_FORMAT) < 0) return -1;
    Py_ssize_t count = table->starts.len / width;
    if (!is_unsigned(&table->starts, width) || !count || count != PyList_Size(slots) ||
        (table->quick.obj && (!is_unsigned(&table->quick, 2) || table->quick.len != 2 << QUICK)))
        return 0;
    if (width == 4 ? ((uint32_t *)table->starts.buf)[0] : ((uint64_t *)table->starts.buf)[0]) return 0;
    Py_INCREF(slots);
    table->slots = slots;
    return 0;
}

static uint32_t hash_of(const char *bytes, Py_ssize_t size) {
    uint32_t hash = 2166136261u;
    while (size--) hash = add_to_hash(hash, (unsigned char)*bytes++);
    return hash;
}

/* A layer as (kind, number of its table, radix, list of (text, number)); 0, or -1 with an exception. */
static int take_layer(Layer *layer, PyObject *described, uint32_t tables) {
    PyObject *listed, *text;
    unsigned long long radix;
    unsigned number;
    uint32_t places = 8;
    if (must_be_tuple(described) < 0 || !PyArg_ParseTuple(described, "iIKO", &layer->kind, &layer->table, &radix, &listed)) return -1;
    if (!PyList_Check(listed) || layer->kind < 0 || layer->kind >= KINDS || layer->table >= tables || radix < 2) {
        PyErr_SetString(PyExc_ValueError, "unknown kind of layer, or no table of the map");
        return -1;
    }
    layer->radix = radix;
    Py_ssize_t count = PyList_Size(listed);
    if (count > MOST_KEYS) count = 0, layer->radix = UINT64_MAX;  /* the map is left to Python */
    while (places < 2 * count) places *= 2;
    if (!(layer->keys = PyMem_Calloc(places, sizeof *layer->keys))) {
        PyErr_NoMemory();
        return -1;
    }
    layer->mask = places - 1;
    for (Py_ssize_t at = 0; at < count; at++) {
        Py_ssize_t size;
        PyObject *pair = PyList_GetItem(listed, at);
        if (must_be_tuple(pair) < 0 || !PyArg_ParseTuple(pair, "UI", &text, &number)) return -1;
        const char *bytes = PyUnicode_AsUTF8AndSize(text, &size);
        if (!bytes) return -1;
        if (!number || number >= radix || size > UINT16_MAX) {
            PyErr_SetString(PyExc_ValueError, "numbers of entries are from 1 on, below the radix");
            return -1;
        }
        uint32_t hash = hash_of(bytes, size), place = hash;
        while (layer->keys[place & layer->mask].text) place++;
        Py_INCREF(text);
        layer->keys[place & layer->mask] = (Key){.text = text, .bytes = bytes, .size = (uint32_t)size, .hash = hash, .number = number};
    }
    return 0;
}

/* A map as (list of (IPv4 table, IPv6 table), list of layers); 0, or -1 with an exception. */
static int take_map(Map *map, PyObject *described) {
    PyObject *tables, *layers, *v4, *v6;
    if (must_be_tuple(described) < 0 || !PyArg_ParseTuple(described, "OO", &tables, &layers)) return -1;
    if (!PyList_Check(tables) || !PyList_Check(layers)) return must_be_tuple(Py_None);
    Py_ssize_t count = PyList_Size(tables), several = PyList_Size(layers);
    if (!count || count > MOST_TABLES || !several || several > MOST_LAYERS) return 0;  /* left to Python */
    map->v4 = PyMem_Calloc(count, sizeof *map->v4);
    map->v6 = PyMem_Calloc(count, sizeof *map->v6);
    map->layers = PyMem_Calloc(several, sizeof *map->layers);
    if (!map->v4 || !map->v6 || !map->layers) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t at = 0; at < count; at++) {
        PyObject *pair = PyList_GetItem(tables, at);
        map->table_count = (uint32_t)at + 1;
        if (must_be_tuple(pair) < 0 || !PyArg_ParseTuple(pair, "OO", &v4, &v6)) return -1;
        if (take_table(&map->v4[at], v4, 4) < 0 || take_table(&map->v6[at], v6, 8) < 0) return -1;
    }
    uint64_t most = 1;
    map->usable = 1;
    for (Py_ssize_t at = 0; at < several; at++) {
        Layer *layer = &map->layers[at];
        map->layer_count = (uint32_t)at + 1;
        if (take_layer(layer, PyList_GetItem(layers, at), map->table_count) < 0) return -1;
        if (layer->radix > MOST_CALLED / most) map->usable = 0;
        else most *= layer->radix;
    }
    return 0;
}

/* A service as (name, IPv4 table, IPv6 table), or (name, number of its map); 0, or -1 with an exception. */
static int take_service(Answerer *self, Service *service, PyObject *described) {
    PyObject *name, *v4, *v6;
    unsigned number;
    if (must_be_tuple(described) < 0) return -1;
    if (PyTuple_Size(described) == 2) {
        if (!PyArg_ParseTuple(described, "SI", &name, &number)) return -1;
        if (number >= self->map_count) return must_be_tuple(Py_None);
        service->map = &self->maps[number];
    } else if (!PyArg_ParseTuple(described, "SOO", &name, &v4, &v6)) return -1;
    Py_INCREF(name);
    service->name = name;
    if (service->map) return 0;
    return take_table(&service->v4, v4, 4) < 0 || take_table(&service->v6, v6, 8) < 0 ? -1 : 0;
}

/* set_services(services, maps, bring, observe) */
static PyObject *set_services(Answerer *self, PyObject *args) {
    PyObject *listed, *maps = NULL, *bring = NULL, *observe = NULL;
    uint32_t places = 8;
    if (!PyArg_ParseTuple(args, "O|OOO:set_services", &listed, &maps, &bring, &observe)) return NULL;
    if (!PyList_Check(listed) || (maps && !PyList_Check(maps))) {
        PyErr_SetString(PyExc_TypeError, "lists of services and of maps are wanted");
        return NULL;
    }
    forget_answers(self);
    forget_services(self);
    Py_ssize_t count = PyList_Size(listed), several = maps ? PyList_Size(maps) : 0;
    if (!count || count > MOST_SERVICES || several > MOST_SERVICES) Py_RETURN_NONE;  /* so many are left to Python */
    if (several && !(self->maps = PyMem_Calloc(several, sizeof *self->maps))) return PyErr_NoMemory();
    for (Py_ssize_t at = 0; at < several; at++) {
        self->map_count = (uint32_t)at + 1;
        if (take_map(&self->maps[at], PyList_GetItem(maps, at)) < 0) goto failed;
    }
    while (places < 2 * count) places *= 2;
    self->services = PyMem_Calloc(count, sizeof *self->services);
    self->by_name = PyMem_Calloc(places, sizeof *self->by_name);
    if (!self->services || !self->by_name) {
        PyErr_NoMemory();
        goto failed;
    }
    self->by_name_mask = places - 1;
    for (Py_ssize_t at = 0; at < count; at++) {
        Service *service = &self->services[at];
        self->service_count = (uint32_t)at + 1;
        if (take_service(self, service, PyList_GetItem(listed, at)) < 0) goto failed;
        uint32_t hash = hash_of(PyBytes_AsString(service->name), PyBytes_Size(service->name));
        while (self->by_name[hash & self->by_name_mask]) hash++;
        self->by_name[hash & self->by_name_mask] = (uint32_t)at + 1;
    }
    Py_XINCREF(bring);
    self->bring = bring;
    Py_XINCREF(observe);
    self->observe = observe;
    Py_RETURN_NONE;
failed:
    forget_services(self);
    return NULL;
}

/* ------------------------------------------------------------------ a question */

/* Index of the last of *count* ascending numbers that is not above *wanted*, plus one, as bisect_right. */
#define BISECT(name, type)                                                              \
    static Py_ssize_t name(const void *numbers, Py_ssize_t count, uint64_t wanted) {    \
        const type *from = numbers;                                                     \
        Py_ssize_t low = 0;                                                             \
        while (low < count) {                                                           \
            Py_ssize_t middle = (low + count) / 2;                                      \
            if (from[middle] > wanted) count = middle;                                  \
            else low = middle + 1;                                                      \
        }                                                                               \
        return low;                                                                     \
    }
BISECT(bisect8, uint8_t)
BISECT(bisect16, uint16_t)
BISECT(bisect32, uint32_t)
BISECT(bisect64, uint64_t)

typedef unsigned __int128 Address;

/* The number that *width* bytes make, big-endian. */
static uint64_t number_in(const unsigned char *bytes, int width) {
    uint64_t number = 0;
    while (width--) number = number << 8 | *bytes++;
    return number;
}

/* What of an address the starts of a leaf stand for: a key is `(address >> shift) & mask`. */
typedef struct {
    Py_buffer view;
    uint64_t shift, mask;
} Starts;

static int as_unsigned(PyObject *owner, PyObject *name, uint64_t *value) {
    PyObject *number = PyObject_GetAttr(owner, name);
    if (!number) return -1;
    *value = PyLong_AsUnsignedLongLong(number);
    Py_DECREF(number);
    return *value == (uint64_t)-1 && PyErr_Occurred() ? -1 : 0;
}

/* Take a leaf's starts; 0, or -1: Python has to say. */
static int take_starts(PyObject *leaf, Starts *starts) {
    PyObject *numbers;
    if (as_unsigned(leaf, str_shift, &starts->shift) < 0 || starts->shift > 127) return -1;
    if (!(numbers = PyObject_GetAttr(leaf, str_starts))) return -1;
    int failed = PyObject_GetBuffer(numbers, &starts->view, PyBUF_ND | PyBUF_FORMAT);
    Py_DECREF(numbers);
    if (failed < 0) return -1;
    Py_ssize_t size = starts->view.itemsize;
    if (size <= 2) starts->mask = size == 1 ? UINT8_MAX : UINT16_MAX;  /* starts of one and two bytes have masks of as many */
    if (is_unsigned(&starts->view, size) && (size <= 2 || as_unsigned(leaf, str_mask, &starts->mask) == 0)) return 0;
    PyBuffer_Release(&starts->view);
    return -1;
}

static Py_ssize_t count_of(const Starts *starts) { return starts->view.len / starts->view.itemsize; }

static uint64_t start_at(const Starts *starts, Py_ssize_t at) {
    switch (starts->view.itemsize) {
        case 1: return ((uint8_t *)starts->view.buf)[at];
        case 2: return ((uint16_t *)starts->view.buf)[at];
        case 4: return ((uint32_t *)starts->view.buf)[at];
        default: return ((uint64_t *)starts->view.buf)[at];
    }
}

/* Which entry of a leaf has the address. */
static Py_ssize_t entry_of(const Starts *starts, Address address) {
    uint64_t key = (uint64_t)(address >> starts->shift) & starts->mask;
    switch (starts->view.itemsize) {
        case 1: return bisect8(starts->view.buf, count_of(starts), key);
        case 2: return bisect16(starts->view.buf, count_of(starts), key);
        case 4: return bisect32(starts->view.buf, count_of(starts), key);
        default: return bisect64(starts->view.buf, count_of(starts), key);
    }
}

static int bits_of(Address number) {
    uint64_t high = (uint64_t)(number >> 64), low = (uint64_t)number;
    return high ? 128 - __builtin_clzll(high) : low ? 64 - __builtin_clzll(low) : 0;
}

/* Bits of an address behind the widest prefix around it that lies within an entry, at most *host*; as in leaf.py. */
static int free_bits(const Starts *starts, Py_ssize_t entry, Address address, int host) {
    Address domain = ((Address)starts->mask << starts->shift) | (((Address)1 << starts->shift) - 1), front = address & ~domain;
    for (Py_ssize_t at = entry - 1; at <= entry; at++) {
        if (at < 0 || at >= count_of(starts)) continue;
        Address edge = front | (Address)start_at(starts, at) << starts->shift;
        int most = bits_of(address ^ (at < entry ? edge - 1 : edge)) - 1;
        if (most < host) host = most;
    }
    return host;
}

/* The number of an entry's cell: one byte each where the leaf has its own cells, two where it shares them; below 0: none. */
static Py_ssize_t number_of(PyObject *leaf, Py_ssize_t entry) {
    Py_buffer view;
    Py_ssize_t number = -1;
    PyObject *index = PyObject_GetAttr(leaf, str_index);
    if (!index) return -1;
    int failed = PyObject_GetBuffer(index, &view, PyBUF_ND | PyBUF_FORMAT);
    Py_DECREF(index);
    if (failed < 0) return -1;
    if (entry < view.len / view.itemsize) {
        if (is_unsigned(&view, 2)) number = ((uint16_t *)view.buf)[entry];
        else if (is_unsigned(&view, 1)) number = ((uint8_t *)view.buf)[entry];
    }
    PyBuffer_Release(&view);
    return number;
}

/* The record of an address in a leaf, borrowed, and the length of the widest prefix around the address that has it.
 * NULL: Python has to say. May set an exception. */
static PyObject *record_of(PyObject *leaf, int bits, Address address, int *length) {
    PyObject *record = NULL, *cells = PyObject_GetAttr(leaf, str_cells);
    Starts starts;
    if (!cells || !PyList_Check(cells) || take_starts(leaf, &starts) < 0) {  /* one that stays as its bytes, for example */
        Py_XDECREF(cells);
        return NULL;
    }
    Py_ssize_t entry = entry_of(&starts, address), number = number_of(leaf, entry);
    PyObject *cell = number < 0 || number >= PyList_Size(cells) ? NULL : PyList_GetItem(cells, number);
    if (cell && PyTuple_Check(cell) && PyTuple_Size(cell) == 2) {
        long within = PyLong_AsLong(PyTuple_GetItem(cell, 1));
        uint64_t host;
        if (within == 0 && as_unsigned(leaf, str_host, &host) == 0 && host <= (uint64_t)bits)  /* it has to be measured */
            *length = bits - free_bits(&starts, entry, address, (int)host);
        else *length = within <= 0 ? -1 : (int)within;
        if (*length >= 0 && *length <= bits) record = PyTuple_GetItem(cell, 0);
    }
    PyBuffer_Release(&starts.view);
    Py_DECREF(cells);  /* the leaf has them */
    return record;
}

/* A record's bytes, and the length of the widest prefix around the address that has it. */
typedef struct {
    const char *bytes;
    Py_ssize_t size;
    int length;
} Cell;

/* As `record_of`, of a leaf that stays as its page's bytes; 1, or 0: Python has to say. The page was checked when it came. */
static int dense_cell(PyObject *raw, int bits, Address address, Cell *cell) {
    Py_ssize_t size = PyBytes_Size(raw);
    const unsigned char *page = (const unsigned char *)PyBytes_AsString(raw);
    if (size < HEADER || page[1] * 8 != bits) return 0;
    int front = page[4], width = page[5], count = page[6] << 8 | page[7], host = bits - page[3], low = 1, high = count;
    int behind = 8 * (page[1] - front - width);
    const unsigned char *starts = page + HEADER, *index = starts + (Py_ssize_t)count * width;
    if (width < 1 || width > 8 || behind < 0 || host < 0 || index + count > page + size) return 0;
    uint64_t mask = width == 8 ? UINT64_MAX : ((uint64_t)1 << (8 * width)) - 1, key = (uint64_t)(address >> behind) & mask;
    while (low < high) {  /* the first entry begins where the leaf does */
        int middle = (low + high) / 2;
        if (number_in(starts + middle * width, width) > key) high = middle;
        else low = middle + 1;
    }
    int entry = low - 1;
    Address domain = ((Address)mask << behind) | (((Address)1 << behind) - 1), rest = address & ~domain;
    for (int at = entry; at <= entry + 1; at++) {
        if (at < 1 || at >= count) continue;
        Address edge = rest | (Address)number_in(starts + at * width, width) << behind;
        int most = bits_of(address ^ (at == entry ? edge - 1 : edge)) - 1;
        if (most < host) host = most;
    }
    const unsigned char *record = index + count, *end = page + size;
    for (int number = index[entry]; number > 0; number--) {
        if (record >= end) return 0;
        record += 1 + *record;
    }
    if (record >= end || record + 1 + *record > end || host < 0) return 0;
    *cell = (Cell){.bytes = (const char *)record + 1, .size = *record, .length = bits - host};
    return 1;
}

/* A leaf's record and the prefix that has it; 1, or 0: Python has to say. Its bytes live as long as the leaf does. */
static int cell_of(PyObject *leaf, int bits, Address address, Cell *cell) {
    PyObject *record = record_of(leaf, bits, address, &cell->length);
    if (record) return PyUnicode_Check(record) && (cell->bytes = PyUnicode_AsUTF8AndSize(record, &cell->size)) != NULL;
    PyErr_Clear();
    PyObject *raw = PyObject_GetAttr(leaf, str_page);
    int got = raw && PyBytes_Check(raw) && dense_cell(raw, bits, address, cell);
    Py_XDECREF(raw);  /* the leaf has it */
    return got;
}

static uint32_t number_for(const Layer *layer, const char *text, Py_ssize_t size) {
    uint32_t hash = hash_of(text, size);
    for (uint32_t place = hash;; place++) {
        const Key *key = &layer->keys[place & layer->mask];
        if (!key->text) return 0;
        if (key->hash == hash && key->size == (uint32_t)size && !memcmp(key->bytes, text, (size_t)size)) return key->number;
    }
}

/* The number of the entry of a layer that names whoever has a record; 0: none does. */
static uint32_t entry_for(const Layer *layer, const Cell *cell) {
    const char *text = cell->bytes, *end = text + cell->size, *space, *dash;
    if (!cell->size) return 0;
    if (layer->kind == WHOLE) return number_for(layer, text, cell->size);
    if (layer->kind == WORDS) {
        for (;; text = space + 1) {
            space = memchr(text, ' ', (size_t)(end - text));
            uint32_t number = number_for(layer, text, (space ? space : end) - text);
            if (number || !space) return number;
        }
    }
    space = memchr(text, ' ', (size_t)cell->size);
    if (space) end = space;
    if (layer->kind == PLACE && *text != '@' && (dash = memchr(text, '-', (size_t)(end - text)))) end = dash;
    return number_for(layer, text, end - text);
}

/* A prefix length as Python writes it, followed by the end of the line; 0: none, or Python has to say. */
static int length_of(const char *text, const char *end, int most) {
    int length = 0;
    if (end - text < 1 || end - text > 3 || *text == '0') return 0;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9') return 0;
        length = 10 * length + *text - '0';
    }
    return length <= most ? length : 0;
}

/* A dotted quad without anything odd; -1: none. */
static int64_t quad_of(const char *text, const char *end) {
    uint32_t address = 0;
    for (int octet = 0; octet < 4; octet++) {
        const char *first = text;
        unsigned value = 0;
        while (text < end && *text >= '0' && *text <= '9' && text - first < 3) value = 10 * value + (unsigned)(*text++ - '0');
        if (text == first || value > 255 || (*first == '0' && text - first > 1)) return -1;
        if (octet < 3 && (text == end || *text++ != '.')) return -1;
        address = address << 8 | value;
    }
    return text == end ? (int64_t)address : -1;
}

/* Floor of the scope around an IPv6 address, by its first 32 bits; 0: it is not one that is public and carries no other.
 * The same as client.py: within 2000::/3, the blocks to keep away from are 2002::/16 and 2001::/32; all others differ from it
 * in the third bit at the latest. */
static uint32_t floor6(uint32_t high) {
    uint32_t least = 3;
    if (high < 0x20000000 || high >= 0x40000000 || high >> 16 == 0x2002 || high == 0x20010000) return 0;
    for (int at = 0; at < 2; at++) {
        uint32_t common = (uint32_t)__builtin_clz(high ^ (at ? 0x20010000u : 0x20020000u)) + 1;
        if (common > least) least = common;
    }
    return least;
}

/* The leaf of an address, borrowed; NULL: it is not here (*missing*), or Python has to say. */
static PyObject *leaf_in(const Table *table, int bits, Address address, int *missing) {
    uint64_t value = bits == 32 ? (uint64_t)address : (uint64_t)(address >> 64);
    const Py_buffer *starts = &table->starts;
    PyObject *slots = table->slots;
    Py_ssize_t place = SEVERAL;
    if (slots) {
        if (table->quick.obj) place = ((uint16_t *)table->quick.buf)[value >> (32 - QUICK)];
    } else if (table->branch_count) {
        const Branch *branch = &table->branches[bisect64(table->tops, table->branch_count, value) - 1];
        starts = &branch->starts;
        slots = branch->slots;
    } else return NULL;
    if (place == SEVERAL)
        place = (bits == 32 ? bisect32(starts->buf, starts->len / 4, value) : bisect64(starts->buf, starts->len / 8, value)) - 1;
    if (place < 0 || place >= PyList_Size(slots)) return NULL;
    PyObject *leaf = PyList_GetItem(slots, place);
    *missing = leaf == Py_None;
    return *missing ? NULL : leaf;
}

/* What the entries of a map make that name a client, layer by layer: a number that no others make; up to *depth* layers, or 0:
 * up to the first one for which there is a reply. 0: a leaf is not here (*search*), or Python has to say.
 * Args: scope: as far as it is known without the tables. */
static uint64_t called_in(const Answerer *self, const Map *map, Search *search, uint32_t depth, uint32_t *scope) {
    Cell cells[MOST_TABLES];
    uint32_t looked_up = 0;
    uint64_t called = 1;
    if (!map->usable) return 0;
    for (uint32_t at = 0; at < (depth ? depth : map->layer_count); at++) {
        const Layer *layer = &map->layers[at];
        Cell *cell = &cells[layer->table];
        if (!(looked_up >> layer->table & 1)) {
            const Table *table = &(search->bits == 32 ? map->v4 : map->v6)[layer->table];
            *cell = (Cell){.bytes = "", .size = 0, .length = 0};
            if (!table->absent) {
                PyObject *leaf = leaf_in(table, search->bits, search->address, &search->missing);
                if (!leaf || !cell_of(leaf, search->bits, search->address, cell)) return 0;
            }
            for (Py_ssize_t byte = 0; byte < cell->size; byte++)
                if ((unsigned char)cell->bytes[byte] > 127) return 0;
            looked_up |= 1u << layer->table;
            search->records++;
            if ((uint32_t)cell->length > *scope) *scope = (uint32_t)cell->length;
        }
        uint32_t number = entry_for(layer, cell);
        called = called * layer->radix + number;
        if (number && !depth && find_answer(self, called, search->service, ANY_SCOPE)->reply) break;
    }
    return called;
}

/* Take a question apart: the service, and the client's network, as far as `search` tells it. Returns the floor of the scope;
 * 0: it is not one whole question of this kind, or Python has to say. */
static uint32_t take_apart(const Answerer *self, const char *data, Py_ssize_t size, Search *search) {
    const char *end = data + size - 1, *at, *subnet, *slash;
    uint32_t hash = 2166136261u, number, floor;
    int length;

    if (size < 16 || memchr(data, '\n', (size_t)size) != end || data[0] != 'Q' || data[1] != '\t') return 0;
    for (at = data + 2; *at != '\t'; at++) {
        if (at == end) return 0;
        hash = add_to_hash(hash, lower((unsigned char)*at));
    }
    const char *name = data + 2;
    Py_ssize_t name_size = at - name;
    /* class, type, id, resolver, local address: only the type matters, and that the resolver is text */
    for (int field = 2; field < 7; field++) {
        const char *next = memchr(at + 1, '\t', (size_t)(end - at - 1));
        if (!next || (field == 3 && (next - at != 4 || memcmp(at + 1, "ANY", 3)))) return 0;
        if (field == 5)
            for (const char *byte = at + 1; byte < next; byte++)
                if ((unsigned char)*byte > 127) return 0;
        at = next;
    }
    subnet = at + 1;
    slash = memchr(subnet, '/', (size_t)(end - subnet));
    if (!slash || memchr(slash, '\t', (size_t)(end - slash))) return 0;

    for (;; hash++) {
        number = self->by_name[hash & self->by_name_mask];
        if (!number) return 0;
        const Service *service = &self->services[--number];
        if (PyBytes_Size(service->name) != name_size) continue;
        const char *its = PyBytes_AsString(service->name);
        Py_ssize_t byte = 0;
        while (byte < name_size && (unsigned char)its[byte] == lower((unsigned char)name[byte])) byte++;
        if (byte == name_size) break;
    }
    search->service = number;

    int64_t quad = quad_of(subnet, slash);
    search->bits = quad < 0 ? 128 : 32;
    length = length_of(slash + 1, end, search->bits);
    if (!length) return 0;
    if (search->bits == 32) {
        uint32_t value = (uint32_t)quad & (uint32_t)(0xFFFFFFFFu << (32 - length));
        floor = ((unsigned char *)self->floors.buf)[value >> 24];
        search->address = value;
    } else {
        char text[LONGEST_ADDRESS + 1];
        unsigned char packed[16];
        Address address = 0;
        if (slash - subnet > LONGEST_ADDRESS || memchr(subnet, 0, (size_t)(slash - subnet))) return 0;
        memcpy(text, subnet, (size_t)(slash - subnet));
        text[slash - subnet] = 0;
        if (inet_pton(AF_INET6, text, packed) != 1) return 0;
        for (int byte = 0; byte < 16; byte++) address = address << 8 | packed[byte];
        search->address = address >> (128 - length) << (128 - length);
        floor = floor6((uint32_t)(search->address >> 96));
    }
    return floor;
}

/* The reply to what was read, if it is one whole question and its reply is known; NULL: Python has to say. */
static const Answer *answer_to(const Answerer *self, const char *data, Py_ssize_t size, Search *search) {
    search->missing = search->records = 0;
    search->record = NULL;
    Recent *recent = NULL;
    uint64_t tag = 0;
    if (self->answers && size <= LONGEST_RECENT) {
        tag = tag_of(self->key, data, (size_t)size);
        recent = &self->recent[tag % RECENT];
        if (recent->tag == tag && recent->number) return &self->answers[recent->number - 1];
    }
    uint32_t scope = take_apart(self, data, size, search);
    if (!scope) return NULL;
    const Service *service = &self->services[search->service];
    uint64_t called;
    if (service->map) {
        if (!self->answers || !(called = called_in(self, service->map, search, 0, &scope))) return NULL;
    } else {
        int missing = 0, length;
        PyObject *leaf = leaf_in(search->bits == 32 ? &service->v4 : &service->v6, search->bits, search->address, &missing);
        PyObject *record = leaf ? record_of(leaf, search->bits, search->address, &length) : NULL;
        if (!record) return NULL;
        search->records = 1;
        if ((uint32_t)length > scope) scope = (uint32_t)length;
        called = (uintptr_t)record;
        search->record = record;
        search->scope = scope;
        if (!self->answers) return NULL;
    }
    const Answer *answer = find_answer(self, called, search->service, scope);
    if (!answer->reply) return NULL;
    if (recent) *recent = (Recent){.tag = tag, .number = (uint32_t)(answer - self->answers) + 1};
    return answer;
}

static void count(Answerer *self, Py_ssize_t slot) {
    uint64_t *cell = (uint64_t *)self->cells.buf + slot;
    if (!++*cell) *cell = 1;  /* somebody else has filled it: it starts again, as in Python */
}

static int say(PyObject *reply) {
    const char *text = PyBytes_AsString(reply);
    Py_ssize_t left = PyBytes_Size(reply);
    while (left > 0) {
        ssize_t sent = write(1, text, (size_t)left);
        if (sent < 0) {
            if (errno == EINTR) {
                if (PyErr_CheckSignals() < 0) return -1;
                continue;
            }
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        text += sent;
        left -= sent;
    }
    return 0;
}

static double monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Have Python bring the leaves that a question needs; whether they are here now, and nothing else has changed. */
static int brings(const Answerer *self, const Search *search, double asked) {
    PyObject *bring = self->bring;
    Py_INCREF(bring);  /* whatever it does */
    PyObject *came = PyObject_CallFunction(
        bring, "IiKKd", search->service, search->bits, (unsigned long long)(search->address >> 64),
        (unsigned long long)search->address, asked);
    Py_DECREF(bring);
    int whether = came == Py_True;
    Py_XDECREF(came);
    PyErr_Clear();
    return whether && self->by_name && self->answers;
}

/* Have Python tell the reply for a record, where that takes no decision; whether it did. */
static int tells(const Answerer *self, const Search *search) {
    PyObject *again = self->again, *record = search->record;
    Py_INCREF(again);  /* whatever it does */
    Py_INCREF(record);
    PyObject *told = PyObject_CallFunction(again, "IOI", search->service, record, search->scope);
    Py_DECREF(record);
    Py_DECREF(again);
    int whether = told == Py_True;
    Py_XDECREF(told);
    PyErr_Clear();
    return whether && self->by_name;
}

/* As `answer_to`, with leaves that Python brings where some are not here, and replies that it tells. */
static const Answer *answer_at_last(const Answerer *self, const char *data, Py_ssize_t size, Search *search, double asked, int *brought) {
    const Answer *answer = answer_to(self, data, size, search);
    if (!answer && search->record && self->again && tells(self, search)) answer = answer_to(self, data, size, search);
    *brought = !answer && search->missing && self->bring && brings(self, search, asked);
    return *brought ? answer_to(self, data, size, search) : answer;
}

/* Tell how long a question took whose leaves were brought. */
static void observed(const Answerer *self, double seconds) {
    if (!self->observe) return;
    PyObject *observe = self->observe;
    Py_INCREF(observe);
    Py_XDECREF(PyObject_CallFunction(observe, "d", seconds));
    Py_DECREF(observe);
    PyErr_Clear();
}

/* ------------------------------------------------------------------ changes of node states */

/* How a push of one key begins, up to the key's length, as in conversation.py. */
#define PUSH ">2\r\n$10\r\ninvalidate\r\n*1\r\n$"
#define READ "*2\r\n$7\r\nHGETALL\r\n$"

/* The key that a push names, where one push of one key is all that came; NULL: it is something else. */
static const char *key_in(const char *data, Py_ssize_t size, Py_ssize_t *length) {
    Py_ssize_t at = sizeof PUSH - 1, digits = at;
    if (size < at || memcmp(data, PUSH, (size_t)at)) return NULL;
    *length = 0;
    while (at < size && data[at] >= '0' && data[at] <= '9' && at - digits < 3) *length = 10 * *length + data[at++] - '0';
    if (at == digits || (data[digits] == '0' && at - digits > 1) || *length > LONGEST_KEY) return NULL;
    if (size != at + 2 + *length + 2 || memcmp(data + at, "\r\n", 2) || memcmp(data + size - 2, "\r\n", 2)) return NULL;
    return data + at + 2;
}

/* Whether a key holds what is known of nodes: overrides, or the state of a node that is configured. */
static int is_of_nodes(const Answerer *self, const char *key, Py_ssize_t length) {
    const char *prefix = PyBytes_AsString(self->nodes_prefix);
    Py_ssize_t size = PyBytes_Size(self->nodes_prefix);
    if (length == PyBytes_Size(self->override_key) && !memcmp(key, PyBytes_AsString(self->override_key), (size_t)length)) return 1;
    if (length <= size || memcmp(key, prefix, (size_t)size)) return 0;
    PyObject *name = PyUnicode_DecodeUTF8(key + size, length - size, NULL);
    int is_node = name && PyDict_GetItemWithError(self->nodes, name);
    Py_XDECREF(name);
    PyErr_Clear();
    return is_node;
}

/* A number that a header announces, at most 9999, from *at* on, with the line's end; -1: none. */
static Py_ssize_t announced(const char *data, Py_ssize_t size, Py_ssize_t *at) {
    Py_ssize_t value = 0, digits = *at, end = digits;
    while (end < size && data[end] >= '0' && data[end] <= '9' && end - digits < 4) value = 10 * value + data[end++] - '0';
    if (end == digits || (data[digits] == '0' && end - digits > 1) || size - end < 2 || memcmp(data + end, "\r\n", 2)) return -1;
    *at = end + 2;
    return value;
}

/* A text, as what it says in UTF-8 and marks where it does not; NULL with *at* unchanged: it is none, or not whole. */
static PyObject *text_in(const char *data, Py_ssize_t size, Py_ssize_t *at) {
    Py_ssize_t begin = *at + 1;
    if (*at >= size || data[*at] != '$') return NULL;
    Py_ssize_t length = announced(data, size, &begin);
    if (length < 0 || size - begin < length + 2 || memcmp(data + begin + length, "\r\n", 2)) return NULL;
    *at = begin + length + 2;
    return PyUnicode_DecodeUTF8(data + begin, length, "replace");
}

/* A hash, as `Conversation` makes it, where that is all that came, whole; NULL: it is something else, or an exception. */
static PyObject *hash_in(const char *data, Py_ssize_t size) {
    Py_ssize_t at = 1, count;
    if (size < 4 || data[0] != '%' || (count = announced(data, size, &at)) < 0) return NULL;
    PyObject *fields = PyDict_New();
    int failed = !fields;
    for (; count > 0 && !failed; count--) {
        PyObject *key = text_in(data, size, &at), *value = key ? text_in(data, size, &at) : NULL;
        failed = !value || PyDict_SetItem(fields, key, value) < 0;
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    if (!failed && at == size) return fields;
    Py_XDECREF(fields);
    return NULL;
}

/* What came in answer to a request, within the time that a question may wait: a hash, or else bytes, none if nothing did yet. */
static PyObject *reply_of(int fd, double until) {
    static char reply[REPLY];
    struct pollfd only = {.fd = fd, .events = POLLIN};
    double left = (until - monotonic()) * 1000;
    ssize_t size = 0;
    int ready;
    Py_BEGIN_ALLOW_THREADS
    ready = poll(&only, 1, left > 0 ? (left < 60000 ? (int)left + 1 : 60000) : 0);
    Py_END_ALLOW_THREADS
    if (ready > 0 && only.revents == POLLIN) size = recv(fd, reply, sizeof reply, MSG_DONTWAIT);
    PyObject *fields = size > 0 ? hash_in(reply, size) : NULL;
    if (fields || PyErr_Occurred()) return fields;
    return PyBytes_FromStringAndSize(reply, size > 0 ? size : 0);
}

/* Where Redis says that one key with states of nodes has changed, and nothing else, read that again: it is what all workers of a
 * host do at the same time, and their next answers wait for. What comes goes to Python, whatever it is. Nothing is under way on
 * this connection. Whether all is as it was, but for the replies: else what is left to do is Python's. */
static int read_change(Answerer *self, int fd, double now) {
    char pushed[sizeof PUSH + LONGEST_KEY + 8], request[sizeof READ + LONGEST_KEY + 8];
    Py_ssize_t length;
    ssize_t size = recv(fd, pushed, sizeof pushed, MSG_PEEK | MSG_DONTWAIT);
    const char *key = size > 0 ? key_in(pushed, size, &length) : NULL;
    if (!key || !is_of_nodes(self, key, length)) return 0;
    int wanted = PyOS_snprintf(request, sizeof request, READ "%d\r\n", (int)length);
    memcpy(request + wanted, key, (size_t)length);
    memcpy(request + wanted + length, "\r\n", 2);
    wanted += (int)length + 2;
    ssize_t sent = send(fd, request, (size_t)wanted, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return 0;
    PyObject *take = self->take, *text = PyBytes_FromStringAndSize(key, length);
    if (recv(fd, pushed, (size_t)size, MSG_DONTWAIT) != size) sent = wanted; /* it was there a moment ago */
    PyObject *reply = sent == wanted ? reply_of(fd, now + self->patience) : PyBytes_FromStringAndSize(NULL, 0);
    PyObject *unsent = reply ? PyBytes_FromStringAndSize(request + sent, wanted - sent) : NULL, *taken = NULL;
    Py_INCREF(take);  /* whatever it does */
    if (text && reply && unsent) taken = PyObject_CallFunction(take, "OdOO", text, now, unsent, reply);
    Py_DECREF(take);
    int whether = taken == Py_True;
    Py_XDECREF(taken);
    Py_XDECREF(text);
    Py_XDECREF(reply);
    Py_XDECREF(unsent);
    PyErr_Clear();  /* what Python has not taken in it will read again, on another connection */
    return whether;
}

static void forget_reads(Answerer *self) {
    Py_CLEAR(self->override_key);
    Py_CLEAR(self->nodes_prefix);
    Py_CLEAR(self->nodes);
    Py_CLEAR(self->take);
}

/* set_reads(override, nodes, names, patience, take) */
static PyObject *set_reads(Answerer *self, PyObject *args) {
    PyObject *override_key, *nodes_prefix, *nodes, *take;
    double patience;
    if (!PyArg_ParseTuple(args, "SSOdO:set_reads", &override_key, &nodes_prefix, &nodes, &patience, &take)) return NULL;
    if (!PyDict_Check(nodes)) {
        PyErr_SetString(PyExc_TypeError, "a dictionary by node is wanted");
        return NULL;
    }
    Py_INCREF(override_key);
    Py_INCREF(nodes_prefix);
    Py_INCREF(nodes);
    Py_INCREF(take);
    forget_reads(self);
    self->override_key = override_key, self->nodes_prefix = nodes_prefix, self->nodes = nodes, self->take = take;
    self->patience = patience;
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------ the loop */

/* Have epoll watch these three, where it can: a wait costs half of one with poll. Done anew each time, since a descriptor may have
 * been closed, and its number be another one's. */
static void watch(Answerer *self, const struct pollfd fds[3]) {
    struct epoll_event event = {.events = EPOLLIN};
    if (self->epoll == UNTRIED) {
        self->epoll = epoll_create1(EPOLL_CLOEXEC);
        for (uint32_t at = 0; at < 2 && self->epoll >= 0; at++) {
            event.data.u32 = at;
            if (!epoll_ctl(self->epoll, EPOLL_CTL_ADD, fds[at].fd, &event)) continue;
            close(self->epoll);  /* stdin is a file, for example */
            self->epoll = -1;
        }
    }
    if (self->epoll < 0) return;
    if (self->watched >= 0 && self->watched != fds[2].fd) epoll_ctl(self->epoll, EPOLL_CTL_DEL, self->watched, &event);
    self->watched = fds[2].fd;
    if (self->watched < 0) return;
    event.events = (uint32_t)fds[2].events;  /* the same numbers as poll's */
    event.data.u32 = 2;
    if (!epoll_ctl(self->epoll, EPOLL_CTL_MOD, self->watched, &event)) return;
    if (!epoll_ctl(self->epoll, EPOLL_CTL_ADD, self->watched, &event)) return;
    close(self->epoll);
    self->epoll = -1;
}

/* As poll, with what `watch` was told. */
static int wait_for(const Answerer *self, struct pollfd fds[3], int timeout) {
    struct epoll_event came[3];
    if (self->epoll < 0) return poll(fds, 3, timeout);
    int ready = epoll_wait(self->epoll, came, 3, timeout);
    for (int at = 0; at < 3; at++) fds[at].revents = 0;
    for (int at = 0; at < ready; at++) fds[came[at].data.u32].revents = (short)came[at].events;
    return ready;
}

/* serve(wake, redis, events, due, most, at_rest) */
static PyObject *serve(Answerer *self, PyObject *args) {
    struct pollfd fds[3] = {{.fd = 0, .events = POLLIN}, {.events = POLLIN}, {.fd = -1}};
    int events;
    Search search;
    double due, now = monotonic();
    long long most;
    int at_rest;
    if (!PyArg_ParseTuple(args, "iiidLp", &fds[1].fd, &fds[2].fd, &events, &due, &most, &at_rest)) return NULL;
    fds[2].events = (short)events;
    self->answered = 0;
    watch(self, fds);
    while (self->by_name && now < due && most > (long long)self->answered) {
        double milliseconds = (due - now) * 1000 + 1;
        int timeout = milliseconds < 60000 ? (int)milliseconds : 60000, ready;
        ssize_t size;
        Py_BEGIN_ALLOW_THREADS  /* one that looks a name up, if any */
        ready = wait_for(self, fds, timeout);
        Py_END_ALLOW_THREADS
        now = monotonic();
        if (ready <= 0 || fds[1].revents || now >= due) break;
        if (fds[2].revents) {
            if (!at_rest || !self->take || fds[2].revents != POLLIN || !read_change(self, fds[2].fd, now)) break;
            now = monotonic();
            continue;
        }
        size = read(0, in, CHUNK);
        if (size < 0) {
            if (errno == EINTR || errno == EAGAIN) break;
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        int brought = 0;
        const Answer *answer = size ? answer_at_last(self, in, size, &search, now, &brought) : NULL;
        if (!answer) {
            PyErr_Clear();  /* a leaf of another shape is Python's as well */
            self->asked = now;
            return PyBytes_FromStringAndSize(in, size);
        }
        self->answered++;
        for (int record = 0; record < search.records; record++) count(self, self->hits);
        count(self, answer->slot);  /* before the reply: whoever has it may kill this worker at once */
        /* a signal's handler may have the answers forgotten while this one is written */
        PyObject *reply = answer->reply;
        Py_INCREF(reply);
        if (brought) {
            at_rest = 0;  /* Python has asked Redis for something, and not all of it may have come */
            observed(self, monotonic() - now);
        }
        int failed = say(reply);
        Py_DECREF(reply);
        if (failed < 0) return NULL;
    }
    Py_RETURN_NONE;
}

static int may_count(const Answerer *self, unsigned slot) {
    return (Py_ssize_t)slot < self->cells.len / 8 && slot <= UINT16_MAX;
}

/* learn(service, record, scope, reply, slot) */
static PyObject *learn(Answerer *self, PyObject *args) {
    unsigned service, scope, slot;
    PyObject *record, *reply;
    if (!PyArg_ParseTuple(args, "IOISI:learn", &service, &record, &scope, &reply, &slot)) return NULL;
    if (service >= self->service_count || self->services[service].map || !may_count(self, slot) || scope > 128) Py_RETURN_NONE;
    if (make_room(self) < 0) return NULL;
    keep_answer(self, (Answer){
        .called = (uintptr_t)record, .reply = reply, .service = service, .slot = (uint16_t)slot, .scope = (uint8_t)scope,
        .is_record = 1});
    Py_RETURN_NONE;
}

/* learn_layers(data, depth, scope, reply, slot) */
static PyObject *learn_layers(Answerer *self, PyObject *args) {
    const char *data;
    Py_ssize_t size;
    unsigned depth, wanted, slot;
    PyObject *reply;
    Search search = {.missing = 0};
    if (!PyArg_ParseTuple(args, "y#IISI:learn_layers", &data, &size, &depth, &wanted, &reply, &slot)) return NULL;
    if (!self->by_name || !may_count(self, slot)) Py_RETURN_NONE;
    uint32_t scope = take_apart(self, data, size, &search);
    const Map *map = scope ? self->services[search.service].map : NULL;
    if (!map || depth < 1 || depth > map->layer_count) Py_RETURN_NONE;
    uint64_t called = called_in(self, map, &search, depth, &scope);
    PyErr_Clear();  /* a leaf of another shape */
    if (!called || scope != wanted) Py_RETURN_NONE;
    Answer known = {.called = called, .reply = Py_None, .service = search.service, .scope = ANY_SCOPE};
    Answer fresh = {.called = called, .reply = reply, .service = search.service, .slot = (uint16_t)slot, .scope = (uint8_t)scope};
    if (make_room(self) < 0) return NULL;
    keep_answer(self, fresh);
    if (make_room(self) < 0) return NULL;
    keep_answer(self, known);
    Py_RETURN_NONE;
}

static PyObject *set_again(Answerer *self, PyObject *again) {
    PyObject *before = self->again;
    Py_INCREF(again);
    self->again = again;
    Py_XDECREF(before);
    Py_RETURN_NONE;
}

static PyObject *clear(Answerer *self, PyObject *Py_UNUSED(ignored)) {
    forget_answers(self);
    Py_RETURN_NONE;
}

/* find(data) -> (reply, slot) or None: what `serve` would write, for tests */
static PyObject *find(Answerer *self, PyObject *data) {
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(data, &bytes, &size) < 0) return NULL;
    Search search;
    int brought;
    const Answer *answer = self->by_name && size ? answer_at_last(self, bytes, size, &search, monotonic(), &brought) : NULL;
    PyErr_Clear();
    if (!answer) Py_RETURN_NONE;
    return Py_BuildValue("OI", answer->reply, answer->slot);
}

/* ------------------------------------------------------------------ pages */

/* What a page says of itself. */
typedef struct {
    int bits, height, length, shift, width, count, distinct;
    uint64_t starts[MOST_ENTRIES], mask;
    const unsigned char *index;
    Py_ssize_t values_at;
} Outline;

/* Read a page but for its values; 1, or 0: it is damaged or has wider starts. */
static int read_outline(const unsigned char *page, Py_ssize_t size, Outline *read) {
    if (size < HEADER || size > MOST_BYTES || page[0] != PAGE_VERSION) return 0;
    int bytes = page[1], height = page[2], length = page[3], front = page[4], width = page[5], bits = 8 * bytes;
    int count = page[6] << 8 | page[7], distinct = page[8] << 8 | page[9];
    if ((bytes != 4 && bytes != 16) || height > MOST_LEVELS || length > bits || front > length / 8) return 0;
    if (width < 1 || width > 8 || width > bytes - front) return 0;
    if (distinct < 1 || distinct > count || count > MOST_ENTRIES) return 0;
    Py_ssize_t index_at = HEADER + (Py_ssize_t)count * width, values_at = index_at + count;
    if (values_at > size) return 0;
    const unsigned char *index = page + index_at;
    for (int entry = 0; entry < count; entry++)
        if (index[entry] >= distinct) return 0;
    uint64_t *starts = read->starts;
    for (int entry = 0; entry < count; entry++) {
        starts[entry] = number_in(page + HEADER + entry * width, width);
        if (entry && starts[entry] <= starts[entry - 1]) return 0;
    }
    int shift = 8 * (bytes - front - width), host = bits - length;
    Address first = (Address)starts[0] << shift, last = (Address)starts[count - 1] << shift;
    if (host < 128 ? (first & (((Address)1 << host) - 1)) || (last ^ first) >> host : first != 0) return 0;
    read->bits = bits, read->height = height, read->length = length, read->shift = shift, read->width = width;
    read->count = count, read->distinct = distinct, read->index = index, read->values_at = values_at;
    read->mask = width == 8 ? UINT64_MAX : ((uint64_t)1 << (8 * width)) - 1;
    return 1;
}

/* outline(page) -> what page_format.py reads of a page and checks there, (bits, height, prefix length, shift, mask, type of the
 * starts, starts, index, where the values begin, how many); None: it is damaged or has wider starts, and Python has to say. */
static PyObject *outline(PyObject *Py_UNUSED(module), PyObject *raw) {
    Outline read;
    if (!PyBytes_Check(raw) || !read_outline((const unsigned char *)PyBytes_AsString(raw), PyBytes_Size(raw), &read)) Py_RETURN_NONE;
    int count = read.count, step = read.width > 2 ? (read.width > 4 ? 8 : 4) : read.width;
    const uint64_t *starts = read.starts;
    PyObject *keys = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)step * count);
    if (!keys) return NULL;
    void *into = PyBytes_AsString(keys);
    for (int entry = 0; entry < count; entry++) switch (step) {
            case 1: ((uint8_t *)into)[entry] = (uint8_t)starts[entry]; break;
            case 2: ((uint16_t *)into)[entry] = (uint16_t)starts[entry]; break;
            case 4: ((uint32_t *)into)[entry] = (uint32_t)starts[entry]; break;
            default: ((uint64_t *)into)[entry] = starts[entry];
        }
    return Py_BuildValue(
        "iiiiKCNy#ni", read.bits, read.height, read.length, read.shift, (unsigned long long)read.mask,
        step == 1 ? 'B' : step == 2 ? 'H' : step == 4 ? 'I' : 'Q', keys, (const char *)read.index, (Py_ssize_t)count,
        read.values_at, read.distinct);
}

/* packed(page, bits, high, low, host) -> whether it is the leaf for the 2^host addresses from there on, whole, and one with so
 * many distinct records that it stays as it is (leaf.py). */
static PyObject *packed(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *raw;
    int bits, host;
    unsigned long long high, low;
    Outline read;
    if (!PyArg_ParseTuple(args, "SiKKi:packed", &raw, &bits, &high, &low, &host)) return NULL;
    const unsigned char *page = (const unsigned char *)PyBytes_AsString(raw);
    Py_ssize_t size = PyBytes_Size(raw);
    if (!read_outline(page, size, &read) || read.height || read.bits != bits || bits - read.length != host) Py_RETURN_FALSE;
    Address domain = ((Address)read.mask << read.shift) | (((Address)1 << read.shift) - 1);
    if ((((Address)high << 64 | low) & domain) != (Address)read.starts[0] << read.shift) Py_RETURN_FALSE;
    if (read.distinct < FEW_RECORDS || size - read.values_at <= (1 + SHORT_RECORD) * read.distinct) Py_RETURN_FALSE;
    Py_ssize_t at = read.values_at;
    for (int number = 0; number < read.distinct; number++) {
        if (at >= size) Py_RETURN_FALSE;
        at += 1 + page[at];
    }
    return PyBool_FromLong(at == size);
}

/* texts(data, count) -> what `conversation.texts_of` makes of a reply: so many texts and nothing else, or None. */
static PyObject *texts(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *raw;
    Py_ssize_t count, at = 0;
    if (!PyArg_ParseTuple(args, "Sn:texts", &raw, &count)) return NULL;
    const char *data = PyBytes_AsString(raw);
    Py_ssize_t size = PyBytes_Size(raw);
    PyObject *listed = PyList_New(0);
    if (!listed) return NULL;
    for (; count > 0; count--) {
        if (at >= size || data[at++] != '$') goto none;
        Py_ssize_t length = 0, digits = at;
        while (at < size && data[at] >= '0' && data[at] <= '9' && at - digits < MOST_DIGITS) length = 10 * length + data[at++] - '0';
        if (at == digits || (data[digits] == '0' && at - digits > 1)) goto none;
        if (size - at < 2 || data[at] != '\r' || data[at + 1] != '\n') goto none;
        at += 2;
        if (size - at < length + 2 || data[at + length] != '\r' || data[at + length + 1] != '\n') goto none;
        PyObject *text = PyBytes_FromStringAndSize(data + at, length);
        if (!text || PyList_Append(listed, text) < 0) {
            Py_XDECREF(text);
            Py_DECREF(listed);
            return NULL;
        }
        Py_DECREF(text);
        at += length + 2;
    }
    if (at == size) return listed;
none:
    Py_DECREF(listed);
    Py_RETURN_NONE;
}

/* fields(data) -> a hash, as `read_change` reads it, or None, for tests */
static PyObject *fields(PyObject *Py_UNUSED(module), PyObject *raw) {
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(raw, &data, &size) < 0) return NULL;
    PyObject *read = hash_in(data, size);
    if (read || PyErr_Occurred()) return read;
    Py_RETURN_NONE;
}

/* places(page, at, count, step) -> where each *step*th of so many records has its length; None: they are not whole. */
static PyObject *places(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *raw;
    Py_ssize_t at, count, step;
    if (!PyArg_ParseTuple(args, "Snnn:places", &raw, &at, &count, &step)) return NULL;
    const unsigned char *page = (const unsigned char *)PyBytes_AsString(raw);
    Py_ssize_t size = PyBytes_Size(raw);
    if (at < 0 || count < 1 || count > MOST_ENTRIES || step < 1) Py_RETURN_NONE;
    PyObject *listed = PyList_New((count - 1) / step + 1);
    if (!listed) return NULL;
    for (Py_ssize_t number = 0; number < count; number++) {
        if (at >= size) goto damaged;
        if (number % step == 0) {
            PyObject *place = PyLong_FromSsize_t(at);
            if (!place || PyList_SetItem(listed, number / step, place) < 0) {
                Py_DECREF(listed);
                return NULL;
            }
        }
        at += 1 + page[at];
    }
    if (at == size) return listed;
damaged:
    Py_DECREF(listed);
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------ the type and the module */

static PyObject *make(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(named)) {
    PyObject *cells, *floors;
    Py_ssize_t hits;
    if (!PyArg_ParseTuple(args, "OnO", &cells, &hits, &floors)) return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Answerer *self = (Answerer *)allocate(type, 0);
    if (!self) return NULL;
    self->epoll = UNTRIED;
    self->watched = -1;
    if (PyObject_GetBuffer(cells, &self->cells, PyBUF_WRITABLE | PyBUF_ND | PyBUF_FORMAT) < 0 ||
        PyObject_GetBuffer(floors, &self->floors, PyBUF_SIMPLE) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if (self->cells.itemsize != 8 || hits < 0 || hits >= self->cells.len / 8 || self->floors.len != 256) {
        PyErr_SetString(PyExc_ValueError, "counters of 8 bytes and 256 floors are wanted");
        Py_DECREF(self);
        return NULL;
    }
    self->hits = hits;
    self->recent = PyMem_Calloc(RECENT, sizeof *self->recent);
    if (!self->recent || getrandom(self->key, sizeof self->key, 0) != sizeof self->key) {
        self->recent ? PyErr_SetFromErrno(PyExc_OSError) : PyErr_NoMemory();
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void end(Answerer *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    forget_answers(self);
    forget_services(self);
    forget_reads(self);
    Py_CLEAR(self->again);
    PyMem_Free(self->recent);
    if (self->epoll >= 0) close(self->epoll);
    PyBuffer_Release(&self->cells);
    PyBuffer_Release(&self->floors);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"serve", (PyCFunction)serve, METH_VARARGS,
     "serve(wake, redis, events, due, most, at_rest): answer questions until there is something for Python.\n\n"
     "at_rest: nothing is under way on the connection to Redis.\n"
     "Returns: what was read and has to be answered; None: nothing was read."},
    {"learn", (PyCFunction)learn, METH_VARARGS, "learn(service, record, scope, reply, slot): a reply, and where it is counted."},
    {"clear", (PyCFunction)clear, METH_NOARGS, "Forget every reply."},
    {"learn_layers", (PyCFunction)learn_layers, METH_VARARGS,
     "learn_layers(data, depth, scope, reply, slot): a reply for whoever the same entries of so many layers name as who asked."},
    {"set_services", (PyCFunction)set_services, METH_VARARGS,
     "set_services(services, maps, bring, observe): forgets every reply, and takes new services.\n\n"
     "A service is (name, IPv4 table, IPv6 table) or (name, number of a map). A table is (slots, starts, quick), a list of\n"
     "(slots, starts), None where Python has to say, or () where nothing is published. A map is (list of (IPv4 table, IPv6\n"
     "table), list of (kind, number of a table, radix, list of (text, number))). bring(service, bits, high, low, asked) brings\n"
     "the leaves of an address, and says whether they are here; observe(seconds) hears how long such a question took."},
    {"set_reads", (PyCFunction)set_reads, METH_VARARGS,
     "set_reads(override, nodes, names, patience, take): read the overrides' key, and a node's, which is *nodes* and its name, again\n"
     "when Redis says that it has changed. take(key, sent_at, unsent, reply) hears of it, and says whether all else is as it was."},
    {"set_again", (PyCFunction)set_again, METH_O,
     "set_again(again): again(service, record, scope) learns a reply that takes no decision, and says whether it did."},
    {"find", (PyCFunction)find, METH_O, "find(data): reply and counter, or None."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"answered", T_ULONGLONG, offsetof(Answerer, answered), READONLY, "Questions that the last `serve` answered."},
    {"asked", T_DOUBLE, offsetof(Answerer, asked), READONLY, "When what the last `serve` returned was read (monotonic)."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Answerer(counters, hits, floors): answers questions whose replies it has been told."},
    {Py_tp_new, make},
    {Py_tp_dealloc, end},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "geosteer.powerdns._answerer.Answerer",
    .basicsize = sizeof(Answerer),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

static PyMethodDef functions[] = {
    {"outline", outline, METH_O, "outline(page): what page_format.py reads of it, or None."},
    {"packed", packed, METH_VARARGS, "packed(page, bits, high, low, host): whether it is a leaf of many records for these addresses."},
    {"texts", texts, METH_VARARGS, "texts(data, count): so many texts of a reply that has nothing else, or None."},
    {"fields", fields, METH_O, "fields(data): the hash that a reply is, or None where it is not one, and whole."},
    {"places", places, METH_VARARGS, "places(page, at, count, step): where its records have their lengths, or None."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "geosteer.powerdns._answerer",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__answerer(void) {
    PyObject *module, *type;
    str_cells = PyUnicode_InternFromString("cells");
    str_index = PyUnicode_InternFromString("index");
    str_starts = PyUnicode_InternFromString("starts");
    str_shift = PyUnicode_InternFromString("shift");
    str_mask = PyUnicode_InternFromString("mask");
    str_host = PyUnicode_InternFromString("host");
    str_page = PyUnicode_InternFromString("page");
    if (!str_page || !str_cells || !str_index || !str_starts || !str_shift || !str_mask || !str_host) return NULL;
    if (!(type = PyType_FromSpec(&spec))) return NULL;
    module = PyModule_Create(&definition);
    if (!module || PyModule_AddObject(module, "Answerer", type) < 0) {
        Py_XDECREF(module);
        Py_DECREF(type);
        return NULL;
    }
    if (PyModule_AddIntConstant(module, "VERSION", 7) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
