"""How fast messages are signed and verified.

    python benchmarks/dkim.py [--seconds 2] [--size 4096] [--mailauth FOLDER] [--json]

In one run and in turns of some milliseconds, so that what else the machine does hits all alike:
the bare RSA-2048 signature of ``cryptography``, the same for Ed25519, this project, and dkimpy
where it is installed. One thread. The fastest tenth of the turns counts, since what else runs on
the machine only ever makes it slower; the middle is told beside. Bar: signing 4 KiB with RSA-2048
reaches 90 % of the bare signature's rate.

FOLDER is one in which ``npm install mailauth`` was run. Node.js times it after the others, in turns
of the same length; one of its signatures is verified here, and one by itself.
"""

from __future__ import annotations

import argparse
import base64
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]
sys.path = [place for place in sys.path if Path(place or ".").resolve() != ROOT / "benchmarks"]

from benchmarks._node import run_node  # noqa: E402
from cryptography.hazmat.primitives import hashes  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import padding  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: E402

from posthouse.protocol import dkim  # noqa: E402
from posthouse.protocol.dns import Answer, AnswerStatus, Ask, run  # noqa: E402

AT = 1_700_000_000
TURN = 0.01  # seconds
Rate = tuple[float, float]  # fastest, middle
LINE = b"The quick brown fox jumps over the lazy dog, and then it does so once more.\r\n"
HEADER = (
    b"Received: from client.example.net (client.example.net [192.0.2.1])\r\n"
    b"\tby mx.example.com with ESMTPSA id 4aBcDe; Tue, 14 Nov 2023 22:13:20 +0000\r\n"
    b"From: Alice <alice@example.com>\r\n"
    b"To: Bob <bob@example.net>\r\n"
    b"Subject: Figures for the third quarter\r\n"
    b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
    b"Message-ID: <20231114221320.1234@example.com>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n"
    b"User-Agent: Example/1.0\r\n"
    b"\r\n"
)


