"""Real deliveries before the published libraries and the receivers of docs/webhooks.md, see scripts/check-webhooks."""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from standardwebhooks import Webhook, WebhookVerificationError

SERVER, TOOLS, DOCUMENT, FOLDER = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])

# How the receivers of the document are built and started: file, preparation, command.
LANGUAGES = {
    "python": ("receiver.py", None, [sys.executable, "receiver.py"]),
    "javascript": ("receiver.mjs", None, ["node", "receiver.mjs"]),
    "go": ("receiver.go", ["go", "build", "-o", "receiver", "receiver.go"], ["./receiver"]),
    "php": ("receiver.php", None, ["php", "-S", "127.0.0.1:{port}", "receiver.php"]),
    "java": ("Receiver.java", ["javac", "Receiver.java"], ["java", "-Xmx64m", "Receiver"]),
}

# Characters that a careless program would write in another way than we do.
TITLE = 'Pan de <b>"Ñandú"</b> & café \\ \U0001f950\u2028fin'


def main():
    customer = Customer()
    capture = Capture()
    hook = customer.webhook(capture.url)
    receivers = [Receiver(customer, language) for language in documented() if installed(language)]

    page = customer.page(TITLE)
    customer.call("PUT", f"/pages/{page}", {"title": "Renamed"})
    customer.call("DELETE", f"/pages/{page}")
    created, updated, deleted = (capture.wait(f"page.{verb}", page) for verb in ["created", "updated", "deleted"])
    same(json.loads(created.body)["data"]["title"], TITLE, "the title arrives as it was written")
    same(json.loads(updated.body)["changes"]["title"], {"from": TITLE, "to": "Renamed"}, "a change says from what to what")
    same(json.loads(deleted.body)["data"], None, "what was deleted has no data")
    first = hook["secret"]
    for delivery in [created, updated, deleted]:
        verified(delivery, first, True, "a delivery passes both libraries unchanged")
    for name, forged in forgeries(created, first):
        verified(forged, first, False, f"a delivery with {name} passes no library")
    for receiver in receivers:
        receiver.delivered("page.created", page, 204)
        for name, forged in forgeries(created, first, receiver.secret):
            same(receiver.send(forged), 400, f"{receiver.language} refuses a delivery with {name}")

    customer.call("POST", f"/webhooks/{hook['id']}/test")
    verified(capture.wait("webhook.test"), first, True, "a test delivery passes both libraries")

    again = customer.delivery(hook["id"], "page.created", page)
    count = len(capture.deliveries)
    customer.call("POST", f"/deliveries/{again['id']}/resend")
    repeat = capture.wait("page.created", page, after=count)
    same(repeat.headers["webhook-id"], created.headers["webhook-id"], "what is sent again has the same webhook-id")
    same(repeat.body, created.body, "what is sent again has the same bytes")

    capture.refusals = 1
    page = customer.page("Refused once")
    repeat = capture.wait("page.created", page)
    same(
        [delivery.headers["webhook-id"] for delivery in capture.refused],
        [repeat.headers["webhook-id"]],
        "what was refused comes again, with the same webhook-id",
    )
    verified(repeat, first, True, "the second attempt passes both libraries")

    second = customer.call("POST", f"/webhooks/{hook['id']}/rotate-secret", {"overlapHours": 1})["secret"]
    for receiver in receivers:
        receiver.rotate({"overlapHours": 1})
    page = customer.page("Signed twice")
    delivery = capture.wait("page.created", page)
    same(len(delivery.headers["webhook-signature"].split(" ")), 2, "two secrets sign after a rotation")
    verified(delivery, first, True, "the secret before the rotation is still good")
    verified(delivery, second, True, "the secret after the rotation is good at once")
    for name, forged in forgeries(delivery, second):
        verified(forged, second, False, f"a delivery signed twice with {name} passes no library")
    for receiver in receivers:
        receiver.delivered("page.created", page, 204)
        receiver.restart()
    page = customer.page("Signed twice, too")
    for receiver in receivers:
        receiver.delivered("page.created", page, 204)

    third = customer.call("POST", f"/webhooks/{hook['id']}/rotate-secret", {"overlapHours": 0})["secret"]
    delivery = capture.wait("page.created", customer.page("Signed once"))
    same(len(delivery.headers["webhook-signature"].split(" ")), 1, "one secret signs after a rotation without an overlap")
    verified(delivery, third, True, "it is the new one")
    for old in [first, second]:
        verified(delivery, old, False, "no old secret is good after a rotation without an overlap")

    for receiver in receivers:
        receiver.stop()
    names = ", ".join(receiver.language for receiver in receivers)
    print(f"{CHECKS} checks passed; receivers of the document that were run: {names}.")


