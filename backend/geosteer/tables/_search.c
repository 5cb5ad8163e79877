/* A table's look-up by an address in text: what `Lookups.lookup` does, in C, over the leaves that Python holds.
 *
 * Optional: `compiled_search.py` loads it where it was built, and Python finds the same without it. Whatever is not exactly as
 * expected goes to Python: text that is no plain address, an IPv6 address that may carry an IPv4 one, a leaf that is not here or
 * stays as its bytes, a table that is too large for a single list.
 *
 * Only the stable interface of CPython 3.11 is used, so that one file serves every later version.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

enum {
    SEVERAL = 0xFFFF,       /* of tree.py, as this one */
    QUICK = 13,
    LONGEST_ADDRESS = 45,   /* characters */
};

typedef unsigned __int128 Address;

/* One family of a table, as Tree has it. */
typedef struct {
    PyObject *slots;        /* list of leaves; NULL: this family goes to Python */
    Py_buffer starts;       /* where each leaf begins: unsigned integers, the first of them 0 */
    Py_buffer quick;        /* IPv4, `obj` NULL where there is none: number of the leaf by the first `QUICK` bits */
} Table;

typedef struct {
    PyObject_HEAD
    Table v4, v6;
} Search;

/* Numbers in ascending order, of one to eight bytes each. */
typedef struct {
    const void *numbers;
    Py_ssize_t count, size;
} Sorted;

static PyObject *str_cells, *str_index, *str_starts, *str_shift, *str_mask, *str_host;

/* ------------------------------------------------------------------ tables */

static int is_unsigned(const Py_buffer *view, Py_ssize_t size) {
    return view->itemsize == size && view->format && view->format[0] && strchr("BHILQ", view->format[0]);
}

static uint64_t number_at(const Sorted *sorted, Py_ssize_t at) {
    switch (sorted->size) {
        case 1: return ((const uint8_t *)sorted->numbers)[at];
        case 2: return ((const uint16_t *)sorted->numbers)[at];
        case 4: return ((const uint32_t *)sorted->numbers)[at];
        default: return ((const uint64_t *)sorted->numbers)[at];
    }
}

/* How many of the numbers are not above *wanted*, as bisect_right. */
static Py_ssize_t bisect(const Sorted *sorted, uint64_t wanted) {
    Py_ssize_t low = 0, high = sorted->count;
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        if (number_at(sorted, middle) > wanted) high = middle;
        else low = middle + 1;
    }
    return low;
}

/* Take what Tree has as (slots, starts, quick), where the starts are numbers of so many bytes. Where it is None or of another
 * shape, the family is left to Python. */
static int take_table(Table *table, PyObject *described, Py_ssize_t width) {
    if (described == Py_None) return 0;
    if (!PyTuple_Check(described) || PyTuple_Size(described) != 3) {
        PyErr_SetString(PyExc_TypeError, "a table is (slots, starts, quick) or None");
        return -1;
    }
    PyObject *slots = PyTuple_GetItem(described, 0), *starts = PyTuple_GetItem(described, 1), *quick = PyTuple_GetItem(described, 2);
    if (!PyList_Check(slots) || !PyObject_CheckBuffer(starts)) return 0;
    if (PyObject_GetBuffer(starts, &table->starts, PyBUF_ND | PyBUF_FORMAT) < 0) return -1;
    if (quick != Py_None && PyObject_GetBuffer(quick, &table->quick, PyBUF_ND | PyBUF_FORMAT) < 0) return -1;
    Py_ssize_t count = table->starts.len / width;
    if (!is_unsigned(&table->starts, width) || !count || count != PyList_Size(slots) ||
        (table->quick.obj && (!is_unsigned(&table->quick, 2) || table->quick.len != 2 << QUICK)))
        return 0;
    Py_INCREF(slots);
    table->slots = slots;
    return 0;
}

