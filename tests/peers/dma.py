"""DragonFly Mail Agent: takes a message from a program and hands it, and its bounces, on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from peers import process

PROGRAM = "/usr/sbin/dma"
ETC = Path("/etc/dma")
SPOOL = Path("/var/spool/dma")
ROUNDS, PAUSE = 20, 0.5  # its runs go on in the background and lock each other out


def send(message: bytes, sender: str, recipients: Sequence[str], *, relay: str) -> process.Ran:
    """Deliver to the server at the address ``relay``; a bounce to ``sender`` takes the same way."""
    folder = process.new_folder("dma")
    shutil.rmtree(SPOOL, ignore_errors=True)
    process.own(SPOOL, "mail", mode=0o770)  # whom root becomes
    try:
        text = f"SMARTHOST {relay}\nSPOOLDIR {SPOOL}\nMAILNAME dma.sender.test\nDEFER\n"
        (folder / "dma.conf").write_text(text)
        _mount("--bind", folder, ETC)  # it reads no other place
        sent = process.run_client(
            [PROGRAM, "-f", sender, "-i", *recipients], stdin=message.replace(b"\r\n", b"\n")
        )
        for _ in range(ROUNDS):
            process.run_client([PROGRAM, "-q"])
            time.sleep(PAUSE)  # it goes on in the background, with the bounces too
            if not any(SPOOL.glob("Q*")):
                break
        return sent
    finally:
        _mount(ETC, program="umount")
        shutil.rmtree(folder, ignore_errors=True)


def _mount(*arguments: str | Path, program: str = "mount") -> None:
    ran = process.run_client([program, *arguments])
    if not ran.ok:
        raise process.PeerFailed(ran.output)
