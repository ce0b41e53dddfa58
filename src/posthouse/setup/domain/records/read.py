"""An inventory as a TOML file.

Enters: the text of the file, and how to read the files it names. Leaves: ``Inventory``. Fails with
InventoryError alone, which names the line.

    domain = "example.com"
    services = ["workspace"]             # directory ids; those with params as [[service]]
    addresses = ["192.0.2.1", "2001:db8::/64"]   # mail leaves from
    send_hosts = ["relay.example.net"]   # the same, by name
    mx = ["10 mx1.example.com"]          # "." : takes no mail
    sends = true                         # false: sends none at all
    ttl = 3600
    [reports]    dmarc = ["d@example.com"]  failure = []  tls = ["t@example.com"]
    [spf]        end = "keep|auto|~all|-all"  remove = ["include:old.example"]  flatten = false
    [dmarc]      goal = "reject"  subdomains = "reject"  strict_dkim, strict_spf = false
                 mailing_lists = true    strangers = ["198.51.100.0/24"]
    [mta_sts]    mode = "testing|enforce|none"  max_age = 1209600  host = "web.example.com"
    [bimi]       logo = "https://..."  certificate = "https://..."  selector = "default"
    [servers]    submissions = "smtp.example.com:465"  imaps = "imap.example.com:993"  pop3s = "."
    [names]      autoconfig = "web.example.com"  smtp = ["192.0.2.1"]
    [[service]]  id = "ses"  region = "eu-west-1"  tokens = ["...", "...", "..."]
    [[host]]     name = "mx1.example.com"  addresses = ["192.0.2.1"]  sends = true
    [[dkim]]     selector = "s1"  record = "v=DKIM1; ..."   or   cname = "s1.dkim.example.net"
    [[dane]]     host = "mx1.example.com"  port = 25  certificate = "mx1.pem"  next = "new.pem"
                 # without certificate: the one the server shows
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from posthouse.protocol import dane, dmarc
from posthouse.protocol.bimi.record import DEFAULT_SELECTOR
from posthouse.protocol.host import parse_ip
from posthouse.setup.domain.records import inventory as given
from posthouse.setup.domain.records.inventory import Inventory, InventoryError
from posthouse.setup.domain.records.lines import line_of
from posthouse.setup.domain.records.model import TTL

T = TypeVar("T")
Reader = Callable[[str], bytes]

SIZE_LIMIT: Final = 262_144  # characters; the inventory of a large company has some thousand lines
TTL_RANGE: Final = (60, 604_800)  # seconds: below, resolvers refuse it; above, nothing heals
AGE_RANGE: Final = (86_400, 31_557_600)  # RFC 8461 section 3.2 for the upper end
_LINE: Final = re.compile(r"\bline (\d+)")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9_-]+)*")
_TOP: Final = frozenset(
    (
        *("domain", "services", "addresses", "send_hosts", "mx", "sends", "ttl", "reports"),
        *("spf", "dmarc", "mta_sts", "bimi", "servers", "names", "service", "host", "dkim", "dane"),
    )
)


def read(text: str, load: Reader | None = None) -> Inventory:
    """The inventory in ``text``; ``load`` gives the octets of a file it names."""
    if len(text) > SIZE_LIMIT:
        raise InventoryError("too_long")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise InventoryError("syntax", "", str(error), line) from None
    except RecursionError:
        raise InventoryError("syntax") from None
    return _Table(text, table, load).inventory()


def read_file(path: Path) -> Inventory:
    """The inventory in a file; the files it names are looked for beside it."""
    return read(_text(path), lambda name: (path.parent / name).read_bytes())


def _text(path: Path) -> str:
    try:
        return path.read_bytes()[: SIZE_LIMIT * 4].decode("utf-8-sig")
    except OSError as error:
        raise InventoryError("file", str(path), error.strerror or "") from None
    except UnicodeDecodeError:
        raise InventoryError("syntax", str(path), "UTF-8") from None


class _Table:
    """One file on its way in, with where in it the reader is."""

    def __init__(self, text: str, table: Mapping[str, Any], load: Reader | None) -> None:
        self._text = text
        self._table = table
        self._load = load

    def inventory(self) -> Inventory:
        table = self._table
        self._known(table, _TOP, ())
        domain = self._one(table, ("domain",), given.domain_of)
        if domain is None:
            raise InventoryError("missing", "domain", line=1)
        reports = self._section("reports", "dmarc failure tls")
        made = Inventory(
            domain,
            self._services(),
            self._list(table, ("addresses",), given.network_of),
            self._list(table, ("send_hosts",), given.host_of),
            self._hosts(),
            self._list(table, ("mx",), lambda one, _: given.mx_of(one)),
            self._selectors(),
            self._flag(table, ("sends",), True),
            self._list(reports, ("reports", "dmarc"), given.mail_of),
            self._list(reports, ("reports", "failure"), given.mail_of),
            self._list(reports, ("reports", "tls"), given.report_of),
            self._spf(),
            self._dmarc(),
            self._sts(),
            self._dane(),
            self._bimi(),
            self._servers(),
            self._names(domain),
            self._number(table, ("ttl",), TTL, TTL_RANGE),
        )
        return self._at((), given.checked, made)

    # Sections

    def _services(self) -> tuple[given.Service, ...]:
        short = self._list(self._table, ("services",), lambda one, _: given.service_of(one))
        made = list(short)
        for path, row in self._rows("service"):
            id_ = self._needed(row, (*path, "id"))
            params = {
                name: self._list(row, (*path, name), lambda one, _: one)
                for name in row
                if name != "id"
            }
            made.append(self._at((*path, "id"), given.service, id_, params))
        return tuple(made)

    def _hosts(self) -> tuple[given.Host, ...]:
        made = []
        for path, row in self._rows("host"):
            self._known(row, frozenset(("name", "addresses", "sends")), path)
            self._needed(row, (*path, "name"))
            name = self._one(row, (*path, "name"), given.host_of)
            addresses = self._list(row, (*path, "addresses"), given.address_of)
            made.append(given.Host(name or "", addresses, self._flag(row, (*path, "sends"), True)))
        return tuple(made)

    def _selectors(self) -> tuple[given.Selector, ...]:
        made = []
        for path, row in self._rows("dkim"):
            self._known(row, frozenset(("selector", "record", "cname")), path)
            name = self._needed(row, (*path, "selector"))
            texts = [self._string(row, (*path, key)) for key in ("record", "cname")]
            made.append(self._at((*path, "selector"), given.selector_of, name, *texts))
        return tuple(made)

    def _spf(self) -> given.Spf:
        row = self._section("spf", "end remove flatten")
        end = self._choice(row, ("spf", "end"), given.ENDS) or "keep"
        remove = self._list(row, ("spf", "remove"), lambda one, _: one.strip())
        return given.Spf(end, remove, self._flag(row, ("spf", "flatten"), False))

    def _dmarc(self) -> given.Dmarc:
        row = self._section(
            "dmarc", "goal subdomains strict_dkim strict_spf mailing_lists strangers"
        )
        actions = tuple(action.value for action in dmarc.Action)
        goal = self._choice(row, ("dmarc", "goal"), actions)
        below = self._choice(row, ("dmarc", "subdomains"), actions)
        lists = self._flag(row, ("dmarc", "mailing_lists"), False)
        return given.Dmarc(
            dmarc.Action(goal) if goal else None,
            dmarc.Action(below) if below else None,
            self._flag(row, ("dmarc", "strict_dkim"), False),
            self._flag(row, ("dmarc", "strict_spf"), False),
            lists if "mailing_lists" in row else None,
            self._list(row, ("dmarc", "strangers"), given.network_of),
        )

    def _sts(self) -> given.Sts | None:
        row = self._section("mta_sts", "mode max_age host")
        if "mta_sts" not in self._table:
            return None
        mode = self._choice(row, ("mta_sts", "mode"), given.STS_MODES)
        age = self._number(row, ("mta_sts", "max_age"), given.WEEK * 2, AGE_RANGE)
        return given.Sts(mode, age, self._target(row, ("mta_sts", "host")))

    def _dane(self) -> tuple[given.Dane, ...]:
        made = []
        for path, row in self._rows("dane"):
            self._known(row, frozenset(("host", "port", "certificate", "next")), path)
            self._needed(row, (*path, "host"))
            if "next" in row:
                self._needed(row, (*path, "certificate"))
            host = self._one(row, (*path, "host"), given.host_of) or ""
            files = [self._file(row, (*path, key)) for key in ("certificate", "next") if key in row]
            port = self._number(row, (*path, "port"), 25, (1, 65_535))
            made.append(given.Dane(host, tuple(files), port))
        return tuple(made)

    def _file(self, row: Mapping[str, Any], path: tuple[str | int, ...]) -> bytes:
        name = self._needed(row, path)
        try:
            material = self._load(name) if self._load else b""
            dane.build(material)
        except OSError as error:
            raise self._error("file", path, f"{name}: {error.strerror}", name) from None
        except dane.KeyMaterialError as error:
            raise self._error("file", path, f"{name}: {error.reason}", name) from None
        return material

    def _bimi(self) -> given.Bimi | None:
        row = self._section("bimi", "logo certificate selector")
        if "bimi" not in self._table:
            return None
        self._needed(row, ("bimi", "logo"))
        logo = self._one(row, ("bimi", "logo"), given.url_of) or ""
        mark = self._one(row, ("bimi", "certificate"), given.url_of) or ""
        selector = self._one(row, ("bimi", "selector"), given.host_of) or DEFAULT_SELECTOR
        return given.Bimi(logo, mark, selector)

    def _servers(self) -> tuple[given.Server, ...]:
        row = self._section("servers", " ".join(given.SERVERS))
        return tuple(
            self._at(("servers", name), given.server_of, name, self._needed(row, ("servers", name)))
            for name in row
        )

    def _names(self, domain: str) -> dict[str, tuple[str, ...]]:
        row = self._table.get("names", {})
        if not isinstance(row, dict):
            raise self._error("kind", ("names",))
        made = {}
        for label in row:
            if not _LABEL.fullmatch(label):
                raise self._error("host", ("names", label), label)
            made[f"{label}.{domain}"] = self._target(row, ("names", label))
        return made

    def _target(self, row: Mapping[str, Any], path: tuple[str | int, ...]) -> tuple[str, ...]:
        """One name, or addresses."""
        texts = self._list(row, path, lambda one, _: one)
        if len(texts) == 1 and parse_ip(texts[0].strip()) is None:
            return (self._at(path, given.host_of, texts[0], _dotted(path)),)
        return self._list(row, path, given.address_of)

    # Values

    def _section(self, name: str, keys: str) -> Mapping[str, Any]:
        row = self._table.get(name, {})
        if not isinstance(row, dict):
            raise self._error("kind", (name,))
        self._known(row, frozenset(keys.split()), (name,))
        return row

    def _rows(self, name: str) -> list[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
        rows = self._table.get(name, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._error("kind", (name,))
        return [((name, number), row) for number, row in enumerate(rows)]

    def _known(
        self, row: Mapping[str, Any], keys: frozenset[str], path: tuple[str | int, ...]
    ) -> None:
        for key in row:
            if key not in keys:
                raise self._error("unknown_key", (*path, key), key)

    def _needed(self, row: Mapping[str, Any], path: tuple[str | int, ...]) -> str:
        if path[-1] not in row:
            raise InventoryError("missing", _dotted(path), line=line_of(self._text, path[:-1]))
        return self._string(row, path)

    def _string(self, row: Mapping[str, Any], path: tuple[str | int, ...]) -> str:
        value = row.get(str(path[-1]), "")
        if not isinstance(value, str):
            raise self._error("kind", path)
        return value

    def _one(
        self, row: Mapping[str, Any], path: tuple[str | int, ...], make: Callable[[str, str], str]
    ) -> str | None:
        if path[-1] not in row:
            return None
        return self._at(path, make, self._string(row, path), _dotted(path))

    def _list(
        self, row: Mapping[str, Any], path: tuple[str | int, ...], make: Callable[[str, str], T]
    ) -> tuple[T, ...]:
        value = row.get(str(path[-1]), [])
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise self._error("kind", path)
        return tuple(self._at(path, make, one, _dotted(path)) for one in values)

    def _flag(self, row: Mapping[str, Any], path: tuple[str | int, ...], default: bool) -> bool:
        value = row.get(str(path[-1]), default)
        if not isinstance(value, bool):
            raise self._error("kind", path)
        return value

    def _number(
        self,
        row: Mapping[str, Any],
        path: tuple[str | int, ...],
        default: int,
        limits: tuple[int, int],
    ) -> int:
        value = row.get(str(path[-1]), default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._error("kind", path)
        if not limits[0] <= value <= limits[1]:
            raise self._error("number", path, f"{limits[0]}-{limits[1]}")
        return value

    def _choice(
        self, row: Mapping[str, Any], path: tuple[str | int, ...], choices: tuple[str, ...]
    ) -> str:
        value = self._string(row, path)
        if path[-1] in row and value not in choices:
            raise self._error("choice", path, ", ".join(choices))
        return value

    def _at(self, path: tuple[str | int, ...], make: Callable[..., T], *values: Any) -> T:
        """``make(*values)``, its error told with the line."""
        try:
            return make(*values)
        except InventoryError as error:
            where = path or tuple(error.key.split("."))
            error.line = line_of(self._text, where, error.detail)
            raise InventoryError(error.reason, error.key, error.detail, error.line) from None

    def _error(
        self, reason: str, path: tuple[str | int, ...], detail: str = "", shown: str = ""
    ) -> InventoryError:
        return InventoryError(reason, _dotted(path), detail, line_of(self._text, path, shown))


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in path if isinstance(part, str))
