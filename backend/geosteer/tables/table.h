/* One family of a table as Tree has it, and the leaf there that has an address: tree.py, in C.
 *
 * For the modules in C, each of which includes it once.
 */
#ifndef GEOSTEER_TABLE_H
#define GEOSTEER_TABLE_H

#include "leaf.h"

enum {
    SEVERAL = 0xFFFF,       /* of tree.py, as this one */
    QUICK = 13,
    MOST_BRANCHES = 1 << 14,
};

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

static inline void release_table(Table *table) {
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

static inline int must_be_tuple(PyObject *described) {
    if (PyTuple_Check(described)) return 0;
    PyErr_SetString(PyExc_TypeError, "tuples of (name, IPv4 table, IPv6 table) or (name, map), and of tables, layers and keys are wanted");
    return -1;
}

/* What a Branch has; 1: taken, 0: it is of another shape, -1: an exception. */
static inline int take_branch(Branch *branch, PyObject *described, Py_ssize_t width) {
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
static inline int take_branches(Table *table, PyObject *listed, Py_ssize_t width) {
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
static inline int take_table(Table *table, PyObject *described, Py_ssize_t width) {
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

/* The leaf of an address, borrowed; NULL: it is not here (*missing*), or Python has to say. */
static inline PyObject *leaf_in(const Table *table, int bits, Address address, int *missing) {
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

#endif
