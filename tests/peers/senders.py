"""Programs that send one message by a generated profile, each as its steps say.

``install`` puts the files in their places on a ``Machine`` and writes the password where the reader
of the steps would. ``SENDERS[client id]`` then makes the real program send ``Message``.
"""

from __future__ import annotations

import smtplib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import peers
from peers import postfix, process
from peers.machine import Machine
from posthouse.setup.profile import PASSWORD_HERE, Profile

LOCAL = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent."""

    sender: str
    recipient: str
    subject: str

    @property
    def source(self) -> bytes:
        """As a program reads it from stdin."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self.sender, self.recipient, self.subject
        mail.set_content("A test.\n")
        return mail.as_bytes()


def install(machine: Machine, profile: Profile, password: str) -> None:
    """All files, with the password in place of its mark."""
    for file in profile.files:
        quoted = password.replace("'", "'\"'\"'") if file.name == "remotes" else password
        if file.name == ".env":
            quoted = password.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
        content = file.content.replace(PASSWORD_HERE.encode(), quoted.encode())
        place = file.place or file.name
        place = place.replace("/usr/local/share/ca-certificates", "/etc/ssl/certs")
        if file.append:
            machine.append(place, content)
        else:
            machine.write(place, content)
        machine.path(place).chmod(file.mode)


@dataclass(frozen=True, slots=True)
class Job:
    """One run."""

    machine: Machine
    profile: Profile
    letter: Letter
    password: str

    def file(self, name: str) -> str:
        """Where a file of the profile is, seen from outside."""
        return str(self.machine.path(next(f.place for f in self.profile.files if f.name == name)))


def _secret_file(job: Job) -> None:
    """~/.config/posthouse/ADDRESS.password."""
    place = "~/.config/posthouse/alice-example.test.password"
    job.machine.write(place, job.password + "\n", 0o600)


def msmtp(job: Job) -> process.Ran:
    _secret_file(job)
    return job.machine.run("msmtp", job.letter.recipient, stdin=job.letter.source)


def mutt(job: Job) -> process.Ran:
    _secret_file(job)
    letter = job.letter
    command = [job.profile.client.id, "-s", letter.subject, letter.recipient]
    return job.machine.run(*command, stdin=b"A test.\n")


def git(job: Job) -> process.Ran:
    url = next(step for step in job.profile.steps if "smtp://" in step)
    url = url[url.index("smtp://") :].split()[0]
    script = """set -e
git config --global credential.helper store
git config --global user.name A && git config --global user.email "$4"
git init -q && echo text > file && git add file
git commit -qm "$2"
printf 'url=%s\\npassword=%s\\n\\n' "$3" "$SECRET" | git credential approve
git send-email --confirm=never --suppress-cc=all --to="$1" -1
"""
    letter = job.letter
    words = ["sh", "-c", script, "sh", letter.recipient, letter.subject, url, letter.sender]
    return job.machine.run(*words, env={"SECRET": job.password})


def nullmailer(job: Job) -> process.Ran:
    machine, letter = job.machine, job.letter
    for name in ("pausetime", "sendtimeout"):
        machine.write(f"/etc/nullmailer/{name}", "0\n" if name == "pausetime" else "20\n")
    script = """
cd /var/spool/nullmailer && mkdir -p queue tmp failed && mkfifo trigger
nullmailer-inject "$1" && { nullmailer-send & sleep 0; wait; }
"""
    return machine.run("sh", "-c", script, "sh", letter.recipient, stdin=letter.source)


def exim(job: Job) -> process.Ran:
    return _exim(job, "/etc/exim/exim.conf", "true")


def exim_debian(job: Job) -> process.Ran:
    return _exim(job, "/etc/exim4/test.conf", "update-exim4.conf -o /etc/exim4/test.conf")


def exim_debian_split(job: Job) -> process.Ran:
    conf = job.machine.path("/etc/exim4/update-exim4.conf.conf")
    text = conf.read_text()
    assert "dc_use_split_config='false'" in text
    conf.write_text(text.replace("dc_use_split_config='false'", "dc_use_split_config='true'"))
    job.machine.path("/etc/exim4/exim4.conf.localmacros").unlink()
    return exim_debian(job)


