/* Node states and overrides that Redis says have changed, read again at once. Part of _answerer.c. */

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

static char reply[REPLY];

/* How many bytes of `reply` came within so many seconds, at most as many as fit; 0: none, or the connection is for Python to end. */
static Py_ssize_t received(int fd, double seconds) {
    struct pollfd only = {.fd = fd, .events = POLLIN};
    double left = seconds * 1000;
    ssize_t size = 0;
    int ready;
    Py_BEGIN_ALLOW_THREADS
    ready = poll(&only, 1, left > 0 ? (left < 60000 ? (int)left + 1 : 60000) : 0);
    Py_END_ALLOW_THREADS
    if (ready > 0 && only.revents == POLLIN) size = recv(fd, reply, sizeof reply, MSG_DONTWAIT);
    return size > 0 ? size : 0;
}

/* What came in answer to a request, within the time that a question may wait: a hash, or else bytes, none if nothing did yet. */
static PyObject *reply_of(int fd, double until) {
    Py_ssize_t size = received(fd, until - monotonic());
    PyObject *fields = size ? hash_in(reply, size) : NULL;
    if (fields || PyErr_Occurred()) return fields;
    return PyBytes_FromStringAndSize(reply, size);
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
