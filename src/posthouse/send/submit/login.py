"""Signing in: checked off the event loop, remembered safely, bounded against guessing.

Enters: a login, a secret, the client's address. Leaves: an ``Identity``, or why not (``Denied``).
Called by ``session``. Nothing is raised; a file of users that cannot be read denies for now.

- One small pool of threads computes hashes, and none where the selector means no app password of
  the login: guesses, however many and from wherever, cost nothing that others wait for. When too
  many logins wait for a thread all the same, one more is told to come back (454).
- A success is remembered for some minutes under a keyed hash of login and secret; the key lives
  and dies with the process, and what is remembered counts only while the user's change counter
  stands still.
- What was wrong is told by no time, either: a failure is told ``DELAY`` after its login came, with
  a hash or without.
- Failures are counted for the address, and for the app password that is meant from that address,
  by all workers together: a guesser gains nothing by being let in by another one. Not for the login
  alone: anybody could then shut out anybody, and our secrets cannot be guessed in any number. Nor
  does an address shut out those behind it who name an app password that there is: a company has one
  address for all, and among thousands of devices there are always some with an old password.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from posthouse.flow import Secret
from posthouse.net.clock import Clock
from posthouse.net.tcp import site
from posthouse.send.submit import secret as app_secret
from posthouse.send.submit.accounts import (
    NAME_LIMIT,
    Accounts,
    AccountsUnreadable,
    AppPassword,
    User,
    normal_name,
)
from posthouse.send.submit.limits import Ledger, Rate, Rates
from posthouse.send.submit.senders import Senders
from posthouse.send.submit.settings import within

THREADS: Final = 2  # hashes at once: as many as a small machine has cores, 19 MiB each
WAITING: Final = 32  # logins that may wait for a thread: some 0.3 s of them
REMEMBERED: Final = 300.0  # seconds a success counts without a hash
REMEMBERED_MOST: Final = 10_000  # successes kept, some 300 octets each
FRESH: Final = 1.0  # seconds an open session believes its login before it looks again
DELAY: Final = 1.0  # seconds until a failure is told: longer than a hash, and no person minds
USED_EVERY: Final = 60.0  # seconds between writes of "last used"

GUESSES: Final = Rate(5, 600.0)  # failures of one app password from one address: it is mistyped
GUESSES_ADDRESS: Final = Rate(50, 600.0)  # of one address: an office behind one router has many

Watch = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who has signed in."""

    user: str
    label: str  # of the app password
    senders: Senders
    changed: int  # User.changed at that time
    expires: float | None = None  # when the app password does, wall clock


class Denied(StrEnum):
    """Why not. The first is all that a client is told of what was wrong."""

    WRONG = "wrong"
    BUSY = "busy"  # come back in a moment
    BLOCKED = "blocked"  # too many failures


class _Full(Exception):
    """Too many wait for a hash."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A success that is remembered."""

    label: str
    number: int  # AppPassword.number
    changed: int
    until: float  # monotonic
    expires: float | None  # wall clock


