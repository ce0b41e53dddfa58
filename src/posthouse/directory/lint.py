"""What must be right in the provider files; used by ``scripts/directory`` and by the tests.

Enters: the files as parsed (stem -> table). Leaves: ``Problem``s, each with the rule it breaks; an
empty list means that ``read`` can't fail on any of them. ``load_folder`` fails with
``tomllib.TOMLDecodeError`` where a file is no TOML at all.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from posthouse.directory.model import Kind, Trust, UsernameForm
from posthouse.directory.read import FOLDER, Raw, merged
from posthouse.flow import CredentialKind, Security


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule."""

    file: str
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.rule}: {self.text}"


_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_HOST: Final = re.compile(rf"(?:{_LABEL}\.)+(?:[a-z]{{2,}}|xn--[a-z0-9-]+)|127\.0\.0\.1")
_PATTERN: Final = re.compile(r"(?:\*\.)?(?:[a-z0-9_-]*\*?[a-z0-9_-]*\.)+[a-z]{2,}")
_ID: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_CAUSE: Final = re.compile(r"[a-z]+\.[a-z_]+")
_DAY: Final = re.compile(r"20\d\d-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?")
_END_DAY: Final = re.compile(rf"{_DAY.pattern}|20\d\d-(?:H[12]|Q[1-4])")
_HAN: Final = re.compile(r"[\u4e00-\u9fff]")

_KEYS: Final[Mapping[str, type]] = {
    "id": str,
    "like": str,
    "kind": str,
    "name": dict,
    "domains": list,
    "mx": list,
    "ns": list,
    "servers": list,
    "also_hosts": list,
    "regions": list,
    "username": dict,
    "credential": dict,
    "limits": dict,
    "ends": list,
    "notes": list,
    "remedy": dict,
    "sources": list,
}
_REQUIRED: Final = ("id", "kind", "name", "username", "credential", "sources")
_INHERITABLE: Final = ("username", "credential")  # of the required ones
_SOURCED: Final = ("servers", "mx", "ns", "credential", "limits", "ends")  # each needs a source
_SUBKEYS: Final[Mapping[str, Mapping[str, type]]] = {
    "mx": {"pattern": str, "trust": str},
    "ns": {"pattern": str, "trust": str},
    "servers": {
        "host": str,
        "port": int,
        "security": str,
        "trust": str,
        "region": str,
        "auth": list,
        "note": dict,
    },
    "username": {"form": str, "value": str, "alternatives": list, "note": dict},
    "credential": {
        "kinds": list,
        "trust": str,
        "url": str,
        "steps": dict,
        "requires": dict,
        "admin_must_allow": bool,
    },
    "limits": {
        "per_day": int,
        "per_hour": int,
        "per_minute": int,
        "recipients": int,
        "trust": str,
        "note": dict,
    },
    "ends": {"date": str, "what": str, "trust": str, "en": str, "zh": str},
    "notes": {"en": str, "zh": str},
    "sources": {"name": str, "url": str, "date": str, "trust": str, "covers": list},
}
_SUBREQUIRED: Final[Mapping[str, frozenset[str]]] = {
    "mx": frozenset({"pattern", "trust"}),
    "ns": frozenset({"pattern", "trust"}),
    "servers": frozenset({"host", "port", "security", "trust"}),
    "username": frozenset({"form"}),
    "credential": frozenset({"kinds", "trust"}),
    "limits": frozenset({"trust"}),
    "ends": frozenset({"date", "what", "trust"}),
    "sources": frozenset({"name", "date", "trust", "covers"}),
}

Rule = Callable[[Raw], Iterator[str]]
RULES: dict[str, Rule] = {}


