"""Words and JSON: every id has its words in both languages, and keys stay."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import posthouse
from posthouse.explain import Catalogue
from posthouse.flow import CredentialKind, Finding, Security, Status
from posthouse.protocol.address import PortVerdict
from posthouse.setup.find import FindResult, Outcome, Source, SourceReport, State, Trust, to_dict
from posthouse.setup.find import words as find_words

from .doubles import World, autoconfig

ROOT = Path(posthouse.__file__).parent
TEXT = ROOT / "explain" / "text"
FIND = ROOT / "setup" / "find"


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def texts(lang: str) -> dict[str, str]:
    return flat(tomllib.loads((TEXT / lang / "find.toml").read_text("utf-8")))


def gaps(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)", text))


def test_both_languages_say_the_same_things() -> None:
    english, chinese = texts("en"), texts("zh")
    assert english.keys() == chinese.keys()
    assert {k: gaps(v) for k, v in english.items()} == {k: gaps(v) for k, v in chinese.items()}


def source_code() -> str:
    return "\n".join(p.read_text("utf-8") for p in sorted(FIND.rglob("*.py")))


def reasons_of(*modules: str) -> set[str]:
    """The reason ids that the parsers' docstrings promise."""
    found: set[str] = set()
    for module in modules:
        text = (ROOT / "protocol" / module).read_text("utf-8")
        for kind in ("HostError", "AddressError", "ServerError", "DiscoveryError"):
            found |= set(re.findall(rf'{kind}\(\s*"([a-z_]+)"', text))
    return found


def test_every_finding_has_words() -> None:
    ids = set(re.findall(r'Finding\(\s*"([a-z_0-9.]+)"', source_code()))
    ids |= set(re.findall(r'name = "([a-z_]+)"', source_code()))
    ids |= {"dns_failed", "dns_silent", "ses_or_workmail", "ses_receiving"}
    host = reasons_of("host.py")
    ids |= {f"address.{r}" for r in reasons_of("address.py") | host - {"empty"}}
    ids |= {f"server.{r}" for r in reasons_of("server_input.py") | host}
    ids |= {f"port.{v.value}" for v in PortVerdict if v is not PortVerdict.OK}
    special = ("app_password", "auth_code", "oauth2", "key", "token")
    ids |= {f"credential.{kind}" for kind in special}
    missing = {i for i in ids if f"finding.{i}" not in texts("en")}
    assert missing == set()
    assert len(ids) > 70


def test_every_reason_has_words() -> None:
    modules = [f"discovery/{p.name}" for p in (ROOT / "protocol" / "discovery").glob("*.py")]
    reasons = reasons_of(*modules) | {"unreadable_file"}
    assert {r for r in reasons if f"reason.{r}" not in texts("en")} == set()


def test_every_detail_has_words() -> None:
    details = set(re.findall(r'detail="([a-z_]+)"', source_code()))
    details |= {"not_needed", "offline", "pacc_mismatch"}
    assert {d for d in details if f"detail.{d}" not in texts("en")} == set()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_word_of_the_model_is_there(lang: str) -> None:
    words = Catalogue(lang, strict=True)
    for table, values in {
        "source": Source,
        "trust": Trust,
        "outcome": Outcome,
        "state": State,
        "security": Security,
        "credential": CredentialKind,
    }.items():
        for value in values:
            assert words.text(f"find.{table}.{value.value}")
    for field in ("host", "port", "security", "username", "credential", "auth"):
        assert words.text(f"find.field.{field}")


def test_a_chinese_sentence() -> None:
    params = {"provider": "qq", "url": "https://mail.qq.com"}
    finding = Finding("credential.auth_code", Status.OK, None, params)
    said = find_words.finding_text(finding, "zh")
    assert "QQ 邮箱" in said
    assert "授权码（https://mail.qq.com）" in said
    assert "{" not in said


def test_a_report_with_its_reason() -> None:
    params = {"url": "https://d.example/x", "reason": "not_xml", "line": 3}
    report = SourceReport(Source.AUTOCONFIG, State.FAILED, 0.2, "unreadable", params)
    said = find_words.report_text(report, "en")
    assert said == "failed: https://d.example/x, line 3: it is not well-formed XML"
    assert find_words.report_text(SourceReport(Source.MX, State.NOTHING), "zh") == "没有资料"


def test_failures_are_words_not_ids() -> None:
    refused = SourceReport(Source.PACC, State.FAILED, 0.1, "network", {"failure": "refused"})
    assert find_words.report_text(refused, "en") == "failed: the connection was refused"
    odd = SourceReport(Source.PACC, State.FAILED, 0.1, "network", {"failure": "certificate"})
    assert find_words.report_text(odd, "zh") == "失败：连接失败"
    params = {"name": "d.example", "status": "servfail", "resolver": "9.9.9.9:53"}
    failed = Finding("dns_failed", Status.FAIL, None, params)
    assert "9.9.9.9:53 said failure (SERVFAIL) for d.example" in find_words.finding_text(
        failed, "en"
    )


# JSON


def rich() -> FindResult:
    dns = {
        ("d.example", "MX"): ["5 mxbiz1.qq.com."],
        ("_submissions._tcp.d.example", "SRV"): ["0 1 465 smtp.exmail.qq.com."],
    }
    page = "https://autoconfig.d.example/mail/config-v1.1.xml"
    return World(dns, {page: autoconfig("m.d.example")}).find("alice@d.example", thorough=True)


CANDIDATE = {
    "host",
    "port",
    "security",
    "username",
    "auth",
    "credential",
    "provider",
    "provider_name",
    "trust",
    "evidence",
    "limits",
    "ends",
    "notes",
}


def test_keys() -> None:
    told = to_dict(rich())
    assert set(told) == {
        "schema",
        "address",
        "domain",
        "outcome",
        "candidates",
        "conflicts",
        "findings",
        "incoming",
        "sources",
        "seconds",
    }
    for candidate in told["candidates"]:
        assert set(candidate) == CANDIDATE
        assert set(candidate["credential"]) == {"kind", "kinds", "url", "steps", "requires"}
        for evidence in candidate["evidence"]:
            keys = {"source", "where", "trust", "checked", "dnssec", "seconds"}
            assert set(evidence) == keys
    assert [c["field"] for c in told["conflicts"]] == ["host"]
    assert {s["source"] for s in told["sources"]} == {s.value for s in Source} - {"organisation"}


def test_only_words_depend_on_the_language() -> None:
    result = rich()
    english, chinese = to_dict(result, "en"), to_dict(result, "zh")
    json.dumps(english), json.dumps(chinese)

    def bones(value: Any, key: str = "") -> Any:
        if key in ("text", "name", "provider_name", "steps", "requires", "note", "notes"):
            return bool(value)
        if isinstance(value, dict):
            return {k: bones(v, k) for k, v in value.items()}
        return [bones(v) for v in value] if isinstance(value, list) else value

    assert bones(english) == bones(chinese)
    assert english != chinese


def test_limits_and_ends_come_from_the_directory() -> None:
    told = to_dict(World().find("a@gmail.com", offline=True), "zh")["candidates"][0]
    assert told["limits"]["per_day"] == 500
    assert told["ends"][0]["date"]
    assert told["provider_name"]
