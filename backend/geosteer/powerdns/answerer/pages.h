/* Pages and replies of Redis taken apart: page_format.py and conversation.py, in C. Part of _answerer.c. */

enum {
    PAGE_VERSION = 1,
    MOST_ENTRIES = 256,
    MOST_BYTES = 8192,
    MOST_LEVELS = 8,
    FEW_RECORDS = 32,       /* of leaf.py, as the next one */
    SHORT_RECORD = 6,
    MOST_DIGITS = 7,        /* of a text's length, as in conversation.py */
};

/* What a page says of itself. */
typedef struct {
    int bits, height, length, shift, width, count, distinct;
    uint64_t starts[MOST_ENTRIES], mask;
    const unsigned char *index;
    Py_ssize_t values_at;
} Outline;

/* Read a page but for its values; 1, or 0: it is damaged or has wider starts. */
static int read_outline(const unsigned char *page, Py_ssize_t size, Outline *read) {
    if (size < HEADER || size > MOST_BYTES || page[0] != PAGE_VERSION) return 0;
    int bytes = page[1], height = page[2], length = page[3], front = page[4], width = page[5], bits = 8 * bytes;
    int count = page[6] << 8 | page[7], distinct = page[8] << 8 | page[9];
    if ((bytes != 4 && bytes != 16) || height > MOST_LEVELS || length > bits || front > length / 8) return 0;
    if (width < 1 || width > 8 || width > bytes - front) return 0;
    if (distinct < 1 || distinct > count || count > MOST_ENTRIES) return 0;
    Py_ssize_t index_at = HEADER + (Py_ssize_t)count * width, values_at = index_at + count;
    if (values_at > size) return 0;
    const unsigned char *index = page + index_at;
    for (int entry = 0; entry < count; entry++)
        if (index[entry] >= distinct) return 0;
    uint64_t *starts = read->starts;
    for (int entry = 0; entry < count; entry++) {
        starts[entry] = number_in(page + HEADER + entry * width, width);
        if (entry && starts[entry] <= starts[entry - 1]) return 0;
    }
    int shift = 8 * (bytes - front - width), host = bits - length;
    Address first = (Address)starts[0] << shift, last = (Address)starts[count - 1] << shift;
    if (host < 128 ? (first & (((Address)1 << host) - 1)) || (last ^ first) >> host : first != 0) return 0;
    read->bits = bits, read->height = height, read->length = length, read->shift = shift, read->width = width;
    read->count = count, read->distinct = distinct, read->index = index, read->values_at = values_at;
    read->mask = width == 8 ? UINT64_MAX : ((uint64_t)1 << (8 * width)) - 1;
    return 1;
}

/* outline(page) -> what page_format.py reads of a page and checks there, (bits, height, prefix length, shift, mask, type of the
 * starts, starts, index, where the values begin, how many); None: it is damaged or has wider starts, and Python has to say. */
static PyObject *outline(PyObject *Py_UNUSED(module), PyObject *raw) {
    Outline read;
    if (!PyBytes_Check(raw) || !read_outline((const unsigned char *)PyBytes_AsString(raw), PyBytes_Size(raw), &read)) Py_RETURN_NONE;
    int count = read.count, step = read.width > 2 ? (read.width > 4 ? 8 : 4) : read.width;
    const uint64_t *starts = read.starts;
    PyObject *keys = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)step * count);
    if (!keys) return NULL;
    void *into = PyBytes_AsString(keys);
    for (int entry = 0; entry < count; entry++) switch (step) {
            case 1: ((uint8_t *)into)[entry] = (uint8_t)starts[entry]; break;
            case 2: ((uint16_t *)into)[entry] = (uint16_t)starts[entry]; break;
            case 4: ((uint32_t *)into)[entry] = (uint32_t)starts[entry]; break;
            default: ((uint64_t *)into)[entry] = starts[entry];
        }
    return Py_BuildValue(
        "iiiiKCNy#ni", read.bits, read.height, read.length, read.shift, (unsigned long long)read.mask,
        step == 1 ? 'B' : step == 2 ? 'H' : step == 4 ? 'I' : 'Q', keys, (const char *)read.index, (Py_ssize_t)count,
        read.values_at, read.distinct);
}

