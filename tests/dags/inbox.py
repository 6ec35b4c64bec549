"""A mail server that keeps what it is sent."""

import email
import socketserver


class Inbox(socketserver.ThreadingTCPServer):
    """As much of SMTP as one message without TLS needs."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        self.messages: list[str] = []
        super().__init__(("127.0.0.1", 0), _Session)


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self._say("220 inbox")
        while line := self.rfile.readline().decode().strip():
            verb = line.split()[0].upper()
            if verb == "DATA":
                self._say("354 go ahead")
                lines = []
                while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(line)
                self.server.messages.append("\n".join(lines))
            self._say("221 bye" if verb == "QUIT" else "250 inbox")
            if verb == "QUIT":
                return

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


def text(message: str) -> str:
    """What a reader sees: lines that were wrapped on their way are whole again."""
    return email.message_from_string(message).get_payload(decode=True).decode()
