"""Key exchange groups: Python can set them from 3.15 on; until then OpenSSL is called directly.

For the choice see docs/adr/0009-groups-through-openssl.md.
"""

import _ssl
import ctypes
import ssl
import sys
from collections.abc import Sequence

SET_GROUPS_LIST = 92  # SSL_CTRL_SET_GROUPS_LIST of openssl/ssl.h; SSL_CTX_set1_groups_list is a macro around it
# In these CPythons the first field of PySSLContext is its SSL_CTX (Modules/_ssl.c); 3.15 has set_groups.
KNOWN_LAYOUT = ((3, 11), (3, 14))
LOW_BITS = (1 << 32) - 1  # Python 3.11 shows the options signed


class GroupsUnset(Exception):
    """This Python offers no safe way to set groups; the message says why."""


def restrict_groups(context: ssl.SSLContext, groups: Sequence[str]) -> None:
    """Let `context` offer these groups only (OpenSSL's names). Raises GroupsUnset and leaves it as it was."""
    if hasattr(context, "set_groups"):
        try:
            context.set_groups(":".join(groups))
        except ssl.SSLError as error:
            raise GroupsUnset(f"OpenSSL does not know one of {', '.join(groups)}") from error
        return
    library, pointer = _openssl(), _pointer(context)
    # Check the pointer before writing: the options read through it must equal those that Python reports.
    if library.SSL_CTX_get_options(pointer) & LOW_BITS != context.options & LOW_BITS:
        raise GroupsUnset("the context is laid out in another way than in CPython 3.11 to 3.14")
    if library.SSL_CTX_ctrl(pointer, SET_GROUPS_LIST, 0, ":".join(groups).encode()) != 1:
        raise GroupsUnset(f"OpenSSL does not know one of {', '.join(groups)}")


def _openssl() -> ctypes.CDLL:
    """Return the very OpenSSL that the ssl module runs on: another copy of the library must not touch its objects."""
    first, last = KNOWN_LAYOUT
    if sys.implementation.name != "cpython" or not first <= sys.version_info[:2] <= last:
        raise GroupsUnset(f"not tried with {sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]}")
    try:
        # The lookup through _ssl's own handle ends in the library that _ssl was linked with.
        library = ctypes.CDLL(_ssl.__file__)
        options, control = library.SSL_CTX_get_options, library.SSL_CTX_ctrl
    except (AttributeError, OSError) as error:  # OpenSSL is part of the interpreter and shows no symbols
        raise GroupsUnset(f"the OpenSSL of this Python cannot be reached ({error})") from error
    options.argtypes, options.restype = [ctypes.c_void_p], ctypes.c_uint64
    control.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p]
    control.restype = ctypes.c_long
    return library


def _pointer(context: ssl.SSLContext) -> int:
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value
    if pointer is None:  # pragma: no cover  a context without OpenSSL behind it cannot be made
        raise GroupsUnset("the context is empty")
    return pointer