/* packed(page, bits, high, low, host) -> whether it is the leaf for the 2^host addresses from there on, whole, and one with so
 * many distinct records that it stays as it is (leaf.py). */
static PyObject *packed(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *raw;
    int bits, host;
    unsigned long long high, low;
    Outline read;
    if (!PyArg_ParseTuple(args, "SiKKi:packed", &raw, &bits, &high, &low, &host)) return NULL;
    const unsigned char *page = (const unsigned char *)PyBytes_AsString(raw);
    Py_ssize_t size = PyBytes_Size(raw);
    if (!read_outline(page, size, &read) || read.height || read.bits != bits || bits - read.length != host) Py_RETURN_FALSE;
    Address domain = ((Address)read.mask << read.shift) | (((Address)1 << read.shift) - 1);
    if ((((Address)high << 64 | low) & domain) != (Address)read.starts[0] << read.shift) Py_RETURN_FALSE;
    if (read.distinct < FEW_RECORDS || size - read.values_at <= (1 + SHORT_RECORD) * read.distinct) Py_RETURN_FALSE;
    Py_ssize_t at = read.values_at;
    for (int number = 0; number < read.distinct; number++) {
        if (at >= size) Py_RETURN_FALSE;
        at += 1 + page[at];
    }
    return PyBool_FromLong(at == size);
}

/* So many texts, where they are all of *data*; NULL: they are not, or an exception. conversation.py has it likewise. */
static PyObject *texts_in(const char *data, Py_ssize_t size, Py_ssize_t count) {
    Py_ssize_t at = 0;
    PyObject *listed = PyList_New(0);
    for (; listed && count > 0; count--) {
        if (at >= size || data[at++] != '$') goto none;
        Py_ssize_t length = 0, digits = at;
        while (at < size && data[at] >= '0' && data[at] <= '9' && at - digits < MOST_DIGITS) length = 10 * length + data[at++] - '0';
        if (at == digits || (data[digits] == '0' && at - digits > 1)) goto none;
        if (size - at < 2 || data[at] != '\r' || data[at + 1] != '\n') goto none;
        at += 2;
        if (size - at < length + 2 || data[at + length] != '\r' || data[at + length + 1] != '\n') goto none;
        PyObject *text = PyBytes_FromStringAndSize(data + at, length);
        int failed = !text || PyList_Append(listed, text) < 0;
        Py_XDECREF(text);
        if (failed) goto none;
        at += length + 2;
    }
    if (at == size) return listed;
none:
    Py_XDECREF(listed);
    return NULL;
}

/* texts(data, count) -> what `conversation.texts_of` makes of a reply, for tests. */
static PyObject *texts(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *data;
    Py_ssize_t size, count;
    if (!PyArg_ParseTuple(args, "y#n:texts", &data, &size, &count)) return NULL;
    PyObject *listed = texts_in(data, size, count);
    if (listed || PyErr_Occurred()) return listed;
    Py_RETURN_NONE;
}

/* exchange(fd, request, count, seconds) -> the texts that answer a request, so many, which come within that time; what came
 * instead, nothing if nothing did; or how many bytes of the request could be sent, where those were not all. */
static PyObject *exchange(PyObject *Py_UNUSED(module), PyObject *args) {
    int fd;
    const char *request;
    Py_ssize_t size, count;
    double seconds;
    if (!PyArg_ParseTuple(args, "iy#nd:exchange", &fd, &request, &size, &count, &seconds)) return NULL;
    ssize_t sent = send(fd, request, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < size) return PyLong_FromSsize_t(sent > 0 ? sent : 0);
    size = received(fd, seconds);
    PyObject *listed = size ? texts_in(reply, size, count) : NULL;
    if (listed || PyErr_Occurred()) return listed;
    return PyBytes_FromStringAndSize(reply, size);
}

/* fields(data) -> a hash, as `read_change` reads it, or None, for tests */
static PyObject *fields(PyObject *Py_UNUSED(module), PyObject *raw) {
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(raw, &data, &size) < 0) return NULL;
    PyObject *read = hash_in(data, size);
    if (read || PyErr_Occurred()) return read;
    Py_RETURN_NONE;
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
