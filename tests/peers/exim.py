"""Exim: a submission server (587, 465) and MX (25) that keeps its domains' mail in Maildirs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from fakes.certs import Issued
from peers import process

SMTP, SUBMISSION, SUBMISSIONS = 25, 587, 465
USER = "Debian-exim"


@dataclass(frozen=True, slots=True)
class Smarthost:
    """Where Exim hands in mail for other domains; ``transport`` are more lines of its transport."""

    host: str
    port: int = SMTP
    user: str = ""
    password: str = ""
    transport: str = ""


@dataclass(frozen=True, slots=True)
class Exim:
    """A running Exim."""

    host: str
    daemon: process.Daemon

    def messages(self, address: str) -> list[bytes]:
        """What has been delivered to that address."""
        return process.maildir(self.daemon.folder / "mail" / address)

    def wait_for_messages(self, address: str, count: int = 1) -> list[bytes]:
        """Wait until so many messages are there."""
        return process.wait_for_messages(lambda: self.messages(address), count)


@contextmanager
def running(
    host: str,
    users: Mapping[str, str],
    certificate: Issued,
    *,
    name: str = "mail.test",
    domains: Sequence[str] = ("example.test",),
    main: str = "",
    acl_rcpt: str = "",
    smarthost: Smarthost | None = None,
) -> Iterator[Exim]:
    """Start Exim on ``host``; ``users`` may log in once TLS is on (PLAIN, LOGIN, CRAM-MD5).

    ``main`` is added to the main section of its configuration, ``acl_rcpt`` stands before its
    rules for RCPT. Without a ``smarthost``, other domains' mail goes where DNS says.
    """
    folder = process.new_folder("exim")
    for part in ("spool", "log", "mail"):
        process.own(folder / part, USER)
    # Exim reads them as its own user, each time a client starts TLS.
    for source, target in ((certificate.cert_file, "cert.pem"), (certificate.key_file, "key.pem")):
        shutil.copyfile(source, folder / target)
        process.own(folder / target, USER, mode=0o400)
    passwords = folder / "users"
    passwords.write_text("".join(f"{user}: {password}\n" for user, password in users.items()))
    process.own(passwords, USER, mode=0o400)
    config = folder / "exim.conf"
    config.write_text(
        CONFIG.format(
            folder=folder,
            host=host,
            name=name,
            domains=":".join(domains),
            main=main,
            acl=acl_rcpt,
            **_away(smarthost),
        )
    )
    with process.running(
        "exim",
        ["/usr/sbin/exim4", "-C", config, "-bdf", "-q30m"],
        folder,
        ports=[(host, port) for port in (SMTP, SUBMISSION, SUBMISSIONS)],
        log_files=[folder / "log" / part for part in ("main", "reject", "panic")],
    ) as daemon:
        yield Exim(host, daemon)


def _away(smarthost: Smarthost | None) -> dict[str, str]:
    """The parts of the configuration that depend on where other domains' mail goes."""
    if smarthost is None:
        parts = {"router": "driver = dnslookup", "remote": ""}
        return parts | dict.fromkeys(("plain", "login", "cram"), "")
    user, password = smarthost.user, smarthost.password
    return {
        "router": f"driver = manualroute\n  route_list = * {smarthost.host}",
        "remote": f"  port = {smarthost.port}\n" + smarthost.transport,
        "plain": f"  client_send = ^{user}^{password}" if user else "",
        "login": f"  client_send = : {user} : {password}" if user else "",
        "cram": f"  client_name = {user}\n  client_secret = {password}" if user else "",
    }


CONFIG = """\
primary_hostname = {name}
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = {folder}/spool
log_file_path = {folder}/log/%s
# Its children run the program again with -C, which only Debian's own file may do as root.
deliver_drop_privilege = true
keep_environment =
pid_file_path = {folder}/exim.pid
# Named in this order, 465 is TLS from the first byte and the others offer STARTTLS.
local_interfaces = <; [{host}]:25 ; [{host}]:587 ; [{host}]:465
tls_on_connect_ports = 465
tls_advertise_hosts = *
tls_certificate = {folder}/cert.pem
tls_privatekey = {folder}/key.pem
domainlist local_domains = {domains}
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 100
smtputf8_advertise_hosts = *
prdr_enable = true
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
# Only inside TLS (RFC 4954 section 4).
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
{main}
begin acl
rcpt:
{acl}
  accept authenticated = *
  deny condition = ${{if !={{$received_port}}{{25}}}}
       message = 5.7.1 Authentication required
  deny domains = !+local_domains
       message = 5.7.1 Relaying denied
  require verify = recipient
          message = 5.1.1 No such user here
  accept
begin routers
local:
  driver = accept
  domains = +local_domains
  # The key from the file, since what a client said may not name a folder.
  address_data = ${{lookup{{$local_part@$domain}}lsearch,ret=key{{{folder}/users}}{{$value}}fail}}
  transport = maildir
  no_more
away:
  {router}
  transport = remote
begin transports
maildir:
  driver = appendfile
  directory = {folder}/mail/$address_data
  maildir_format
  create_directory
remote:
  driver = smtp
{remote}
begin retry
* * F,2h,15m
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if eq{{$auth3}}{{\\
    ${{lookup{{$auth2}}lsearch{{{folder}/users}}{{$value}}fail}}}}}}
  server_set_id = $auth2
{plain}
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if eq{{$auth2}}{{\\
    ${{lookup{{$auth1}}lsearch{{{folder}/users}}{{$value}}fail}}}}}}
  server_set_id = $auth1
{login}
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{lookup{{$auth1}}lsearch{{{folder}/users}}{{$value}}fail}}
  server_set_id = $auth1
{cram}
"""
