"""Processes of a check, private to it: Portico, Postgres, a proxy that can go silent, and a small file system. All end with the check."""

import asyncio
import contextlib
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .client import Lost, once
from .report import Broken, Skip, say

SHARED = {
    "RUST_LOG": "warn",
    "PORTICO__RATE_LIMIT__ENABLED": "false",
    "PORTICO__SECURITY__ACCESS_TOKEN_TTL": "12h",
    "PORTICO__SERVER__DRAIN_DELAY": "0s",
    # Hashing of passwords is not what is measured here.
    "PORTICO__SECURITY__ARGON2_MEMORY_KIB": "64",
    "PORTICO__SECURITY__ARGON2_PASSES": "1",
    # Receivers of webhooks are on this machine.
    "PORTICO__WEBHOOKS__ALLOW_NETWORKS": "127.0.0.0/8",
}


def free_port():
    """Below the ephemeral ports, so that no connection of ours takes it while the server is down."""
    while True:
        port = random.SystemRandom().randint(15000, 32000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


class Workplace(contextlib.AsyncExitStack):
    """A temporary folder and what runs in it. What was started last ends first, however the check ends."""

    def __init__(self, name, binary, database):
        super().__init__()
        self.name, self.binary, self.database = name, binary, database
        # Not below TMPDIR: the path of a Unix socket may have 107 bytes only.
        self.folder = Path(tempfile.mkdtemp(prefix=f"portico-{name}-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.keep = False

    async def __aexit__(self, kind, error, trace):
        result = await super().__aexit__(kind, error, trace)
        if self.keep or (kind and kind not in (KeyboardInterrupt, asyncio.CancelledError, Skip)):
            say(f"the logs are in {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        return result

    async def postgres(self, **options):
        """A cluster of its own, with fsync."""
        cluster = Postgres(self.folder, **options)
        self.push_async_callback(cluster.remove)
        await cluster.start()
        return cluster

    async def proxy(self, port):
        proxy = Proxy(port)
        self.push_async_callback(proxy.close)
        await proxy.start()
        return proxy

    async def server(self, name="portico", settings=None, **options):
        """An instance that is ready."""
        server = Server(self.folder, name, self.binary, settings or {}, **options)
        self.push_async_callback(server.remove)
        await server.start()
        return server

    async def simple(self, settings=None, **options):
        """An instance on the database of the check, SQLite or a new cluster of Postgres. Returns both."""
        if self.database == "sqlite":
            return await self.server(settings=settings, **options), None
        postgres = await self.postgres()
        url = {"PORTICO__DATABASE__URL": postgres.url()}
        return await self.server(settings={**url, **(settings or {})}, **options), postgres


class Child:
    """A process with a log, in a session of its own."""

    process = None

    def spawn(self, command, log, **options):
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **options
            )

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    async def ended(self, patience):
        """Waits for the end. Returns the exit code, or None where it still runs."""
        deadline = time.monotonic() + patience
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(0.005)
        return self.process.returncode


class Server(Child):
    """An instance of Portico, at the same port each time it is started."""

    def __init__(self, folder, name, binary, settings, arguments=("serve",), data=None, preload=None, cpus=None):
        self.folder, self.name, self.binary, self.arguments, self.cpus = folder, name, binary, arguments, cpus
        self.port, self.log = free_port(), folder / f"{name}.log"
        self.data = Path(data or folder / "data")
        secret = folder / "secret"
        if not secret.exists():
            secret.write_text(secrets.token_urlsafe(32))
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PORTICO") and key != "RUST_LOG"},
            **SHARED,
            "PORTICO__DATA_DIR": str(self.data),
            "PORTICO__SERVER__PORT": str(self.port),
            "PORTICO__SECURITY__JWT_SECRET": secret.read_text(),
            **(preload or {}),
            **settings,
        }
        self.peak = 0
        self.watch = None

    def launch(self, arguments=None, environment=None):
        """Starts the process without waiting."""
        # It dies with this script, even if that is killed.
        command = ["setpriv", "--pdeathsig", "KILL", self.binary, *(arguments or self.arguments)]
        pin = (lambda: os.sched_setaffinity(0, self.cpus)) if self.cpus else None
        self.spawn(command, self.log, cwd=self.folder, env={**self.environment, **(environment or {})}, preexec_fn=pin)
        if self.watch is None:
            self.watch = asyncio.create_task(self.watch_memory())

    async def start(self, patience=60, **more):
        """Starts it. Returns after how many seconds it was ready."""
        began = time.monotonic()
        self.launch(**more)
        await self.wait_until_ready(patience)
        return time.monotonic() - began

    async def wait_until_ready(self, patience=60):
        began = time.monotonic()
        while time.monotonic() - began < patience:
            if not self.alive:
                raise Broken(f"{self.name} has ended\n{self.tail()}")
            if await self.ready():
                return time.monotonic() - began
            await asyncio.sleep(0.02)
        raise Broken(f"{self.name} is not ready after {patience} s\n{self.tail()}")

    async def ready(self):
        try:
            return (await once(self.port, "GET", "/api/health/ready", patience=10)).status == 200
        except Lost:
            return False

    def tail(self):
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""

    def lines(self):
        """How many lines the log has."""
        return self.log.read_bytes().count(b"\n")

    async def watch_memory(self):
        while True:
            self.peak = max(self.peak, self.resident())
            await asyncio.sleep(0.25)

    def resident(self):
        """Memory in use, in MB."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            if found := re.search(r"VmRSS:\s+(\d+) kB", status):
                return int(found[1]) / 1024
        return 0

    def descriptors(self):
        with contextlib.suppress(OSError):
            return len(os.listdir(f"/proc/{self.process.pid}/fd"))
        return 0

    def send(self, number):
        if self.alive:
            self.process.send_signal(number)

    async def stop(self, number=signal.SIGTERM, patience=30):
        """Returns the exit code and how long it took; None where it had to be killed."""
        began = time.monotonic()
        self.send(number)
        code = await self.ended(patience)
        if code is None:
            self.process.kill()
            await self.ended(5)
        return code, time.monotonic() - began

    async def remove(self):
        if self.watch:
            self.watch.cancel()
        if self.alive:
            self.process.kill()
            await self.ended(5)


class Postgres(Child):
    """A cluster of Postgres with fsync on, as a user that is not root."""

    def __init__(self, folder, data=None, settings=None, cpus=None):
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
        if not binaries:
            raise Skip("there is no Postgres server in /usr/lib/postgresql: install Debian's package postgresql")
        self.binaries = binaries[-1].parent
        self.folder = folder / "postgres"
        self.data = Path(data or self.folder) / "data"
        self.port, self.log, self.settings, self.cpus = free_port(), folder / "postgres.log", settings or {}, cpus
        self.user = []
        self.folder.mkdir()
        self.data.parent.chmod(0o755)
        if os.getuid() == 0:
            try:
                account = pwd.getpwnam("postgres")
            except KeyError:
                account = pwd.getpwnam("nobody")
            self.user = ["setpriv", "--reuid", account.pw_uid, "--regid", account.pw_gid, "--clear-groups"]
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self.data.mkdir()
            os.chown(self.data, account.pw_uid, account.pw_gid)
        command = [*self.user, self.binaries / "initdb", "--pgdata", self.data, "--username=portico", "--auth=trust", "--encoding=UTF8"]
        command += ["--locale=C.UTF-8", "--no-sync", "--no-instructions", "--wal-segsize=4"]
        run = subprocess.run([str(part) for part in command], cwd=self.folder, capture_output=True, text=True)
        if run.returncode:
            raise Broken(f"initdb failed: {run.stderr}")

    def url(self, port=None, database="postgres"):
        return f"postgres://portico@127.0.0.1:{port or self.port}/{database}"

    def launch(self):
        settings = {"listen_addresses": "127.0.0.1", "max_connections": 300, "fsync": "on", "log_min_messages": "fatal", **self.settings}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        # It dies with this script, even if that is killed.
        command = [*self.user, "--pdeathsig", "QUIT"] if self.user else ["setpriv", "--pdeathsig", "QUIT"]
        pin = (lambda: os.sched_setaffinity(0, self.cpus)) if self.cpus else None
        command += [self.binaries / "postgres", "-D", self.data, "-k", self.folder, "-p", self.port, *options]
        self.spawn(command, self.log, cwd=self.folder, preexec_fn=pin)

    async def start(self, patience=60):
        """Starts it, repeatedly where remains of a killed one prevent the start."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not self.alive:
                self.launch()
            if await self.answers():
                return
            await asyncio.sleep(0.05)
        raise Broken(f"Postgres does not start\n{self.log.read_text(errors='replace')[-2000:]}")

    async def answers(self):
        command = [str(self.binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "1"]
        return await (await asyncio.create_subprocess_exec(*command)).wait() == 0

    async def sql(self, statement):
        command = [str(self.binaries / "psql"), self.url(), "-AtX", "-v", "ON_ERROR_STOP=1", "-c", statement]
        run = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, error = await run.communicate()
        if run.returncode:
            raise Broken(f"{statement}: {error.decode()}")
        return output.decode().strip()

    async def forgotten(self):
        """Transactions that were abandoned."""
        found = "select count(*) from pg_stat_activity where application_name = 'portico' and state like 'idle in transaction%'"
        return int(await self.sql(f"{found} and state_change < now() - interval '1 second'"))

    def processes(self):
        """The server and its children."""
        found = [self.process.pid]
        for status in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(status.read_text().rpartition(")")[2].split()[1]) == self.process.pid:
                    found.append(int(status.parent.name))
        return found

    def freeze(self):
        """Stops all of it. The first to stop is the one that makes others."""
        self.process.send_signal(signal.SIGSTOP)
        self.frozen = self.processes()
        for process in self.frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)

    def thaw(self):
        for process in self.frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)
        self.frozen = []

    frozen = ()

    async def kill(self):
        self.process.kill()
        await self.ended(10)

    async def remove(self):
        self.thaw()
        if self.alive:
            self.process.send_signal(signal.SIGQUIT)
            if await self.ended(10) is None:
                for process in reversed(self.processes()):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                await self.ended(5)


class Proxy:
    """A path to a server that can go silent without closing anything.

    `silence("held")`: what is sent meanwhile arrives afterwards, as after lost packets are sent again. `silence("discarded")`: what is
    sent is lost, and connections that there were stay silent for ever, as behind a firewall that has dropped them.
    """

    def __init__(self, target):
        self.target, self.port, self.listener = target, None, None
        self.path = asyncio.Event()
        self.path.set()
        self.discards = False
        self.generation = 0
        self.writers, self.tasks = set(), set()

    async def start(self):
        self.listener = await asyncio.start_server(self.connected, "127.0.0.1", 0, backlog=1024)
        self.port = self.listener.sockets[0].getsockname()[1]

    def silence(self, how):
        self.discards = how == "discarded"
        self.path.clear()

    def speak(self):
        if self.discards:
            self.generation += 1
        self.discards = False
        self.path.set()

    async def connected(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        self.writers.add(writer)
        generation = self.generation
        try:
            await self.path.wait()
            if generation != self.generation:
                return await asyncio.Event().wait()
            server = await asyncio.open_connection("127.0.0.1", self.target)
            self.writers.add(server[1])
            pumps = [asyncio.create_task(self.pump(reader, server[1], generation)), asyncio.create_task(self.pump(server[0], writer, generation))]
            self.tasks.update(pumps)
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            self.tasks.difference_update(pumps)
            self.writers.discard(server[1])
            server[1].close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self.writers.discard(writer)
            self.tasks.discard(task)

    async def pump(self, reader, writer, generation):
        with contextlib.suppress(OSError):
            while True:
                data = await reader.read(1 << 16)
                await self.path.wait()
                if generation != self.generation:
                    await asyncio.Event().wait()
                if not data:
                    return
                writer.write(data)
                await writer.drain()

    async def close(self):
        self.listener.close()
        for task in list(self.tasks):
            task.cancel()
        for writer in list(self.writers):
            writer.close()
        await asyncio.sleep(0)


class SmallDisk:
    """A file system of its own, so small that it can be filled. Needs root."""

    def __init__(self, folder, megabytes):
        if os.getuid() != 0:
            raise Skip("a small file system can only be mounted by root: run it as root, or in a container with CAP_SYS_ADMIN")
        self.image, self.path = folder / "disk.img", folder / "disk"
        self.path.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(megabytes << 20)
        # Without blocks that only root may use: Postgres is not root.
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", self.image], check=True)
        if subprocess.run(["mount", "-o", "loop", self.image, self.path], capture_output=True).returncode:
            if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", self.path], capture_output=True).returncode:
                raise Skip("neither a loop device nor a tmpfs can be mounted here")
        self.path.chmod(0o755)
        self.ballast = self.path / "ballast"

    def fill(self, but=0):
        """Fills what is left, to the last byte, or except for so many bytes."""
        with open(self.ballast, "ab", buffering=0) as ballast:
            if but:
                room = os.statvfs(self.path)
                ballast.write(b"\0" * max(0, room.f_bavail * room.f_frsize - but))
                return
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while ballast.write(b"\0" * size):
                        pass

    def free(self):
        self.ballast.unlink(missing_ok=True)

    def unmount(self):
        for _ in range(50):
            if subprocess.run(["umount", self.path], capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        subprocess.run(["umount", "--lazy", self.path], capture_output=True)


async def part(function, **arguments):
    """Runs a function of `faults.parts` in a process of its own and returns its process, so that load does not slow down the measurement."""
    import json

    script = Path(__file__).resolve().parent.parent / "check_faults.py"
    command = [sys.executable, str(script), "--part", function, json.dumps(arguments)]
    return await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=1 << 26)
