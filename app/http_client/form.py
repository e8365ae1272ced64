"""A multipart body."""

import io
from collections.abc import Mapping

from aiohttp import FormData

Form = FormData


def make_form(texts: Mapping[str, str], files: Mapping[str, bytes]) -> Form:
    """Put fields and files together, each file under its field's name."""
    form = FormData()
    for name, text in texts.items():
        form.add_field(name, text)
    for name, content in files.items():
        form.add_field(name, io.BytesIO(content), filename=name, content_type="application/octet-stream")
    return form
