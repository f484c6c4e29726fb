"""Several instances of Portico and what they share, as plain processes on free ports of this machine.

Used by scripts/cluster and the checks that start several instances or a database. Everything is private to the run, and ends with it.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "Correct-Horse-7"
POSTGRES = "PORTICO_TEST_POSTGRES_URL"


def name():
    return Path(sys.argv[0]).name


def say(text):
    print(f"{name()}: {text}", flush=True)


def fail(text):
    raise SystemExit(f"{name()}: {text}")


def with_postgres():
    """Runs the script again, with a Postgres of its own that ends with it."""
    if "PORTICO_TOPOLOGY" in os.environ:
        return
    environment = {key: value for key, value in os.environ.items() if key != POSTGRES}
    environment["PORTICO_TOPOLOGY"] = "yes"
    arguments = [str(ROOT / "scripts/with-postgres"), sys.executable, *sys.argv]
    os.execve(arguments[0], arguments, environment)


def need(program, package):
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if not found:
        say(f"there is no {program}; installing Debian's package {package}")
        sudo = [] if os.getuid() == 0 else ["sudo"]
        command = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "install", "-y"]
        subprocess.run([*command, "--no-install-recommends", package], check=True)
        found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    return found or fail(f"the package is installed, but there is no {program}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def binary(release=True):
    """The program: that of PORTICO_BINARY, or the one that is built here."""
    if path := os.environ.get("PORTICO_BINARY"):
        return Path(path).resolve()
    profile = "release" if release else "debug"
    subprocess.run(["cargo", "build", "--quiet", "-p", "portico", *(["--release"] if release else [])], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / profile / "portico"


class Topology:
    """The processes, and where they are."""

    def __init__(self, portico):
        self.portico = portico
        self.directory = Path(tempfile.mkdtemp(prefix="portico-cluster-"))
        self.running = {}
        self.secret = secrets.token_urlsafe(32)
        self.settings = {}
        self.proxy_port, self.stats_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.proxy_port}"

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(143))
        return self

    def __exit__(self, kind, error, _):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for child in reversed(list(self.running.values())):
            if child.stdin:
                child.stdin.close()
            child.send_signal(signal.SIGTERM)
        for child in self.running.values():
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
        if kind in (None, KeyboardInterrupt) or kind is SystemExit and not error.code:
            shutil.rmtree(self.directory, ignore_errors=True)
        else:
            say(f"the logs are in {self.directory}")

    def start(self, name, command, environment=None, **more):
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PORTICO")}
        log = open(self.directory / f"{name}.log", "a")
        child = subprocess.Popen(
            [str(part) for part in command], cwd=self.directory, env={**inherited, **(environment or {})},
            stdout=log, stderr=log, start_new_session=True, **more,
        )
        self.running[name] = child
        return child

    def eventually(self, what, ask, patience=60):
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            try:
                if answer := ask():
                    return answer
            except (OSError, KeyError, IndexError, StopIteration):
                pass
            for name, child in self.running.items():
                if child.poll() is not None:
                    log = (self.directory / f"{name}.log").read_text(errors="replace")
                    fail(f"{name} has ended\n{log[-2000:]}")
            time.sleep(0.02)
        fail(f"not within {patience} s: {what}")

    def redis(self):
        port = free_port()
        program = need("redis-server", "redis-server")
        self.start("redis", [program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        self.eventually("Redis listens", lambda: listens(port))
        self.settings["PORTICO__REDIS__URL"] = f"redis://127.0.0.1:{port}/"

    def s3(self):
        """The server ends when its standard input does."""
        port = free_port()
        self.start("s3", [ROOT / "scripts/s3-server", "--port", port], stdin=subprocess.PIPE)
        self.eventually("the S3 server listens", lambda: listens(port), 180)
        endpoint = f"http://127.0.0.1:{port}"
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/portico", method="PUT"), timeout=10).close()
        self.settings |= {
            "PORTICO__STORAGE__URL": "s3://portico/files",
            "PORTICO__STORAGE__ENDPOINT": endpoint,
            "PORTICO__STORAGE__ACCESS_KEY_ID": "cluster",
            "PORTICO__STORAGE__SECRET_ACCESS_KEY": "not-a-secret",
            "PORTICO__STORAGE__ALLOW_HTTP": "true",
        }

    def instance(self, name, arguments, settings=None):
        """A process of Portico. The mailbox and, without S3, the files are in a directory that all of them share."""
        return self.start(name, [self.portico, *arguments], {**self.own_settings(), **(settings or {})})

    def own_settings(self):
        """Of all instances."""
        return {
            "RUST_LOG": "warn",
            "PORTICO__DATA_DIR": str(self.directory / "data"),
            "PORTICO__DATABASE__URL": os.environ[POSTGRES],
            "PORTICO__SECURITY__JWT_SECRET": self.secret,
            "PORTICO__SERVER__PUBLIC_URL": self.url,
            "PORTICO__SERVER__TRUSTED_PROXIES": "127.0.0.1/32",
            "PORTICO__SERVER__DRAIN_DELAY": "1s",
            **self.settings,
        }

    def command(self, *arguments, **more):
        """Runs a command of Portico to its end, with the settings of the instances."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PORTICO")}
        environment = {**inherited, **self.own_settings(), **more}
        return subprocess.run([self.portico, *arguments], env=environment, cwd=self.directory, capture_output=True, text=True)

    def super_admin(self):
        """Makes one, and answers their API."""
        email = "root@example.com"
        made = self.command("admin", "create", "--email", email, PORTICO_ADMIN_PASSWORD=PASSWORD)
        if made.returncode:
            fail(f"no administrator: {made.stderr[-2000:]}")
        api = Api(self.url)
        api.sign_in(email)
        return api

    def logged_errors(self, name):
        """Fails where an instance has logged an error."""
        log = (self.directory / f"{name}.log").read_text(errors="replace")
        errors = [line for line in log.splitlines() if " ERROR " in line or '"level":"ERROR"' in line]
        if errors:
            fail(f"{name} logged errors:\n" + "\n".join(errors[:20]))

    def server(self, name, port, arguments=("serve",), settings=None):
        self.instance(name, arguments, {"PORTICO__SERVER__PORT": str(port), **(settings or {})})

    def wait_until_ready(self, port):
        self.eventually("it is ready", lambda: status(f"http://127.0.0.1:{port}/api/health/ready") == 200)

    def haproxy(self, first, second):
        program = need("haproxy", "haproxy")
        self.start("haproxy", [program, "-db", "-f", ROOT / "deploy/haproxy/haproxy.cfg"], {
            "PORTICO_BIND": f"127.0.0.1:{self.proxy_port}",
            "PORTICO_STATS_BIND": f"127.0.0.1:{self.stats_port}",
            "PORTICO_UPSTREAM_1": f"127.0.0.1:{first}",
            "PORTICO_UPSTREAM_2": f"127.0.0.1:{second}",
        })
        for server in ("one", "two"):
            self.wait_until_up(server)

    def wait_until_up(self, server):
        self.eventually(f"HAProxy sees {server}", lambda: self.states()[server].startswith("UP"))

    def states(self):
        """The state of the instances in HAProxy."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.stats_port}/;csv", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        columns = lines[0].lstrip("# ").split(",")
        rows = [dict(zip(columns, line.split(","))) for line in lines[1:]]
        return {row["svname"]: row["status"] for row in rows if row["pxname"] == "instances"}


class Api:
    """Calls the API as one customer."""

    def __init__(self, url):
        self.url, self.headers = url, {"accept": "application/json"}

    def call(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        headers = {**self.headers, **({"content-type": "application/json"} if data else {})}
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def sign_in(self, email):
        tokens = self.call("POST", "/api/v1/auth/login", {"email": email, "password": PASSWORD})
        self.headers["authorization"] = f"Bearer {tokens['access_token']}"

    def register(self, topology, email):
        """Registers, verifies the address, and returns the tenant."""
        account = {"email": email, "password": PASSWORD, "fullName": "Cluster Check"}
        self.headers["authorization"] = f"Bearer {self.call('POST', '/api/v1/auth/register', account)['access_token']}"

        def token():
            mails = self.call("GET", f"/dev/mailbox?to={email}")["items"]
            text = next(mail["text"] for mail in mails if "verify-email?token=" in mail["text"])
            return text.split("verify-email?token=")[1].split()[0]

        self.call("POST", "/api/v1/auth/verify-email", {"token": topology.eventually("the mail", token)})
        return self.call("GET", "/api/v1/profile")["activeTenantId"]


def listens(port):
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def status(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
