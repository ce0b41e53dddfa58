"""Against OpenDKIM, the verifier most mail meets: it takes what we sign, and sees what we see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from fakes.dns import FakeDns
from peers import process
from posthouse.protocol import dkim, txt
from unit.dkim.dkim_world import MESSAGE, NOW, handmade, record, rsa_key, verify

pytestmark = [pytest.mark.netns, pytest.mark.peer("opendkim")]
TESTMSG = "/usr/sbin/opendkim-testmsg"
CANONS = [(header, body) for header in dkim.Canon for body in dkim.Canon]
DATE = b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"  # it takes no message without
BODIES = [
    b"",
    b"\r\n",
    b"\r\n\r\n",
    b"a",
    b"a\r\n\r\n\r\n",
    b" C \r\nD \t E\r\n\r\n\r\n",
    b"\t\ta \t\r\n \t\r\nb\r\n \r\n",
    b"8 bit: \xc3\xa4\xff\r\n",
    b"x" * 900 + b"\r\n",
    b"." * 70_000 + b" \r\n" * 3,
]
FIELDS = [
    b"",
    b"To:\r\n",
    b"To: \t \r\n",
    b"to : a@b \t\r\n\t , c@d \r\n",
    b"Received: one\r\nRECEIVED: two\r\nReceived: three\r\n",
    b"Subject: \xc3\xa4 \xff  b\r\n",
]


@pytest.fixture(autouse=True)
async def zone() -> AsyncIterator[FakeDns]:
    """The system's resolver, with the key."""
    table = {("s._domainkey.example.com", "TXT"): [txt.quoted(record())]}
    async with FakeDns(table, port=53) as server:
        yield server


async def theirs(message: bytes) -> str:
    """ "" where OpenDKIM is content, else what it says."""
    ran = await asyncio.to_thread(process.run_client, [TESTMSG], stdin=message)
    return ran.output if ran.code else ""


@pytest.mark.parametrize("canons", CANONS, ids=lambda canons: "-".join(canons))
async def test_it_takes_what_we_sign(canons: tuple[dkim.Canon, dkim.Canon]) -> None:
    signer = dkim.Signer(
        [dkim.SigningKey("example.com", "s", rsa_key())],
        names=[*dkim.SIGNED, b"received"],
        header_canon=canons[0],
        body_canon=canons[1],
    )
    for number, body in enumerate(BODIES):
        fields = FIELDS[number % len(FIELDS)]
        message = DATE + b"From: Alice <alice@example.com>\r\n" + fields + b"\r\n" + body
        signed = signer.sign(message, at=NOW) + message
        assert await theirs(signed) == "", (fields, body[:40])
        assert [result.reason for result in verify(signed)] == ["ok"]
        changed = signed + b"more\r\n"
        assert "Bad signature" in await theirs(changed)
        assert [result.reason for result in verify(changed)] == ["body_changed"]


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"h": "from:from:to:cc"},
        {"h": "from : to\r\n\t: subject"},
        {"i": "joe@mail.example.com"},
        {"q": "dns/txt"},
        {"zz": "unknown"},
        {"v": "2"},
        {"h": "to:subject"},
        {"i": "joe@example.org"},
        {"c": "nofws"},
        {"a": "rsa-md5"},
        {"bh": "-"},
        {"bh": "A" * 43 + "="},
        {"x": str(NOW - 1), "t": str(NOW - 9)},
        {"s": "gone"},
    ],
    ids=str,
)
async def test_it_judges_odd_signatures_as_we_do(tags: dict[str, str]) -> None:
    message = handmade(DATE + MESSAGE, **tags)
    ours = [result.code.value for result in verify(message)] == ["pass"]
    assert (await theirs(message) == "") is ours
