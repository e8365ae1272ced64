"""One module per page, each with its `router`."""

from app.dashboard.pages import certificate, doctor, figures, files, live, now, preferences, rows

PAGES = (files, preferences, live, now, rows, figures, certificate, doctor)