def _rule(name: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES[name] = rule
        return rule

    return register


def load_folder(folder: Path = FOLDER) -> dict[str, Raw]:
    """All provider files of a folder, by stem, sorted."""
    paths = sorted(folder.glob("*.toml"))
    return {path.stem: tomllib.loads(path.read_text("utf-8")) for path in paths}


def lint(files: Mapping[str, Raw]) -> list[Problem]:
    """All problems of all files. One whose shape is wrong is looked at no further."""
    problems: list[Problem] = []
    for stem, data in files.items():
        problems += [Problem(stem, "schema", text) for text in _schema(data)]
    broken = {problem.file for problem in problems}
    sound = {stem: data for stem, data in files.items() if stem not in broken}
    for stem, data in sound.items():
        problems += _one(stem, data, sound)
    return problems + list(_twice(sound))


def _one(stem: str, data: Raw, files: Mapping[str, Raw]) -> list[Problem]:
    problems = [Problem(stem, "like", text) for text in _like(data, files)]
    if problems:
        return problems
    if data["id"] != stem or not _ID.fullmatch(stem):
        problems.append(Problem(stem, "id", f"{data['id']!r} is not the slug in the file's name"))
    whole = merged(data, files[data["like"]]) if "like" in data else data
    for name, rule in RULES.items():
        problems += [Problem(stem, name, text) for text in rule(whole)]
    return problems


def _schema(data: Raw) -> Iterator[str]:
    needed = [k for k in _REQUIRED if k not in data and not ("like" in data and k in _INHERITABLE)]
    yield from (f"{key} is missing" for key in needed)
    for key, value in data.items():
        if key not in _KEYS:
            yield f"{key} is unknown"
        elif not isinstance(value, _KEYS[key]):
            yield f"{key} is no {_KEYS[key].__name__}"
        elif key in _SUBKEYS:
            rows = value if isinstance(value, list) else [value]
            yield from (text for row in rows for text in _row(key, row, "like" in data))


def _row(key: str, row: Any, inherits: bool) -> Iterator[str]:
    if not isinstance(row, dict):
        yield f"{key} holds {row!r}, which is no table"
        return
    types = _SUBKEYS[key]
    yield from (f"{key}.{name} is unknown" for name in row if name not in types)
    wrong = (name for name in row if name in types and not isinstance(row[name], types[name]))
    yield from (f"{key}.{name} is no {types[name].__name__}" for name in wrong)
    if not (inherits and key == "credential"):
        needed = _SUBREQUIRED.get(key, frozenset())
        yield from (f"{key}.{name} is missing" for name in sorted(needed - row.keys()))


def _like(data: Raw, files: Mapping[str, Raw]) -> Iterator[str]:
    if "like" not in data:
        return
    model = files.get(data["like"])
    if model is None:
        yield f"there is no {data['like']!r}"
    elif "like" in model:
        yield f"{data['like']!r} is itself like another"


def _twice(files: Mapping[str, Raw]) -> Iterator[Problem]:
    """A domain, MX or NS pattern that two files claim would make the answer a matter of luck."""
    seen: dict[tuple[str, str], str] = {}
    for stem, data in files.items():
        names = [("domain", name) for name in data.get("domains", ())]
        names += [(k, row["pattern"]) for k in ("mx", "ns") for row in data.get(k, ())]
        for claim in names:
            if claim in seen:
                yield Problem(stem, "unique", f"{claim[1]} is also in {seen[claim]}")
            seen[claim] = stem


@_rule("kind")
def _kind(data: Raw) -> Iterator[str]:
    if data["kind"] not in set(Kind):
        yield f"{data['kind']!r}"
    elif data["kind"] == Kind.TENANT and not data.get("mx"):
        yield "a tenant provider is known by its MX, and there is none"
    elif data["kind"] == Kind.MAILBOX and not data.get("domains"):
        yield "a mailbox provider without domains is never found"


@_rule("name")
def _names(data: Raw) -> Iterator[str]:
    hosts = [s["host"] for s in data.get("servers", ())] + data.get("also_hosts", [])
    for name in hosts:
        if not _HOST.fullmatch(name.replace("*", "x")):
            yield f"host {name!r}"
    for name in data.get("domains", ()):
        if not _HOST.fullmatch(name.removeprefix("*.")):
            yield f"domain {name!r}"
    for row in [*data.get("mx", ()), *data.get("ns", ())]:
        if not _PATTERN.fullmatch(row["pattern"]):
            yield f"pattern {row['pattern']!r}"


@_rule("security")
def _security(data: Raw) -> Iterator[str]:
    for server in data.get("servers", ()):
        mode, port = server["security"], server["port"]
        if mode not in set(Security):
            yield f"{mode!r} is no mode"
        elif not 0 < port < 65536:
            yield f"port {port}"
        elif (port in (465, 2465, 994)) != (mode == Security.TLS) and port not in (586, 587):
            yield f"{port} is not used with {mode}"  # RFC 8314 section 3.3; 1025 is Proton's own


@_rule("plain")
def _plain(data: Raw) -> Iterator[str]:
    """Plain text is recorded to warn of it (RFC 8314 section 4.1), so it must say so."""
    for server in data.get("servers", ()):
        if server["security"] == Security.NONE and "note" not in server:
            yield f"{server['host']}:{server['port']} is plain text and has no note"


def rank(port: int, security: str) -> int:
    """RFC 8314 section 3.3: implicit TLS on 465, then STARTTLS on 587, then other ports."""
    if security == Security.NONE:
        return 5
    if port == 25:
        return 4  # for mail between servers (RFC 6409 section 3.1): the last resort
    usual = {(465, "tls"): 0, (587, "starttls"): 1}
    return usual.get((port, security), 2 if security == Security.TLS else 3)


@_rule("order")
def _order(data: Raw) -> Iterator[str]:
    """Of each host the best port first; plain servers after all others."""
    last: dict[str, int] = {}
    plain_seen = False
    for server in data.get("servers", ()):
        this = rank(server["port"], server["security"])
        if this < last.get(server["host"], 0) or (plain_seen and this < 5):
            yield f"{server['host']}:{server['port']} comes too late"
        last[server["host"]] = this
        plain_seen = plain_seen or this == 5


@_rule("trust")
def _trust(data: Raw) -> Iterator[str]:
    known = set(Trust)
    for key in ("mx", "ns", "servers", "ends", "sources"):
        for row in data.get(key, ()):
            if row["trust"] not in known:
                yield f"{key}: {row['trust']!r}"
    for key in ("credential", "limits"):
        if key in data and data[key]["trust"] not in known:
            yield f"{key}: {data[key]['trust']!r}"


@_rule("username")
def _username(data: Raw) -> Iterator[str]:
    rule = data["username"]
    forms = [rule["form"], *rule.get("alternatives", ())]
    yield from (f"{form!r} is no form" for form in forms if form not in set(UsernameForm))
    if (rule["form"] == UsernameForm.FIXED) != ("value" in rule):
        yield "value goes with the form fixed, and only with it"
    if rule["form"] in (UsernameForm.CUSTOM, UsernameForm.ISSUED) and "note" not in rule:
        yield f"the form {rule['form']} needs a note that says which"


@_rule("credential")
def _credential(data: Raw) -> Iterator[str]:
    table = data["credential"]
    if not table["kinds"]:
        yield "no kind"
    yield from (f"{kind!r}" for kind in table["kinds"] if kind not in set(CredentialKind))
    made = {CredentialKind.AUTH_CODE, CredentialKind.APP_PASSWORD}
    if made & set(table["kinds"]) and "steps" not in table and "url" not in table:
        yield "a password that has to be made, but neither steps nor a place to make it"


@_rule("steps")
def _steps(data: Raw) -> Iterator[str]:
    """In both languages, as many in each; or in neither."""
    steps = data["credential"].get("steps")
    if steps is None:
        return
    if set(steps) != {"en", "zh"}:
        yield "not in en and zh"
    elif len(steps["en"]) != len(steps["zh"]) or not steps["en"]:
        yield f"{len(steps['en'])} in en, {len(steps['zh'])} in zh"
    else:
        yield from (f"not Chinese: {step!r}" for step in steps["zh"] if not _HAN.search(step))


def _all_words(data: Raw) -> Iterator[tuple[str, Any]]:
    yield "name", data["name"]
    for key in ("notes", "ends"):
        for row in data.get(key, ()):
            yield key, {lang: row[lang] for lang in ("en", "zh") if lang in row}
    tables = [data["username"], data["credential"], data.get("limits", {})]
    for table in [*tables, *data.get("servers", ())]:
        yield from ((key, table[key]) for key in ("note", "requires") if key in table)
    for cause, table in data.get("remedy", {}).items():
        yield from ((f"remedy.{cause}", words) for words in _remedy_words(table))


def _remedy_words(table: Any) -> Iterator[Any]:
    variants = [words for words in table.values() if isinstance(words, dict)]
    yield from variants
    if not variants or "en" in table or "zh" in table:
        yield {key: words for key, words in table.items() if not isinstance(words, dict)}


@_rule("languages")
def _languages(data: Raw) -> Iterator[str]:
    for where, words in _all_words(data):
        if not isinstance(words, dict) or set(words) != {"en", "zh"} or not all(words.values()):
            yield f"{where} is not in en and zh"
        elif where != "name" and not _HAN.search(words["zh"]):
            yield f"{where} is not Chinese: {words['zh']!r}"
        elif _HAN.search(words["en"]) and where == "name":
            yield f"{where} is not English: {words['en']!r}"


@_rule("remedy")
def _remedy(data: Raw) -> Iterator[str]:
    yield from (f"{c!r} is no cause" for c in data.get("remedy", {}) if not _CAUSE.fullmatch(c))


@_rule("date")
def _dates(data: Raw) -> Iterator[str]:
    for row in data["sources"]:
        if not _DAY.fullmatch(str(row["date"])):
            yield f"source {row['name']}: {row['date']!r}"
    for row in data.get("ends", ()):
        if not _END_DAY.fullmatch(str(row["date"])):
            yield f"end {row['what']}: {row['date']!r}"


@_rule("url")
def _urls(data: Raw) -> Iterator[str]:
    urls = [row["url"] for row in data["sources"] if "url" in row]
    urls += [data["credential"]["url"]] if "url" in data["credential"] else []
    yield from (f"{url!r} is not https" for url in urls if not url.startswith("https://"))


@_rule("sources")
def _sources(data: Raw) -> Iterator[str]:
    if not data["sources"]:
        yield "none"
    covered = {part for row in data["sources"] for part in row["covers"]}
    yield from (f"{part} is no part of a file" for part in sorted(covered - set(_KEYS)))
    parts = [part for part in _SOURCED if data.get(part)]
    yield from (f"nothing says where {part} come from" for part in parts if part not in covered)


@_rule("limits")
def _limits(data: Raw) -> Iterator[str]:
    for name, value in data.get("limits", {}).items():
        if name not in ("trust", "note") and (not isinstance(value, int) or value <= 0):
            yield f"{name} is {value!r}"
