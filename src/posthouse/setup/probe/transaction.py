"""MAIL, RCPT and the message: asked only when the caller asks, taken back unless it is sent.

Enters: an open ``Session`` and the envelope. Leaves: steps in the Trace and a ``Delivery``. Called
by ``run`` after signing in. Fails with ``Stopped``. More recipients than the server takes at once
go in several transactions (RFC 5321 section 4.5.3.1.10).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from posthouse.flow import Failure, Finding, NetworkFailure, Stage, Status
from posthouse.net.tls import a_label
from posthouse.protocol.smtp import size_limit
from posthouse.protocol.smtp.path import PathError, check_address
from posthouse.setup.probe.facts import Delivery, Envelope, Stop
from posthouse.setup.probe.judge import Stopped
from posthouse.setup.probe.letter import Letter
from posthouse.setup.probe.session import Session

PARTS_LIMIT: Final = 50  # transactions for one message; a server that takes one each is a joke


class Transaction:
    """The owner of what one envelope, and perhaps one message, did."""

    def __init__(self, session: Session, envelope: Envelope, letter: Letter | None) -> None:
        self._session = session
        self._envelope = envelope
        self._letter = letter
        self.delivery = Delivery(
            sender=envelope.sender,
            recipients=envelope.recipients,
            size=len(letter.data) if letter else envelope.size or 0,
            raw_size=letter.raw_size if letter else 0,
            message_id=letter.message_id if letter else "",
        )

    async def run(self) -> None:
        """All recipients, in as many parts as the server wants. Raises Stopped."""
        left = list(self._envelope.recipients)
        while left:
            await self._mail()
            accepted = await self._recipients(left)
            if self._letter is not None:
                await self._message(self._letter)
            else:
                await self._reset()
            self.delivery = replace(self.delivery, batches=(*self.delivery.batches, accepted))
            left = left[accepted:]
        if len(self.delivery.batches) > 1:
            params = {"parts": len(self.delivery.batches), "most": max(self.delivery.batches)}
            split = Finding("recipients_split", Status.OK, "rate.recipients", params)
            self._session.findings.append(split)

    async def relay_check(self) -> bool:
        """Whether a stranger may send to another without signing in. Nothing is sent."""
        session = self._session
        accepted = False
        async with session.step("relay", Stage.RCPT) as detail:
            client = session.client
            reply = await client.mail(self._wire(self._envelope.sender))
            if reply.is_success:
                reply = await client.rcpt(self._wire(self._envelope.recipients[0]))
                accepted = reply.is_success
                await client.rset()
            detail["accepted"], detail["code"] = accepted, reply.code
        return accepted

    async def _mail(self) -> None:
        session = self._session
        async with session.step("mail", Stage.MAIL) as detail:
            self._addresses()
            self._fits()
            params = self._mail_parameters()
            detail["sender"], detail["parameters"] = self._envelope.sender, sorted(params)
            reply = await session.client.mail(self._wire(self._envelope.sender), params)
            session.expect("mail", Stage.MAIL, reply)

    def _addresses(self) -> None:
        """What can't be written as a path is not even asked (RFC 5321 section 4.1.2)."""
        for address, cause in (
            (self._envelope.sender, "sender.invalid"),
            *((recipient, "rcpt.syntax") for recipient in self._envelope.recipients),
        ):
            try:
                check_address(self._wire(address), utf8=True, null=cause == "sender.invalid")
            except PathError as error:
                self.delivery = replace(self.delivery, recipient=address)
                stop = Stop("mail", Stage.MAIL, cause, text=error.reason)
                raise Stopped(stop, None) from None

    def _fits(self) -> None:
        """RFC 1870 section 6.1, RFC 6531 section 3.4: what the server told, before it is asked."""
        extensions = self._session.extensions
        limit = size_limit(extensions)
        if limit is not None and self.delivery.size > limit:
            raise NetworkFailure(
                Failure.TOO_BIG_FOR_SIZE, Stage.MAIL, limit=limit, size=self.delivery.size
            )
        if self._needs_utf8() and "SMTPUTF8" not in extensions:
            raise NetworkFailure(Failure.SMTPUTF8_NOT_OFFERED, Stage.MAIL)
        if self._letter and not self._letter.data.isascii() and "8BITMIME" not in extensions:
            # RFC 6152 section 3: such a message may not be sent as it is.
            stop = Stop("mail", Stage.MAIL, "protocol.error", detail={"eight_bit": True})
            raise Stopped(stop, None)

    def _needs_utf8(self) -> bool:
        addresses = (self._envelope.sender, *self._envelope.recipients)
        return any(not self._wire(a).isascii() for a in addresses)

    def _mail_parameters(self) -> dict[str, str | None]:
        extensions = self._session.extensions
        params: dict[str, str | None] = {}
        if "SIZE" in extensions and self.delivery.size:
            params["SIZE"] = str(self.delivery.size)
        if self._letter and not self._letter.data.isascii() and "8BITMIME" in extensions:
            params["BODY"] = "8BITMIME"
        if self._needs_utf8():
            params["SMTPUTF8"] = None
        return params

    async def _recipients(self, wanted: list[str]) -> int:
        """How many of them this transaction takes."""
        session = self._session
        accepted = 0
        async with session.step("rcpt", Stage.RCPT) as detail:
            for recipient in wanted:
                self.delivery = replace(self.delivery, recipient=recipient)
                reply = await session.client.rcpt(self._wire(recipient))
                try:
                    session.expect("rcpt", Stage.RCPT, reply)
                except Stopped as stopped:
                    full = stopped.stop.cause == "rate.recipients" and accepted > 0
                    if not full or len(self.delivery.batches) >= PARTS_LIMIT:
                        raise
                    break
                accepted += 1
            detail["accepted"] = accepted
        self.delivery = replace(self.delivery, recipient="")
        return accepted

    async def _reset(self) -> None:
        async with self._session.step("rset", Stage.RCPT):
            self._session.expect("rset", Stage.RCPT, await self._session.client.rset())

    async def _message(self, letter: Letter) -> None:
        session = self._session
        async with session.step("message", Stage.DATA) as detail:
            detail["size"], detail["message_id"] = len(letter.data), letter.message_id
            reply = await session.client.data(letter.data)
            session.expect("message", Stage.DATA, reply)
            detail["text"] = reply.text

    def _wire(self, address: str) -> str:
        """The domain in ASCII, the local part as it is."""
        local, at, domain = address.rpartition("@")
        return f"{local}@{a_label(domain)}" if at and not domain.startswith("[") else address
