/* The worker's loop for what it knows already: poll, read a question, look its client up, write the reply.
 *
 * Optional: `compiled.py` loads it where it was built, and the loop in Python does the same without it. It decides nothing.
 * Replies come from Python, each for a record of a table and a scope; here a question is taken apart, its client's record and the
 * prefix that has it found in the leaves that Python holds, and the reply written that goes with them. Whatever is not exactly as
 * expected goes to Python as it was read: another kind of question, a leaf that is not here, a record that has no reply yet. What
 * Redis, a signal or a timer wants goes there before a question is read, as in Python's own loop.
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
#include <time.h>
#include <unistd.h>

enum {
    CHUNK = 1 << 16,        /* bytes read at once, as in Python */
    FEWEST = 1 << 8,        /* places for replies at first; three quarters of them are used at most */
    MOST = 1 << 15,         /* at most */
    SEVERAL = 0xFFFF,       /* of tree.py, as this one */
    QUICK = 13,
    LONGEST_ADDRESS = 45,   /* characters */
    MOST_SERVICES = 1 << 20,
    HEADER = 10,            /* of page_format.py, as those that follow */
    PAGE_VERSION = 1,
    MOST_ENTRIES = 256,
    MOST_BYTES = 8192,
    MOST_LEVELS = 8,
};

/* One family of a service's table, as Tree has it. */
typedef struct {
    PyObject *slots;        /* list of leaves; NULL: this family goes to Python */
    Py_buffer starts;       /* where each leaf begins: unsigned integers, the first of them 0 */
    Py_buffer quick;        /* IPv4, `obj` NULL where there is none: number of the leaf by the first `QUICK` bits */
} Table;

typedef struct {
    PyObject *name;         /* bytes, lower case */
    Table v4, v6;
} Service;

/* The reply for a record and a scope. The reference to the record keeps its address from being another one's. */
typedef struct {
    PyObject *record, *reply;
    uint32_t service;
    uint16_t slot;
    uint8_t scope;
} Answer;

typedef struct {
    PyObject_HEAD
    Py_buffer cells;        /* the counters: 64-bit numbers */
    Py_ssize_t hits;        /* which of them counts leaves that were here */
    Py_buffer floors;       /* 256 bytes: floor of the scope by an IPv4 address's first octet, 0 = Python says */
    Service *services;
    uint32_t service_count;
    uint32_t *by_name;      /* place by hash -> number of a service + 1 */
    uint32_t by_name_mask;
    Answer *answers;
    uint32_t answer_mask, answer_count;
    unsigned long long answered;
} Answerer;

static char in[CHUNK];

static PyObject *str_cells, *str_index, *str_starts, *str_shift, *str_mask, *str_host;

/* ------------------------------------------------------------------ memory of replies */

static uint32_t place_of(const void *record, uint32_t service, uint32_t scope) {
    uint64_t mixed = ((uint64_t)(uintptr_t)record >> 4) ^ ((uint64_t)service << 40) ^ ((uint64_t)scope << 32);
    mixed *= 0x9E3779B97F4A7C15u;
    return (uint32_t)(mixed >> 32);
}

static Answer *find_answer(const Answerer *self, const PyObject *record, uint32_t service, uint32_t scope) {
    for (uint32_t at = place_of(record, service, scope);; at++) {
        Answer *answer = &self->answers[at & self->answer_mask];
        if (!answer->record || (answer->record == record && answer->service == service && answer->scope == scope)) return answer;
    }
}

