"""Sealing: adding one's own set to a chain.

Enters: a message, what its chain came to, the results of our own checks, the time. Leaves: the
three fields to put before the message. Called by the relay; one ``Sealer`` is made and kept.
Fails with dkim's SigningError. RFC 8617 section 5.1.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Final

from posthouse.protocol.arc.chain import INSTANCES_LIMIT, MESSAGE, RESULTS, SEAL, highest
from posthouse.protocol.arc.verify import ArcCode, ArcResult
from posthouse.protocol.authres import NAME as OWN_RESULTS
from posthouse.protocol.authres import fold as fold_results
from posthouse.protocol.dkim.body import BodyHasher, hash_body
from posthouse.protocol.dkim.canon import CRLF, Canon
from posthouse.protocol.dkim.fields import Field, Header, canonical, split
from posthouse.protocol.dkim.fold import fold_tags
from posthouse.protocol.dkim.sign import SIGNED, SigningError, SigningKey
from posthouse.protocol.dkim.verify import own_field

# DKIM's, and the signatures that are there: what a later receiver will not find intact.
SEALED: Final[tuple[bytes, ...]] = (*SIGNED, b"dkim-signature")
# RFC 8617 section 4.1.2: the seal signs these, or they change on their way.
NEVER: Final = frozenset((SEAL, MESSAGE, RESULTS, OWN_RESULTS))

_RELAXED: Final = f"{Canon.RELAXED}/{Canon.RELAXED}".encode()


class Sealer:
    """Adds sets, signed with one key. ``short_lines`` folds the fields at 78 columns.

    Raises SigningError "sealed_name" where ``names`` holds a field that no set may sign.
    """

    def __init__(
        self, key: SigningKey, *, names: Sequence[bytes] = SEALED, short_lines: bool = True
    ) -> None:
        self._key = key
        self._names = tuple(dict.fromkeys(name.lower() for name in names))
        self._short_lines = short_lines
        if not NEVER.isdisjoint(self._names):
            raise SigningError("sealed_name")

    def seal(self, message: bytes, chain: ArcResult, results: str, *, at: int) -> bytes:
        """The fields to put before ``message``; none where the chain takes no more.

        ``chain`` is what the message's chain came to when it arrived, ``results`` the value of
        our own Authentication-Results (``authres.merged``), ``at`` seconds since 1970.
        """
        header, start = split(message)
        return self.seal_streamed(header, self.hash((message[start:],)), chain, results, at=at)

    def hash(self, body: Iterable[bytes]) -> BodyHasher:
        """The finished hash of a body, for ``seal_streamed``."""
        return hash_body(body, ((Canon.RELAXED, None),))

    def seal_streamed(
        self, header: Header, body: BodyHasher, chain: ArcResult, results: str, *, at: int
    ) -> bytes:
        """Like ``seal``, for a body that went through ``hash``."""
        instance = highest(header) + 1
        if chain.closed or instance > INSTANCES_LIMIT:
            return b""  # section 5.1: a chain that was found broken ends there
        message = self._message(header, body, instance, at)
        first = self._results(results, instance)
        # Section 5.1.2: of a broken chain the seal signs our own set alone.
        earlier = () if chain.code is ArcCode.FAIL else chain.sets
        signed = [f for s in earlier for f in (s.results_field, s.message_field, s.seal_field)]
        seal = self._seal([*signed, first, message], instance, chain.code, at)
        return b"".join(field.raw + CRLF for field in (seal, message, first))

    def _results(self, value: str, instance: int) -> Field:
        if self._short_lines:
            text = fold_results("ARC-Authentication-Results", value, instance=instance)
        else:
            text = f"ARC-Authentication-Results: i={instance}; {value}"
        return Field(RESULTS, text.rstrip("\r\n").encode("utf-8", "replace"))

    def _message(self, header: Header, body: BodyHasher, instance: int, at: int) -> Field:
        places = header.places
        names = [name for n in self._names for name in [n] * len(places.get(n, ()))]
        tags = {
            **self._common(instance, at),
            b"bh": base64.b64encode(body.digest(Canon.RELAXED)),
            b"c": _RELAXED,
            b"h": b":".join(names),
        }
        data = header.canonical(header.select(names), Canon.RELAXED)
        return self._signed(MESSAGE, b"ARC-Message-Signature", tags, data)

    def _seal(self, fields: Sequence[Field], instance: int, code: ArcCode, at: int) -> Field:
        tags = {**self._common(instance, at), b"cv": code.value.encode()}
        return self._signed(SEAL, b"ARC-Seal", tags, canonical(fields))

    def _common(self, instance: int, at: int) -> dict[bytes, bytes]:
        return {
            b"a": self._key.algorithm.encode(),
            b"b": b"",
            b"d": self._key.domain.encode(),
            b"i": b"%d" % instance,
            b"s": self._key.selector.encode(),
            b"t": b"%d" % at,
        }

    def _signed(self, name: bytes, shown: bytes, tags: dict[bytes, bytes], data: bytes) -> Field:
        """The field with its b= filled in. Folds do not count: relaxed form undoes them."""
        empty = own_field(Field(name, self._written(shown, tags)), Canon.RELAXED)
        value = base64.b64encode(self._key.sign(data + empty))
        return Field(name, self._written(shown, {**tags, b"b": value}))

    def _written(self, shown: bytes, tags: dict[bytes, bytes]) -> bytes:
        ordered = sorted(tags.items())
        if self._short_lines:
            return fold_tags(shown, ordered)
        return shown + b": " + b"; ".join(name + b"=" + value for name, value in ordered)
