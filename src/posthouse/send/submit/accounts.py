"""The user accounts: who may sign in, with which app passwords, as whom, from where.

Enters: names, patterns, networks, the time. Leaves: ``User`` and ``AppPassword``; a secret once,
when it is made. One SQLite file in the data folder, mode 0600, read by every worker and written by
the command (and, for "last used", by workers). Each process opens its own ``Accounts``, after it
was forked. Fails with AccountError (ours or the person's: a name that is taken, none of that name)
and with AccountsUnreadable where the file cannot be used.

Whatever takes something away from a user moves ``User.changed``: who keeps something about a user
compares it, and so a revoked password is worth nothing at once, in all processes.
"""

from __future__ import annotations

import json
import os
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from posthouse.flow import Secret
from posthouse.protocol.host import FULL_WIDTH
from posthouse.send.submit import secret as app_secret
from posthouse.send.submit.alone import alone
from posthouse.send.submit.senders import Senders
from posthouse.send.submit.settings import Network, network_of

FILE: Final = "users.sqlite"
NAME_LIMIT: Final = 254  # characters of a login or a label: as long as an address may be
BUSY: Final = 5.0  # seconds to wait for another writer; each writes some rows
SCHEMA: Final = 1

_TABLES: Final = """
CREATE TABLE users (
    name TEXT PRIMARY KEY, senders TEXT NOT NULL, networks TEXT NOT NULL, enabled INTEGER NOT NULL,
    made REAL NOT NULL, changed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE passwords (
    id INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, selector TEXT NOT NULL,
    label TEXT NOT NULL, hash TEXT NOT NULL, made REAL NOT NULL, expires REAL, used REAL,
    revoked REAL
);
CREATE INDEX passwords_of ON passwords (user, selector);
CREATE UNIQUE INDEX one_label ON passwords (user, label) WHERE revoked IS NULL;
CREATE TABLE counter (changed INTEGER NOT NULL);
INSERT INTO counter VALUES (0);
"""


class AccountError(Exception):
    """What was asked cannot be done. ``reason`` is a stable word, as in the catalogue."""

    def __init__(self, reason: str, **params: Any) -> None:
        super().__init__(f"{reason}: {params}")
        self.reason = reason
        self.params = params


class AccountsUnreadable(Exception):
    """The file is missing, damaged or not ours to read; the text says which."""

    missing = False  # there is none, as far as can be seen


@dataclass(frozen=True, slots=True)
class User:
    """One account."""

    name: str  # the login, in its normal form
    senders: Senders
    networks: tuple[Network, ...]  # () is from everywhere
    enabled: bool
    made: float  # seconds since 1970
    changed: int  # moves with every change that may take something away