static void forget_answers(Answerer *self) {
    Answer *old = self->answers;
    uint32_t places = self->answers ? self->answer_mask + 1 : 0;
    self->answers = NULL;
    self->answer_mask = self->answer_count = 0;
    for (uint32_t at = 0; at < places; at++) {
        Py_XDECREF(old[at].record);
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
    for (uint32_t at = 0; at < places; at++)
        if (old[at].record) *find_answer(self, old[at].record, old[at].service, old[at].scope) = old[at];
    PyMem_Free(old);
    return 0;
}

/* ------------------------------------------------------------------ services */

static uint32_t add_to_hash(uint32_t hash, unsigned char byte) { return (hash ^ byte) * 16777619u; }

static unsigned char lower(unsigned char byte) { return byte >= 'A' && byte <= 'Z' ? byte | 32 : byte; }

static void release_table(Table *table) {
    Py_CLEAR(table->slots);
    PyBuffer_Release(&table->starts);
    PyBuffer_Release(&table->quick);
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
}

static int must_be_tuple(PyObject *described) {
    if (PyTuple_Check(described)) return 0;
    PyErr_SetString(PyExc_TypeError, "tuples of (name, IPv4 table, IPv6 table) and (slots, starts, quick) are wanted");
    return -1;
}

static int is_unsigned(const Py_buffer *view, Py_ssize_t size) {
    return view->itemsize == size && view->format && strchr("BHILQ", view->format[0]) && view->format[0];
}

/* What Tree has as (slots, starts, quick); where it is of another shape, the family is left to Python. */
static int take_table(Table *table, PyObject *described, Py_ssize_t width) {
    PyObject *slots, *starts, *quick;
    if (described == Py_None) return 0;
    if (must_be_tuple(described) < 0 || !PyArg_ParseTuple(described, "OOO", &slots, &starts, &quick)) return -1;
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

static PyObject *set_services(Answerer *self, PyObject *listed) {
    Py_ssize_t count;
    uint32_t places = 8;
    if (!PyList_Check(listed)) {
        PyErr_SetString(PyExc_TypeError, "a list of (name, IPv4 table, IPv6 table) is wanted");
        return NULL;
    }
    forget_answers(self);
    forget_services(self);
    count = PyList_Size(listed);
    if (!count || count > MOST_SERVICES) Py_RETURN_NONE;  /* so many are left to Python */
    while (places < 2 * count) places *= 2;
    self->services = PyMem_Calloc(count, sizeof *self->services);
    self->by_name = PyMem_Calloc(places, sizeof *self->by_name);
    if (!self->services || !self->by_name) {
        forget_services(self);
        return PyErr_NoMemory();
    }
    self->by_name_mask = places - 1;
    for (Py_ssize_t at = 0; at < count; at++) {
        Service *service = &self->services[at];
        PyObject *name, *v4, *v6;
        uint32_t hash = 2166136261u;
        self->service_count = (uint32_t)at + 1;
        PyObject *described = PyList_GetItem(listed, at);
        if (must_be_tuple(described) < 0 || !PyArg_ParseTuple(described, "SOO", &name, &v4, &v6)) goto failed;
        Py_INCREF(name);
        service->name = name;
        if (take_table(&service->v4, v4, 4) < 0 || take_table(&service->v6, v6, 8) < 0) goto failed;
        const char *bytes = PyBytes_AsString(name);
        for (Py_ssize_t byte = PyBytes_Size(name); byte > 0; byte--) hash = add_to_hash(hash, (unsigned char)*bytes++);
        while (self->by_name[hash & self->by_name_mask]) hash++;
        self->by_name[hash & self->by_name_mask] = (uint32_t)at + 1;
    }
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

/* The reply to what was read, if it is one whole question and its reply is known; NULL: Python has to say. */
static const Answer *answer_to(Answerer *self, const char *data, Py_ssize_t size) {
    const char *end = data + size - 1, *at, *subnet, *slash;
    uint32_t hash = 2166136261u, number, scope;
    Address address;
    Py_ssize_t place;
    int length;

    if (size < 16 || memchr(data, '\n', (size_t)size) != end || data[0] != 'Q' || data[1] != '\t') return NULL;
    for (at = data + 2; *at != '\t'; at++) {
        if (at == end) return NULL;
        hash = add_to_hash(hash, lower((unsigned char)*at));
    }
    const char *name = data + 2;
    Py_ssize_t name_size = at - name;
    /* class, type, id, resolver, local address: only the type matters, and that the resolver is text */
    for (int field = 2; field < 7; field++) {
        const char *next = memchr(at + 1, '\t', (size_t)(end - at - 1));
        if (!next || (field == 3 && (next - at != 4 || memcmp(at + 1, "ANY", 3)))) return NULL;
        if (field == 5)
            for (const char *byte = at + 1; byte < next; byte++)
                if ((unsigned char)*byte > 127) return NULL;
        at = next;
    }
    subnet = at + 1;
    slash = memchr(subnet, '/', (size_t)(end - subnet));
    if (!slash || memchr(slash, '\t', (size_t)(end - slash))) return NULL;

    const Service *service = NULL;
    for (;; hash++) {
        number = self->by_name[hash & self->by_name_mask];
        if (!number) return NULL;
        service = &self->services[--number];
        if (PyBytes_Size(service->name) != name_size) continue;
        const char *its = PyBytes_AsString(service->name);
        Py_ssize_t byte = 0;
        while (byte < name_size && (unsigned char)its[byte] == lower((unsigned char)name[byte])) byte++;
        if (byte == name_size) break;
    }

    const Table *table;
    int64_t quad = quad_of(subnet, slash);
    int bits = quad < 0 ? 128 : 32;
    length = length_of(slash + 1, end, bits);
    if (!length) return NULL;
    if (bits == 32) {
        table = &service->v4;
        uint32_t value = (uint32_t)quad & (uint32_t)(0xFFFFFFFFu << (32 - length));
        scope = ((unsigned char *)self->floors.buf)[value >> 24];
        if (!scope || !table->slots) return NULL;
        place = table->quick.obj ? ((uint16_t *)table->quick.buf)[value >> (32 - QUICK)] : SEVERAL;
        if (place == SEVERAL) place = bisect32(table->starts.buf, table->starts.len / 4, value) - 1;
        address = value;
    } else {
        char text[LONGEST_ADDRESS + 1];
        unsigned char packed[16];
        table = &service->v6;
        if (slash - subnet > LONGEST_ADDRESS || memchr(subnet, 0, (size_t)(slash - subnet))) return NULL;
        memcpy(text, subnet, (size_t)(slash - subnet));
        text[slash - subnet] = 0;
        if (inet_pton(AF_INET6, text, packed) != 1) return NULL;
        address = 0;
        for (int byte = 0; byte < 16; byte++) address = address << 8 | packed[byte];
        address = address >> (128 - length) << (128 - length);
        scope = floor6((uint32_t)(address >> 96));
        if (!scope || !table->slots) return NULL;
        place = bisect64(table->starts.buf, table->starts.len / 8, (uint64_t)(address >> 64)) - 1;
    }
    if (place < 0 || place >= PyList_Size(table->slots)) return NULL;
    PyObject *leaf = PyList_GetItem(table->slots, place);
    if (!leaf || leaf == Py_None) return NULL;
    PyObject *record = record_of(leaf, bits, address, &length);
    if (!record || !self->answers) return NULL;
    const Answer *answer = find_answer(self, record, number, (uint32_t)length > scope ? (uint32_t)length : scope);
    return answer->record ? answer : NULL;
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

/* serve(wake, redis, events, due, most) */
static PyObject *serve(Answerer *self, PyObject *args) {
    struct pollfd fds[3] = {{.fd = 0, .events = POLLIN}, {.events = POLLIN}, {.fd = -1}};
    int events;
    double due, now = monotonic();
    long long most;
    if (!PyArg_ParseTuple(args, "iiidL", &fds[1].fd, &fds[2].fd, &events, &due, &most)) return NULL;
    fds[2].events = (short)events;
    self->answered = 0;
    while (self->by_name && now < due && most > (long long)self->answered) {
        double milliseconds = (due - now) * 1000 + 1;
        int timeout = milliseconds < 60000 ? (int)milliseconds : 60000, ready;
        ssize_t size;
        Py_BEGIN_ALLOW_THREADS  /* one that looks a name up, if any */
        ready = poll(fds, 3, timeout);
        Py_END_ALLOW_THREADS
        now = monotonic();
        if (ready <= 0 || fds[1].revents || fds[2].revents || now >= due) break;
        size = read(0, in, CHUNK);
        if (size < 0) {
            if (errno == EINTR || errno == EAGAIN) break;
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        const Answer *answer = size ? answer_to(self, in, size) : NULL;
        if (!answer) {
            PyErr_Clear();  /* a leaf of another shape is Python's as well */
            return PyBytes_FromStringAndSize(in, size);
        }
        self->answered++;
        count(self, self->hits);
        count(self, answer->slot);  /* before the reply: whoever has it may kill this worker at once */
        /* a signal's handler may have the answers forgotten while this one is written */
        PyObject *reply = answer->reply;
        Py_INCREF(reply);
        int failed = say(reply);
        Py_DECREF(reply);
        if (failed < 0) return NULL;
    }
    Py_RETURN_NONE;
}

/* learn(service, record, scope, reply, slot) */
static PyObject *learn(Answerer *self, PyObject *args) {
    unsigned service, scope, slot;
    PyObject *record, *reply;
    if (!PyArg_ParseTuple(args, "IOISI:learn", &service, &record, &scope, &reply, &slot)) return NULL;
    if (service >= self->service_count || (Py_ssize_t)slot >= self->cells.len / 8 || slot > UINT16_MAX || scope > 128) Py_RETURN_NONE;
    if (!self->answers || 4 * self->answer_count > 3 * self->answer_mask) {
        if (self->answers && self->answer_mask + 1 >= MOST) forget_answers(self);
        if (more_answers(self) < 0) return NULL;
    }
    Answer *answer = find_answer(self, record, service, scope);
    Py_INCREF(reply);
    if (answer->record) {
        PyObject *old = answer->reply;
        answer->reply = reply;
        answer->slot = (uint16_t)slot;
        Py_DECREF(old);
    } else {
        Py_INCREF(record);
        *answer = (Answer){.record = record, .reply = reply, .service = service, .slot = (uint16_t)slot, .scope = (uint8_t)scope};
        self->answer_count++;
    }
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
    const Answer *answer = self->by_name && size ? answer_to(self, bytes, size) : NULL;
    PyErr_Clear();
    if (!answer) Py_RETURN_NONE;
    return Py_BuildValue("OI", answer->reply, answer->slot);
}

/* ------------------------------------------------------------------ pages */

/* The number that *width* bytes make, big-endian. */
static uint64_t number_in(const unsigned char *bytes, int width) {
    uint64_t number = 0;
    while (width--) number = number << 8 | *bytes++;
    return number;
}

/* outline(page) -> what page_format.py reads of a page and checks there, (bits, height, prefix length, shift, mask, type of the
 * starts, starts, index, where the values begin, how many); None: it is damaged or has wider starts, and Python has to say. */
static PyObject *outline(PyObject *Py_UNUSED(module), PyObject *raw) {
    Py_ssize_t size, index_at, values_at;
    if (!PyBytes_Check(raw)) Py_RETURN_NONE;
    const unsigned char *page = (const unsigned char *)PyBytes_AsString(raw), *index;
    size = PyBytes_Size(raw);
    if (size < HEADER || size > MOST_BYTES || page[0] != PAGE_VERSION) Py_RETURN_NONE;
    int bytes = page[1], height = page[2], length = page[3], front = page[4], width = page[5], bits = 8 * bytes;
    int count = page[6] << 8 | page[7], distinct = page[8] << 8 | page[9], step = width > 2 ? (width > 4 ? 8 : 4) : width;
    if ((bytes != 4 && bytes != 16) || height > MOST_LEVELS || length > bits || front > length / 8) Py_RETURN_NONE;
    if (width < 1 || width > 8 || width > bytes - front) Py_RETURN_NONE;
    if (distinct < 1 || distinct > count || count > MOST_ENTRIES) Py_RETURN_NONE;
    index_at = HEADER + (Py_ssize_t)count * width;
    values_at = index_at + count;
    if (values_at > size) Py_RETURN_NONE;
    index = page + index_at;
    for (int entry = 0; entry < count; entry++)
        if (index[entry] >= distinct) Py_RETURN_NONE;

    uint64_t starts[MOST_ENTRIES];
    for (int entry = 0; entry < count; entry++) {
        starts[entry] = number_in(page + HEADER + entry * width, width);
        if (entry && starts[entry] <= starts[entry - 1]) Py_RETURN_NONE;
    }
    int shift = 8 * (bytes - front - width), host = bits - length;
    Address first = (Address)starts[0] << shift, last = (Address)starts[count - 1] << shift;
    if (host < 128 ? (first & (((Address)1 << host) - 1)) || (last ^ first) >> host : first != 0) Py_RETURN_NONE;

    PyObject *keys = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)step * count);
    if (!keys) return NULL;
    void *into = PyBytes_AsString(keys);
    for (int entry = 0; entry < count; entry++) switch (step) {
            case 1: ((uint8_t *)into)[entry] = (uint8_t)starts[entry]; break;
            case 2: ((uint16_t *)into)[entry] = (uint16_t)starts[entry]; break;
            case 4: ((uint32_t *)into)[entry] = (uint32_t)starts[entry]; break;
            default: ((uint64_t *)into)[entry] = starts[entry];
        }
    unsigned long long mask = width == 8 ? ~0ULL : (1ULL << (8 * width)) - 1;
    return Py_BuildValue(
        "iiiiKCNy#ni", bits, height, length, shift, mask, step == 1 ? 'B' : step == 2 ? 'H' : step == 4 ? 'I' : 'Q', keys,
        (const char *)index, (Py_ssize_t)count, values_at, distinct);
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
    return (PyObject *)self;
}

static void end(Answerer *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    forget_answers(self);
    forget_services(self);
    PyBuffer_Release(&self->cells);
    PyBuffer_Release(&self->floors);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"serve", (PyCFunction)serve, METH_VARARGS,
     "serve(wake, redis, events, due, most): answer questions until there is something for Python.\n\n"
     "Returns: what was read and has to be answered; None: nothing was read."},
    {"learn", (PyCFunction)learn, METH_VARARGS, "learn(service, record, scope, reply, slot): a reply, and where it is counted."},
    {"clear", (PyCFunction)clear, METH_NOARGS, "Forget every reply."},
    {"set_services", (PyCFunction)set_services, METH_O,
     "set_services(list of (name, IPv4 table, IPv6 table)): a table is (slots, starts, quick) or None; forgets every reply."},
    {"find", (PyCFunction)find, METH_O, "find(data): reply and counter, or None."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"answered", T_ULONGLONG, offsetof(Answerer, answered), READONLY, "Questions that the last `serve` answered."},
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
    if (!str_cells || !str_index || !str_starts || !str_shift || !str_mask || !str_host) return NULL;
    if (!(type = PyType_FromSpec(&spec))) return NULL;
    module = PyModule_Create(&definition);
    if (!module || PyModule_AddObject(module, "Answerer", type) < 0) {
        Py_XDECREF(module);
        Py_DECREF(type);
        return NULL;
    }
    if (PyModule_AddIntConstant(module, "VERSION", 3) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