def message(size: int) -> bytes:
    body = LINE * (size // len(LINE) + 1)
    return HEADER + body[: max(0, size - len(HEADER) - 2)] + b"\r\n"


NODE = """
const {dkimSign} = require(process.argv[1] + '/node_modules/mailauth/lib/dkim/sign');
const {dkimVerify} = require(process.argv[1] + '/node_modules/mailauth/lib/dkim/verify');
const input = JSON.parse(require('fs').readFileSync(0));
const mail = Buffer.from(input.mail, 'base64');
const options = {
  canonicalization: 'relaxed/relaxed',
  signatureData: [{signingDomain: 'example.com', selector: 'rsa', privateKey: input.key}],
};
const resolver = async () => [[input.record]];
async function timed(work) {
  const turns = [];
  const end = performance.now() + input.seconds * 1000;
  while (performance.now() < end) {
    const begin = performance.now();
    let number = 0;
    while (performance.now() - begin < input.turn * 1000) { await work(); number++; }
    turns.push((performance.now() - begin) / 1000 / number);
  }
  return turns;
}
(async () => {
  const made = await dkimSign(mail, options);
  if (made.errors.length) throw new Error(JSON.stringify(made.errors));
  const signed = Buffer.concat([Buffer.from(made.signatures), mail]);
  const checked = await dkimVerify(signed, {resolver});
  if (checked.results[0].status.result !== 'pass') throw new Error(JSON.stringify(checked));
  console.log(JSON.stringify({
    signed: signed.toString('base64'),
    sign: await timed(() => dkimSign(mail, options)),
    verify: await timed(() => dkimVerify(signed, {resolver})),
  }));
})();
"""


def mailauth(folder: Path, size: int, seconds: float) -> tuple[Rate, Rate]:
    """Rates of signing and verifying."""
    key = dkim.generate()
    record = dkim.record_text(key)
    data = {
        "mail": base64.b64encode(message(size)).decode(),
        "key": dkim.write_private_key(key).decode(),
        "record": record,
        "seconds": seconds,
        "turn": TURN,
    }
    found = run_node(NODE, folder, data)

    def lookup(ask: Ask) -> Answer:
        return Answer(ask.name, ask.type, AnswerStatus.OK, (record,))

    signed = base64.b64decode(found["signed"])
    assert run(dkim.verify(signed, now=int(time.time())), lookup).code is dkim.Code.PASS
    return rate(found["sign"]), rate(found["verify"])


def in_turns(works: dict[str, Callable[[], object]], seconds: float) -> dict[str, Rate]:
    """Rates a second: of the fastest tenth of many short turns, and of the middle one."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    end = time.perf_counter() + seconds * len(works)
    while time.perf_counter() < end:
        for name, work in works.items():
            number, began = 0, time.perf_counter()
            while (took := time.perf_counter() - began) < TURN:
                work()
                number += 1
            times[name].append(took / number)
    return {name: rate(each) for name, each in times.items()}


def rate(times: list[float]) -> Rate:
    ordered = sorted(times)
    tenth = max(1, len(ordered) // 10)
    return 1 / statistics.mean(ordered[:tenth]), 1 / statistics.median(ordered)


def works(size: int) -> tuple[dict[str, Callable[[], object]], dict[str, Callable[[], object]]]:
    """What signs, and what verifies."""
    rsa, ed = dkim.generate(), dkim.generate("ed25519")
    assert isinstance(rsa, RSAPrivateKey)
    pkcs1, sha256 = padding.PKCS1v15(), hashes.SHA256()
    mail, some = message(size), b"x" * 800
    rsa_key = dkim.SigningKey("example.com", "rsa", rsa)
    ed_key = dkim.SigningKey("example.com", "ed", ed)
    signer, ed_signer = dkim.Signer([rsa_key]), dkim.Signer([ed_key])
    both = dkim.Signer([rsa_key, ed_key])
    records = {
        "rsa._domainkey.example.com": dkim.record_text(rsa),
        "ed._domainkey.example.com": dkim.record_text(ed),
    }

    def lookup(ask: Ask) -> Answer:
        return Answer(ask.name, ask.type, AnswerStatus.OK, (records[ask.name],))

    signed, ed_signed = signer.sign(mail, at=AT) + mail, ed_signer.sign(mail, at=AT) + mail
    bare, public = rsa.sign(some, pkcs1, sha256), rsa.public_key()

    def verify(mail: bytes) -> None:
        assert run(dkim.verify(mail, now=AT), lookup).code is dkim.Code.PASS

    sign: dict[str, Callable[[], object]] = {
        "bare rsa-2048": lambda: rsa.sign(some, pkcs1, sha256),
        "posthouse rsa-2048": lambda: signer.sign(mail, at=AT),
        "bare ed25519": lambda: ed.sign(some),
        "posthouse ed25519": lambda: ed_signer.sign(mail, at=AT),
        "posthouse both": lambda: both.sign(mail, at=AT),
    }
    verified: dict[str, Callable[[], object]] = {
        "bare rsa-2048": lambda: public.verify(bare, some, pkcs1, sha256),
        "posthouse rsa-2048": lambda: verify(signed),
        "posthouse ed25519": lambda: verify(ed_signed),
    }
    try:
        import dkim as dkimpy
    except ImportError:
        return sign, verified
    pem = dkim.write_private_key(rsa)

    def dns(name: bytes, timeout: int = 5) -> bytes:
        return records[name.decode().rstrip(".")].encode()

    relaxed = (b"relaxed", b"relaxed")
    sign["dkimpy rsa-2048"] = lambda: dkimpy.sign(
        mail, b"rsa", b"example.com", pem, canonicalize=relaxed
    )
    verified["dkimpy rsa-2048"] = lambda: dkimpy.verify(signed, dnsfunc=dns)
    return sign, verified


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each row")
    parser.add_argument("--size", type=int, default=4_096, help="octets of the message")
    parser.add_argument("--mailauth", type=Path, metavar="FOLDER")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    signing, verifying = works(options.size)
    sign, verify = in_turns(signing, options.seconds), in_turns(verifying, options.seconds)
    if options.mailauth is not None:
        name = "mailauth rsa-2048"
        sign[name], verify[name] = mailauth(options.mailauth, options.size, options.seconds)
    share, middle = (
        ours / bare
        for ours, bare in zip(sign["posthouse rsa-2048"], sign["bare rsa-2048"], strict=True)
    )
    if options.json:
        print(json.dumps({"schema": 1, "sign": sign, "verify": verify, "share": share}))
        return
    for title, rates in (("sign", sign), ("verify", verify)):
        print(f"{title + f', {options.size} octets':<24} {'fastest':>10}   {'middle':>10}")
        for name, (fastest, usual) in rates.items():
            print(f"  {name:<22} {fastest:>10,.0f}/s {usual:>10,.0f}/s")
    print(f"share of the bare RSA-2048 signature: {share:.1%}, middle {middle:.1%} (bar: 90 %)")


if __name__ == "__main__":
    main()