CHECKS = 0


def same(found, expected, what):
    global CHECKS
    CHECKS += 1
    if found != expected:
        sys.exit(f"FAILED: {what}: {found!r} instead of {expected!r}")


def verified(delivery, secret, expected, what):
    """Both libraries give the same result for a delivery."""
    try:
        Webhook(secret).verify(delivery.body, delivery.headers)
        python = True
    except (WebhookVerificationError, UnicodeDecodeError):
        python = False
    same(python, expected, f"{what} (Python)")
    question = [{"secret": secret, "headers": delivery.headers, "body": base64.b64encode(delivery.body).decode()}]
    answer = subprocess.run(
        ["node", Path(__file__).with_name("check_webhooks.mjs"), TOOLS],
        input=json.dumps(question), capture_output=True, text=True, check=True,
    )
    same(json.loads(answer.stdout), [expected], f"{what} (npm)")


class Delivery:
    def __init__(self, headers, body):
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    def with_headers(self, **headers):
        return Delivery({**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}, self.body)


def forgeries(delivery, secret, own=None):
    """What must not pass, each with its name. With `own`, as if it had been sent to the webhook with that secret."""
    if own:
        delivery = signed(delivery, own, datetime.now(timezone.utc))
    flipped = bytearray(delivery.body)
    flipped[len(flipped) // 2] ^= 1
    yield "another body", Delivery(delivery.headers, bytes(flipped))
    yield "a longer body", Delivery(delivery.headers, delivery.body + b" ")
    yield "another id", delivery.with_headers(webhook_id=f"evt_{uuid.uuid4()}")
    later = str(int(delivery.headers["webhook-timestamp"]) + 1)
    yield "another time", delivery.with_headers(webhook_timestamp=later)
    yield "no signature", delivery.with_headers(webhook_signature="")
    other = "whsec_" + base64.b64encode(os.urandom(32)).decode()
    yield "another secret", signed(delivery, other, datetime.now(timezone.utc))
    for minutes in [-10, 10]:
        moment = datetime.now(timezone.utc) + timedelta(minutes=minutes)
        yield f"a time {minutes} minutes off", signed(delivery, own or secret, moment)


def signed(delivery, secret, moment):
    signature = Webhook(secret).sign(delivery.headers["webhook-id"], moment, delivery.body.decode())
    timestamp = str(int(moment.timestamp()))
    return delivery.with_headers(webhook_signature=signature, webhook_timestamp=timestamp)


class Capture:
    """A receiver that keeps everything."""

    def __init__(self):
        self.deliveries, self.refused, self.refusals = [], [], 0
        self.changed = threading.Condition()
        capture = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                delivery = Delivery(dict(self.headers), self.rfile.read(int(self.headers["content-length"])))
                self.send_response(capture.keep(delivery))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}/capture"

    def keep(self, delivery):
        with self.changed:
            if self.refusals:
                self.refusals -= 1
                self.refused.append(delivery)
                return 503
            self.deliveries.append(delivery)
            self.changed.notify_all()
            return 204

    def wait(self, kind, resource=None, after=0):
        """The first delivery of this type, about this resource, from the one of number `after` on."""

        def find():
            for delivery in self.deliveries[after:]:
                message = json.loads(delivery.body)
                if message["type"] == kind and resource in (None, message["resource"]["id"]):
                    return delivery

        with self.changed:
            if not self.changed.wait_for(lambda: find() is not None, timeout=30):
                sys.exit(f"FAILED: no {kind} about {resource} came")
            return find()