static void release_table(Table *table) {
    Py_CLEAR(table->slots);
    PyBuffer_Release(&table->starts);
    PyBuffer_Release(&table->quick);
}

/* ------------------------------------------------------------------ an address */

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

/* Whether an IPv6 address may carry an IPv4 one, by its first 32 bits: as `CARRIERS` of client.py. */
static int may_carry(uint32_t high) {
    uint32_t front = high >> 16;
    return front == 0 || front == 0x64 || front == 0x2002 || high == 0x20010000;
}

/* An address in text, and its number of bits; 0: none, or Python has to say. */
static int address_of(const char *text, Py_ssize_t size, Address *address) {
    unsigned char packed[16];
    int64_t quad = quad_of(text, text + size);
    if (quad >= 0) {
        *address = (Address)quad;
        return 32;
    }
    /* the text ends with a NUL; one within it is no part of an address */
    if (size > LONGEST_ADDRESS || memchr(text, 0, (size_t)size) || inet_pton(AF_INET6, text, packed) != 1) return 0;
    *address = 0;
    for (int byte = 0; byte < 16; byte++) *address = *address << 8 | packed[byte];
    return may_carry((uint32_t)(*address >> 96)) ? 0 : 128;
}

/* The leaf that has an address, borrowed; NULL: Python has to say. */
static PyObject *leaf_of(const Table *table, int bits, Address address) {
    if (!table->slots) return NULL;
    Py_ssize_t width = bits == 32 ? 4 : 8, place = SEVERAL;
    if (bits == 32 && table->quick.obj) place = ((const uint16_t *)table->quick.buf)[(uint32_t)address >> (32 - QUICK)];
    if (place == SEVERAL) {
        Sorted starts = {table->starts.buf, table->starts.len / width, width};
        place = bisect(&starts, (uint64_t)(bits == 32 ? address : address >> 64)) - 1;
    }
    if (place < 0 || place >= PyList_Size(table->slots)) return NULL;
    PyObject *leaf = PyList_GetItem(table->slots, place);
    return leaf == Py_None ? NULL : leaf;
}

/* ------------------------------------------------------------------ a leaf */

static int as_unsigned(PyObject *owner, PyObject *name, uint64_t *value) {
    PyObject *number = PyObject_GetAttr(owner, name);
    if (!number) return -1;
    *value = PyLong_AsUnsignedLongLong(number);
    Py_DECREF(number);
    return *value == (uint64_t)-1 && PyErr_Occurred() ? -1 : 0;
}

static int buffer_of(PyObject *owner, PyObject *name, Py_buffer *view) {
    PyObject *holder = PyObject_GetAttr(owner, name);
    if (!holder) return -1;
    int failed = PyObject_GetBuffer(holder, view, PyBUF_ND | PyBUF_FORMAT);
    Py_DECREF(holder);
    return failed;
}

static int bits_of(Address number) {
    uint64_t high = (uint64_t)(number >> 64), low = (uint64_t)number;
    return high ? 128 - __builtin_clzll(high) : low ? 64 - __builtin_clzll(low) : 0;
}

/* Bits of an address behind the widest prefix around it that lies within an entry, at most *host*; as in leaf.py. */
static int free_bits(const Sorted *starts, uint64_t shift, uint64_t mask, Py_ssize_t entry, Address address, int host) {
    Address domain = ((Address)mask << shift) | (((Address)1 << shift) - 1), front = address & ~domain;
    for (Py_ssize_t at = entry - 1; at <= entry; at++) {
        if (at < 0 || at >= starts->count) continue;
        Address edge = front | (Address)number_at(starts, at) << shift;
        int most = bits_of(address ^ (at < entry ? edge - 1 : edge)) - 1;
        if (most < host) host = most;
    }
    return host;
}

