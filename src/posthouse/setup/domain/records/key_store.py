"""Signing keys on disk: made, rotated, looked after. RFC 6376 section 3.6, RFC 8301, RFC 8463.

Enters: a folder, domains, the time. Leaves: key files, the index, ``Key``s, findings. Called by
``posthouse domain keys``; the relay's ``[[dkim]]`` tables name the key files themselves. Fails with
KeyStoreError alone. A private key is written once, never overwritten, never printed; ``load``
refuses one that others can read.

The folder, mode 0700, holds a folder for each domain with a PEM file (PKCS#8) for each selector,
mode 0600, and ``keys.toml``, one table a key, times in UTC:

    [[key]]
    domain = "example.com"
    selector = "r202611"
    algorithm = "rsa-sha256"             # or "ed25519-sha256"
    path = "example.com/r202611.pem"     # from the folder
    created = 2026-11-25T13:00:00Z
    state = "active"                     # signs; "next": published first; "retired": verifies old
    retired = 2027-05-01T00:00:00Z       # mail only, until
    remove_after = 2027-05-08T00:00:00Z  # its record may go

A rotation takes two steps, for a key that nobody can look up yet must not sign: ``rotate`` makes
the next key, ``activate`` lets it sign once its record is seen everywhere.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from posthouse.protocol import dkim
from posthouse.protocol.dkim.key import RSA_BITS
from posthouse.protocol.host import HostError, to_ascii
from posthouse.setup.domain.records import private

INDEX: Final = "keys.toml"
LOCK: Final = ".lock"
INDEX_LIMIT: Final = 4_000_000  # octets: some 15,000 keys
KEY_LIMIT: Final = 65_536  # octets of a key file; one of 8,192 bits has 6,400
# Queues try for five days (RFC 5321 section 4.5.4.1), and some verify again when mail is read.
KEEP: Final = timedelta(days=7)
BITS: Final = (2_048, 3_072, 4_096)  # a larger record than that does not fit into UDP
ALGORITHMS: Final[Mapping[str, str]] = {"rsa": "rsa-sha256", "ed25519": "ed25519-sha256"}
_LETTERS: Final = {"rsa": "r", "ed25519": "e"}
_SELECTOR: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PATH: Final = re.compile(r"[a-z0-9.-]+/[a-z0-9-]+\.pem")


class State(StrEnum):
    """What a key is for."""

    ACTIVE = "active"
    NEXT = "next"
    RETIRED = "retired"


class KeyStoreError(Exception):
    """What can't be done. ``reason`` is a stable id; ``detail`` a path, a selector, a fix.

    Reasons: ``domain``, ``selector``, ``algorithm``, ``bits``, ``exists``, ``unknown_key``,
    ``state``, ``index`` (it can't be read), ``mode`` (others can read it), ``owner``, ``link`` (not
    a plain file), ``missing``, ``unreadable`` (no such key), ``system``.
    """

    def __init__(self, reason: str, detail: str = "", fix: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.fix = fix  # a command that mends it


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the index. ``path`` is from the folder."""

    domain: str
    selector: str
    algorithm: str
    path: str
    created: datetime
    state: State = State.ACTIVE
    retired: datetime | None = None
    remove_after: datetime | None = None

    @property
    def kind(self) -> str:
        """ "rsa" or "ed25519"."""
        return self.algorithm.partition("-")[0]

    @property
    def name(self) -> str:
        """Where its record stands."""
        return f"{self.selector}._domainkey.{self.domain}"

    def age(self, now: datetime) -> int:
        """Whole days since it was made."""
        return max(0, (now - self.created).days)


@dataclass(frozen=True, slots=True)
class Made:
    """A new key, with the record to publish for it."""

    key: Key
    text: str
    beside: tuple[Key, ...] = field(default=())  # those it will take the place of


