/* Replies by what a client is called and a scope, and questions of late. Part of _answerer.c. */

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