def _exim(job: Job, config: str, prepare: str) -> process.Ran:
    machine, letter = job.machine, job.letter
    for secret in ("/etc/exim/relay-password", "/etc/exim4/passwd.client"):
        if machine.path(secret).exists():
            machine.write(secret, machine.path(secret).read_bytes(), 0o640, "Debian-exim")
    machine.write("/etc/exim4/trusted_configs", f"{config}\n")
    machine.write("/etc/mailname", "client.test\n")
    script = f"""{prepare} && chmod 644 {config} || exit 98
chown Debian-exim /var/spool/exim4
exim4 -C {config} -odf -f "$1" "$2"; cat /var/log/exim4/mainlog"""
    return machine.run(
        "sh", "-c", script, "sh", letter.sender, letter.recipient, stdin=letter.source
    )


def postfix_relay(job: Job) -> process.Ran:
    """main.cf's lines on top of a plain Postfix's own; the map by the real postmap."""
    here = str(job.machine.path("/etc/postfix"))
    lines = Path(job.file("main.cf")).read_text().splitlines()
    lines = lines[next(n for n, line in enumerate(lines) if line.startswith("relayhost")) :]
    pairs = [line.replace("/etc/postfix", here).split(" = ", 1) for line in lines]
    settings = {**dict(pairs), "mynetworks": "127.0.0.0/8", "minimal_backoff_time": "60s"}
    settings["smtpd_relay_restrictions"] = "permit_mynetworks, reject"
    process.run_client(["postmap", "-c", here, f"hash:{here}/sasl_passwd"])
    with postfix.running("127.0.0.50", None, ports=[25], settings=settings) as relay:
        return _hand_in("127.0.0.50", job, lambda: relay.daemon.log())


def opensmtpd(job: Job) -> process.Ran:
    machine = job.machine
    for name in ("smtpd.conf", "smtpd-secrets"):
        Path(job.file(name)).chmod(0o600)
    machine.write("/etc/aliases", "root: alice\n")
    own = machine.path("/etc/ssl/certs/posthouse-relay.crt")
    if own.exists():  # what update-ca-certificates does
        machine.append("/etc/ssl/certs/ca-certificates.crt", own.read_bytes())
    folder = process.new_folder("smtpd")
    Path("/var/spool/smtpd").chmod(0o711)
    command = machine.command("/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf")
    # It looks names up only where the machine has an address besides 127.0.0.1.
    address = ["192.0.2.50/32", "dev", "lo"]
    subprocess.run(["ip", "address", "add", *address], check=True)
    try:
        with process.running("opensmtpd relay", command, folder, ports=[(LOCAL, 25)]) as daemon:
            return _hand_in(LOCAL, job, daemon.log)
    finally:
        subprocess.run(["ip", "address", "del", *address], check=True)


def _hand_in(host: str, job: Job, log: Callable[[], str]) -> process.Ran:
    """Give the letter to a relay and wait for its word on what became of it."""
    with smtplib.SMTP(host, 25, timeout=20) as client:
        client.sendmail(job.letter.sender, [job.letter.recipient], job.letter.source)
    ends = ("status=sent", "status=deferred", "status=bounced", "result=Ok", 'result="Ok')
    ends += ("result=TempFail", 'result="TempFail', 'result="PermFail', "result=PermFail")
    process.wait_until("the relay's word", lambda: any(end in log() for end in ends), 30)
    text = log()
    return process.Ran(0 if "status=sent" in text or 'result="Ok' in text else 1, text)


def python(job: Job) -> process.Ran:
    script = """
import sys, email, email.policy, send_mail
send_mail.send(email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default))
"""
    env = {"SMTP_PASSWORD": job.password, "SMTP_TOKEN": job.password}
    return job.machine.run(sys.executable, "-c", script, stdin=job.letter.source, env=env)


def django(job: Job) -> process.Ran:
    script = """
import sys
from django.core.mail import send_mail
assert send_mail(sys.argv[2], "A test.", None, [sys.argv[1]]) == 1
"""
    job.machine.path("settings.py").rename(job.machine.path("mysettings.py"))
    env = {"EMAIL_HOST_PASSWORD": job.password, "DJANGO_SETTINGS_MODULE": "mysettings"}
    return _python_app(job, script, env)


def flask(job: Job) -> process.Ran:
    script = """
import sys
from flask import Flask
from flask_mailman import EmailMessage, Mail
app = Flask("app")
app.config.from_object("mail_settings")
Mail(app)
with app.app_context():
    assert EmailMessage(sys.argv[2], "A test.", None, [sys.argv[1]]).send() == 1
"""
    return _python_app(job, script, {"MAIL_PASSWORD": job.password})