class KeyStore:
    """The keys in one folder. ``now`` is the time, UTC, wherever it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # The index

    def index(self, domain: str = "") -> tuple[Key, ...]:
        """All keys of the index, or those of one domain. None where there is no index."""
        try:
            data = private.read(self.folder / INDEX, INDEX_LIMIT)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise KeyStoreError("system", f"{INDEX}: {error.strerror}") from None
        try:
            rows = tomllib.loads(data.decode("utf-8")).get("key", [])
            found = tuple(_key(row) for row in rows)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise KeyStoreError("index", f"{INDEX}: {error}"[:200]) from None
        return tuple(one for one in found if domain in ("", one.domain))

    def get(self, domain: str, selector: str) -> Key:
        """One key. Raises KeyStoreError("unknown_key")."""
        for key in self.index(domain):
            if key.selector == selector:
                return key
        raise KeyStoreError("unknown_key", f"{selector}._domainkey.{domain}")

    def path(self, key: Key) -> Path:
        """Its file."""
        return self.folder / key.path

    # Changes

    def make(
        self,
        domain: str,
        now: datetime,
        *,
        kind: str = "rsa",
        bits: int = RSA_BITS,
        selector: str = "",
        state: State | None = None,
    ) -> Made:
        """A new key. The first of its kind signs at once, a further one waits as "next"."""
        name = _domain(domain)
        if kind not in ALGORITHMS:
            raise KeyStoreError("algorithm", kind)
        if kind == "rsa" and bits not in BITS:
            raise KeyStoreError("bits", str(bits))
        with self._locked():
            keys = self.index()
            beside = _current(keys, name, kind)
            chosen = self._selector(keys, name, kind, selector, now)
            first = State.NEXT if beside else State.ACTIVE
            secret = dkim.generate(kind, bits)
            path = f"{name}/{chosen}.pem"
            created = now.astimezone(UTC).replace(microsecond=0)
            key = Key(name, chosen, ALGORITHMS[kind], path, created, state or first)
            self._write_key(key, dkim.write_private_key(secret))
            self._save((*keys, key))
        return Made(key, dkim.record_text(secret), beside)

    def rotate(self, domain: str, now: datetime, *, kind: str = "rsa", selector: str = "") -> Made:
        """The key that takes over. One that waits already is not made a second time: "state"."""
        name = _domain(domain)
        mine = [one for one in self.index(name) if one.kind == kind]
        waiting = [one for one in mine if one.state is State.NEXT]
        if waiting:
            raise KeyStoreError("state", waiting[0].name)
        if not any(one.state is State.ACTIVE for one in mine):
            raise KeyStoreError("unknown_key", name)
        return self.make(name, now, kind=kind, selector=selector, state=State.NEXT)

    def activate(
        self, domain: str, selector: str, now: datetime, *, keep: timedelta = KEEP
    ) -> tuple[Key, ...]:
        """Let a key sign; those of its kind that did are retired, kept and dated. All that changed
        come back, the new one first."""
        with self._locked():
            key = self.get(_domain(domain), selector)
            if key.state is not State.NEXT:
                raise KeyStoreError("state", key.name)
            moment = now.astimezone(UTC).replace(microsecond=0)
            changed = {key: replace(key, state=State.ACTIVE)}
            for old in self.index(key.domain):
                if old.kind == key.kind and old.state is State.ACTIVE:
                    changed[old] = replace(
                        old, state=State.RETIRED, retired=moment, remove_after=moment + keep
                    )
            self._save([changed.get(one, one) for one in self.index()])
        return tuple(changed.values())

    # Reading

    def load(self, key: Key) -> dkim.PrivateKey:
        """The private key. Raises KeyStoreError where anybody else could read it too."""
        self.guard(key)
        try:
            secret = dkim.read_private_key(private.read(self.path(key), KEY_LIMIT))
        except FileNotFoundError:
            raise KeyStoreError("missing", str(self.path(key))) from None
        except OSError as error:
            raise KeyStoreError("system", f"{self.path(key)}: {error.strerror}") from None
        except dkim.PrivateKeyError as error:
            raise KeyStoreError("unreadable", f"{self.path(key)}: {error.reason}") from None
        if dkim.key.kind_of(secret) != key.kind:
            raise KeyStoreError("unreadable", f"{self.path(key)}: {key.algorithm}")
        return secret

    def signing_key(self, key: Key) -> dkim.SigningKey:
        """Ready to sign with."""
        return dkim.SigningKey(key.domain, key.selector, self.load(key))

    def text(self, key: Key) -> str:
        """The record to publish."""
        return dkim.record_text(self.load(key))

    def guard(self, key: Key) -> None:
        """Refuse a file or folder that others can read, with the command that mends it."""
        path = self.path(key)
        for folder in (self.folder, path.parent):
            self._private(folder, private.FOLDER_MODE, is_folder=True)
        self._private(path, private.FILE_MODE, is_folder=False)

    def _private(self, path: Path, mode: int, *, is_folder: bool) -> None:
        try:
            found = path.lstat()
        except FileNotFoundError:
            raise KeyStoreError("missing", str(path)) from None
        except OSError as error:
            raise KeyStoreError("system", f"{path}: {error.strerror}") from None
        plain = path.is_dir() if is_folder else path.is_file()
        if path.is_symlink() or not plain:
            raise KeyStoreError("link", str(path))
        if found.st_uid not in (os.geteuid(), 0):
            raise KeyStoreError("owner", str(path), f"chown {private.me()} {private.quoted(path)}")
        if found.st_mode & private.OTHERS:
            raise KeyStoreError("mode", str(path), f"chmod {mode:04o} {private.quoted(path)}")

    # Writing

    def _selector(
        self, keys: Sequence[Key], domain: str, kind: str, wanted: str, now: datetime
    ) -> str:
        """The one wanted, or the first free one of the month: r202611, r202611b..."""
        taken = {one.selector for one in keys if one.domain == domain}
        if wanted:
            plain = wanted.lower()
            if not _SELECTOR.fullmatch(plain) or len(plain) + len(domain) > 240:
                raise KeyStoreError("selector", wanted)
            if plain in taken or (self.folder / domain / f"{plain}.pem").exists():
                raise KeyStoreError("exists", f"{plain}._domainkey.{domain}")
            return plain
        stem = f"{_LETTERS[kind]}{now:%Y%m}"
        for extra in ("", *"bcdefghijklmnopqrstuvwxyz"):
            name = f"{stem}{extra}"
            if name not in taken and not (self.folder / domain / f"{name}.pem").exists():
                return name
        raise KeyStoreError("exists", stem)

    def _write_key(self, key: Key, pem: bytes) -> None:
        path = self.path(key)
        with _system(path):
            private.folder(path.parent)
            self._private(path.parent, private.FOLDER_MODE, is_folder=True)
            try:
                private.create(path, pem)
            except FileExistsError:
                raise KeyStoreError("exists", str(path)) from None

    def _save(self, keys: Sequence[Key]) -> None:
        path = self.folder / INDEX
        with _system(path):
            private.renew(path, "\n".join(_table(key) for key in keys).encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Two at once would each write an index without the other's key."""
        with _system(self.folder):
            private.folder(self.folder)
            self._private(self.folder, private.FOLDER_MODE, is_folder=True)
            flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(self.folder / LOCK, flags, private.FILE_MODE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _current(keys: Sequence[Key], domain: str, kind: str) -> tuple[Key, ...]:
    """Those that sign now."""
    mine = (one for one in keys if one.domain == domain and one.kind == kind)
    return tuple(one for one in mine if one.state is State.ACTIVE)


def _domain(text: str) -> str:
    try:
        name = to_ascii(text.strip())
    except HostError:
        raise KeyStoreError("domain", text) from None
    if "." not in name:
        raise KeyStoreError("domain", text)
    return name


def _key(row: Mapping[str, Any]) -> Key:
    """One table of the index. Raises ValueError, KeyError, TypeError."""
    path = row["path"]
    if not _PATH.fullmatch(path) or ".." in path:
        raise ValueError("path")
    if row["algorithm"] not in ALGORITHMS.values():
        raise ValueError("algorithm")
    times = [row["created"], row.get("retired"), row.get("remove_after")]
    if not all(isinstance(one, datetime) for one in times if one is not None):
        raise TypeError("time")
    created, retired, gone = (one if one is None else _utc(one) for one in times)
    if created is None:
        raise ValueError("created")
    names = str(row["domain"]), str(row["selector"])
    return Key(*names, row["algorithm"], path, created, State(row["state"]), retired, gone)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@contextmanager
def _system(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KeyStoreError("system", f"{path}: {error.strerror}") from None


def _table(key: Key) -> str:
    values = {
        "domain": json.dumps(key.domain),
        "selector": json.dumps(key.selector),
        "algorithm": json.dumps(key.algorithm),
        "path": json.dumps(key.path),
        "created": f"{key.created:%Y-%m-%dT%H:%M:%SZ}",
        "state": json.dumps(key.state.value),
    }
    if key.retired is not None:
        values["retired"] = f"{key.retired:%Y-%m-%dT%H:%M:%SZ}"
    if key.remove_after is not None:
        values["remove_after"] = f"{key.remove_after:%Y-%m-%dT%H:%M:%SZ}"
    lines = (f"{name} = {value}" for name, value in values.items())
    return "\n".join(["[[key]]", *lines]) + "\n"
