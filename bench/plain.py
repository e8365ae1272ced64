"""Baseline: the plain design, answer first and store later. `DATABASE=file.db python -m bench.plain PORT`.

FastAPI reads the JSON, a background task updates the avatar in a transaction of its own, through SQLAlchemy's session
on one of FastAPI's threads. Nothing of SQLite is tuned, as in the first tutorial: rollback journal
(`journal_mode=DELETE`), `synchronous=FULL`, the driver's five seconds of patience for a lock, SQLAlchemy's pool of
5 + 10 connections.
"""

from contextlib import suppress
from typing import Any

from fastapi import BackgroundTasks, FastAPI, Request  # noqa: TID251  the design that is measured here
from sqlalchemy import create_engine, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from app.core.setting_sources import environment
from bench.serving import PATH, serve_by_argv


class Base(DeclarativeBase):
    """The declarative base of a tutorial."""


class Avatar(Base):
    """As much of the bot's avatar as the update needs."""

    __tablename__ = "avatars"

    id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    fal_request_id: Mapped[str | None]
    diffusers_lora_file_url: Mapped[str | None]
    config_file_url: Mapped[str | None]
    training_progress: Mapped[int]


engine = create_engine(f"sqlite:///{environment()['DATABASE']}")
sessions = sessionmaker(engine, class_=Session, expire_on_commit=False)
app = FastAPI(openapi_url=None)


def apply(request_id: str, payload: dict[str, Any]) -> None:
    """Write the result; what fails is lost, as it is with a background task."""
    with suppress(SQLAlchemyError), sessions() as session:
        session.execute(
            update(Avatar)
            .where(Avatar.fal_request_id == request_id)
            .values(
                status="completed",
                training_progress=100,
                diffusers_lora_file_url=payload["diffusers_lora_file"]["url"],
                config_file_url=payload["config_file"]["url"],
            )
        )
        session.commit()


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    """Say that the process serves."""
    return {"status": "ready"}


@app.post(PATH, response_model=None)
async def status_update(request: Request, background: BackgroundTasks) -> Any:
    """Answer at once and leave the work for later."""
    body = await request.json()
    background.add_task(apply, body["request_id"], body["payload"])
    return {"status": "received", "request_id": body["request_id"]}


if __name__ == "__main__":
    serve_by_argv(app)
