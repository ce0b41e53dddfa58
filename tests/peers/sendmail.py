"""Sendmail: takes a message from a program and hands it, and its bounces, to the next server.

No server stays running: the message is delivered, or comes back, before the program ends.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from peers import process

PROGRAM = "/usr/libexec/sendmail/sendmail"
MACROS = Path("/usr/share/sendmail/cf")


def send(message: bytes, sender: str, recipients: Sequence[str], *, relay: str) -> process.Ran:
    """Deliver to the server at the address ``relay``; a bounce to ``sender`` takes the same way."""
    folder = process.new_folder("sendmail")
    try:
        queue = process.own(folder / "queue", "root", mode=0o700)
        config = _compiled(folder, queue, relay)
        command = [PROGRAM, f"-C{config}", "-odi", "-f", sender, "-i", *recipients]
        return process.run_client(command, stdin=message.replace(b"\r\n", b"\n"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _compiled(folder: Path, queue: Path, relay: str) -> Path:
    source, config = folder / "sendmail.mc", folder / "sendmail.cf"
    source.write_text(CONFIG.format(folder=folder, queue=queue, relay=relay))
    (folder / "switch").write_text("hosts files\n")  # no DNS: it only knows its next hop
    made = process.run_client(["m4", "-D", f"_CF_DIR_={MACROS}/", f"{MACROS}/m4/cf.m4", source])
    if not made.ok:
        raise process.PeerFailed(f"m4: {made.output}")
    config.write_text(made.output)
    return config


CONFIG = """\
VERSIONID(`a client of one server')
OSTYPE(`linux')
define(`confDOMAIN_NAME', `sendmail.sender.test')
define(`confDONT_BLAME_SENDMAIL', `GroupWritableDirPathSafe,GroupWritableForwardFileSafe')
define(`QUEUE_DIR', `{queue}')
define(`STATUS_FILE', `{folder}/statistics')
define(`confPID_FILE', `{folder}/pid')
define(`confSERVICE_SWITCH_FILE', `{folder}/switch')
define(`confTO_IDENT', `0')
define(`SMART_HOST', `esmtp:[{relay}]')
undefine(`ALIAS_FILE')
FEATURE(`nocanonify')
FEATURE(`accept_unresolvable_domains')
MAILER(`smtp')
"""
