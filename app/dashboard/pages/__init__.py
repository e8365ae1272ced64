"""One module per page, each with its `router`; `act` stands before the rows, whose paths would hold its own."""

from app.dashboard.pages import act, certificate, doctor, figures, files, live, now, preferences, rows

PAGES = (files, preferences, live, now, act, rows, figures, certificate, doctor)
