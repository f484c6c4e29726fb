"""Clients that send or read as slowly as they can, beside others."""

import asyncio
import json
import time

from .client import head, register
from .load import Ledger, Readers, document, outcomes, times, upload
from .processes import part
from .report import Broken, milliseconds, percentile

BODIES, HEADS, READERS, NORMAL = 2000, 500, 200, 20
SECONDS = 60
# Within which a body has to arrive; see docs/operations.md.
BODY_DEADLINE = 5


def p99(events):
    return percentile([event.seconds for event in events], 0.99)


async def check(report, place, name):
    server, _ = await place.simple()
    port = server.port
    account = await register(port, "slow@example.com")
    await account.make_site(port, "slow")
    # A large file, and a large answer.
    client = account.client(port)
    answer = await upload(Ledger(), client, account, "large.pdf", "application/pdf", document(6 << 20))
    client.close()
    if answer is None or answer.status != 201:
        raise Broken(f"the upload was not accepted: {answer and (answer.status, answer.body[:300])}")
    file = "/" + answer.json()["items"][0]["url"].split("://")[1].split("/", 1)[1]
    requests = [
        lambda turn: ("page", "GET", f"{account.pages}/{account.home}", None),
        lambda turn: ("list", "GET", f"{account.pages}?limit=10", None),
        lambda turn: ("create", "POST", account.pages, {"title": f"Page {time.monotonic_ns()}"}),
        lambda turn: ("profile", "GET", "/api/v1/profile", None),
    ]
    normal = Readers(account, port, NORMAL, 0.1, requests)
    await normal.run(3)
    calm = await normal.run(15)
    memory, files = server.resident(), server.descriptors()
    crowd = await part("crowd", port=port, token=account.token, path=account.pages, bodies=BODIES, heads=HEADS, readers=READERS,
                       large=[file, "/api/openapi.json"], seconds=SECONDS)
    if (await crowd.stdout.readline()).strip() != b"ready":
        raise Broken("the slow clients did not all get a connection")
    held = server.descriptors() - files
    # Connecting 2,700 times within a second is work, however slow they are from then on.
    arriving = await normal.run(1)
    began = time.monotonic()
    beside = await normal.run(SECONDS - 6)
    found = json.loads(await crowd.stdout.read())
    await crowd.wait()
    await asyncio.sleep(2)
    held_after = server.descriptors() - files
    again = await normal.run(10)
    # Before and afterwards, because other programs on the machine take their share, too.
    alone = (p99(calm) + p99(again)) / 2
    limit = max(2 * alone, alone + 0.01)
    report.note(name, f"{NORMAL} clients alone", times(calm))
    report.note(name, "alone again", times(again))
    report.note(name, "beside the slow ones", f"{times(beside)}; {held} connections were open")
    report.note(name, "in the second after they connected", f"{times(arriving)}; {outcomes(arriving)}")
    # While the slow bodies are certainly in progress, and over the whole time.
    early = [event for event in beside if event.began < began + 10]
    report.note(name, "in the first 10 s of that", f"{times(early)}; {outcomes(early)}")
    report.aim(name, f"p99 at most doubled ({milliseconds(limit)})", milliseconds(max(p99(beside), p99(early))), max(p99(beside), p99(early)) <= limit)
    bad = [event for event in beside if not event.ok]
    report.aim(name, "nothing of theirs fails", outcomes(beside), not bad)
    body, heads = found["body"], found["head"]
    report.none(name, f"bodies at a byte a second that are not cut in {SECONDS} s", body["count"] - body["cut"], body["count"])
    report.at_most(name, f"the last is cut ({body['answers']})", body["longest"] if body["cut"] else float("inf"), BODY_DEADLINE + 5)
    report.none(name, f"heads that are not cut in {SECONDS} s", heads["count"] - heads["cut"], heads["count"])
    report.at_most(name, f"the last is cut ({heads['answers']})", heads["longest"] if heads["cut"] else float("inf"), 15)
    report.at_most(name, "memory above that before", server.peak - memory, 256, "MB")
    report.at_most(name, "connections left when they have gone", held_after, 60, "")
    # A body at a byte a second must not delay the shutdown.
    stream = await asyncio.open_connection("127.0.0.1", port)
    fields = {"authorization": f"Bearer {account.token}", "content-type": "application/json"}
    stream[1].write(head("POST", account.pages, "x", fields, b'{"title":"' + b"x" * 500 + b'"}')[:-500])
    await asyncio.sleep(0.5)
    code, took = await server.stop()
    stream[1].close()
    report.aim(name, "SIGTERM beside half a body: the end within 16.5 s, code 0", f"{took:.1f} s, code {code}", code == 0 and took <= 16.5)
