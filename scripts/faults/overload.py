"""Three times as many creations as the server can do, at a constant rate: an open loop, in which no client waits for the previous answer."""

import asyncio
import json
import math
import os
import subprocess
import sys
import time

from .client import Lost, once, register
from .load import Probe
from .processes import part
from .report import Broken, milliseconds

# Concurrent clients of the closed loop; the best number depends on the machine.
CLIENTS, CLOSED, TIMES = (8, 16, 32, 64), 5, 3
# The two loops alternate, because other programs on the machine and the stored data change its capacity.
ROUNDS, OPEN = 4, 20
# The rate of one process that makes load in Python.
PER_PROCESS = 8000


def halves():
    """The processors of the server and its database, and those of the load: apart, so that the load does not slow down what is measured."""
    every = sorted(os.sched_getaffinity(0))
    return (every[len(every) // 2 :], every[: len(every) // 2]) if len(every) > 1 else (every, every)


def keep_busy(place, cpus):
    """Takes what the load leaves of its processors. They may be threads of the cores that the server has: then the more load there is the
    slower the server would be, in the closed loop and in the open one by different amounts."""
    spin = "import os; os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nwhile True: pass"
    for _ in cpus:
        place.callback(subprocess.Popen([sys.executable, "-c", spin]).kill)


async def creations(account, port, cpus, seconds, run, connections, rate=None):
    """Load from as many processes as needed, and their combined result."""
    processes = min(len(cpus), math.ceil((rate or 1) / PER_PROCESS)) if rate else 1
    share = {"port": port, "path": account.pages, "token": account.token, "seconds": seconds, "connections": connections // processes, "cpus": cpus}
    running = [await part("creations", **share, run=f"{run}{number}", rate=rate and rate / processes) for number in range(processes)]
    return together([json.loads((await process.communicate())[0]) for process in running])


def together(found):
    """The results of several loads as one."""
    whole = {key: sum(one[key] for one in found) for key in ("good", "acknowledged", "sent", "busy", "silent", "unexplained")}
    whole["counts"] = {}
    for one in found:
        for status, count in one["counts"].items():
            whole["counts"][status] = whole["counts"].get(status, 0) + count
    return whole | {key: max(one[key] for one in found) for key in found[0] if key not in whole}


async def check(report, place, name):
    ours, theirs = halves()
    settings = {}
    if place.database == "postgres":
        settings["PORTICO__DATABASE__URL"] = (await place.postgres(cpus=ours)).url()
    server = await place.server(settings=settings, cpus=ours)
    account = await register(server.port, "overload@example.com")
    await account.make_site(server.port, "overload")
    os.sched_setaffinity(0, theirs)
    place.callback(os.sched_setaffinity, 0, ours + theirs)
    keep_busy(place, theirs)
    await creations(account, server.port, theirs, 3, "warm", CLIENTS[-1])
    earlier = (await account.call(server.port, "GET", f"{account.pages}?limit=1"))["total"]
    made, first, best = 0, 0.0, 0
    for clients in CLIENTS:
        closed = await creations(account, server.port, theirs, CLOSED, f"closed{clients}x", clients)
        made += closed["acknowledged"]
        figures = f"{closed['good'] / CLOSED:.0f}/s, p99 {milliseconds(closed['good_p99'])}, {closed['counts']}"
        report.note(name, f"{clients} clients, one request after the other", figures)
        if closed["good"] / CLOSED > first:
            first, best = closed["good"] / CLOSED, clients
    if not best:
        raise Broken(f"nothing is created: {closed}")
    before = await creations(account, server.port, theirs, CLOSED, "before", best)
    closed, opened, rate, calm = [before], [], before["good"] / CLOSED * TIMES, server.resident()
    ready, live = Probe(server.port, "/api/health/ready").start(), Probe(server.port, "/api/health/live").start()
    client, written, recovered, waits = account.client(server.port), 0, 0.0, []
    for number in range(ROUNDS):
        lines, mails = server.lines(), asyncio.create_task(registration(server, number))
        opened.append(await creations(account, server.port, theirs, OPEN / ROUNDS, f"open{number}x", 600, rate))
        written += server.lines() - lines
        recovered = max(recovered, await until_created(client, account))
        waits.append(await mails)
        closed.append(await creations(account, server.port, theirs, CLOSED, f"again{number}x", best))
    await ready.stop()
    await live.stop()
    storm, written, goodput = together(opened), written / OPEN, sum(one["good"] for one in opened) / OPEN
    peak = sum(one["good"] for one in closed) / CLOSED / len(closed)
    rates = ", ".join(f"{one['good'] / CLOSED:.0f}/s" for one in closed)
    report.note(name, f"{best} clients, taking turns with the open loop", rates)
    report.note(name, f"offered in an open loop, {ROUNDS} × {OPEN / ROUNDS:.0f} s", f"{rate:.0f}/s, sent {storm['sent'] / OPEN:.0f}/s, answers {storm['counts']}")
    report.note(name, "the load itself was late by (p99)", milliseconds(storm["lag_p99"]))
    report.at_least(name, f"goodput at {TIMES} times the capacity", 100 * goodput / peak, 90)
    report.note(name, "good answers", f"{goodput:.0f}/s, p50 {milliseconds(storm['good_p50'])}, p99 {milliseconds(storm['good_p99'])}")
    limit = 0.1 + max(0.05, storm["lag_p99"])
    refusals = f"p99 {milliseconds(storm['refused_p99'])}, longest {milliseconds(storm['refused_longest'])}"
    report.aim(name, f"refused within 100 ms and noise ({milliseconds(limit)})", refusals, storm["refused_p99"] <= limit)
    report.none(name, "refusals are 503 with Retry-After", storm["unexplained"], sum(storm["counts"].values()))
    without = storm["counts"].get("lost", 0) + storm["silent"] + storm["busy"]
    report.none(name, "without an answer, or without a connection", without, storm["sent"] + storm["busy"])
    report.at_most(name, "lines in the log", written, 2.5, "a second")
    known = [wait for wait in waits if wait is not None]
    report.aim(name, "a mail asked for meanwhile comes within 5 s", ", ".join(f"{wait:.1f} s" for wait in known) or "none was accepted",
               bool(waits) and len(known) == len(waits) and max(known) <= 5)
    alive = [event for event in live.events if event.status != 204 or event.seconds > 1.5]
    report.none(name, "liveness within 1.5 s", len(alive), len(live.events))
    slow = [event for event in ready.events if event.seconds > 1.5]
    report.none(name, "readiness answers within 1.5 s", len(slow), len(ready.events))
    report.at_most(name, "memory above that before", server.peak - calm, 256, "MB")
    report.at_most(name, "writes again afterwards", recovered, 5)
    there = (await client.request("GET", f"{account.pages}?limit=1")).json()["total"] - ROUNDS - earlier
    client.close()
    made += storm["acknowledged"] + together(closed)["acknowledged"]
    report.none(name, "acknowledged, and not there", max(0, made - there), made)


async def until_created(client, account, patience=20):
    """Creates a page once overload is over. Returns how long that took."""
    ended = time.monotonic()
    while time.monotonic() < ended + patience:
        try:
            if (await client.request("POST", account.pages, {"title": f"Afterwards {time.monotonic_ns()}"})).status == 201:
                break
        except Lost:
            pass
        await asyncio.sleep(0.05)
    return time.monotonic() - ended


async def registration(server, number, patience=20):
    """Requests a mail, a moment after overload begins. Returns how long it took to arrive, None where it did not."""
    await asyncio.sleep(1)
    until = time.monotonic() + patience
    email = f"mail{number}-{os.urandom(3).hex()}@example.com"
    person = {"email": email, "password": "Correct-Horse-7", "fullName": "Ada Check"}
    while time.monotonic() < until:
        try:
            if (await once(server.port, "POST", "/api/v1/auth/register", person)).status == 201:
                return await arrival(server.data / "mailbox", email, time.monotonic())
        except Lost:
            pass
        await asyncio.sleep(0.2)
    return None


async def arrival(mailbox, email, since, patience=30):
    """When a mail to an address is in the mailbox; its files are read, because the server has enough to do."""
    seen = set()
    while time.monotonic() < since + patience:
        for file in mailbox.glob("*.json"):
            if file in seen:
                continue
            seen.add(file)
            try:
                if email in file.read_text():
                    return time.monotonic() - since
            except OSError:
                seen.discard(file)
        await asyncio.sleep(0.1)
    return None
