"""Orders the units of messages that may leave in runs."""

from libcpp.pair cimport pair
from libcpp.queue cimport priority_queue
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector

ctypedef pair[double, Py_ssize_t] _Entry  # what a unit is worth per added token, and minus its number

cdef struct _Message:
    long index
    double overhead
    bint asks
    Py_ssize_t role
    Py_ssize_t first  # its first unit in the list of all messages' units
    Py_ssize_t size
    Py_ssize_t kept_count
    double boost


cdef inline double _larger(double a, double b) noexcept:
    return b if b > a else a


cdef class _Taker:
    """Takes units one by one; see `ConversationOrder.take_units_in_python`."""

    cdef vector[_Message] messages
    cdef unordered_map[long, Py_ssize_t] places  # a message's index -> its place in `messages`
    cdef vector[Py_ssize_t] units
    cdef vector[Py_ssize_t] owner
    cdef vector[unsigned char] done
    cdef priority_queue[_Entry] heap
    cdef const double[::1] standing
    cdef const double[::1] costs
    cdef double run_tokens, excerpt_tokens, answer_value
    cdef vector[double] neighbour_values
    cdef object is_long

    cdef Py_ssize_t find(self, long index) noexcept:
        """Returns the place of a message, or -1."""
        return self.places[index] if self.places.count(index) else -1

    cdef double added_tokens(self, _Message* message, Py_ssize_t unit) noexcept:
        cdef double tokens = self.costs[unit]
        cdef Py_ssize_t runs = -1, step, beside
        if not message.kept_count:
            for step in range(-1, 2, 2):
                beside = self.find(message.index + step)
                if beside >= 0 and not self.messages[beside].kept_count:
                    runs += 1
            tokens += message.overhead + runs * (self.run_tokens + message.overhead)
            if message.size > 1:
                tokens += self.excerpt_tokens
        elif message.kept_count == message.size - 1:
            tokens -= self.excerpt_tokens
        return tokens

    cdef double key(self, _Message* message, Py_ssize_t unit) noexcept:
        cdef double cost = _larger(self.costs[unit], 0.25)
        cdef double worth = _larger(self.standing[unit], message.boost)
        return worth * cost / _larger(self.added_tokens(message, unit), 0.25 * cost)

    cdef void push(self, Py_ssize_t place) noexcept:
        cdef Py_ssize_t i, unit
        cdef _Message* message
        if place < 0:
            return
        message = &self.messages[place]
        for i in range(message.first, message.first + message.size):
            unit = self.units[i]
            if not self.done[unit]:
                self.heap.push(_Entry(self.key(message, unit), -unit))

    cdef int raise_neighbours(self, _Message* message, double worth) except -1:
        cdef Py_ssize_t reach = <Py_ssize_t> self.neighbour_values.size(), step, distance, place
        cdef _Message* other
        cdef bint is_pair
        if worth <= message.boost:
            return 0
        for step in range(-reach, reach + 1):
            place = self.find(message.index + step) if step else -1
            if place < 0 or self.messages[place].kept_count or self.is_long(place):
                continue
            other = &self.messages[place]
            distance = -step if step < 0 else step
            is_pair = distance == 1 and (other if step < 0 else message).asks and other.role != message.role
            other.boost = _larger(
                other.boost, worth * (self.answer_value if is_pair else self.neighbour_values[distance - 1])
            )
        return 0

    cdef tuple take(self, const int[::1] parents):
        cdef list taken = [], keys = [], added = []
        cdef vector[Py_ssize_t] chain
        cdef _Entry best
        cdef _Message* message
        cdef Py_ssize_t unit, place, i, reach = <Py_ssize_t> self.neighbour_values.size()
        cdef double now
        for place in range(<Py_ssize_t> self.messages.size()):
            self.push(place)
        while not self.heap.empty():
            best = self.heap.top()
            self.heap.pop()
            unit = -best.second
            if self.done[unit]:
                continue
            place = self.owner[unit]
            message = &self.messages[place]
            now = self.key(message, unit)
            if now < best.first - 1e-9 * (best.first if best.first >= 0 else -best.first):
                self.heap.push(_Entry(now, -unit))
                continue
            chain.assign(1, unit)
            while 0 <= parents[chain.back()] and not self.done[parents[chain.back()]]:
                chain.push_back(parents[chain.back()])
                if chain.size() > self.done.size():
                    raise ValueError("a unit is its own ancestor")
            for i in range(<Py_ssize_t> chain.size() - 1, -1, -1):
                taken.append(chain[i])
                keys.append(now)
                added.append(self.added_tokens(message, chain[i]))
                self.done[chain[i]] = 1
                message.kept_count += 1
            if message.kept_count == <Py_ssize_t> chain.size():
                self.raise_neighbours(message, self.standing[unit])
                for i in range(-reach, reach + 1):
                    if i:
                        self.push(self.find(message.index + i))
            if message.size > 1 and message.kept_count in (<Py_ssize_t> chain.size(), message.size - 1):
                self.push(place)
        return taken, keys, added


def take_units(
    messages, const double[::1] standing, const double[::1] costs, const int[::1] parents, is_long, constants
):
    """Twin of `ConversationOrder.take_units_in_python`.

    Args:
        messages: The index, role, overhead, `asks` and units of each message.
        standing: The worth at which each item stands.
        costs: The tokens of each item.
        parents: The item that must be kept before each, or -1.
        is_long: Returns whether a neighbour at a place in `messages` is too long to be worth more than what it says.
        constants: RUN_TOKENS, EXCERPT_TOKENS, ANSWER_VALUE and NEIGHBOUR_VALUE.
    """
    cdef _Taker taker = _Taker()
    cdef Py_ssize_t n = len(standing), unit, i
    cdef _Message message
    cdef dict roles = {}
    if len(costs) != n or len(parents) != n:
        raise ValueError("the arrays differ in length")
    for i in range(n):
        if parents[i] >= n:
            raise IndexError("a parent is no item")
    taker.standing, taker.costs, taker.is_long = standing, costs, is_long
    taker.run_tokens, taker.excerpt_tokens, taker.answer_value = constants[:3]
    for value in constants[3]:
        taker.neighbour_values.push_back(value)
    taker.done.assign(n, 0)
    taker.owner.assign(n, 0)
    for index, role, overhead, asks, units in messages:
        message.index, message.overhead, message.asks = index, overhead, asks
        message.role = roles.setdefault(role, len(roles))
        message.first, message.size = <Py_ssize_t> taker.units.size(), len(units)
        message.kept_count, message.boost = 0, 0.0
        for unit in units:
            if not 0 <= unit < n:
                raise IndexError("a unit is no item")
            taker.units.push_back(unit)
            taker.owner[unit] = <Py_ssize_t> taker.messages.size()
        taker.places[message.index] = <Py_ssize_t> taker.messages.size()
        taker.messages.push_back(message)
    return taker.take(parents)
