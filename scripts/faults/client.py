"""HTTP/1.1 over plain sockets: the state of connections is visible, and nothing is retried."""

import asyncio
import json
import time

from .report import Broken

PASSWORD = "Correct-Horse-7"


class Lost(Exception):
    """A request without a whole answer. `how`: refused (no connection), closed (before a byte came), cut, or silent (no answer in time)."""

    def __init__(self, how, seconds=0.0):
        super().__init__(how)
        self.how, self.seconds = how, seconds


class Answer:
    def __init__(self, status, headers, body, began):
        self.status, self.headers, self.body = status, headers, body
        self.began, self.ended = began, time.monotonic()

    @property
    def seconds(self):
        return self.ended - self.began

    @property
    def ok(self):
        return 200 <= self.status < 300

    def json(self):
        return json.loads(self.body)


def head(method, path, host, headers=(), body=b""):
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", *(f"{name}: {value}" for name, value in dict(headers).items())]
    if body or method in ("POST", "PUT"):
        lines.append(f"content-length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Client:
    """One connection, opened when it is needed and kept while the server keeps it."""

    def __init__(self, port, token=None, host=None):
        self.port, self.token, self.host = port, token, host or f"127.0.0.1:{port}"
        self.stream = None

    def close(self):
        if self.stream:
            self.stream[1].close()
            self.stream = None

    @property
    def kept(self):
        """Whether there is a connection that the server has not closed, as far as is known here."""
        return self.stream is not None and not self.stream[0].at_eof() and not self.stream[1].is_closing()

    async def request(self, method, path, body=None, headers=None, patience=30):
        """Sends a request and reads the answer. `body`: bytes, or what becomes JSON. Raises `Lost`."""
        began = time.monotonic()
        headers = dict(headers or {})
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        if body is not None and not isinstance(body, bytes):
            headers["content-type"], body = "application/json", json.dumps(body).encode()
        if not self.kept:
            self.close()
        received = False
        try:
            async with asyncio.timeout(patience):
                if self.stream is None:
                    try:
                        self.stream = await asyncio.open_connection("127.0.0.1", self.port)
                    except OSError:
                        raise Lost("refused", time.monotonic() - began) from None
                reader, writer = self.stream
                writer.write(head(method, path, self.host, headers, body or b""))
                await writer.drain()
                first = await reader.readexactly(1)
                received = True
                text = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                fields = {}
                for line in text[1:]:
                    name, _, value = line.partition(":")
                    fields[name.lower()] = value.strip()
                status = int(text[0].split()[1])
                answer = Answer(status, fields, await content(reader, fields, method, status), began)
        except TimeoutError:
            self.close()
            raise Lost("silent", time.monotonic() - began) from None
        except (OSError, EOFError, ValueError, IndexError):
            self.close()
            raise Lost("cut" if received else "closed", time.monotonic() - began) from None
        except BaseException:
            self.close()
            raise
        if fields.get("connection", "").lower() == "close":
            self.close()
        return answer


async def content(reader, fields, method, status):
    if method == "HEAD" or status in (204, 304):
        return b""
    if fields.get("transfer-encoding") == "chunked":
        parts = []
        while size := int(await reader.readline(), 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readexactly(2)
        return b"".join(parts)
    return await reader.readexactly(int(fields["content-length"]))


async def once(port, method, path, body=None, token=None, host=None, headers=None, patience=30):
    """A request on a connection of its own."""
    client = Client(port, token, host)
    try:
        return await client.request(method, path, body, headers, patience)
    finally:
        client.close()


async def eventually(what, ask, patience=60, pause=0.05):
    """Asks until the answer is true. `ask` may fail meanwhile."""
    deadline = time.monotonic() + patience
    last = None
    while time.monotonic() < deadline:
        try:
            if answer := await ask():
                return answer
            last = answer
        except (Lost, KeyError, IndexError, ValueError, StopIteration) as error:
            last = repr(error)
        await asyncio.sleep(pause)
    raise Broken(f"not within {patience} s: {what} ({last})")


class Account:
    """A customer with a verified address, a tenant and a site."""

    def __init__(self, email, token, tenant, refresh_token):
        self.email, self.token, self.tenant, self.refresh_token = email, token, tenant, refresh_token
        self.pages = f"/api/v1/tenants/{tenant}/pages"
        self.site = self.host = None

    def client(self, port):
        return Client(port, self.token)

    async def call(self, port, method, path, body=None, patience=60):
        """A call that has to succeed."""
        answer = await once(port, method, path, body, self.token, patience=patience)
        if not answer.ok:
            raise Broken(f"{method} {path} answered {answer.status}: {answer.body[:500]!r}")
        return answer.json() if answer.body else None

    async def sign_in(self, port):
        """For a new access token."""
        answer = await once(port, "POST", "/api/v1/auth/login", {"email": self.email, "password": PASSWORD})
        if answer.status != 200:
            raise Broken(f"signing in answered {answer.status}: {answer.body[:300]!r}")
        self.token = answer.json()["access_token"]

    async def make_site(self, port, name):
        site = await self.call(port, "POST", "/api/v1/sites", {"name": name.capitalize(), "subdomain": name})
        self.site, self.host = site["id"], site["url"].split("://")[1]
        home = {"title": "Home", "slug": "home", "status": "published", "isHome": True}
        self.home = (await self.call(port, "POST", self.pages, home))["id"]

    async def deploy(self, port):
        """Returns the deployment that was accepted."""
        return (await self.call(port, "POST", f"/api/v1/sites/{self.site}/deploy"))["id"]

    async def live(self, port, deployment, patience=60):
        """Waits until a deployment is live."""
        path = f"/api/v1/sites/{self.site}/deployments/{deployment}"

        async def ask():
            answer = await once(port, "GET", path, token=self.token, patience=10)
            return answer.status == 200 and answer.json()["status"] == "live"

        await eventually("the site is live", ask, patience)

    async def publish(self, port, patience=60):
        """Deploys the site and waits until it is live."""
        await self.live(port, await self.deploy(port), patience)


async def mails(port, email, kind):
    """The tokens of the mails of a kind (`verify-email`, for instance) that came to an address, newest first."""
    answer = await once(port, "GET", f"/dev/mailbox?to={email}", headers={"accept": "application/json"}, patience=10)
    link = f"{kind}?token="
    return [mail["text"].split(link)[1].split()[0] for mail in answer.json()["items"] if link in mail["text"]]


async def register(port, email, patience=60):
    """A new account with a verified address."""
    person = {"email": email, "password": PASSWORD, "fullName": "Ada Check"}
    answer = await once(port, "POST", "/api/v1/auth/register", person, patience=patience)
    if answer.status != 201:
        raise Broken(f"registration answered {answer.status}: {answer.body[:500]!r}")
    token, refresh_token = answer.json()["access_token"], answer.json()["refresh_token"]
    link = await eventually("the mail to verify an address", lambda: mails(port, email, "verify-email"), patience)
    verified = await once(port, "POST", "/api/v1/auth/verify-email", {"token": link[0]})
    if not verified.ok:
        raise Broken(f"the address was not verified: {verified.status}")
    profile = await once(port, "GET", "/api/v1/profile", token=token)
    return Account(email, token, profile.json()["activeTenantId"], refresh_token)
