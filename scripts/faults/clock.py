"""The clock is set back by an hour, while the server runs and while it does not."""

import asyncio
import email.utils
import signal
import time
from pathlib import Path

from .client import Lost, once, register
from .overload import arrival
from .receiver import Receiver
from .report import Broken, Skip

HOUR = 3600
PROMPT, AFTER_KILL = 10, 35


class Clock:
    """The clock that a process sees, moved by libfaketime."""

    def __init__(self, folder):
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not found:
            raise Skip("there is no libfaketime: install Debian's package libfaketime")
        self.file = folder / "clock"
        self.set(0)
        # Timers are left alone: they use the monotonic clock, which cannot be set back.
        self.preload = {
            "LD_PRELOAD": str(found[0]), "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds):
        self.file.write_text(f"{seconds:+d}\n")


def late(wait, limit):
    return (f"{wait:.1f} s" if wait is not None else "not at all"), wait is not None and wait <= limit


async def mailed(server, address, patience=60):
    """Registers, and returns after how many seconds the mail is there."""
    person = {"email": address, "password": "Correct-Horse-7", "fullName": "Ada Check"}
    answer = await once(server.port, "POST", "/api/v1/auth/register", person)
    if answer.status != 201:
        raise Broken(f"registration answered {answer.status}: {answer.body[:300]!r}")
    return await arrival(server.data / "mailbox", address, time.monotonic(), patience)


async def published(account, port, patience=40):
    began = time.monotonic()
    try:
        await account.publish(port, patience)
    except Broken:
        return None
    return time.monotonic() - began


async def check(report, place, name):
    clock = Clock(place.folder)
    server, _ = await place.simple(preload=clock.preload)
    receiver = await Receiver().start()
    place.callback(receiver.close)
    account = await register(server.port, "clock@example.com")
    await account.make_site(server.port, "clock")
    hook = {"url": receiver.url, "events": ["page.created"]}
    await account.call(server.port, "POST", f"/api/v1/tenants/{account.tenant}/webhooks", hook)
    await account.publish(server.port)

    async def page(title):
        return (await account.call(server.port, "POST", account.pages, {"title": f"{title} {time.monotonic_ns()}"}))["id"]

    if await receiver.wait("page.created", await page("At first"), 20) is None:
        raise Broken("webhooks are not delivered even with the right clock")
    receiver.refuse = 1
    refused = await page("Refused once")
    while ("page.created", refused) not in receiver.refused:
        await asyncio.sleep(0.02)

    async def judge(title, limit=PROMPT):
        """What is requested now is done soon."""
        report.aim(title, f"a mail comes within {limit} s", *late(await mailed(server, f"{time.monotonic_ns()}@example.com", 40), limit))
        report.aim(title, f"a site is live within {limit} s", *late(await published(account, server.port), limit))
        report.aim(title, f"a webhook is delivered within {limit} s", *late(await receiver.wait("page.created", await page("Later"), 40), limit))

    clock.set(-HOUR)
    await asyncio.sleep(0.1)
    answer = await once(server.port, "GET", "/api/health/live")
    date = email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp()
    if abs(time.time() - HOUR - date) > 60:
        # The header may be a second old.
        await asyncio.sleep(2)
        answer = await once(server.port, "GET", "/api/health/live")
        date = email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp()
        if abs(time.time() - HOUR - date) > 60:
            raise Skip("libfaketime does not move the clock of this program")
    title = f"{name}, set back while it runs"
    # The access token was issued in the future; its client gets another one, as after expiry.
    renewed = await once(server.port, "POST", "/api/v1/auth/refresh", {"refresh_token": account.refresh_token})
    report.aim(title, "who was signed in still is", str(renewed.status), renewed.status == 200)
    await account.sign_in(server.port)
    wait = await receiver.wait("page.created", refused, 60)
    report.aim(title, "a webhook to be tried again after 5 s is, within 15 s", *late(wait, 15))
    await judge(title)
    ready = await server.ready()
    report.aim(title, "ready", "yes" if ready else "no", ready)

    title = f"{name}, restarted an hour earlier, with jobs that wait"
    clock.set(0)
    await server.stop()
    await server.start(arguments=("serve", "--no-worker"))
    waiting = []
    for number in range(5):
        person = {"email": f"waiting{number}@example.com", "password": "Correct-Horse-7", "fullName": "Ada Check"}
        answer = await once(server.port, "POST", "/api/v1/auth/register", person)
        if answer.status == 201:
            waiting.append(person["email"])
    deployment = await account.deploy(server.port)
    event = await page("Waits, too")
    await asyncio.sleep(1)
    await server.stop()
    clock.set(-HOUR)
    await server.start()
    began = time.monotonic()
    waits = [await arrival(server.data / "mailbox", address, began, 40) for address in waiting]
    report.aim(title, f"{len(waiting)} mails come within {PROMPT} s", *late(None if None in waits else max(waits), PROMPT))
    report.aim(title, f"the site is live within {PROMPT} s", *late(await deployed(account, server.port, deployment, began), PROMPT))
    wait = await receiver.wait("page.created", event, max(1, began + 40 - time.monotonic()))
    if wait is not None:
        # From when the server was ready: it may have come before.
        wait = max(0, receiver.messages["page.created", event][0] - began)
    report.aim(title, f"the webhook is delivered within {PROMPT} s", *late(wait, PROMPT))
    await judge(title)

    title = f"{name}, killed at work, and restarted an hour earlier"
    clock.set(0)
    await server.stop()
    await server.start()
    # So much to do that jobs are under a lease at the kill.
    accepted = []

    async def ask(number):
        person = {"email": f"killed{number}@example.com", "password": "Correct-Horse-7", "fullName": "Ada Check"}
        try:
            if (await once(server.port, "POST", "/api/v1/auth/register", person)).status == 201:
                accepted.append(person["email"])
        except Lost:
            pass

    asked = [asyncio.create_task(ask(number)) for number in range(60)]
    while len(accepted) < 20 and not all(one.done() for one in asked):
        await asyncio.sleep(0.002)
    deployment = await account.deploy(server.port)
    server.send(signal.SIGKILL)
    await server.ended(5)
    await asyncio.gather(*asked)
    clock.set(-HOUR)
    await server.start()
    began = time.monotonic()
    waits = [await arrival(server.data / "mailbox", address, began, 60) for address in accepted]
    report.aim(title, f"{len(accepted)} mails come within {AFTER_KILL} s", *late(None if None in waits else max(waits, default=0), AFTER_KILL))
    report.aim(title, f"the site is live within {AFTER_KILL} s", *late(await deployed(account, server.port, deployment, began), AFTER_KILL))
    await judge(title)


async def deployed(account, port, deployment, began):
    try:
        await account.live(port, deployment, 60)
    except Broken:
        return None
    return time.monotonic() - began
