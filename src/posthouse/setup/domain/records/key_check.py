"""Are the signing keys fit to sign: on disk, in the index and in DNS?

Enters: a ``KeyStore``, the time, answers to one question a key. Leaves: ``KeyCheck``s, and the
selectors a plan publishes. Called by the command line. Fails with KeyStoreError where the index
can't be read; all else is a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from posthouse.flow import Finding, Status
from posthouse.protocol import dkim
from posthouse.protocol.dns import Answer, Ask, Query
from posthouse.setup.domain.records.inventory import Selector
from posthouse.setup.domain.records.key_store import (
    INDEX,
    LOCK,
    Key,
    KeyStore,
    KeyStoreError,
    State,
)
from posthouse.setup.domain.records.model import finding

# M3AAWG's best practice for DKIM keys: twice a year, so that a key that leaked unseen ends.
OLD: Final = 180  # days

# Every id of a finding about keys, with the params its words may use.
KEY_FINDING_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "records.key_ok": ("name", "algorithm", "days"),
    "records.key_mode": ("path", "fix"),
    "records.key_owner": ("path", "fix"),
    "records.key_link": ("path",),
    "records.key_missing": ("path",),
    "records.key_unreadable": ("path",),
    "records.key_system": ("path",),
    "records.key_unpublished": ("name", "state"),
    "records.key_differs": ("name",),
    "records.key_revoked": ("name",),
    "records.key_record_bad": ("name", "reason"),
    "records.key_several": ("name", "count"),
    "records.key_dns_failed": ("name", "status"),
    "records.key_old": ("name", "days", "limit"),
    "records.key_next_ready": ("name", "selector", "domain"),
    "records.key_remove": ("name", "since"),
    "records.key_kept": ("name", "until"),
    "records.key_orphan": ("path",),
}


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """One key, or a file that belongs to none, and what there is to say about it."""

    key: Key | None
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        """It may sign: nothing fails."""
        return all(one.status is not Status.FAIL for one in self.findings)


def check(store: KeyStore, now: datetime, domain: str = "") -> Query[tuple[KeyCheck, ...]]:
    """All keys of the index, or of one domain."""
    made: list[KeyCheck] = []
    for key in store.index(domain):
        found, secret = _on_disk(store, key)
        answer = yield Ask(key.name, "TXT")
        found += published(key, secret, answer)
        found += _ages(key, now)
        good = Finding(
            "records.key_ok",
            Status.OK,
            None,
            {"name": key.name, "algorithm": key.algorithm, "days": key.age(now)},
        )
        made.append(KeyCheck(key, tuple(found) or (good,)))
    made += [KeyCheck(None, (_orphan(path),)) for path in _orphans(store, domain)]
    return tuple(made)


def _on_disk(store: KeyStore, key: Key) -> tuple[list[Finding], dkim.PrivateKey | None]:
    try:
        return [], store.load(key)
    except KeyStoreError as error:
        params: dict[str, Any] = {"path": error.detail}
        if error.fix:
            params["fix"] = error.fix
        gone = error.reason == "missing" and key.state is State.RETIRED
        status = Status.WARN if gone else Status.FAIL  # a retired key signs nothing any more
        return [finding(f"key_{error.reason}", status, **params)], None


def published(key: Key, secret: dkim.PrivateKey | None, answer: Answer) -> list[Finding]:
    """Whether receivers find the public half."""
    name = key.name
    if answer.failed:
        return [finding("key_dns_failed", Status.UNKNOWN, name=name, status=answer.status.value)]
    if not answer.records:
        bad = {State.ACTIVE: Status.FAIL, State.NEXT: Status.WARN, State.RETIRED: Status.SKIPPED}
        return [finding("key_unpublished", bad[key.state], name=name, state=key.state.value)]
    found = []
    if len(answer.records) > 1:  # RFC 6376 section 3.6.2.2: what comes of it is undefined
        count = len(answer.records)
        found.append(finding("key_several", Status.FAIL, name=name, count=count))
    try:
        record = dkim.parse_key_record(answer.records[0])
    except dkim.KeyRecordError as error:
        if error.reason == "key_revoked":
            return [*found, finding("key_revoked", Status.FAIL, name=name)]
        bad_one = finding("key_record_bad", Status.FAIL, name=name, reason=error.reason)
        return [*found, bad_one]
    if secret is not None and not dkim.matches(secret, record):
        return [*found, finding("key_differs", Status.FAIL, name=name)]
    if key.state is State.NEXT:
        params = {"name": name, "selector": key.selector, "domain": key.domain}
        found.append(finding("key_next_ready", Status.OK, **params))
    return found


def _ages(key: Key, now: datetime) -> Iterator[Finding]:
    if key.state is State.ACTIVE and key.age(now) > OLD:
        params = {"name": key.name, "days": key.age(now), "limit": OLD}
        yield finding("key_old", Status.WARN, **params)
    if key.state is State.RETIRED and key.remove_after is not None:
        day = key.remove_after.date().isoformat()
        if key.remove_after <= now:
            yield finding("key_remove", Status.WARN, name=key.name, since=day)
        else:
            yield finding("key_kept", Status.OK, name=key.name, until=day)


def _orphans(store: KeyStore, domain: str) -> Iterator[Path]:
    """Key files that the index does not know: perhaps of a run that was cut off."""
    known = {store.path(one) for one in store.index()}
    try:
        for path in sorted(store.folder.glob(f"{domain or '*'}/*")):
            if path not in known and path.name not in (INDEX, LOCK):
                yield path
    except OSError:
        return


def _orphan(path: Path) -> Finding:
    return finding("key_orphan", Status.WARN, path=str(path))


def publishable(store: KeyStore, domain: str) -> tuple[Selector, ...]:
    """The keys of a domain as selectors of an inventory: what signs, what will, and what did until
    its day has come. Raises KeyStoreError where a key that shall be published can't be read."""
    return tuple(_selectors(store, store.index(domain)))


def _selectors(store: KeyStore, keys: Iterable[Key]) -> Iterator[Selector]:
    for key in keys:
        gone = key.remove_after.date() if key.remove_after is not None else None
        if key.state is not State.RETIRED:
            yield Selector(key.selector, store.text(key))
            continue
        try:
            yield Selector(key.selector, store.text(key), gone=gone)
        except KeyStoreError:  # its file is gone: the record that stands there stays until its day
            yield Selector(key.selector, gone=gone)
