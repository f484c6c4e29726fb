"""Who scripts/fuzz-api is, and where it looks: loaded by schemathesis.

Most operations are called by a super admin who owns one of everything, and half of the ids in paths are those of real things.
An operation that ends the session, the account or the tenant it is called with gets somebody new for each call.
"""

import itertools
import json
import os
import random
import urllib.error
import urllib.request

import schemathesis

URL = os.environ["FUZZ_URL"]
PASSWORD = os.environ["FUZZ_PASSWORD"]
NUMBERS = itertools.count(1)

# By operationId: what would cut off the branch that the run sits on.
SELF_DESTRUCTIVE = (
    "logout",
    "changePassword",
    "endSession",
    "resetPassword",
    "deleteUser",
    "updateUser",
    "setUserPassword",
    "suspend",
    "erase",
    "changeEmail",
    "confirmEmailChange",
    "deleteTenant",
    "updateTenant",
    "leave",
    "removeMember",
    "updateMember",
    "transferOwnership",
    "switchTenant",
    "totp",
    "passkey",
    "recoveryCodes",
    "impersonate",
)


def call(method, path, body=None, token=None):
    """Calls the API; answers the JSON, or None for an error."""
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


def one_of_everything():
    """Ids by the names of path parameters."""
    tenant = call("GET", "/api/v1/profile", token=ROOT)["activeTenantId"]
    base = f"/api/v1/tenants/{tenant}"
    ids = {"tenantId": tenant, "slug": "about"}
    made = {
        "siteId": ("/api/v1/sites", {"name": "Fuzz"}),
        "pageId": (f"{base}/pages", {"title": "About", "slug": "about"}),
        "navId": (f"{base}/navigation", {"label": "About", "url": "https://example.com/"}),
        "keyId": (f"{base}/api-keys", {"name": "Fuzz", "permissions": ["pages:read"]}),
        "invitationId": (f"{base}/invitations", {"email": "guest@example.org", "role": "viewer"}),
    }
    for name, (path, body) in made.items():
        answer = call("POST", path, body, ROOT)
        if answer:
            ids[name] = answer["id"]
    section = {"type": "text", "content": {"html": "<p>Text</p>"}}
    answer = call("POST", f"{base}/pages/{ids['pageId']}/sections", section, ROOT)
    ids["sectionId"] = answer["id"]
    registration = {"email": "victim@example.org", "password": PASSWORD, "fullName": "Victim"}
    ids["userId"] = call("POST", "/api/v1/auth/register", registration)["user"]["id"]
    return ids


IDS = one_of_everything()
CHANCE = random.Random(1)


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Real things for half of the ids, and never the tenant that all the others live in for what ends it."""
    if not path_parameters:
        return path_parameters
    operation = (context.operation.definition.raw.get("operationId") or "").lower()
    dangerous = any(word.lower() in operation for word in SELF_DESTRUCTIVE)
    for name in path_parameters:
        if name in IDS and CHANCE.random() < 0.5 and not (dangerous and name == "tenantId"):
            path_parameters[name] = IDS[name]
    return path_parameters


@schemathesis.auth(refresh_interval=None)
class Caller:
    """The super admin, or somebody new."""

    def get(self, case, context):
        operation = (case.operation.definition.raw.get("operationId") or "").lower()
        if any(word.lower() in operation for word in SELF_DESTRUCTIVE):
            return somebody_new()
        return ROOT

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"
