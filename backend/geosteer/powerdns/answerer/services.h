/* Taking in services and maps as Python describes them. Part of _answerer.c. */

static uint32_t add_to_hash(uint32_t hash, unsigned char byte) { return (hash ^ byte) * 16777619u; }

static unsigned char lower(unsigned char byte) { return byte >= 'A' && byte <= 'Z' ? byte | 32 : byte; }

static void release_map(Map *map) {
    for (uint32_t at = 0; at < map->table_count; at++) {
        release_table(&map->v4[at]);
        release_table(&map->v6[at]);
    }
    for (uint32_t at = 0; at < map->layer_count; at++) {
        Layer *layer = &map->layers[at];
        for (uint32_t place = 0; layer->keys && place <= layer->mask; place++) Py_CLEAR(layer->keys[place].text);
        PyMem_Free(layer->keys);
    }
    PyMem_Free(map->v4);
    PyMem_Free(map->v6);
    PyMem_Free(map->layers);
}

static void forget_services(Answerer *self) {
    Service *old = self->services;
    uint32_t count = self->service_count;
    self->services = NULL;
    self->service_count = 0;
    PyMem_Free(self->by_name);
    self->by_name = NULL;
    for (uint32_t at = 0; at < count; at++) {
        Py_CLEAR(old[at].name);
        release_table(&old[at].v4);
        release_table(&old[at].v6);
    }
    PyMem_Free(old);
    Map *maps = self->maps;
    count = self->map_count;
    self->maps = NULL;
    self->map_count = 0;
    for (uint32_t at = 0; at < count; at++) release_map(&maps[at]);
    PyMem_Free(maps);
    Py_CLEAR(self->bring);
    Py_CLEAR(self->observe);
}

static uint32_t hash_of(const char *bytes, Py_ssize_t size) {
    uint32_t hash = 2166136261u;
    while (size--) hash = add_to_hash(hash, (unsigned char)*bytes++);
    return hash;
}

/* A layer as (kind, number of its table, radix, list of (text, number)); 0, or -1 with an exception. */
static int take_layer(Layer *layer, PyObject *described, uint32_t tables) {
    PyObject *listed, *text;
    unsigned long long radix;
    unsigned number;
    uint32_t places = 8;
    if (must_be_tuple(described) < 0 || !PyArg_ParseTuple(described, "iIKO", &layer->kind, &layer->table, &radix, &listed)) return -1;
    if (!PyList_Check(listed) || layer->kind < 0 || layer->kind >= KINDS || layer->table >= tables || radix < 2) {
        PyErr_SetString(PyExc_ValueError, "unknown kind of layer, or no table of the map");
        return -1;
    }
    layer->radix = radix;
    Py_ssize_t count = PyList_Size(listed);
    if (count > MOST_KEYS) count = 0, layer->radix = UINT64_MAX;  /* the map is left to Python */
    while (places < 2 * count) places *= 2;
    if (!(layer->keys = PyMem_Calloc(places, sizeof *layer->keys))) {
        PyErr_NoMemory();
        return -1;
    }
    layer->mask = places - 1;
    for (Py_ssize_t at = 0; at < count; at++) {
        Py_ssize_t size;
        PyObject *pair = PyList_GetItem(listed, at);
        if (must_be_tuple(pair) < 0 || !PyArg_ParseTuple(pair, "UI", &text, &number)) return -1;
        const char *bytes = PyUnicode_AsUTF8AndSize(text, &size);
        if (!bytes) return -1;
        if (!number || number >= radix || size > UINT16_MAX) {
            PyErr_SetString(PyExc_ValueError, "numbers of entries are from 1 on, below the radix");
            return -1;
        }
        uint32_t hash = hash_of(bytes, size), place = hash;
        while (layer->keys[place & layer->mask].text) place++;
        Py_INCREF(text);
        layer->keys[place & layer->mask] = (Key){.text = text, .bytes = bytes, .size = (uint32_t)size, .hash = hash, .number = number};
    }
    return 0;
}

/* A map as (list of (IPv4 table, IPv6 table), list of layers); 0, or -1 with an exception. */
static int take_map(Map *map, PyObject *described) {
    PyObject *tables, *layers, *v4, *v6;
    if (must_be_tuple(described) < 0 || !PyArg_ParseTuple(described, "OO", &tables, &layers)) return -1;
    if (!PyList_Check(tables) || !PyList_Check(layers)) return must_be_tuple(Py_None);
    Py_ssize_t count = PyList_Size(tables), several = PyList_Size(layers);
    if (!count || count > MOST_TABLES || !several || several > MOST_LAYERS) return 0;  /* left to Python */
    map->v4 = PyMem_Calloc(count, sizeof *map->v4);
    map->v6 = PyMem_Calloc(count, sizeof *map->v6);
    map->layers = PyMem_Calloc(several, sizeof *map->layers);
    if (!map->v4 || !map->v6 || !map->layers) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t at = 0; at < count; at++) {
        PyObject *pair = PyList_GetItem(tables, at);
        map->table_count = (uint32_t)at + 1;
        if (must_be_tuple(pair) < 0 || !PyArg_ParseTuple(pair, "OO", &v4, &v6)) return -1;
        if (take_table(&map->v4[at], v4, 4) < 0 || take_table(&map->v6[at], v6, 8) < 0) return -1;
    }
    uint64_t most = 1;
    map->usable = 1;
    for (Py_ssize_t at = 0; at < several; at++) {
        Layer *layer = &map->layers[at];
        map->layer_count = (uint32_t)at + 1;
        if (take_layer(layer, PyList_GetItem(layers, at), map->table_count) < 0) return -1;
        if (layer->radix > MOST_CALLED / most) map->usable = 0;
        else most *= layer->radix;
    }
    return 0;
}

