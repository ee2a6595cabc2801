"""Copies messages and compares them with such copies. Twin: `compressor.context.message_copies`."""

from cpython.dict cimport PyDict_Next, PyDict_SetItem, PyDict_Size
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.string cimport memcmp

cdef object _UNKNOWN = object()  # what is not copied


cdef object _copied(object value, int depth, object cls, long *sums):
    """Returns a copy of a value, or `_UNKNOWN`; `sums` holds how many items may follow, and the characters so far."""
    cdef PyObject *key
    cdef PyObject *item
    cdef Py_ssize_t at = 0
    cdef object kind = type(value), other, out, fields, extra, name, names
    if kind is str:
        sums[1] += len(<str>value)
        return value
    if value is None or kind is int or kind is bool or kind is float:
        return value
    sums[0] -= 1
    if depth <= 0 or sums[0] <= 0:
        return _UNKNOWN
    if kind is dict:
        sums[0] -= PyDict_Size(value)
        out = {}
        while PyDict_Next(value, &at, &key, &item):
            if type(<object>key) is not str:
                return _UNKNOWN
            name, other = <object>key, <object>item  # held, because reading a model may run code of its class
            other = _copied(other, depth - 1, cls, sums)
            if other is _UNKNOWN:
                return _UNKNOWN
            PyDict_SetItem(out, name, other)
        return out
    if kind is list or kind is tuple:
        sums[0] -= len(value)
        out = []
        for item_object in value:
            other = _copied(item_object, depth - 1, cls, sums)
            if other is _UNKNOWN:
                return _UNKNOWN
            out.append(other)
        return tuple(out) if kind is tuple else out
    names = getattr(value, "__pydantic_fields_set__", None)
    if type(names) is not set or isinstance(value, type) or getattr(value, "__pydantic_private__", None) is not None:
        return _UNKNOWN
    fields = value.__dict__
    if type(fields) is not dict:
        return _UNKNOWN
    fields = _copied(fields, depth - 1, cls, sums)
    extra = _copied(getattr(value, "__pydantic_extra__", None), depth - 1, cls, sums)
    if fields is _UNKNOWN or extra is _UNKNOWN:
        return _UNKNOWN
    return cls(kind, fields, extra, frozenset(names))


cdef bint _same(object value, object copy, object cls) except -1:
    """Returns whether a value still is what it was when it was copied."""
    cdef PyObject *key
    cdef PyObject *item
    cdef PyObject *copied_key
    cdef PyObject *copied_item
    cdef Py_ssize_t at = 0, copied_at = 0, i
    cdef double one, two
    cdef object kind, name, held, held_copy
    if value is copy:
        return True  # they share only what nobody can write to; nothing of it is read from memory here
    kind = type(value)
    if type(copy) is cls:
        return (
            kind is copy.cls
            and type(value.__dict__) is dict
            and _same(value.__dict__, copy.fields, cls)
            and _same(getattr(value, "__pydantic_extra__", None), copy.extra, cls)
            and getattr(value, "__pydantic_fields_set__", None) == copy.names
            and getattr(value, "__pydantic_private__", None) is None
        )
    if kind is not type(copy):
        return False
    if kind is str or kind is int:
        return value == copy
    if kind is dict:
        if PyDict_Size(value) != PyDict_Size(copy):
            return False
        while PyDict_Next(copy, &copied_at, &copied_key, &copied_item):
            if not PyDict_Next(value, &at, &key, &item):
                return False
            if key == copied_key and item == copied_item:
                continue  # copies share only what nobody can write to
            name, held, held_copy = <object>key, <object>item, <object>copied_item
            if key != copied_key and not _same(name, <object>copied_key, cls):
                return False
            if not _same(held, held_copy, cls):
                return False
        return True
    if kind is list or kind is tuple:
        if len(value) != len(copy):
            return False
        for i in range(len(copy)):
            if i >= len(value) or not _same(value[i], copy[i], cls):
                return False
        return True
    if kind is float:
        one, two = PyFloat_AS_DOUBLE(value), PyFloat_AS_DOUBLE(copy)
        return memcmp(&one, &two, sizeof(double)) == 0
    return False  # bool and None are the same object or not


def copy_value(object value, int depth, long nodes, object cls):
    """Returns a copy of a value and its characters, or None where it holds more than JSON values and models."""
    cdef long sums[2]
    sums[0], sums[1] = nodes, 0
    cdef object copy = _copied(value, depth, cls, sums)
    return None if copy is _UNKNOWN else (copy, sums[1])


def common_length(list messages, list copies, object cls):
    """Returns how many messages at the start still are what they were when they were copied."""
    cdef Py_ssize_t i = 0
    cdef object message, copy
    while i < PyList_GET_SIZE(messages) and i < PyList_GET_SIZE(copies):
        message, copy = <object>PyList_GET_ITEM(messages, i), <object>PyList_GET_ITEM(copies, i)
        if not _same(message, copy, cls):
            break
        i += 1
    return i