/* The cell of an address in a leaf with these starts, a new reference; NULL: Python has to say. */
static PyObject *cell_among(PyObject *leaf, PyObject *cells, const Sorted *starts, int bits, Address address) {
    uint64_t shift, mask, host;
    Py_buffer index;
    if (as_unsigned(leaf, str_shift, &shift) < 0 || shift > 127 || as_unsigned(leaf, str_mask, &mask) < 0) return NULL;
    Py_ssize_t entry = bisect(starts, (uint64_t)(address >> shift) & mask), number = -1;
    if (buffer_of(leaf, str_index, &index) < 0) return NULL;
    /* one byte each where the leaf has its own cells, two where it shares them */
    if (entry < index.len / index.itemsize) {
        if (is_unsigned(&index, 2)) number = ((const uint16_t *)index.buf)[entry];
        else if (is_unsigned(&index, 1)) number = ((const uint8_t *)index.buf)[entry];
    }
    PyBuffer_Release(&index);
    if (number < 0 || number >= PyList_Size(cells)) return NULL;
    PyObject *cell = PyList_GetItem(cells, number);
    if (!cell || !PyTuple_Check(cell) || PyTuple_Size(cell) != 2) return NULL;
    long length = PyLong_AsLong(PyTuple_GetItem(cell, 1));
    if (length > 0) {
        Py_INCREF(cell);
        return cell;
    }
    if (length < 0 || as_unsigned(leaf, str_host, &host) < 0 || host > (uint64_t)bits) return NULL;
    PyObject *record = PyTuple_GetItem(cell, 0);  /* its length has to be measured */
    return Py_BuildValue("Oi", record, bits - free_bits(starts, shift, mask, entry, address, (int)host));
}

static PyObject *cell_of(PyObject *leaf, int bits, Address address) {
    Py_buffer view;
    PyObject *cells = PyObject_GetAttr(leaf, str_cells), *cell = NULL;
    if (cells && PyList_Check(cells) && buffer_of(leaf, str_starts, &view) == 0) {
        Sorted starts = {view.buf, view.len / view.itemsize, view.itemsize};
        if (is_unsigned(&view, view.itemsize)) cell = cell_among(leaf, cells, &starts, bits, address);
        PyBuffer_Release(&view);
    }
    Py_XDECREF(cells);
    return cell;
}

/* find(text) -> (record, length), or None: Python has to say */
static PyObject *find(Search *self, PyObject *text) {
    Address address;
    Py_ssize_t size;
    PyObject *cell = NULL;
    const char *bytes = PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, &size) : NULL;
    int bits = bytes ? address_of(bytes, size, &address) : 0;
    PyObject *leaf = bits ? leaf_of(bits == 32 ? &self->v4 : &self->v6, bits, address) : NULL;
    if (leaf) cell = cell_of(leaf, bits, address);
    if (cell) return cell;
    PyErr_Clear();  /* a leaf of another shape is Python's as well */
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------ the type and the module */

static PyObject *make(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(named)) {
    PyObject *v4, *v6;
    if (!PyArg_ParseTuple(args, "OO:Search", &v4, &v6)) return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Search *self = (Search *)allocate(type, 0);
    if (self && (take_table(&self->v4, v4, 4) < 0 || take_table(&self->v6, v6, 8) < 0)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void end(Search *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    release_table(&self->v4);
    release_table(&self->v6);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"find", (PyCFunction)find, METH_O, "find(text): record of an address and length of the widest prefix that has it, or None."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Search(IPv4 table, IPv6 table): finds addresses in a table; each is (slots, starts, quick) or None."},
    {Py_tp_new, make},
    {Py_tp_dealloc, end},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "geosteer.tables._search.Search",
    .basicsize = sizeof(Search),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "geosteer.tables._search",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__search(void) {
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
    if (!module || PyModule_AddObject(module, "Search", type) < 0) {
        Py_XDECREF(module);
        Py_DECREF(type);
        return NULL;
    }
    if (PyModule_AddIntConstant(module, "VERSION", 1) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
