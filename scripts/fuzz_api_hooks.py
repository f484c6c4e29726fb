"""The callers and ids of scripts/fuzz-api: loaded by schemathesis.

Most operations are called by a super admin who owns one of everything, and half of the ids in paths are those of real resources.
An operation that ends the session, the account or the tenant it is called with gets a new account for each call.
"""

import itertools
import json
import os
import random
import time
import urllib.error
import urllib.parse
import urllib.request

import schemathesis

URL = os.environ["FUZZ_URL"]
PASSWORD = os.environ["FUZZ_PASSWORD"]
NUMBERS = itertools.count(1)

# By operationId: operations that would break the run itself.
SELF_DESTRUCTIVE = (
    "logout",
    "changePassword",
    "deleteSession",
    "resetPassword",
    "deleteUser",
    "updateUser",
    "updateUserPassword",
    "suspend",
    "erase",
    "changeEmail",
    "confirmEmailChange",
    "deleteTenant",
    "updateTenant",
    "leave",
    "deleteMember",
    "updateMember",
    "transferOwnership",
    "switchTenant",
    "totp",
    "passkey",
    "recoveryCodes",
    "impersonate",
)


def call(method, path, body=None, token=None):
    """Calls the API; returns the JSON, or None for an error."""
    request = urllib.request.Request(URL + path, method=method)
    if token:
        request.add_header("Authorization", "Bearer " + token)
    data = None
    if body is not None:
        request.add_header("Content-Type", "application/json")
        data = json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, data, timeout=20) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError:
        return None


def sign_in():
    return call("POST", "/api/v1/auth/login", {"email": os.environ["FUZZ_EMAIL"], "password": PASSWORD})["access_token"]


def somebody_new():
    email = f"fuzz{next(NUMBERS)}@example.org"
    registration = {"email": email, "password": PASSWORD, "fullName": "Somebody New"}
    return call("POST", "/api/v1/auth/register", registration)["access_token"]


ROOT = sign_in()


def message_of_a_visitor(base, ids):
    """Publishes a contact form and sends it. Returns the id of the message."""
    page, site = f"{base}/pages/{ids['pageId']}", f"/api/v1/sites/{ids['siteId']}"
    section = {"type": "contact", "content": {"phone": "5555 1234", "form": True}}
    section = call("POST", f"{page}/sections", section, ROOT)
    call("PUT", page, {"status": "published"}, ROOT)
    deployment = call("POST", f"{site}/deploy", None, ROOT)
    for _ in range(100):
        if (call("GET", f"{site}/status", token=ROOT) or {}).get("status") == "live":
            break
        time.sleep(0.1)
    if not section or not deployment:
        return None
    fields = {"name": "Visitor", "email": "visitor@example.org", "message": "Hello"}
    request = urllib.request.Request(f"{URL}/_forms/{section['id']}", urllib.parse.urlencode(fields).encode())
    request.add_header("Host", urllib.parse.urlsplit(deployment["url"]).netloc)
    try:
        # The page that says thanks is at the host name of the site, which need not resolve here.
        urllib.request.build_opener(NoRedirect).open(request, timeout=20)
    except urllib.error.HTTPError:
        pass
    items = (call("GET", f"{site}/submissions", token=ROOT) or {}).get("items")
    return items[0]["id"] if items else None


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Does not follow redirects."""

    def redirect_request(self, *_):
        return None


def uploaded_file(base):
    """The id of a file."""
    pdf = b"%PDF-1.4\n%%EOF\n"
    head = b'--fuzz\r\nContent-Disposition: form-data; name="files"; filename="a.pdf"\r\n\r\n'
    request = urllib.request.Request(URL + f"{base}/assets/upload", head + pdf + b"\r\n--fuzz--\r\n")
    request.add_header("Content-Type", "multipart/form-data; boundary=fuzz")
    request.add_header("Authorization", f"Bearer {ROOT}")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)["items"][0]["id"]
    except urllib.error.HTTPError:
        return None


def one_of_everything():
    """Ids by the names of path parameters."""
    tenant = call("GET", "/api/v1/profile", token=ROOT)["activeTenantId"]
    base = f"/api/v1/tenants/{tenant}"
    ids = {"tenantId": tenant, "slug": "about"}
    made = {
        "siteId": ("/api/v1/sites", {"name": "Fuzz"}),
        "pageId": (f"{base}/pages", {"title": "About", "slug": "about"}),
        "wizardId": ("/api/v1/wizard/start", {"businessInfo": {"name": "Fuzz", "industry": "bakery"}}),
        "navItemId": (f"{base}/navigation", {"label": "About", "url": "https://example.com/"}),
        "apiKeyId": (f"{base}/api-keys", {"name": "Fuzz", "permissions": ["pages:read"]}),
        # An address that is not called.
        "webhookId": (f"{base}/webhooks", {"url": "https://localhost/hook", "events": ["page.updated"]}),
        "invitationId": (f"{base}/invitations", {"email": "guest@example.org", "role": "viewer"}),
    }
    for name, (path, body) in made.items():
        answer = call("POST", path, body, ROOT)
        if answer:
            ids[name] = answer["id"]
    answer = call("POST", f"{base}/webhooks/{ids.get('webhookId')}/test", token=ROOT)
    if answer:
        ids["deliveryId"] = answer["id"]
    section = {"type": "text", "content": {"html": "<p>Text</p>"}}
    answer = call("POST", f"{base}/pages/{ids['pageId']}/sections", section, ROOT)
    ids["sectionId"] = answer["id"]
    versions = call("GET", f"{base}/pages/{ids['pageId']}/versions", token=ROOT)
    if versions and versions["items"]:
        ids["versionId"] = versions["items"][-1]["id"]
    answer = message_of_a_visitor(base, ids)
    if answer:
        ids["submissionId"] = answer
    answer = uploaded_file(base)
    if answer:
        ids["assetId"] = answer
        ids["variant"] = "original"
    templates = call("GET", "/api/v1/templates?premium=false&limit=1", token=ROOT)
    if templates and templates["items"]:
        ids["templateId"] = templates["items"][0]["slug"]
    ids["industry"] = "bakery"
    registration = {"email": "victim@example.org", "password": PASSWORD, "fullName": "Victim"}
    ids["userId"] = call("POST", "/api/v1/auth/register", registration)["user"]["id"]
    return ids


IDS = one_of_everything()
CHANCE = random.Random(1)


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Ids of real resources for half of the ids, but never the main tenant for operations that end a tenant."""
    if not path_parameters:
        return path_parameters
    operation = (context.operation.definition.raw.get("operationId") or "").lower()
    dangerous = any(word.lower() in operation for word in SELF_DESTRUCTIVE)
    for name in path_parameters:
        if name in IDS and CHANCE.random() < 0.5 and not (dangerous and name == "tenantId"):
            path_parameters[name] = IDS[name]
    return path_parameters


@schemathesis.hook
def map_headers(context, headers):
    """A key of its own for most requests: the answer to an earlier one would hide what the operation does."""
    key = headers.get("Idempotency-Key") if headers else None
    # An invalid header does not reach the routes.
    if key is not None and (CHANCE.random() < 0.8 or not str(key).isprintable()):
        headers["Idempotency-Key"] = f"fuzz-{next(NUMBERS)}"
    return headers


@schemathesis.auth(refresh_interval=None)
class Caller:
    """The super admin, or a new account."""

    def get(self, case, context):
        operation = (case.operation.definition.raw.get("operationId") or "").lower()
        if any(word.lower() in operation for word in SELF_DESTRUCTIVE):
            return somebody_new()
        return ROOT

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"
