"""Where the standalone stack's mails go: an SMTP server on loopback and a page to read them."""
