"""Settings → services: the only place that constructs adapters."""

from app.bootstrap.background import in_background
from app.bootstrap.database import check_database, needs_migration
from app.bootstrap.running import running
from app.bootstrap.services import HealthFacts, Ingest, MetricsFacts, Services, Work

__all__ = [
    "HealthFacts",
    "Ingest",
    "MetricsFacts",
    "Services",
    "Work",
    "check_database",
    "in_background",
    "needs_migration",
    "running",
]
