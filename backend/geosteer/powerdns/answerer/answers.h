/* Counting and writing replies; what Python can bring for one: a leaf, or a reply that takes no decision. Part of _answerer.c. */

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
