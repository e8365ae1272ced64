"""Artifacts that nobody made: the bot's own poller writes such where it could not read fal's result."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from app.domain.training import Artifacts


@dataclass(frozen=True, slots=True)
class Invented:
    """How invented artifacts are told from real ones: hosts, with all below them, and beginnings of finetune ids."""

    hosts: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, marks: Iterable[str]) -> "Invented":
        """Sort marks as INVENTED_ARTIFACTS holds them: what has a dot is a host.

        >>> Invented.of(["fallback-lora.com", "fallback-style-"])
        Invented(hosts=('fallback-lora.com',), prefixes=('fallback-style-',))
        """
        lower = [mark.lower() for mark in marks]
        return cls(tuple(mark for mark in lower if "." in mark), tuple(mark for mark in lower if "." not in mark))

    def real(self, artifacts: Artifacts) -> Artifacts:
        """Leave out what is invented; the config of an invented LoRA goes with it."""
        if not (artifacts.lora_url or artifacts.config_url or artifacts.finetune_id):
            return artifacts
        if self._is_url(artifacts.lora_url):
            artifacts = replace(artifacts, lora_url=None, high_noise_lora_url=None, config_url=None)
        if self._is_url(artifacts.config_url):
            artifacts = replace(artifacts, config_url=None)
        if self._is_finetune_id(artifacts.finetune_id):
            artifacts = replace(artifacts, finetune_id=None)
        return artifacts

    def _is_url(self, url: str | None) -> bool:
        if not url or not any(mark in url.lower() for mark in self.hosts):  # parsing is the dearest step of a decision
            return False
        try:
            host = urlsplit(url).hostname or ""
        except ValueError:
            return False
        return any(host == mark or host.endswith(f".{mark}") for mark in self.hosts)

    def _is_finetune_id(self, finetune_id: str | None) -> bool:
        return finetune_id is not None and finetune_id.lower().startswith(self.prefixes)