class Customer:
    """A new user with a site."""

    def __init__(self):
        self.token = self.tenant = None
        email = f"webhooks-{uuid.uuid4().hex}@example.com"
        account = {"email": email, "password": "Fresh-Bread-1950", "fullName": "Ana Baker"}
        self.token = request("POST", f"{SERVER}/api/v1/auth/register", account)["access_token"]
        request("POST", f"{SERVER}/api/v1/auth/verify-email", {"token": self.verification(email)})
        self.tenant = self.call("GET", "/api/v1/profile")["activeTenantId"]
        site = {"name": "Bakery", "subdomain": f"bakery-{uuid.uuid4().hex[:12]}"}
        self.site = self.call("POST", "/api/v1/sites", site)["id"]

    def call(self, method, path, body=None):
        if not path.startswith("/api"):
            path = f"/api/v1/tenants/{self.tenant}{path}"
        return request(method, SERVER + path, body, {"authorization": f"Bearer {self.token}"})

    def verification(self, email):
        for _ in range(300):
            mails = request("GET", f"{SERVER}/dev/mailbox?to={email}", headers={"accept": "application/json"})
            for mail in mails["items"]:
                link = re.search(r"/verify-email\?token=([A-Za-z0-9_-]+)", mail["text"])
                if link:
                    return link.group(1)
            time.sleep(0.1)
        sys.exit("FAILED: no verification mail came")

    def webhook(self, url):
        return self.call("POST", "/webhooks", {"url": url, "events": ["*"]})

    def page(self, title):
        page = {"title": title, "slug": uuid.uuid4().hex}
        return self.call("POST", f"/pages?siteId={self.site}", page)["id"]

    def delivery(self, webhook, kind, resource):
        """The newest attempt to deliver an event of this type that is not pending any more, once there is one."""
        for _ in range(300):
            listed = self.call("GET", f"/webhooks/{webhook}/deliveries?eventType={kind}&limit=20")
            for delivery in listed["items"]:
                if delivery["status"] != "pending" and self.event_of(resource) == delivery["eventId"]:
                    return delivery
            time.sleep(0.1)
        sys.exit(f"FAILED: no {kind} about {resource} was delivered to webhook {webhook}")

    def event_of(self, resource):
        """The event of the creation of a page, from the audit trail."""
        entries = self.call("GET", f"/audit?type=page.created&resourceId={resource}")["items"]
        return entries[0]["id"] if entries else None


class Receiver:
    """A receiver of the document, with a webhook of its own."""

    def __init__(self, customer, language):
        self.customer, self.language = customer, language
        self.folder = TOOLS / language if language == "javascript" else FOLDER / language
        self.folder.mkdir(exist_ok=True)
        file, preparation, self.command = LANGUAGES[language]
        (self.folder / file).write_text(documented()[language])
        if preparation:
            environment = {**os.environ, "GOCACHE": str(FOLDER / "go-cache"), "HOME": str(FOLDER), "GO111MODULE": "off"}
            subprocess.run(preparation, cwd=self.folder, env=environment, check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        made = customer.webhook(self.url)
        self.webhook, self.secret = made["id"], made["secret"]
        self.start()

    def start(self):
        command = [word.format(port=self.port) for word in self.command]
        environment = {**os.environ, "PORT": str(self.port), "WEBHOOK_SECRET": self.secret}
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        sys.exit(f"FAILED: the receiver in {self.language} does not start: {(self.folder / 'log').read_text()}")

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def rotate(self, overlap):
        """The webhook gets a new secret; the receiver still has the old one."""
        self.secret = self.customer.call("POST", f"/webhooks/{self.webhook}/rotate-secret", overlap)["secret"]

    def restart(self):
        """From now on with the new secret."""
        self.stop()
        self.start()

    def delivered(self, kind, resource, status):
        delivery = self.customer.delivery(self.webhook, kind, resource)
        same(delivery.get("responseStatus"), status, f"{self.language} answers a genuine {kind}")

    def send(self, delivery):
        headers = {name: value for name, value in delivery.headers.items() if name.startswith("webhook-")}
        headers["content-type"] = "application/json"
        posted = urllib.request.Request(self.url, data=delivery.body, headers=headers, method="POST")
        try:
            return urllib.request.urlopen(posted, timeout=10).status
        except urllib.error.HTTPError as refusal:
            return refusal.code


def documented():
    """The receivers of the document, by language."""
    sections = re.findall(r"^```(\w+)\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)
    found = {language: code for language, code in sections if language in LANGUAGES}
    missing = LANGUAGES.keys() - found.keys()
    if missing:
        sys.exit(f"FAILED: {DOCUMENT} has no receiver in {', '.join(sorted(missing))}")
    return found


def installed(language):
    _, preparation, command = LANGUAGES[language]
    tool = (preparation or command)[0]
    if shutil.which(tool):
        return True
    print(f"The receiver in {language} is not run: there is no {tool} here.", file=sys.stderr)
    return False


def request(method, url, body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", **(headers or {})}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=20) as answer:
            text = answer.read()
            return json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        sys.exit(f"FAILED: {method} {url} answered {error.code}: {error.read().decode()}")


main()
