"""Every mistake in the tables: its key, what it is called, and words in both languages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from posthouse.explain import Catalogue
from posthouse.explain.catalogue import entries
from posthouse.send.route import SettingError, read_hops, read_routes

A = 'hosts = "a.example:587"\n'
LOGIN = 'user = "u"\nsecret_env = "KEY"\n'
SES = 'provider = "ses"\nregion = "us-east-1"\n' + LOGIN

# body of a [[hop]] with the name "h": the reason, the key below hop[h], what is told besides
HOPS = [
    ("", "no_target", "", {"choices": "hosts, provider, mx"}),
    ("mx = false", "no_target", "", {}),
    (A + "mx = true", "both", "mx", {"other": "hosts"}),
    (A + 'provider = "ses"', "both", "provider", {"other": "hosts"}),
    (A + 'tsl = "none"', "unknown_key", "tsl", {"near": "tls"}),
    ('host = "a.example"', "unknown_key", "host", {"near": "hosts"}),
    ("hosts = []", "kind", "hosts", {"wanted": "texts"}),
    ("hosts = 5", "kind", "hosts", {"wanted": "texts"}),
    ("hosts = [5]", "kind", "hosts[1]", {"wanted": "host"}),
    (f"hosts = {['a.example'] * 65}", "range", "hosts", {"most": 64}),
    ('hosts = ["a.example", "b_c.example"]', "host", "hosts[2]", {}),
    ('hosts = "smtps://a.example"', "host", "hosts[1]", {}),
    ('hosts = "a b:25"', "host", "hosts[1]", {}),
    ('hosts = "a.example:99999"', "port", "hosts[1]", {}),
    ('hosts = "a.example:smtp"', "port", "hosts[1]", {}),
    ("hosts = [{port = 25}]", "missing", "hosts[1].host", {}),
    ('hosts = [{host = "a.example", prio = 1}]', "unknown_key", "hosts[1].prio",
     {"near": "priority"}),
    ('hosts = [{host = "a.example", weight = -1}]', "range", "hosts[1].weight", {}),
    ('hosts = [{host = "a.example:25", port = 25}]', "both", "hosts[1].port", {}),
    ('hosts = [{host = "a.example", port = 0}]', "range", "hosts[1].port", {}),
    ('hosts = "a.example"\nlmtp = true', "lmtp_port", "hosts[1]", {}),
    ('hosts = ["a.example:465", "b.example:587"]', "security_unclear", "security", {}),
    (A + LOGIN.replace('"KEY"', '"K\\tEY"'), "control", "secret_env", {}),
    ('provider = "sse"', "provider", "provider", {"near": "ses"}),
    ('provider = "../x"', "provider", "provider", {}),
    ('provider = "ses"', "region_missing", "region", {"provider": "Amazon SES"}),
    ('provider = "ses"\nregion = "eu-wst-1"', "region", "region", {"near": "eu-west-1"}),
    ('provider = "ses"\nregion = "mars-1"\n', "region", "region", {"near": ""}),
    (A + 'tls = "starttls"', "tls_security", "tls", {}),
    ('provider = "tencent-ses"', "region_missing", "region", {}),
    ('provider = "tencent-ses"\nregion = "ap-hongkon"', "region", "region",
     {"near": "ap-hongkong"}),
    ('provider = "tencent-ses"\nregion = "ap-hongkong"\nsecurity = "starttls"',
     "provider_security", "security", {"choices": "tls"}),
    ('provider = "qq"\nlmtp = true', "not_provider", "lmtp", {}),
    (A + 'region = "eu-west-1"', "only_provider", "region", {}),
    (A + LOGIN + "derive = true", "only_provider", "derive", {}),
    ('provider = "sendgrid"\nsecret_env = "KEY"\nderive = true', "only_ses", "derive", {}),
    ("mx = true\n" + LOGIN, "not_mx", "user", {}),
    ('mx = true\nsecurity = "tls"', "not_mx", "security", {}),
    ('mx = "yes"', "kind", "mx", {"wanted": "flag"}),
    (A + 'security = "ssl"', "choice", "security", {}),
    (A + 'tls = "verify"', "choice", "tls", {"near": "verified"}),
    (A + 'security = "starttls"\ntls = "none"', "tls_conflict", "tls", {}),
    (A + 'security = "none"\ntls = "verified"', "tls_conflict", "tls", {}),
    ('hosts = "a.example:465"\ntls = "opportunistic"', "tls_implicit", "tls", {}),
    (A + 'ca_file = "/nowhere/ca.pem"', "unreadable", "ca_file", {"path": "/nowhere/ca.pem"}),
    (A + 'user = "u"', "secret_missing", "", {}),
    (A + 'secret_env = "KEY"', "user_missing", "", {}),
    (A + 'user = ""\nsecret_env = "KEY"', "empty", "user", {}),
    (A + LOGIN + 'secret_file = "x"', "both", "secret_env", {"other": "secret_file"}),
    (A + 'user = "u"\nsecret_env = "NO_SUCH"', "secret_env", "secret_env", {}),
    (A + 'user = "u"\nsecret_file = "/no-such-file"', "secret_unreadable", "secret_file", {}),
    (A + 'user = "u"\nsecret_file = "/dev/null"', "secret_no_file", "secret_file", {}),
    (A + 'user = "u"\npassword = "x"', "secret_in_file", "password", {}),
    (A + LOGIN + 'tls = "opportunistic"', "password_plain", "tls", {}),
    (A + LOGIN + 'tls = "none"', "password_plain", "tls", {}),
    (A + 'security = "none"\n' + LOGIN, "password_open", "security", {}),
    (A + 'security = "none"\nuser = "u"', "password_open", "security", {}),
    (A + 'security = "none"\ntls = "none"\n' + LOGIN, "password_open", "security",
     {"tls": "none"}),
    (SES.replace('"u"', '"ASIAIOSFODNN7EXAMPLE"') + "derive = true", "ses_temporary_key", "user",
     {}),
    (SES.replace("KEY", "ID") + "derive = true", "ses_key_id_as_secret", "secret_env", {}),
    (A + "pool = 0", "range", "pool", {"least": 1, "most": 1000}),
    (A + "pool = true", "kind", "pool", {"wanted": "number"}),
    (A + 'pool = "50"', "kind", "pool", {"wanted": "number"}),
    (A + "interval = 30", "time", "interval", {}),
    (A + 'interval = "2d"', "range", "interval", {"most": "1d"}),
    (A + 'lifetime = "0s"', "range", "lifetime", {"least": "1s"}),
    (A + 'ehlo = "a b"', "host", "ehlo", {}),
    (A + 'source = "a.example"', "ip", "source", {}),
]  # fmt: skip
SPARE = (
    '[[hop]]\nname = "a"\nmx = true\nfallback = "{a}"\n'
    '[[hop]]\nname = "b"\nmx = true\nfallback = "{b}"\n'
)
# a whole document: the reason, the key, what is told besides
DOCUMENTS = [
    ('[hop]\nname = "h"', "kind", "hop", {"wanted": "tables"}),
    ("[[hop]]\nmx = true", "missing", "hop[1].name", {}),
    ('[[hop]]\nname = "a b"\nmx = true', "name", "hop[a b].name", {}),
    ("[[hop]]\nname = 5\nmx = true", "kind", "hop[1].name", {"wanted": "text"}),
    ('[[hop]]\nname = "h"\nmx = true\n' * 2, "twice", "hop.name", {}),
    (SPARE.format(a="b", b="c"), "unknown_hop", "hop[b].fallback", {"known": "a, b"}),
    (SPARE.format(a="b", b="a"), "circle", "hop[b].fallback", {"way": "a → b → a"}),
    (SPARE.format(a="b", b="b"), "circle", "hop[b].fallback", {"way": "a → b → b"}),
]
# body of [[route]] tables, with the hops "ses" and "direct"
ROUTES = [
    ("", "no_default", "route", {}),
    ('[[route]]\nuser = "u"\nhop = "ses"', "no_default", "route", {}),
    ('[[route]]\nhop = "ses"\n[[route]]\nname = "x"\nhop = "ses"', "unreachable", "route[1]", {}),
    ('[[route]]\nname = "x"\nuser = "u"\nhop = "ses"\n' * 2, "twice", "route[x].name", {}),
    ('[[route]]\nhop = "sse"', "unknown_hop", "route[1].hop", {"near": "ses"}),
    ('[[route]]\nname = "r"\nuser = "u"', "no_target", "route[r]", {"choices": "hop, action"}),
    ('[[route]]\nhop = "ses"\naction = "hold"', "both", "route[1].action", {"other": "hop"}),
    ('[[route]]\naction = "delete"', "choice", "route[1].action", {}),
    ('[[route]]\naction = "deliver"', "action_deliver", "route[1].action", {}),
    ('[[route]]\nrecipients = "@x.example"', "unknown_key", "route[1].recipients",
     {"near": "recipient"}),
    ('[[route]]\nrecipient = "x.example"', "pattern_domain", "route[1].recipient", {}),
    ('[[route]]\nsender = ["a@x.example", "*"]', "pattern", "route[1].sender", {}),
    ('[[route]]\nsender = "*@*.x.example"', "pattern_glob", "route[1].sender", {}),
    ("[[route]]\nsender = []", "kind", "route[1].sender", {"wanted": "texts"}),
    ("[[route]]\nuser = [5]", "kind", "route[1].user", {"wanted": "texts"}),
    ("[[route]]\nlarger = 1.5", "size", "route[1].larger", {}),
    ('[[route]]\nlarger = "10M"\nsmaller = "1M"\nhop = "ses"', "sizes", "route[1].smaller", {}),
    ('[[route]]\nheader = "X"', "kind", "route[1].header", {"wanted": "table"}),
    ("[[route]]\nheader = {}", "empty", "route[1].header", {}),
    ('[[route]]\nheader = {"X Y" = "a"}\nhop = "ses"', "field_name", "route[1].header", {}),
    ('[[route]]\nheader = {X = 5}\nhop = "ses"', "kind", "route[1].header.X", {"wanted": "texts"}),
    ('[[route]]\nuser = "u"\nhop = "ses"\n' * 1001, "range", "route", {"most": 1000}),
]  # fmt: skip
ELSEWHERE = {
    *("secret_unreadable", "secret_mode", "secret_empty", "no_ca"),  # test_hops: they need a file
    *("listen_address", "networks", "network", "relay_networks", "relay_wide"),  # of submit
    # of the configuration as a whole
    *("pair", "address", "certificate", "strangers", "listen_twice", "listen_within"),
    *("server_name", "shell_path", "no_listen"),
    *("order", "key_unreadable", "key_encrypted", "key_kind", "dkim_domain"),  # of deliver
    *("key_too_short", "key_too_long"),
    *("provider_plain", "ses_unknown_region"),  # for facts the directory does not have now
}


def caught(text: str) -> SettingError:
    environ = {"KEY": "k", "ID": "AKIAIOSFODNN7EXAMPLE"}
    document = tomllib.loads(text)
    try:
        hops = read_hops(document, folder=Path("/nowhere"), environ=environ)
        read_routes(document, hops)
    except SettingError as error:
        return error
    raise AssertionError("nothing was wrong")


def check(error: SettingError, reason: str, key: str, told: dict[str, object]) -> None:
    assert (error.reason, error.key) == (reason, key)
    assert told.items() <= error.params.items()
    assert key in str(error)
    params = dict(error.params)
    for lang in ("en", "zh"):
        words = Catalogue(lang, strict=True)
        if "wanted" in params:
            params["wanted"] = words.text(f"settings.kind.{error.params['wanted']}")
        said = words.text(f"settings.error.{reason}", key=error.key, value=error.value, **params)
        assert error.key in said
        text = entries(lang, "settings")[f"error.{reason}"]
        gaps = set(re.findall(r"\{(\w+)", text))
        optional = set(re.findall(r"\[\[[^]]*?\{(\w+)", text))
        assert gaps - optional <= {"key", "value", *params}
        assert "value" not in gaps - optional or error.value


@pytest.mark.parametrize(("body", "reason", "key", "told"), HOPS, ids=[h[0][:60] for h in HOPS])
def test_hops(body, reason, key, told) -> None:
    error = caught(f'[[hop]]\nname = "h"\n{body}')
    check(error, reason, f"hop[h].{key}" if key else "hop[h]", told)


@pytest.mark.parametrize("provider", ["ses", "tencent-ses"])
def test_a_region_that_is_not_there_is_told_those_that_are(provider: str) -> None:
    body = f'[[hop]]\nname = "h"\nprovider = "{provider}"\nregion = "mars-1"\n{LOGIN}'
    assert ", ap-" in caught(body).told(Catalogue("en"))


@pytest.mark.parametrize(("text", "reason", "key", "told"), DOCUMENTS)
def test_documents(text, reason, key, told) -> None:
    check(caught(text), reason, key, told)


@pytest.mark.parametrize(("text", "reason", "key", "told"), ROUTES, ids=[r[0][:60] for r in ROUTES])
def test_routes(text, reason, key, told) -> None:
    hops = '[[hop]]\nname = "ses"\nmx = true\n[[hop]]\nname = "direct"\nmx = true\n'
    check(caught(hops + text), reason, key, told)


@pytest.mark.parametrize("obeyed", ["starttls", "tls"])
def test_advice_about_security_with_a_login_can_be_obeyed(obeyed: str) -> None:
    """The whole of what it says is done, and there is no next mistake."""
    body = f'{A}security = "none"\ntls = "none"\n{LOGIN}'
    said = caught(f'[[hop]]\nname = "h"\n{body}').told(Catalogue("en"))
    assert f"Choose {obeyed}" in said or f"or {obeyed}" in said
    assert 'take tls = "none" out' in said
    mended = body.replace('security = "none"', f'security = "{obeyed}"').replace('tls = "none"', "")
    document = tomllib.loads(f'[[hop]]\nname = "h"\n{mended}')
    assert read_hops(document, folder=Path(), environ={"KEY": "k"})["h"].user == "u"


def test_a_secret_that_is_not_there_is_named_unless_it_may_be_the_secret(tmp_path: Path) -> None:
    """The file where its value looks like one; else the folder where it was looked for."""
    (tmp_path / "secrets").mkdir()

    def told(value: str) -> str:
        document = tomllib.loads(f'[[hop]]\nname = "h"\n{A}user = "u"\nsecret_file = "{value}"')
        with pytest.raises(SettingError) as found:
            read_hops(document, folder=tmp_path)
        assert found.value.key == "hop[h].secret_file"
        assert found.value.told(Catalogue("zh"))
        return found.value.told(Catalogue("en"))

    long = f"{tmp_path}/{'x' * 90}"
    for value in (f"{tmp_path}/ses", f"{tmp_path}/no/ses", long):
        assert f", {value}," in told(value)
    for value in ("ses.secret", "secrets/ses"):
        assert f", {tmp_path}/{value}," in told(value)
    secrets = ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "/Hx/b64+abc", "SG.abc.d3f", "s3cret")
    for value in secrets:
        said = told(value)
        assert value not in said
        assert value.rpartition("/")[2] not in said
    assert f"begins in {tmp_path}" in said


def test_every_mistake_that_has_words_is_made_here() -> None:
    made = {reason for _, reason, _, _ in [*HOPS, *DOCUMENTS, *ROUTES]}
    words = {key.removeprefix("error.") for key in entries("en", "settings") if key[:5] == "error"}
    assert words == made | ELSEWHERE
