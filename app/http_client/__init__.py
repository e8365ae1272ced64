"""The one HTTP client: proxies and trust anchors of the environment, no redirects, every answer capped.

aiohttp reads the machine's root certificates twice as it is imported, for contexts that no request here uses: `trust`
makes its own. Left out they are 2 MiB and a tenth of a second less; the unused contexts trust nobody.
"""

import ssl


def _import_without_roots() -> None:
    made = ssl.create_default_context
    # It would follow SSLKEYLOGFILE as well, before anybody has read the environment.
    ssl.create_default_context = lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # type: ignore[assignment,misc]
    ssl.SSLContext.set_default_verify_paths = lambda _: None  # type: ignore[method-assign,assignment]
    try:
        import aiohttp  # noqa: F401, PLC0415  the first import in this process makes the contexts
    finally:
        ssl.create_default_context = made
        del ssl.SSLContext.set_default_verify_paths  # the class inherits it


_import_without_roots()
