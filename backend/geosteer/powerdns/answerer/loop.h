/* The loop itself, and what Python calls besides. Part of _answerer.c. */

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
