/* From a question's line to the reply that goes with it, if there is one. Part of _answerer.c. */

static uint32_t number_for(const Layer *layer, const char *text, Py_ssize_t size) {
    uint32_t hash = hash_of(text, size);
    for (uint32_t place = hash;; place++) {
        const Key *key = &layer->keys[place & layer->mask];
        if (!key->text) return 0;
        if (key->hash == hash && key->size == (uint32_t)size && !memcmp(key->bytes, text, (size_t)size)) return key->number;
    }
}

/* The number of the entry of a layer that names whoever has a record; 0: none does. */
static uint32_t entry_for(const Layer *layer, const Cell *cell) {
    const char *text = cell->bytes, *end = text + cell->size, *space, *dash;
    if (!cell->size) return 0;
    if (layer->kind == WHOLE) return number_for(layer, text, cell->size);
    if (layer->kind == WORDS) {
        for (;; text = space + 1) {
            space = memchr(text, ' ', (size_t)(end - text));
            uint32_t number = number_for(layer, text, (space ? space : end) - text);
            if (number || !space) return number;
        }
    }
    space = memchr(text, ' ', (size_t)cell->size);
    if (space) end = space;
    if (layer->kind == PLACE && *text != '@' && (dash = memchr(text, '-', (size_t)(end - text)))) end = dash;
    return number_for(layer, text, end - text);
}

/* A prefix length as Python writes it, followed by the end of the line; 0: none, or Python has to say. */
static int length_of(const char *text, const char *end, int most) {
    int length = 0;
    if (end - text < 1 || end - text > 3 || *text == '0') return 0;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9') return 0;
        length = 10 * length + *text - '0';
    }
    return length <= most ? length : 0;
}

/* Floor of the scope around an IPv6 address, by its first 32 bits; 0: it is not one that is public and carries no other.
 * The same as client.py: within 2000::/3, the blocks to keep away from are 2002::/16 and 2001::/32; all others differ from it
 * in the third bit at the latest. */
static uint32_t floor6(uint32_t high) {
    uint32_t least = 3;
    if (high < 0x20000000 || high >= 0x40000000 || high >> 16 == 0x2002 || high == 0x20010000) return 0;
    for (int at = 0; at < 2; at++) {
        uint32_t common = (uint32_t)__builtin_clz(high ^ (at ? 0x20010000u : 0x20020000u)) + 1;
        if (common > least) least = common;
    }
    return least;
}

/* What the entries of a map make that name a client, layer by layer: a number that no others make; up to *depth* layers, or 0:
 * up to the first one for which there is a reply. 0: a leaf is not here (*search*), or Python has to say.
 * Args: scope: as far as it is known without the tables. */
static uint64_t called_in(const Answerer *self, const Map *map, Search *search, uint32_t depth, uint32_t *scope) {
    Cell cells[MOST_TABLES];
    uint32_t looked_up = 0;
    uint64_t called = 1;
    if (!map->usable) return 0;
    for (uint32_t at = 0; at < (depth ? depth : map->layer_count); at++) {
        const Layer *layer = &map->layers[at];
        Cell *cell = &cells[layer->table];
        if (!(looked_up >> layer->table & 1)) {
            const Table *table = &(search->bits == 32 ? map->v4 : map->v6)[layer->table];
            *cell = (Cell){.bytes = "", .size = 0, .length = 0};
            if (!table->absent) {
                PyObject *leaf = leaf_in(table, search->bits, search->address, &search->missing);
                if (!leaf || !cell_of(leaf, search->bits, search->address, cell)) return 0;
            }
            for (Py_ssize_t byte = 0; byte < cell->size; byte++)
                if ((unsigned char)cell->bytes[byte] > 127) return 0;
            looked_up |= 1u << layer->table;
            search->records++;
            if ((uint32_t)cell->length > *scope) *scope = (uint32_t)cell->length;
        }
        uint32_t number = entry_for(layer, cell);
        called = called * layer->radix + number;
        if (number && !depth && find_answer(self, called, search->service, ANY_SCOPE)->reply) break;
    }
    return called;
}

/* Take a question apart: the service, and the client's network, as far as `search` tells it. Returns the floor of the scope;
 * 0: it is not one whole question of this kind, or Python has to say. */
