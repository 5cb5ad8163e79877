/* A table's look-up by an address in text: what `Lookups.lookup` does, in C, over the leaves that Python holds.
 *
 * Optional: `compiled_search.py` loads it where it was built, and Python finds the same without it. Whatever is not exactly as
 * expected goes to Python: text that is no plain address, an IPv6 address that may carry an IPv4 one, a leaf that is not here.
 *
 * Only the stable interface of CPython 3.11 is used, so that one file serves every later version.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <arpa/inet.h>

#include "table.h"

enum { LONGEST_ADDRESS = 45 };  /* characters */

typedef struct {
    PyObject_HEAD
    Table v4, v6;
} Search;

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

/* find(text) -> (record, length), or None: Python has to say */
static PyObject *find(Search *self, PyObject *text) {
    Address address;
    Py_ssize_t size;
    int missing, length;
    const char *bytes = PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, &size) : NULL;
    int bits = bytes ? address_of(bytes, size, &address) : 0;
    PyObject *leaf = bits ? leaf_in(bits == 32 ? &self->v4 : &self->v6, bits, address, &missing) : NULL;
    PyObject *cell = leaf ? cell_in(leaf, bits, address, &length) : NULL;
    if (cell && length == PyLong_AsLong(PyTuple_GetItem(cell, 1))) {
        Py_INCREF(cell);
        return cell;
    }
    if (cell) return Py_BuildValue("Oi", PyTuple_GetItem(cell, 0), length);
    PyErr_Clear();
    Cell packed;
    PyObject *made = leaf && packed_cell(leaf, bits, address, &packed) ? Py_BuildValue("s#i", packed.bytes, packed.size, packed.length) : NULL;
    if (made) return made;
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
    {Py_tp_doc, "Search(IPv4 table, IPv6 table): finds addresses in a table; each is (slots, starts, quick), a list of (slots, starts), or None."},
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
    if (intern_names() < 0) return NULL;
    if (!(type = PyType_FromSpec(&spec))) return NULL;
    module = PyModule_Create(&definition);
    if (!module || PyModule_AddObject(module, "Search", type) < 0) {
        Py_XDECREF(module);
        Py_DECREF(type);
        return NULL;
    }
    if (PyModule_AddIntConstant(module, "VERSION", 2) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