def _python_app(job: Job, script: str, env: dict[str, str]) -> process.Ran:
    trust = _environment_trust(job)
    command = [sys.executable, "-c", script, job.letter.recipient, job.letter.subject]
    return job.machine.run(*command, env={**env, **trust})


def _environment_trust(job: Job) -> dict[str, str]:
    """What the note "ca_environment" asks for."""
    if not any(note.id == "ca_environment" for note in job.profile.notes):
        return {}
    return {"SSL_CERT_FILE": job.file("ca.pem")}


def rails(job: Job) -> process.Ran:
    script = """
require "action_mailer"
load "config/initializers/smtp.rb"
ActionMailer::Base.mail(to: ARGV[0], subject: ARGV[1], body: "A test.").deliver_now
"""
    command = ["ruby", "-e", script, job.letter.recipient, job.letter.subject]
    return job.machine.run(*command, env={"SMTP_PASSWORD": job.password})


def gitlab(job: Job) -> process.Ran:
    """GitLab gives these settings to ActionMailer, name by name, without "smtp_" before them."""
    job.machine.write("/etc/gitlab/smtp_password", job.password + "\n", 0o600)
    script = """
require "action_mailer"
gitlab_rails = {}
eval(File.read("/etc/gitlab/gitlab.rb"))
names = %w[address port user_name password domain authentication tls enable_starttls_auto
           openssl_verify_mode ca_file]
smtp = names.to_h { |n| [n.to_sym, gitlab_rails["smtp_#{n}"]] }.compact
smtp[:authentication] &&= smtp[:authentication].to_sym
mailer = ActionMailer::Base
mailer.delivery_method = :smtp
mailer.smtp_settings = smtp
mailer.mail(from: gitlab_rails["gitlab_email_from"], to: ARGV[0], subject: ARGV[1],
            body: "A test.").deliver_now
"""
    command = ["ruby", "-e", script, job.letter.recipient, job.letter.subject]
    return job.machine.run(*command)


def laravel(job: Job) -> process.Ran:
    """What Laravel does with these variables: phpdotenv, then Symfony's SMTP transport."""
    script = r"""
foreach (["Dotenv", "Symfony/Component/Mailer"] as $part) { require "$part/autoload.php"; }
$env = Dotenv\Dotenv::createArrayBacked(getcwd())->load();
$dsn = new Symfony\Component\Mailer\Transport\Dsn($env["MAIL_SCHEME"], $env["MAIL_HOST"],
    $env["MAIL_USERNAME"], $env["MAIL_PASSWORD"], (int) $env["MAIL_PORT"]);
$transport = (new Symfony\Component\Mailer\Transport\Smtp\EsmtpTransportFactory())->create($dsn);
$from = new Symfony\Component\Mime\Address($env["MAIL_FROM_ADDRESS"], $env["MAIL_FROM_NAME"]);
$transport->send((new Symfony\Component\Mime\Email())->from($from)->to($argv[1])
    ->subject($argv[2])->text("A test."));
"""
    command = [php_program(), "-d", "extension=mbstring", "-r", script]
    command += [job.letter.recipient, job.letter.subject]
    return job.machine.run(*command, env=_environment_trust(job))


def php_program() -> str:
    """Without Debian's alternatives the program has its version in its name."""
    return str(next(Path("/usr/bin").glob("php[0-9]*")))


def wordpress(job: Job) -> process.Ran:
    """What WordPress does: load the plugin, let it set PHPMailer up, send."""
    script = r"""
require "/usr/share/php/libphp-phpmailer/autoload.php";
function add_action($name, $callback) { $GLOBALS[$name] = $callback; }
define("SMTP_PASSWORD", getenv("SECRET"));
require getcwd() . "/wp-content/mu-plugins/posthouse-mail.php";
$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->CharSet = "UTF-8";
$GLOBALS["phpmailer_init"]($mail);
$mail->addAddress($argv[1]);
$mail->Subject = $argv[2];
$mail->Body = "A test.";
$mail->send();
"""
    command = [php_program(), "-r", script, job.letter.recipient, job.letter.subject]
    return job.machine.run(*command, env={"SECRET": job.password})


