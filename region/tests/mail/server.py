"""A mail server (aiosmtpd) that prints what it gets, one JSON object a line.

Arguments: port, `plain`, `starttls` or `tls`, and then the files of certificate and key. With TLS only `ann` with the password
`s3cret-word` may send.
"""
import json
import ssl
import sys
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult


class Printer:
    async def handle_DATA(self, server, session, envelope):
        login = session.auth_data
        print(json.dumps({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "user": login.login.decode() if login else None,
            "text": envelope.content.decode(),
        }), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"ann", b"s3cret-word"), auth_data=data)


class Mail(Controller):
    def __init__(self, port, how, context):
        self.how, self.context = how, context
        super().__init__(Printer(), hostname="127.0.0.1", port=port, ssl_context=context if how == "tls" else None)

    def factory(self):
        if self.how == "plain":
            return SMTP(self.handler)
        early = self.how == "starttls"
        return SMTP(
            self.handler,
            tls_context=self.context if early else None,
            require_starttls=early,
            authenticator=authenticate,
            auth_required=True,
            # Its own check knows STARTTLS only, not TLS from the start.
            auth_require_tls=early,
        )


port, how, *files = sys.argv[1:]
context = None
if files:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
Mail(int(port), how, context).start()
print("listens", flush=True)
while True:
    time.sleep(3600)
