"""A zone in a few words: names to TXT records, hosts, and failures."""

from __future__ import annotations

from collections.abc import Mapping

from posthouse.protocol.dns import Answer, AnswerStatus, Ask


class Zone:
    """``texts``: name to record or records. A name in ``hosts`` has an A record alone; one in
    ``failing`` gets no proper answer. What has names below it is NODATA, not NXDOMAIN."""

    def __init__(
        self,
        texts: Mapping[str, str | tuple[str, ...]] | None = None,
        *,
        hosts: tuple[str, ...] = (),
        failing: tuple[str, ...] = (),
    ) -> None:
        self._texts = {
            name: (text,) if isinstance(text, str) else text for name, text in (texts or {}).items()
        }
        self._hosts = hosts
        self._failing = failing
        self.asked: list[Ask] = []

    @property
    def names(self) -> list[str]:
        """The names of TXT questions."""
        return [ask.name for ask in self.asked if ask.type == "TXT"]

    def __call__(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        if ask.name in self._failing:
            return Answer(ask.name, ask.type, AnswerStatus.SERVFAIL)
        if ask.type == "TXT" and ask.name in self._texts:
            return Answer(ask.name, ask.type, AnswerStatus.OK, self._texts[ask.name])
        if ask.type == "A" and ask.name in self._hosts:
            return Answer(ask.name, ask.type, AnswerStatus.OK, ("192.0.2.1",))
        known = (*self._texts, *self._hosts)
        there = any(name == ask.name or name.endswith("." + ask.name) for name in known)
        return Answer(ask.name, ask.type, AnswerStatus.NODATA if there else AnswerStatus.NXDOMAIN)