class Gate:
    """The owner of what one process knows of logins; of failures, what all know."""

    def __init__(
        self,
        accounts: Accounts,
        clock: Clock,
        watch: Watch,
        *,
        pairs: Ledger | None = None,
        places: Ledger | None = None,
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._watch = watch
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, _Known] = {}
        self._looked: dict[str, tuple[float, int | None]] = {}
        self._pairs = Rates([GUESSES], ledger=pairs)
        self._places = Rates([GUESSES_ADDRESS], ledger=places)
        self._threads = ThreadPoolExecutor(THREADS, "login")
        self._waiting = 0
        self._used: dict[int, float] = {}
        self._written = clock.monotonic()

    async def sign_in(self, name: str, secret: Secret, client: str) -> Identity | Denied:
        """Let somebody in, or not."""
        login, place = normal_name(name[: NAME_LIMIT + 1]), site(client)
        given, begun = app_secret.normal(secret), self._clock.monotonic()
        selector = app_secret.selector(given)
        pair = f"{place} {selector} {login}"
        try:
            full = self._places.blocked(place, begun)
            strange = full and self._accounts.find(login, selector) is None
            if strange or self._pairs.blocked(pair, begun):
                self._tell("blocked", "", client)
                return Denied.BLOCKED
            user = self._accounts.user(login)
            found, reason = await self._check(user, login, given, client)
        except _Full:
            self._tell("busy", "", client)
            return Denied.BUSY
        except AccountsUnreadable:
            self._tell("unreadable", "", client)
            return Denied.BUSY
        if user is not None and found is not None:
            self._pairs.forget(pair)
            self._note_used(found)
            self._tell("ok", user.name, client, label=found.label)
            return Identity(user.name, found.label, user.senders, user.changed, found.expires)
        now = self._clock.monotonic()
        self._pairs.count(pair, now)
        self._places.count(place, now)
        # A name that nobody has may be a password in the wrong field: it is not told.
        self._tell(reason, user.name if user is not None else "", client)
        await self._clock.sleep(max(0.0, begun + DELAY - now))
        return Denied.WRONG

    def still(self, identity: Identity) -> bool:
        """Whether what was true at the login still is; for open sessions, at most a second old."""
        if identity.expires is not None and self._clock.time() >= identity.expires:
            return False
        now = self._clock.monotonic()
        at, changed = self._looked.get(identity.user, (-FRESH, None))
        if now - at >= FRESH:
            try:
                changed = self._accounts.changed(identity.user)
            except AccountsUnreadable:
                return True  # who was let in is not thrown out because of our own trouble
            if len(self._looked) >= REMEMBERED_MOST:
                self._looked.clear()
            self._looked[identity.user] = (now, changed)
        return changed is not None and changed <= identity.changed

    async def close(self) -> None:
        """Write what is to be written, and end the threads."""
        if self._used:
            with suppress(RuntimeError):
                await asyncio.get_running_loop().run_in_executor(self._threads, self._write_used)
        self._threads.shutdown(wait=False, cancel_futures=True)

    # -- the check

    async def _check(
        self, user: User | None, login: str, secret: Secret, client: str
    ) -> tuple[_Known | None, str]:
        """(the app password that was right, "") or (None, why not). Raises _Full.

        Who is remembered needs no hash, and gets in however many others wait for one.
        """
        digest = self._digest(login, secret)
        known = self._remembered(digest, user)
        if known is None:
            row = self._accounts.find(login, app_secret.selector(secret))
            right = row is not None and await self._verified(row, secret)
            known = self._remember(digest, user, row) if right and row and user else None
            if known is None:
                return None, "wrong" if user is not None else "unknown"
        if user is None or not user.enabled:
            return None, "disabled"
        if user.networks and not within(client, user.networks):
            return None, "network"
        return known, ""

    async def _verified(self, row: AppPassword, secret: Secret) -> bool:
        """One hash. Raises _Full."""
        if self._waiting >= WAITING:
            raise _Full
        self._waiting += 1
        try:
            right = await asyncio.get_running_loop().run_in_executor(
                self._threads, app_secret.verify, row.hash, secret
            )
        finally:
            self._waiting -= 1
        return right and row.good(self._clock.now().timestamp())

    # -- what is remembered

    def _digest(self, login: str, secret: Secret) -> bytes:
        text = f"{len(login)} {login} {secret.reveal()}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, text, sha256)

    def _remembered(self, digest: bytes, user: User | None) -> _Known | None:
        known = self._known.get(digest)
        if known is None:
            return None
        over = known.expires is not None and self._clock.now().timestamp() >= known.expires
        stale = user is None or user.changed != known.changed
        if over or stale or self._clock.monotonic() >= known.until:
            del self._known[digest]
            return None
        return known

    def _remember(self, digest: bytes, user: User, row: AppPassword) -> _Known:
        known = _Known(
            row.label, row.number, user.changed, self._clock.monotonic() + REMEMBERED, row.expires
        )
        if len(self._known) >= REMEMBERED_MOST:
            del self._known[next(iter(self._known))]
        self._known[digest] = known
        return known

    # -- when it was used

    def _note_used(self, found: _Known) -> None:
        """Kept here, and written now and then: a login must not wait for a disk."""
        self._used[found.number] = self._clock.now().timestamp()
        now = self._clock.monotonic()
        if now - self._written >= USED_EVERY:
            self._written = now
            self._threads.submit(self._write_used)

    def _write_used(self) -> None:
        times, self._used = self._used, {}
        with suppress(AccountsUnreadable):  # a date for people; nobody depends on it
            accounts = Accounts(self._accounts.path.parent)
            try:
                accounts.mark_used(times)
            finally:
                accounts.close()

    def _tell(self, result: str, user: str, client: str, **more: str) -> None:
        self._watch("login", {"result": result, "user": user, "client": client, **more})