/* A service as (name, IPv4 table, IPv6 table), or (name, number of its map); 0, or -1 with an exception. */
static int take_service(Answerer *self, Service *service, PyObject *described) {
    PyObject *name, *v4, *v6;
    unsigned number;
    if (must_be_tuple(described) < 0) return -1;
    if (PyTuple_Size(described) == 2) {
        if (!PyArg_ParseTuple(described, "SI", &name, &number)) return -1;
        if (number >= self->map_count) return must_be_tuple(Py_None);
        service->map = &self->maps[number];
    } else if (!PyArg_ParseTuple(described, "SOO", &name, &v4, &v6)) return -1;
    Py_INCREF(name);
    service->name = name;
    if (service->map) return 0;
    return take_table(&service->v4, v4, 4) < 0 || take_table(&service->v6, v6, 8) < 0 ? -1 : 0;
}

/* Whether services by the record of a table are those that are here, by number: what they gave for a record stays then, unless
 * Python has it forgotten. So it is where tables alone have changed. */
static int are_the_same(const Answerer *self, PyObject *listed) {
    Py_ssize_t count = PyList_Size(listed);
    if (count != (Py_ssize_t)self->service_count || self->map_count) return 0;
    for (Py_ssize_t at = 0; at < count; at++) {
        PyObject *described = PyList_GetItem(listed, at);
        PyObject *name = PyTuple_Check(described) && PyTuple_Size(described) == 3 ? PyTuple_GetItem(described, 0) : NULL;
        if (!name || PyObject_RichCompareBool(name, self->services[at].name, Py_EQ) != 1) {
            PyErr_Clear();
            return 0;
        }
    }
    return 1;
}

/* set_services(services, maps, bring, observe) */
static PyObject *set_services(Answerer *self, PyObject *args) {
    PyObject *listed, *maps = NULL, *bring = NULL, *observe = NULL;
    uint32_t places = 8;
    if (!PyArg_ParseTuple(args, "O|OOO:set_services", &listed, &maps, &bring, &observe)) return NULL;
    if (!PyList_Check(listed) || (maps && !PyList_Check(maps))) {
        PyErr_SetString(PyExc_TypeError, "lists of services and of maps are wanted");
        return NULL;
    }
    if (!maps && self->answer_count <= KEPT && are_the_same(self, listed)) forget_recent(self);
    else forget_answers(self);
    forget_services(self);
    Py_ssize_t count = PyList_Size(listed), several = maps ? PyList_Size(maps) : 0;
    if (!count || count > MOST_SERVICES || several > MOST_SERVICES) Py_RETURN_NONE;  /* so many are left to Python */
    if (several && !(self->maps = PyMem_Calloc(several, sizeof *self->maps))) return PyErr_NoMemory();
    for (Py_ssize_t at = 0; at < several; at++) {
        self->map_count = (uint32_t)at + 1;
        if (take_map(&self->maps[at], PyList_GetItem(maps, at)) < 0) goto failed;
    }
    while (places < 2 * count) places *= 2;
    self->services = PyMem_Calloc(count, sizeof *self->services);
    self->by_name = PyMem_Calloc(places, sizeof *self->by_name);
    if (!self->services || !self->by_name) {
        PyErr_NoMemory();
        goto failed;
    }
    self->by_name_mask = places - 1;
    for (Py_ssize_t at = 0; at < count; at++) {
        Service *service = &self->services[at];
        self->service_count = (uint32_t)at + 1;
        if (take_service(self, service, PyList_GetItem(listed, at)) < 0) goto failed;
        uint32_t hash = hash_of(PyBytes_AsString(service->name), PyBytes_Size(service->name));
        while (self->by_name[hash & self->by_name_mask]) hash++;
        self->by_name[hash & self->by_name_mask] = (uint32_t)at + 1;
    }
    Py_XINCREF(bring);
    self->bring = bring;
    Py_XINCREF(observe);
    self->observe = observe;
    Py_RETURN_NONE;
failed:
    forget_services(self);
    return NULL;
}
