"""Postfix: a submission server (587, 465), an MX (25) that delivers by LMTP, or a relay.

Login is Dovecot's, by its auth socket. Settings a scenario needs are given as main.cf overrides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fakes.certs import Issued
from peers import dovecot, process

SMTP, SUBMISSION, SUBMISSIONS = 25, 587, 465
LIBRARY = "/usr/lib/postfix/sbin"
QUEUES = "active bounce corrupt defer deferred flush hold incoming private saved trace"
# name, type, private, wakeup, process limit, program: Postfix's own table, nothing in a chroot.
SERVICES = """\
pickup unix n 60 1 pickup
cleanup unix n - 0 cleanup
qmgr unix n 300 1 qmgr
tlsmgr unix - 1000? 1 tlsmgr
rewrite unix - - - trivial-rewrite
bounce unix - - 0 bounce
defer unix - - 0 bounce
trace unix - - 0 bounce
verify unix - - 1 verify
flush unix n 1000? 0 flush
proxymap unix - - - proxymap
proxywrite unix - - 1 proxymap
smtp unix - - - smtp
relay unix - - - smtp
error unix - - - error
retry unix - - - error
discard unix - - - discard
lmtp unix - - - lmtp
anvil unix - - 1 anvil
scache unix - - 1 scache
postlog unix-dgram n - 1 postlogd
"""


@dataclass(frozen=True, slots=True)
class Postfix:
    """A running Postfix."""

    host: str
    config: Path  # the folder of main.cf, for postqueue -c and sendmail -C
    daemon: process.Daemon


@contextmanager
def running(
    host: str,
    certificate: Issued | None,
    *,
    name: str = "mail.test",
    domains: Sequence[str] = (),
    lmtp: dovecot.Dovecot | None = None,
    ports: Sequence[int] = (SMTP, SUBMISSION, SUBMISSIONS),
    settings: Mapping[str, str] | None = None,
) -> Iterator[Postfix]:
    """Start Postfix on ``host``; without a certificate it offers no TLS.

    ``domains`` are its own, delivered to ``lmtp``, where their users also log in (587, 465).
    ``settings`` are main.cf lines that win over everything here, also over the ports' own.
    """
    folder = process.new_folder("postfix")
    config = folder / "etc"
    config.mkdir()
    _queue(folder)
    main = _main(folder, host, name, certificate, domains, lmtp) | dict(settings or {})
    (config / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in main.items()))
    (config / "master.cf").write_text(_master(host, ports, bool(lmtp), settings or {}))
    with process.running(
        "postfix",
        [f"{LIBRARY}/master", "-c", config, "-d"],
        folder,
        ports=[(host, port) for port in ports],
        log_files=[folder / "mail.log"],
    ) as daemon:
        yield Postfix(host, config, daemon)


def _main(
    folder: Path,
    host: str,
    name: str,
    certificate: Issued | None,
    domains: Sequence[str],
    lmtp: dovecot.Dovecot | None,
) -> dict[str, str]:
    settings = {
        "compatibility_level": "3.6",
        "queue_directory": f"{folder}/spool",
        "data_directory": f"{folder}/data",
        "daemon_directory": LIBRARY,
        "command_directory": "/usr/sbin",
        "meta_directory": "/etc/postfix",
        "shlib_directory": "/usr/lib/postfix",
        "maillog_file": f"{folder}/mail.log",
        "maillog_file_prefixes": str(folder),
        "myhostname": name,
        "mydestination": "",
        "local_recipient_maps": "",
        "alias_maps": "",
        "mynetworks": "0.0.0.0/32",  # nobody: who wants to relay has to log in
        "inet_interfaces": "all",  # it knows only lo's 127.0.0.1; master.cf names the address
        "inet_protocols": "all" if ":" in host else "ipv4",
        "smtpd_tls_auth_only": "yes",
        "smtp_host_lookup": "dns, native",
        "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
    }
    if certificate:
        settings["smtpd_tls_chain_files"] = f"{certificate.key_file} {certificate.cert_file}"
        settings["smtpd_tls_security_level"] = "may"
    if lmtp:
        settings |= {
            "virtual_mailbox_domains": " ".join(domains),
            "virtual_transport": f"lmtp:inet:{lmtp.host}:{dovecot.LMTP}",
            "smtpd_sasl_type": "dovecot",
            "smtpd_sasl_path": str(lmtp.auth_socket),
        }
    return settings


def _master(host: str, ports: Sequence[int], login: bool, settings: Mapping[str, str]) -> str:
    """The listening services first: -o options of a port, unless the scenario sets them itself."""
    lines = []
    for port in ports:
        options = {"syslog_name": f"postfix/{port}"}
        if port != SMTP:
            options["smtpd_tls_security_level"] = "encrypt"
            options["smtpd_client_restrictions"] = "permit_sasl_authenticated,reject"
            options["smtpd_relay_restrictions"] = "permit_sasl_authenticated,reject"
            options["smtpd_sasl_auth_enable"] = "yes" if login else "no"
        if port == SUBMISSIONS:
            options["smtpd_tls_wrappermode"] = "yes"
        given = "".join(f" -o {k}={v}" for k, v in options.items() if k not in settings)
        lines.append(f"[{host}]:{port} inet n - n - - smtpd{given}")
    for service in SERVICES.splitlines():
        service_name, kind, private, wakeup, limit, program = service.split()
        lines.append(f"{service_name} {kind} {private} - n {wakeup} {limit} {program}")
    return "\n".join(lines) + "\n"


def _queue(folder: Path) -> None:
    """The queue as ``postfix set-permissions`` would make it."""
    process.own(folder / "data", "postfix")
    (folder / "spool/pid").mkdir(parents=True)
    for queue in QUEUES.split():
        process.own(folder / "spool" / queue, "postfix", "root", 0o700)
    process.own(folder / "spool/maildrop", "postfix", "postdrop", 0o1730)
    process.own(folder / "spool/public", "postfix", "postdrop", 0o2710)