@dataclass(frozen=True, slots=True)
class AppPassword:
    """One app password. The secret itself is nowhere."""

    number: int
    label: str
    made: float
    expires: float | None
    used: float | None
    revoked: float | None
    hash: str = field(repr=False)

    def good(self, now: float) -> bool:
        """Whether it may be used now."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def normal_name(name: str) -> str:
    """A login as it is kept and looked up: without regard to width (an input method types "＠") or
    case, composed (NFC): RFC 8265 section 3.3.1.
    """
    return unicodedata.normalize("NFC", name.translate(FULL_WIDTH)).lower()


class Accounts:
    """The owner of one connection to the file. For one thread."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        self.path = folder / FILE
        try:
            if create and not _is_there(self.path):
                with alone(self.path.with_suffix(".lock")):
                    _create(self.path)
            self._db = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY,
                isolation_level=None,
            )  # fmt: skip
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
        except (sqlite3.Error, OSError) as error:
            failed = AccountsUnreadable(f"{self.path}: {error}")
            failed.missing = _is_missing(self.path)
            raise failed from None
        if version != SCHEMA:
            raise AccountsUnreadable(f"{self.path}: version {version} is not known")
        self._db.execute("PRAGMA synchronous = FULL")

    # -- what workers ask

    def user(self, name: str) -> User | None:
        """The account of that login. One row by its key: some ten microseconds."""
        try:
            row = self._db.execute("SELECT * FROM users WHERE name = ?", (name,)).fetchone()
        except sqlite3.Error as error:
            raise AccountsUnreadable(f"{self.path}: {error}") from None
        return None if row is None else _user(row)

    def changed(self, name: str) -> int | None:
        """The change counter of that login; None where there is none, or it is disabled."""
        try:
            row = self._db.execute(
                "SELECT changed FROM users WHERE name = ? AND enabled", (name,)
            ).fetchone()
        except sqlite3.Error as error:
            raise AccountsUnreadable(f"{self.path}: {error}") from None
        return None if row is None else int(row[0])

    def find(self, name: str, selector: str) -> AppPassword | None:
        """The app password that ``selector`` means, revoked ones too."""
        try:
            row = self._db.execute(
                f"SELECT {_COLUMNS} FROM passwords WHERE user = ? AND selector = ?"  # noqa: S608
                " ORDER BY id DESC",
                (name, selector),
            ).fetchone()
        except sqlite3.Error as error:
            raise AccountsUnreadable(f"{self.path}: {error}") from None
        return None if row is None else AppPassword(*row)

    def mark_used(self, times: Mapping[int, float]) -> None:
        """When app passwords were last used. Changes no counter: nobody else need look."""
        with self._writing():
            self._db.executemany(
                "UPDATE passwords SET used = max(ifnull(used, 0), ?) WHERE id = ?",
                [(at, number) for number, at in times.items()],
            )

    def close(self) -> None:
        """Let go of the file."""
        with suppress(sqlite3.Error):
            self._db.close()

    # -- what the command does

    def users(self) -> tuple[User, ...]:
        """All accounts, by name."""
        try:
            rows = self._db.execute("SELECT * FROM users ORDER BY name").fetchall()
        except sqlite3.Error as error:
            raise AccountsUnreadable(f"{self.path}: {error}") from None
        return tuple(_user(row) for row in rows)

    def passwords(self, name: str) -> tuple[AppPassword, ...]:
        """The app passwords of a login, the oldest first, with those that were revoked."""
        try:
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM passwords WHERE user = ? ORDER BY id",  # noqa: S608
                (normal_name(name),),
            ).fetchall()
        except sqlite3.Error as error:
            raise AccountsUnreadable(f"{self.path}: {error}") from None
        return tuple(AppPassword(*row) for row in rows)

    def add(
        self, name: str, senders: Iterable[str], networks: Sequence[Network], now: float
    ) -> User:
        """A new account. Raises AccountError "name", "taken"."""
        _check(name, "name")
        key = normal_name(name)
        with self._writing():
            if self.user(key) is not None:
                raise AccountError("taken", name=key)
            self._db.execute(
                "INSERT INTO users VALUES (?, ?, ?, 1, ?, ?)",
                (key, json.dumps([*senders], ensure_ascii=False),
                 json.dumps([str(network) for network in networks]), now, self._next()),
            )  # fmt: skip
        return self._known(key)

    def make_password(
        self, name: str, label: str, now: float, expires: float | None = None
    ) -> Secret:
        """A new app password: the only time it is seen. Raises AccountError."""
        _check(label, "label")
        key = normal_name(name)
        made = app_secret.make()
        encoded = app_secret.hashed(app_secret.normal(made))
        with self._writing():
            self._known(key)
            while self.find(key, app_secret.selector(made)) is not None:
                made = app_secret.make()
                encoded = app_secret.hashed(app_secret.normal(made))
            try:
                self._db.execute(
                    "INSERT INTO passwords (user, selector, label, hash, made, expires)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (key, app_secret.selector(made), label, encoded, now, expires),
                )
            except sqlite3.IntegrityError:
                raise AccountError("label_taken", name=key, label=label) from None
        return made

    def revoke(self, name: str, now: float, label: str | None = None) -> int:
        """One app password of a login, or all; how many. Raises AccountError."""
        key = normal_name(name)
        where, values = ("", ()) if label is None else (" AND label = ?", (label,))
        with self._writing():
            self._known(key)
            count = self._db.execute(
                "UPDATE passwords SET revoked = ?"  # noqa: S608  fixed words
                f" WHERE user = ? AND revoked IS NULL{where}",
                (now, key, *values),
            ).rowcount
            if label is not None and not count:
                raise AccountError("no_label", name=key, label=label)
            self._touch(key)
        return count

    def enable(self, name: str, on: bool) -> User:
        """Let a login in again, or no more. Raises AccountError."""
        key = normal_name(name)
        with self._writing():
            self._known(key)
            self._db.execute("UPDATE users SET enabled = ? WHERE name = ?", (int(on), key))
            self._touch(key)
        return self._known(key)

    def delete(self, name: str) -> None:
        """The account and its app passwords. Raises AccountError."""
        key = normal_name(name)
        with self._writing():
            self._known(key)
            self._db.execute("DELETE FROM passwords WHERE user = ?", (key,))
            self._db.execute("DELETE FROM users WHERE name = ?", (key,))

    # -- helpers

    def _known(self, key: str) -> User:
        found = self.user(key)
        if found is None:
            raise AccountError("nobody", name=key)
        return found

    def _next(self) -> int:
        """A number no account has had: one that is deleted and made anew differs as well."""
        # RETURNING came with SQLite 3.35, after RHEL 9's.
        self._db.execute("UPDATE counter SET changed = changed + 1")
        return int(self._db.execute("SELECT changed FROM counter").fetchone()[0])

    def _touch(self, key: str) -> None:
        self._db.execute("UPDATE users SET changed = ? WHERE name = ?", (self._next(), key))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise AccountsUnreadable(f"{self.path}: {error}") from None
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise AccountsUnreadable(f"{self.path}: {error}") from None
            raise


_COLUMNS: Final = "id, label, made, expires, used, revoked, hash"


def _user(row: tuple[Any, ...]) -> User:
    """Raises AccountsUnreadable: what SQLite takes for a row need be no user, in a damaged file."""
    name, senders, networks, enabled, made, changed = row
    try:
        may = Senders.of(json.loads(senders))
        within = tuple(network_of(one) for one in json.loads(networks))
    except (ValueError, TypeError, AttributeError) as error:
        raise AccountsUnreadable(f"{FILE}: {name}: {error}") from None
    return User(name, may, within, bool(enabled), made, changed)


def _check(text: str, reason: str) -> None:
    if not text.strip() or len(text) > NAME_LIMIT or not text.isprintable():
        raise AccountError(reason, most=NAME_LIMIT)


def _is_there(path: Path) -> bool:
    """An empty file is none: ``sqlite3`` makes one when a backup asks for what never was."""
    return path.exists() and path.stat().st_size > 0


def _is_missing(path: Path) -> bool:
    """Not where we may not look: ``Path.exists`` fails there, and ``os.path.exists`` says no."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _create(path: Path) -> None:
    """The file with its tables, all at once. Its -wal and -shm files get the same mode."""
    if _is_there(path):  # another process was quicker
        return
    fresh = path.with_suffix(".new")
    with suppress(FileNotFoundError):  # of one that died here
        fresh.unlink()
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    db = sqlite3.connect(fresh, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")  # who reads never waits for who writes
        db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")
    finally:
        db.close()  # the last to close takes the -wal file away
    fresh.replace(path)
