"""Our client where only some servers follow: LMTP to Dovecot, XCLIENT to Postfix."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from canaries import PASSWORD
from fakes.certs import Authority
from fakes.letter import hard, letter, unchanged
from peers import dovecot, postfix, process
from posthouse.net.smtp import SmtpClient
from posthouse.net.smtp_wire import Timeouts
from posthouse.net.stream import TcpStream
from posthouse.net.tls import TlsOptions
from posthouse.protocol.smtp import Noop, Xclient

pytestmark = pytest.mark.netns

ALICE, BOB, CAROL, NOBODY = (f"{name}@example.test" for name in ("alice", "bob", "carol", "nobody"))
USERS = dict.fromkeys((ALICE, BOB, CAROL), PASSWORD)
DOVECOT = "127.0.0.20"
HOSTS = ("mail.test", DOVECOT)
PATIENCE = Timeouts(greeting=20, command=20, data=20, block=20, end=20)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(process.new_folder("ca"))


@asynccontextmanager
async def talking(host: str, port: int, *, lmtp: bool = False) -> AsyncIterator[SmtpClient]:
    """Greeted; the first word is the caller's."""
    stream = await TcpStream.connect(host, port)
    client = SmtpClient(stream, lmtp=lmtp, timeouts=PATIENCE)
    try:
        assert (await client.greeting()).code == 220
        yield client
    finally:
        await client.close()


@pytest.mark.peer("postfix")
async def test_postfix_believes_our_xclient(authority: Authority) -> None:
    settings = {"smtpd_authorized_xclient_hosts": "127.0.0.0/8"}
    certificate = authority.issue(hosts=HOSTS)
    host = "127.0.0.14"
    with postfix.running(host, certificate, ports=[postfix.SMTP], settings=settings) as server:
        async with talking(host, postfix.SMTP) as client:
            assert (await client.ehlo("client.test")).code == 250
            assert "ADDR" in client.extensions["XCLIENT"].split()
            told = {"NAME": "far.away.test", "ADDR": "203.0.113.9", "HELO": "far.away.test"}
            assert (await client.command(Xclient(told))).code == 220
            assert (await client.ehlo("far.away.test")).code == 250
            assert (await client.mail(ALICE)).code == 250
            assert (await client.rcpt("x@elsewhere.test")).code == 554
            assert (await client.quit()).code == 221
        process.wait_until(
            "the told client in the log",
            lambda: "disconnect from far.away.test[203.0.113.9]" in server.daemon.log(),
        )


@pytest.mark.peer("dovecot")
@pytest.mark.parametrize("chunk", [None, 500, 1_000_000], ids=["DATA", "chunks", "one-chunk"])
async def test_lmtp_to_dovecot_answers_for_every_recipient(
    authority: Authority, chunk: int | None
) -> None:
    sent = hard("by LMTP")
    with dovecot.running(DOVECOT, USERS, authority.issue(hosts=HOSTS)) as boxes:
        async with talking(DOVECOT, dovecot.LMTP, lmtp=True) as client:
            assert (await client.ehlo("client.test")).code == 250
            params = {"BODY": "8BITMIME"}
            mail, recipients = await client.envelope(ALICE, [BOB, NOBODY, CAROL], params)
            assert [mail.code, *(r.code for r in recipients)] == [250, 250, 550, 250]
            replies = await (
                client.bdat_each(sent, chunk=chunk) if chunk else client.data_each(sent)
            )
            assert [reply.code for reply in replies] == [250, 250]
            assert [BOB in replies[0].text, CAROL in replies[1].text] == [True, True]
            assert "<" not in (await client.command(Noop())).text  # its own, not one left over
            assert (await client.quit()).code == 221
        for address in (BOB, CAROL):
            (stored,) = boxes.messages(address)
            assert unchanged(stored, sent)


QUOTA = """
mail_plugins = quota
plugin {
  quota = maildir:User quota
  quota_rule = *:storage=4K
}
"""


@pytest.mark.peer("dovecot")
async def test_lmtp_with_starttls_and_a_full_mailbox(authority: Authority) -> None:
    certificate = authority.issue(hosts=HOSTS)
    with dovecot.running(DOVECOT, USERS, certificate, extra=QUOTA) as boxes:
        async with talking(DOVECOT, dovecot.LMTP, lmtp=True) as client:
            await client.ehlo("client.test")
            assert (await client.starttls()).code == 220
            await client.upgrade(TlsOptions(DOVECOT, ca_file=str(authority.ca_file)))
            assert (await client.ehlo("client.test")).code == 250
            await client.envelope(ALICE, [BOB, CAROL])
            replies = await client.data_each(letter("too big", *[b"x" * 70] * 200))
            assert [reply.code for reply in replies] == [552, 552]
            await client.envelope(ALICE, [CAROL])
            assert [r.code for r in await client.data_each(letter("small", b"x"))] == [250]
            assert (await client.quit()).code == 221
        assert [len(boxes.messages(user)) for user in (BOB, CAROL)] == [0, 1]
