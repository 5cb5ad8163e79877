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

#include "answerer/types.h"
#include "answerer/memory.h"
#include "answerer/services.h"
#include "answerer/question.h"
#include "answerer/answers.h"
#include "answerer/states.h"
#include "answerer/loop.h"
#include "answerer/pages.h"

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
     "set_services(services, maps, bring, observe): takes new services, and forgets every reply unless only tables are others.\n\n"
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
    {"exchange", exchange, METH_VARARGS, "exchange(fd, request, count, seconds): texts that answer a request, or what came instead."},
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
    if (intern_names() < 0) return NULL;
    if (!(type = PyType_FromSpec(&spec))) return NULL;
    module = PyModule_Create(&definition);
    if (!module || PyModule_AddObject(module, "Answerer", type) < 0) {
        Py_XDECREF(module);
        Py_DECREF(type);
        return NULL;
    }
    if (PyModule_AddIntConstant(module, "VERSION", 8) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
