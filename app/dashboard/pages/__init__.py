"""One module per page, each with its `router`."""

from app.dashboard.pages import files, live, now, preferences

PAGES = (files, preferences, live, now)
