"""What is said and sent to a server: parameters, encodings, signatures."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import dkim as dkimpy
import pytest

from posthouse.flow import Stage
from posthouse.letter import Item, Letter, Recipient, State
from posthouse.net.smtp_open import Refused
from posthouse.protocol.dkim import (
    SigningKey,
    generate,
    read_private_key,
    record_text,
    write_private_key,
)
from posthouse.protocol.message import parse_message
from posthouse.protocol.smtp.data import unstuff
from posthouse.send.deliver.keys import Keys, from_domain, read_dkim
from posthouse.send.deliver.prepare import Prepare, Saving, stuffed
from posthouse.send.deliver.transaction import Task, Transaction
from posthouse.send.settings import SettingError

ASCII = b"From: Alice <alice@d.example>\r\nSubject: x\r\n\r\nhi\r\n..dot\r\n...\r\n"
EIGHT = "From: alice@d.example\r\nSubject: x\r\n\r\nGrüße\r\n..dot\r\n".encode()
UTF8 = "From: alice@d.example\r\nSubject: Grüße\r\n\r\nhi\r\n".encode()
LEGACY = b"From: alice@d.example\r\nSubject: \xc4\xe3\xba\xc3\r\n\r\nhi\r\n"
FULL = ("8BITMIME", "SMTPUTF8", "SIZE", "DSN", "CHUNKING", "BINARYMIME", "PIPELINING")


def task(
    content: bytes = ASCII,
    *,
    sender: str = "alice@d.example",
    to: Sequence[str] = ("bob@e.example",),
    id_: str = "1",
    rcpt: Mapping[str, str | None] | None = None,
    **params: str | None,
) -> Task:
    recipients = tuple(Recipient(address, dict(rcpt or {})) for address in to)
    items = tuple(Item(n, id_, r, State.READY) for n, r in enumerate(recipients))
    return Task(Letter(id_, sender, recipients, content, 0.0, params), items)


def offers(*names: str, **values: str) -> dict[str, str]:
    return dict.fromkeys(names, "") | values


def prepare(keys: Keys | None = None, **more: Any) -> Prepare:
    return Prepare(keys or Keys(()), lambda: 1_760_000_000.0, **more)


def refused(what: Task, extensions: Mapping[str, str]) -> str:
    with pytest.raises(Refused) as error:
        prepare()(what, extensions)
    assert error.value.stage is Stage.MAIL
    return f"{error.value.reply.code} {error.value.reply.enhanced}"


PART: Final = (
    'From: a@d.example\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
    'Content-Disposition: attachment; filename="grüße.txt"\r\n\r\nx\r\n--b--\r\n'
).encode()


# Nothing to do


@pytest.mark.parametrize("content", [ASCII, EIGHT, LEGACY])
@pytest.mark.parametrize("names", [FULL, ("8BITMIME",)])
def test_nothing_to_do_is_the_same_object(content: bytes, names: tuple[str, ...]) -> None:
    assert prepare()(task(content), offers(*names)).content is content
    assert prepare()(task(content), offers(*names), binary=True).content is content


@pytest.mark.parametrize(
    ("content", "names", "params", "expected"),
    [
        (ASCII, (), {"BODY": "8BITMIME", "RET": "HDRS"}, {}),
        (ASCII, ("SIZE",), {}, {"SIZE": str(len(ASCII))}),
        (ASCII, ("8BITMIME",), {"BODY": "8BITMIME"}, {}),
        (EIGHT, ("8BITMIME",), {"BODY": "8BITMIME"}, {"BODY": "8BITMIME"}),
        (EIGHT, ("8BITMIME",), {}, {"BODY": "8BITMIME"}),
        (ASCII, ("DSN",), {"RET": "FULL", "ENVID": "x"}, {"RET": "FULL", "ENVID": "x"}),
        (
            UTF8,
            ("8BITMIME", "SMTPUTF8"),
            {"SMTPUTF8": None},
            {"BODY": "8BITMIME", "SMTPUTF8": None},
        ),
        (UTF8, ("8BITMIME", "SMTPUTF8"), {}, {"BODY": "8BITMIME"}),  # nobody asked for it
        (UTF8, ("8BITMIME",), {}, {"BODY": "8BITMIME"}),
        (ASCII, ("SMTPUTF8", "8BITMIME"), {"SMTPUTF8": None}, {}),
        (LEGACY, ("SMTPUTF8", "8BITMIME"), {}, {"BODY": "8BITMIME"}),
        (
            PART,
            ("SMTPUTF8", "8BITMIME"),
            {"SMTPUTF8": None},
            {"BODY": "8BITMIME", "SMTPUTF8": None},
        ),
        (PART, ("8BITMIME",), {}, {"BODY": "8BITMIME"}),
    ],
)
def test_parameters_that_the_server_knows(
    content: bytes, names: tuple[str, ...], params: dict[str, str], expected: dict[str, str]
) -> None:
    made = prepare()(task(content, **params), offers(*names))
    assert dict(made.mail.params) == expected


@pytest.mark.parametrize(("names", "expected"), [(("DSN",), {"NOTIFY": "NEVER"}), ((), {})])
def test_recipient_parameters(names: tuple[str, ...], expected: dict[str, str]) -> None:
    made = prepare()(task(rcpt={"NOTIFY": "NEVER"}), offers(*names))
    assert [dict(one.params) for one in made.recipients] == [expected]


# What cannot go


@pytest.mark.parametrize(
    ("what", "whose"),
    [
        (task(UTF8, SMTPUTF8=None), "the header"),
        (task(sender="爱丽丝@d.example"), "an address"),
        (task(UTF8, to=("bob@e.example", "用户@e.example")), "an address"),
        (task(PART, SMTPUTF8=None), "the header"),
    ],
)
def test_smtputf8_is_needed_and_not_offered(what: Task, whose: str) -> None:
    with pytest.raises(Refused) as error:
        prepare()(what, offers("8BITMIME"))
    told = f"550 5.6.7 SMTPUTF8 is required for {whose}, but was not offered"
    assert (error.value.stage, str(error.value.reply)) == (Stage.MAIL, told)


def test_doubled_dots_are_not_counted() -> None:
    """RFC 1870 section 5: the size is that of the message, not of its wire form."""
    content = b"From: a@d.example\r\n\r\n" + b"..x\r\n" * 10
    size = len(content) - 10
    made = prepare()(task(content), offers(SIZE=str(size)))
    assert dict(made.mail.params) == {"SIZE": str(size)}
    assert refused(task(content), offers(SIZE=str(size - 1))) == "552 5.3.4"


@pytest.mark.parametrize(
    ("names", "params", "expected"),
    [
        (("DSN",), {"SMTPUTF8": None}, "utf-8;\\x{FC}@old.example"),
        (("DSN", "SMTPUTF8"), {}, "utf-8;\\x{FC}@old.example"),
        (("DSN", "SMTPUTF8"), {"SMTPUTF8": None}, "utf-8;ü@old.example"),
    ],
)
def test_an_original_recipient_beyond_ascii(
    names: tuple[str, ...], params: dict[str, str], expected: str
) -> None:
    """RFC 6533 section 3: as it is only in a transaction of SMTPUTF8."""
    content = PART if params and "SMTPUTF8" in names else ASCII
    what = task(content, rcpt={"ORCPT": "utf-8;ü@old.example"}, **params)
    [one] = prepare()(what, offers("8BITMIME", *names)).recipients
    assert one.params["ORCPT"] == expected


def test_too_large() -> None:
    assert refused(task(), offers(SIZE="20")) == "552 5.3.4"
    assert prepare()(task(), offers(SIZE="0")).content is ASCII  # RFC 1870: no limit


@pytest.mark.parametrize(
    "content",
    [
        b"DKIM-Signature: v=1; d=d.example\r\n" + EIGHT,
        LEGACY,
        "From: a@d.example\r\nContent-Type: multipart/mixed\r\n\r\nä\r\n".encode(),
    ],
)
def test_eight_bits_that_cannot_be_recoded(content: bytes) -> None:
    assert refused(task(content), offers("SMTPUTF8")) == "554 5.6.3"


# Recoded


def test_seven_bits_where_the_server_knows_no_more() -> None:
    made = prepare()(task(EIGHT, BODY="8BITMIME"), offers("SIZE"))
    assert made.content.isascii()
    assert dict(made.mail.params) == {"SIZE": str(len(made.content))}
    read = parse_message(unstuff(made.content))
    assert read.text() == "Grüße\n.dot\n"


BLOB = bytes(range(256)) * 20
PACKED = (
    b"From: alice@d.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes("Grüße\r\n.x\r\n".encode() * 40).replace(b"\n", b"\r\n")
    + b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(BLOB).replace(b"\n", b"\r\n")
    + b"--b--\r\n"
)


@pytest.mark.parametrize(
    ("names", "binary", "body", "whole"),
    [
        (FULL, False, None, True),
        ((), True, None, True),
        (("8BITMIME",), True, "8BITMIME", False),
        (("8BITMIME", "BINARYMIME"), True, "8BITMIME", False),  # without CHUNKING
        (FULL, True, "BINARYMIME", False),
    ],
)
def test_base64_is_undone_where_the_hop_wants_it(
    names: tuple[str, ...], binary: bool, body: str | None, whole: bool
) -> None:
    saved: list[Saving] = []
    made = prepare(saved=saved.append)(task(PACKED), offers(*names), binary=binary)
    assert made.mail.params.get("BODY") == body
    assert (made.content is PACKED) is whole
    assert [one.before > one.after > 0 for one in saved] == ([] if whole else [True])
    if body == "BINARYMIME":
        assert BLOB in made.content
        assert "Grüße\r\n.x\r\n".encode() in made.content  # not stuffed: it goes by BDAT
    elif body:
        assert "Grüße\r\n..x\r\n".encode() in made.content


def test_a_signed_message_keeps_its_base64() -> None:
    content = b"DKIM-Signature: v=1; d=x.example\r\n" + PACKED
    made = prepare()(task(content), offers(*FULL), binary=True)
    assert made.content is content
    assert "BODY" not in made.mail.params


# Signed


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    return {kind: write_private_key(generate(kind)) for kind in ("rsa", "ed25519")}


def keys(pem: Mapping[str, bytes], *domains: str, kinds: Sequence[str] = ("rsa",)) -> Keys:
    return Keys(
        SigningKey(domain, kind, read_private_key(pem[kind]))
        for domain in domains
        for kind in kinds
    )


def verified(content: bytes, pem: Mapping[str, bytes]) -> bool:
    """By dkimpy, of what the receiver has after the dots are gone."""

    def txt(name: bytes, timeout: int = 5) -> bytes:
        kind = name.decode().partition(".")[0]
        return record_text(read_private_key(pem[kind]).public_key()).encode()

    try:
        return bool(dkimpy.DKIM(unstuff(content)).verify(dnsfunc=txt))
    except dkimpy.ValidationError:
        return False


@pytest.mark.parametrize("content", [ASCII, EIGHT, PACKED])
@pytest.mark.parametrize("names", [FULL, ("8BITMIME",), ()])
@pytest.mark.parametrize("binary", [False, True])
def test_what_is_sent_is_what_is_signed(
    pem: Mapping[str, bytes], content: bytes, names: tuple[str, ...], binary: bool
) -> None:
    made = prepare(keys(pem, "d.example"))(task(content), offers(*names), binary=binary)
    assert made.content.startswith(b"DKIM-Signature: ")
    plain = made.content
    if made.mail.params.get("BODY") == "BINARYMIME":
        plain = stuffed(plain)
    elif b"From" in content[:4]:
        assert made.content.endswith(content) or not names or binary
    assert verified(plain, pem)
    assert not verified(plain.replace(b"Subject: x", b"Subject: y").replace(b"--b", b"--c"), pem)


@pytest.mark.parametrize(
    ("sender", "domain"),
    [
        (b"alice@d.example", "d.example"),
        (b"alice@mail.D.Example", "d.example"),
        (b"alice@own.d.example", "own.d.example"),
        (b"alice@notd.example", None),
        (b"alice@x.example", None),
        (b'"evil@x.example" <alice@d.example>', "d.example"),
        (b"Alice (at evil@x.example) <alice@d.example>", "d.example"),
        (b"alice@d.example, bob@d.example", "d.example"),
        (b"alice@d.example, bob@x.example", None),
        (b"alice@d.example\r\nFrom: bob@d.example", None),
        (b"\r\n Alice\r\n <alice@d.example>", "d.example"),
        (b"nobody", None),
    ],
)
def test_the_key_is_that_of_the_author(
    pem: Mapping[str, bytes], sender: bytes, domain: str | None
) -> None:
    content = b"To: c@e.example\r\nFROM : " + sender + b"\r\nSubject: x\r\n\r\nhi\r\n"
    made = prepare(keys(pem, "d.example", "own.d.example"))(task(content), offers(*FULL))
    signed = made.content.removesuffix(content).replace(b"\r\n ", b" ")
    assert (f"d={domain};".encode() in signed) if domain else signed == b""


def test_two_keys_sign_together_and_from_is_oversigned(pem: Mapping[str, bytes]) -> None:
    both = keys(pem, "d.example", kinds=("rsa", "ed25519"))
    made = prepare(both)(task(), offers(*FULL)).content
    assert made.count(b"DKIM-Signature:") == 2
    assert b"h=from:from:" in made.replace(b"\r\n ", b"")
    assert b"l=" not in made.partition(b"From:")[0].replace(b"bl=", b"").split(b"b=")[0]


def test_a_signature_of_the_domain_is_not_doubled(pem: Mapping[str, bytes]) -> None:
    one = prepare(keys(pem, "d.example"))(task(), offers(*FULL)).content
    again = prepare(keys(pem, "d.example"))(task(one), offers(*FULL))
    assert again.content is one
    other = b"DKIM-Signature: v=1;\r\n\td = x.example; s=y\r\n" + ASCII
    made = prepare(keys(pem, "d.example"))(task(other), offers(*FULL))
    assert made.content.count(b"DKIM-Signature") == 2


def test_a_letter_is_signed_once(pem: Mapping[str, bytes]) -> None:
    ticks = iter(range(1_760_000_000, 1_760_000_099))
    ready = Prepare(keys(pem, "d.example"), lambda: next(ticks))
    made = [ready(task(), offers(*names)).content for names in (FULL, FULL, ("8BITMIME",), ())]
    assert len(set(made)) == 1
    assert ready(task(id_="2"), offers(*FULL)).content != made[0]


def test_what_is_remembered_is_bounded(
    pem: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posthouse.send.deliver.prepare.KEPT_OCTETS", 50_000)
    ready = prepare()
    for number in range(200):
        ready(task(EIGHT + b"x\r\n" * 1_000, id_=str(number)), offers())
    assert len(ready._kept) < 20
    assert 0 <= ready._octets <= 50_000


# The form on the wire


@pytest.mark.parametrize(
    ("wire", "plain"),
    [
        (b"a\r\n..\r\n", b"a\r\n.\r\n"),
        (b"..a\r\n", b".a\r\n"),
        (b"a\r\n.b\r\n", b"a\r\nb\r\n"),  # a client that stuffed badly: RFC 5321 section 4.5.2
        (b"a.b\r\n", b"a.b\r\n"),
    ],
)
def test_dots(wire: bytes, plain: bytes) -> None:
    assert unstuff(wire) == plain
    assert unstuff(stuffed(plain)) == plain


# Configuration


def test_read_dkim(pem: Mapping[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "s1.pem"
    path.write_bytes(pem["rsa"])
    rows = [("dkim[1]", {"domain": "D.example", "selector": "s1", "key": str(path)})]
    found = read_dkim(rows, lambda name: Path(name).read_bytes())
    chosen = found.signer("mail.d.example")
    assert chosen is not None
    assert chosen[0] == "d.example"
    assert found.signer("example") is None
    assert not Keys(())


@pytest.mark.parametrize(
    ("row", "key", "reason"),
    [
        ({}, "dkim[1].domain", "missing"),
        ({"domain": "d.example", "selector": 1, "key": "k"}, "dkim[1].selector", "kind"),
        ({"domain": "d.example", "selector": "s", "key": "gone"}, "dkim[1].key", "key_unreadable"),
        ({"domain": "d.example", "selector": "s", "key": "bad"}, "dkim[1].key", "key_unreadable"),
        ({"domain": "d example", "selector": "s", "key": "good"}, "dkim[1].domain", "dkim_domain"),
        ({"domain": "d.example", "selektor": "s"}, "dkim[1].selektor", "unknown_key"),
    ],
)
def test_wrong_dkim_tables(
    pem: Mapping[str, bytes], row: dict[str, Any], key: str, reason: str
) -> None:
    files = {"good": pem["rsa"], "bad": b"no key"}

    def read(name: str) -> bytes:
        if name not in files:
            raise FileNotFoundError(2, "No such file")
        return files[name]

    with pytest.raises(SettingError) as error:
        read_dkim([("dkim[1]", row)], read)
    assert (error.value.key, error.value.reason) == (key, reason)
    assert "PRIVATE" not in str(error.value)


def test_the_domain_of_from_in_its_own_script() -> None:
    header = "From: a@例子.example\r\n".encode()
    assert from_domain(header) == "xn--fsqu00a.example"
    assert from_domain(b"Subject: x\r\n") == ""
    assert from_domain(b"From: " + b"(" * 50_000 + b"@x\r\n") == ""


def test_a_transaction_is_what_the_pool_takes() -> None:
    assert isinstance(prepare()(task(), offers()), Transaction)
