/* Where an address stands in a leaf that Python holds, and the prefix around it that has the same record: leaf.py, in C.
 *
 * For the modules in C, each of which includes it once.
 */
#ifndef GEOSTEER_LEAF_H
#define GEOSTEER_LEAF_H

#include <Python.h>

#include <stdint.h>
#include <string.h>

enum {
    HEADER = 10,            /* of page_format.py, as those that follow */
};

static PyObject *str_cells, *str_index, *str_starts, *str_shift, *str_mask, *str_host, *str_page;

/* The names of a leaf's attributes, once for a module; -1: an exception. */
static inline int intern_names(void) {
    const struct { PyObject **name; const char *text; } names[] = {
        {&str_cells, "cells"}, {&str_index, "index"}, {&str_starts, "starts"}, {&str_shift, "shift"},
        {&str_mask, "mask"}, {&str_host, "host"}, {&str_page, "page"},
    };
    for (size_t at = 0; at < sizeof names / sizeof *names; at++)
        if (!(*names[at].name = PyUnicode_InternFromString(names[at].text))) return -1;
    return 0;
}

static inline int is_unsigned(const Py_buffer *view, Py_ssize_t size) {
    return view->itemsize == size && view->format && strchr("BHILQ", view->format[0]) && view->format[0];
}

/* Index of the last of *count* ascending numbers that is not above *wanted*, plus one, as bisect_right. */
#define BISECT(name, type)                                                              \
    static inline Py_ssize_t name(const void *numbers, Py_ssize_t count, uint64_t wanted) { \
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
static inline uint64_t number_in(const unsigned char *bytes, int width) {
    uint64_t number = 0;
    while (width--) number = number << 8 | *bytes++;
    return number;
}

/* What of an address the starts of a leaf stand for: a key is `(address >> shift) & mask`. */
typedef struct {
    Py_buffer view;
    uint64_t shift, mask;
} Starts;

static inline int as_unsigned(PyObject *owner, PyObject *name, uint64_t *value) {
    PyObject *number = PyObject_GetAttr(owner, name);
    if (!number) return -1;
    *value = PyLong_AsUnsignedLongLong(number);
    Py_DECREF(number);
    return *value == (uint64_t)-1 && PyErr_Occurred() ? -1 : 0;
}

/* Take a leaf's starts; 0, or -1: Python has to say. */
static inline int take_starts(PyObject *leaf, Starts *starts) {
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

static inline Py_ssize_t count_of(const Starts *starts) { return starts->view.len / starts->view.itemsize; }

static inline uint64_t start_at(const Starts *starts, Py_ssize_t at) {
    switch (starts->view.itemsize) {
        case 1: return ((uint8_t *)starts->view.buf)[at];
        case 2: return ((uint16_t *)starts->view.buf)[at];
        case 4: return ((uint32_t *)starts->view.buf)[at];
        default: return ((uint64_t *)starts->view.buf)[at];
    }
}

/* Which entry of a leaf has the address. */
static inline Py_ssize_t entry_of(const Starts *starts, Address address) {
    uint64_t key = (uint64_t)(address >> starts->shift) & starts->mask;
    switch (starts->view.itemsize) {
        case 1: return bisect8(starts->view.buf, count_of(starts), key);
        case 2: return bisect16(starts->view.buf, count_of(starts), key);
        case 4: return bisect32(starts->view.buf, count_of(starts), key);
        default: return bisect64(starts->view.buf, count_of(starts), key);
    }
}

static inline int bits_of(Address number) {
    uint64_t high = (uint64_t)(number >> 64), low = (uint64_t)number;
    return high ? 128 - __builtin_clzll(high) : low ? 64 - __builtin_clzll(low) : 0;
}

/* Bits of an address behind the widest prefix around it that lies within an entry, at most *host*; as in leaf.py. */
static inline int free_bits(const Starts *starts, Py_ssize_t entry, Address address, int host) {
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
static inline Py_ssize_t number_of(PyObject *leaf, Py_ssize_t entry) {
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

/* The cell (record, length) of an address in a leaf, borrowed, and the length of the widest prefix around the address that has its
 * record: the cell's own, or, where that is 0, as measured. NULL: Python has to say. May set an exception. */
static inline PyObject *cell_in(PyObject *leaf, int bits, Address address, int *length) {
    PyObject *found = NULL, *cells = PyObject_GetAttr(leaf, str_cells);
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
        else *length = within <= 0 || within > bits ? -1 : (int)within;
        if (*length >= 0 && *length <= bits) found = cell;
    }
    PyBuffer_Release(&starts.view);
    Py_DECREF(cells);  /* the leaf has them */
    return found;
}

/* As `cell_in`, but the record alone, borrowed. */
static inline PyObject *record_of(PyObject *leaf, int bits, Address address, int *length) {
    PyObject *cell = cell_in(leaf, bits, address, length);
    return cell ? PyTuple_GetItem(cell, 0) : NULL;
}

/* A record's bytes, and the length of the widest prefix around the address that has it. */
typedef struct {
    const char *bytes;
    Py_ssize_t size;
    int length;
} Cell;

/* As `cell_in`, of a leaf that stays as its page's bytes; 1, or 0: Python has to say. The page was checked when it came. */
static inline int dense_cell(PyObject *raw, int bits, Address address, Cell *cell) {
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

/* The cell of an address in a leaf that stays as its page's bytes, which live as long as the leaf does; 1, or 0: Python has to say.
 * May set an exception. */
static inline int packed_cell(PyObject *leaf, int bits, Address address, Cell *cell) {
    PyObject *raw = PyObject_GetAttr(leaf, str_page);
    int got = raw && PyBytes_Check(raw) && dense_cell(raw, bits, address, cell);
    Py_XDECREF(raw);  /* the leaf has it */
    return got;
}

/* A leaf's record and the prefix that has it; 1, or 0: Python has to say. Its bytes live as long as the leaf does. */
static inline int cell_of(PyObject *leaf, int bits, Address address, Cell *cell) {
    PyObject *record = record_of(leaf, bits, address, &cell->length);
    if (record) return PyUnicode_Check(record) && (cell->bytes = PyUnicode_AsUTF8AndSize(record, &cell->size)) != NULL;
    PyErr_Clear();
    return packed_cell(leaf, bits, address, cell);
}

/* A dotted quad without anything odd; -1: none. */
static inline int64_t quad_of(const char *text, const char *end) {
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

#endif