static uint32_t take_apart(const Answerer *self, const char *data, Py_ssize_t size, Search *search) {
    const char *end = data + size - 1, *at, *subnet, *slash;
    uint32_t hash = 2166136261u, number, floor;
    int length;

    if (size < 16 || memchr(data, '\n', (size_t)size) != end || data[0] != 'Q' || data[1] != '\t') return 0;
    for (at = data + 2; *at != '\t'; at++) {
        if (at == end) return 0;
        hash = add_to_hash(hash, lower((unsigned char)*at));
    }
    const char *name = data + 2;
    Py_ssize_t name_size = at - name;
    /* class, type, id, resolver, local address: only the type matters, and that the resolver is text */
    for (int field = 2; field < 7; field++) {
        const char *next = memchr(at + 1, '\t', (size_t)(end - at - 1));
        if (!next || (field == 3 && (next - at != 4 || memcmp(at + 1, "ANY", 3)))) return 0;
        if (field == 5)
            for (const char *byte = at + 1; byte < next; byte++)
                if ((unsigned char)*byte > 127) return 0;
        at = next;
    }
    subnet = at + 1;
    slash = memchr(subnet, '/', (size_t)(end - subnet));
    if (!slash || memchr(slash, '\t', (size_t)(end - slash))) return 0;

    for (;; hash++) {
        number = self->by_name[hash & self->by_name_mask];
        if (!number) return 0;
        const Service *service = &self->services[--number];
        if (PyBytes_Size(service->name) != name_size) continue;
        const char *its = PyBytes_AsString(service->name);
        Py_ssize_t byte = 0;
        while (byte < name_size && (unsigned char)its[byte] == lower((unsigned char)name[byte])) byte++;
        if (byte == name_size) break;
    }
    search->service = number;

    int64_t quad = quad_of(subnet, slash);
    search->bits = quad < 0 ? 128 : 32;
    length = length_of(slash + 1, end, search->bits);
    if (!length) return 0;
    if (search->bits == 32) {
        uint32_t value = (uint32_t)quad & (uint32_t)(0xFFFFFFFFu << (32 - length));
        floor = ((unsigned char *)self->floors.buf)[value >> 24];
        search->address = value;
    } else {
        char text[LONGEST_ADDRESS + 1];
        unsigned char packed[16];
        Address address = 0;
        if (slash - subnet > LONGEST_ADDRESS || memchr(subnet, 0, (size_t)(slash - subnet))) return 0;
        memcpy(text, subnet, (size_t)(slash - subnet));
        text[slash - subnet] = 0;
        if (inet_pton(AF_INET6, text, packed) != 1) return 0;
        for (int byte = 0; byte < 16; byte++) address = address << 8 | packed[byte];
        search->address = address >> (128 - length) << (128 - length);
        floor = floor6((uint32_t)(search->address >> 96));
    }
    return floor;
}

/* The reply to what was read, if it is one whole question and its reply is known; NULL: Python has to say. */
static const Answer *answer_to(const Answerer *self, const char *data, Py_ssize_t size, Search *search) {
    search->missing = search->records = 0;
    search->record = NULL;
    Recent *recent = NULL;
    uint64_t tag = 0;
    if (self->answers && size <= LONGEST_RECENT) {
        tag = tag_of(self->key, data, (size_t)size);
        recent = &self->recent[tag % RECENT];
        if (recent->tag == tag && recent->number) return &self->answers[recent->number - 1];
    }
    uint32_t scope = take_apart(self, data, size, search);
    if (!scope) return NULL;
    const Service *service = &self->services[search->service];
    uint64_t called;
    if (service->map) {
        if (!self->answers || !(called = called_in(self, service->map, search, 0, &scope))) return NULL;
    } else {
        int missing = 0, length;
        PyObject *leaf = leaf_in(search->bits == 32 ? &service->v4 : &service->v6, search->bits, search->address, &missing);
        PyObject *record = leaf ? record_of(leaf, search->bits, search->address, &length) : NULL;
        if (!record) return NULL;
        search->records = 1;
        if ((uint32_t)length > scope) scope = (uint32_t)length;
        called = (uintptr_t)record;
        search->record = record;
        search->scope = scope;
        if (!self->answers) return NULL;
    }
    const Answer *answer = find_answer(self, called, search->service, scope);
    if (!answer->reply) return NULL;
    if (recent) *recent = (Recent){.tag = tag, .number = (uint32_t)(answer - self->answers) + 1};
    return answer;
}
