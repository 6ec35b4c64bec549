"""A small SMTP server on loopback that keeps what it is sent."""

import asyncio
import base64
import datetime
import ipaddress
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass
class Inbox:
    port: int = 0
    mails: list = field(default_factory=list)  # (encrypted, login, recipients, message)


class _Session:
    def __init__(self, inbox, reader, writer, context, refuse):
        self.inbox, self.reader, self.writer = inbox, reader, writer
        self.context, self.refuse = context, refuse
        self.encrypted, self.login, self.to = False, "", []

    async def say(self, text):
        self.writer.write(text.encode() + b"\r\n")
        await self.writer.drain()

    async def serve(self):
        await self.say("220 inbox")
        while line := (await self.reader.readline()).decode().strip():
            verb = line.split(" ")[0].upper()
            if verb == "QUIT":
                await self.say("221 bye")
                break
            await getattr(self, verb.lower(), self.unknown)(line)
        self.writer.close()

    async def unknown(self, line):
        await self.say("502 unknown")

    async def ehlo(self, _line):
        if self.context and not self.encrypted:
            await self.say("250-inbox\r\n250 STARTTLS")
        else:
            await self.say("250-inbox\r\n250 AUTH PLAIN")

    async def starttls(self, _line):
        await self.say("220 go ahead")
        await self.writer.start_tls(self.context)
        self.encrypted = True

    async def auth(self, line):
        _, user, password = base64.b64decode(line.split(" ")[2]).split(b"\0")
        if password != b"secret":
            await self.say("535 wrong password")
            return
        self.login = user.decode()
        await self.say("235 welcome")

    async def mail(self, _line):
        self.to = []
        await self.say("250 ok")

    async def rcpt(self, line):
        address = line.partition("<")[2].partition(">")[0]
        if address in self.refuse:
            await self.say("550 nobody here")
            return
        self.to.append(address)
        await self.say("250 ok")

    async def rset(self, _line):
        await self.say("250 ok")

    async def data(self, _line):
        await self.say("354 speak")
        lines = []
        while (line := await self.reader.readline()) != b".\r\n":
            lines.append(line[1:] if line.startswith(b"..") else line)
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        self.inbox.mails.append((self.encrypted, self.login, tuple(self.to), message))
        await self.say("250 kept")


@contextmanager
def smtp_server(*, context=None, refuse=()):
    inbox, loop, ready = Inbox(), asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    async def run():
        async def handle(reader, writer):
            await _Session(inbox, reader, writer, context, refuse).serve()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        inbox.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    ready.wait()
    try:
        yield inbox
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def certificate(folder):
    """Write a self-signed certificate for 127.0.0.1; return its path and a server context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, secret)
    return cert, context