def nodemailer(job: Job) -> process.Ran:
    script = """
const [to, subject] = process.argv.slice(1);
require(process.cwd() + "/mailer").sendMail({ to, subject, text: "A test." })
  .catch((error) => { console.log(error.message); process.exitCode = 1; });
"""
    modules = str(peers.ROOT / ".peers" / "npm" / "node_modules")
    env = {"SMTP_PASSWORD": job.password, "SMTP_TOKEN": job.password, "NODE_PATH": modules}
    return job.machine.run("node", "-e", script, job.letter.recipient, job.letter.subject, env=env)


JAVA = """
import java.io.*;
import java.util.*;
import javax.mail.*;
import javax.mail.internet.*;

public class Send {
    public static void main(String[] args) throws Exception {
        Properties given = new Properties(), own = new Properties();
        given.load(new FileReader("src/main/resources/application.properties"));
        String head = "spring.mail.properties.";
        for (String name : given.stringPropertyNames())
            if (name.startsWith(head))
                own.setProperty(name.substring(head.length()), given.getProperty(name));
        String password = given.getProperty("spring.mail.password");
        if (!password.equals("${SMTP_PASSWORD}")) throw new Exception(password);
        Session session = Session.getInstance(own);
        MimeMessage mail = new MimeMessage(session);
        mail.setFrom(new InternetAddress(args[2]));
        mail.setRecipients(Message.RecipientType.TO, args[0]);
        mail.setSubject(args[1]);
        mail.setText("A test.");
        Transport transport = session.getTransport("smtp");
        transport.connect(given.getProperty("spring.mail.host"),
            Integer.parseInt(given.getProperty("spring.mail.port")),
            given.getProperty("spring.mail.username"), System.getenv("SMTP_PASSWORD"));
        transport.sendMessage(mail, mail.getAllRecipients());
        transport.close();
    }
}
"""


def spring(job: Job) -> process.Ran:
    """What Spring does with these properties: JavaMail, with "spring.mail.properties." cut off."""
    machine, letter = job.machine, job.letter
    machine.write("Send.java", JAVA)
    jars = "/usr/share/java/javax.mail.jar:/usr/share/java/javax.activation.jar"
    command = ["java", "-cp", jars]
    if machine.path("ca.pem").exists():  # the step with keytool
        store = ["-keystore", "trust.jks", "-storepass", "changeit", "-noprompt"]
        machine.run("keytool", "-importcert", "-alias", "mail", "-file", "ca.pem", *store)
        command.append("-Djavax.net.ssl.trustStore=trust.jks")
        command.append("-Djavax.net.ssl.trustStorePassword=changeit")
    command += ["Send.java", letter.recipient, letter.subject, letter.sender]
    return machine.run(*command, env={"SMTP_PASSWORD": job.password})


@dataclass(frozen=True, slots=True)
class Sender:
    """A way to send by one client's profile, and the peers that needs."""

    client: str
    send: Callable[[Job], process.Ran]
    needs: tuple[str, ...] = ()
    spool: tuple[str, ...] = ()  # folders of its own below /var/spool


SENDERS = (
    Sender("msmtp", msmtp, ("msmtp",)),
    Sender("nullmailer", nullmailer, ("nullmailer",), ("/var/spool/nullmailer",)),
    Sender("git", git, ("git-email",)),
    Sender("mutt", mutt, ("mutt",)),
    Sender("neomutt", mutt, ("neomutt",)),
    Sender("postfix", postfix_relay, ("postfix",)),
    Sender("exim", exim, ("exim",), ("/var/spool/exim4",)),
    Sender("exim-debian", exim_debian, ("exim",), ("/var/spool/exim4",)),
    Sender("exim-debian", exim_debian_split, ("exim",), ("/var/spool/exim4",)),
    Sender("opensmtpd", opensmtpd, ("opensmtpd",), ("/var/spool/smtpd",)),
    Sender("python", python),
    Sender("django", django),
    Sender("flask", flask),
    Sender("rails", rails, ("actionmailer",)),
    Sender("gitlab", gitlab, ("actionmailer",)),
    Sender("laravel", laravel, ("symfony-mailer",)),
    Sender("wordpress", wordpress, ("phpmailer",)),
    Sender("nodemailer", nodemailer, ("nodemailer",)),
    Sender("spring", spring, ("javamail",)),
)
