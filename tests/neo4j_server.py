"""A real Neo4j Community server for the tests, made from its Maven artifacts.

`installed` gives the server's jars, downloaded once into the user's cache; `running` starts it on a
free loopback port with a password of its own. As a script it does the same by hand:

    python tests/neo4j_server.py --version 5.26.16 --prepare     # download only
    python tests/neo4j_server.py                                 # run it until Ctrl-C
"""

import argparse
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import neo4j
from neo4j.exceptions import DriverError, Neo4jError

VERSION = "5.26.16"
USER = "neo4j"
READY_SECONDS = 300
DELETED_AT_ONCE = 10_000

POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>genograph.tests</groupId>
  <artifactId>neo4j-{version}</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.neo4j</groupId><artifactId>neo4j</artifactId><version>{version}</version>
    </dependency>
    <dependency>
      <groupId>org.neo4j.app</groupId><artifactId>neo4j-server</artifactId>
      <version>{version}</version>
    </dependency>
  </dependencies>
</project>
"""

CONFIGURATION = """\
server.directories.data={home}/data
server.directories.logs={home}/logs
server.directories.run={home}/run
server.directories.import={home}/import
server.directories.plugins={home}/plugins
server.directories.licenses={home}/licenses
server.default_listen_address=127.0.0.1
server.bolt.listen_address=127.0.0.1:{port}
server.bolt.advertised_address=127.0.0.1:{port}
server.http.enabled=false
server.https.enabled=false
server.memory.pagecache.size=512m
dbms.security.auth_enabled=true
dbms.usage_report.enabled=false
db.tx_log.preallocate=false
internal.server.bolt.thread_pool_shutdown_wait_time=1s
"""


class Unavailable(Exception):
    """No server can be had here; the message says what is missing."""


class Server(NamedTuple):
    """A server that answers."""

    uri: str
    user: str
    password: str
    version: str


def _major(version: str) -> int:
    match = re.fullmatch(r"(\d+)(\.\d+)+", version)
    if match is None:
        msg = f"{version!r} is no version of Neo4j; wanted e.g. {VERSION}"
        raise Unavailable(msg)
    return int(match[1])


def java(version: str) -> Path:
    """The `java` that runs this version of Neo4j: 17 or 21 for 5.x, 25 for the calendar releases.

    Raises:
        Unavailable: there is none in JAVA_HOME_<n>, JAVA_HOME, /usr/lib/jvm or on the PATH.
    """
    wanted = (17, 21) if _major(version) < 2025 else (25, 21) if version < "2026" else (25,)
    homes = [Path(h) for n in wanted if (h := os.environ.get(f"JAVA_HOME_{n}"))]
    homes += [Path(h) for h in (os.environ.get("JAVA_HOME"),) if h]
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    if found := shutil.which("java"):
        homes.append(Path(found).resolve().parents[1])
    for home in homes:
        release, program = home / "release", home / "bin" / "java"
        if not release.is_file() or not program.is_file():
            continue
        stated = re.search(r'^JAVA_VERSION="(\d+)', release.read_text("utf-8"), re.MULTILINE)
        if stated and int(stated[1]) in wanted:
            return program
    names = " or ".join(map(str, wanted))
    msg = f"Neo4j {version} needs Java {names}; set JAVA_HOME_{wanted[0]} to one"
    raise Unavailable(msg)


def installed(version: str = VERSION) -> Path:
    """The folder with the server's jars, from the cache or downloaded with Maven.

    It is filled aside and renamed, so that an interrupted download never counts.

    Raises:
        Unavailable: there is no Maven, or it cannot reach the artifacts.
    """
    _major(version)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genograph"
    home = cache / f"neo4j-{version}"
    if (home / "lib").is_dir():
        return home / "lib"
    maven = shutil.which("mvn")
    if maven is None:
        msg = f"Neo4j {version} is not in {cache} and there is no Maven (mvn) to fetch it with"
        raise Unavailable(msg)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"neo4j-{version}-", dir=cache) as aside:
        (Path(aside) / "pom.xml").write_text(POM.format(version=version), "utf-8")
        command = [maven, "--batch-mode", "--quiet", "--file", f"{aside}/pom.xml"]
        command += ["dependency:copy-dependencies", "-DincludeScope=runtime"]
        command += [f"-DoutputDirectory={aside}/new/lib"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not any(Path(aside, "new", "lib").glob("neo4j-server-*.jar")):
            said = (done.stdout + done.stderr).strip()
            msg = f"Maven cannot fetch Neo4j {version}: {said[-2000:] or 'it said nothing'}"
            raise Unavailable(msg)
        try:
            Path(aside, "new").rename(home)
        except OSError:
            # another process was faster; its copy is as good
            if not (home / "lib").is_dir():
                raise
    return home / "lib"


@contextmanager
def running(
    version: str = VERSION,
    *,
    heap: str = "2g",
    brief: bool = True,
    before: Callable[[list[str], dict[str, str]], None] = lambda base, environment: None,
) -> Iterator[Server]:
    """A server of its own in a temporary folder, stopped and removed afterwards.

    Args:
        heap: the most memory its heap may take, as Java's -Xmx spells it.
        brief: compile lightly, which halves what starting and a few minutes' work cost; for long
            loads the full compiler is faster in the end.
        before: is called before it starts, with the words that run a class of the server's and
            the environment that they need.

    Raises:
        Unavailable: no Java, no Maven, or no download.
        RuntimeError: it does not start; the end of its log is in the message.
    """
    program, lib = java(version), installed(version)
    # letters and digits only: a password that begins with a dash reads as an option
    password = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="genograph-neo4j-") as folder:
        home = Path(folder)
        for name in ("conf", "data", "logs", "run", "import", "plugins", "licenses"):
            (home / name).mkdir()
        port = _free_port()
        configuration = CONFIGURATION.format(home=home, port=port)
        (home / "conf" / "neo4j.conf").write_text(configuration, "utf-8")
        environment = {**os.environ, "NEO4J_HOME": folder, "NEO4J_CONF": f"{folder}/conf"}
        base = [str(program), "-cp", f"{home}/conf/*:{lib}/*"]
        for name in ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent"):
            base += [f"--add-opens=java.base/{name}=ALL-UNNAMED"]
        first = [*base, "org.neo4j.cli.AdminTool", "dbms", "set-initial-password", password]
        done = subprocess.run(first, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stdout + done.stderr).replace(password, "***")
            msg = f"Neo4j {version} takes no initial password: {said[-2000:]}"
            raise RuntimeError(msg)
        before(base, environment)
        entry = "CommunityEntryPoint" if _major(version) < 2025 else "Neo4jCommunity"
        command = [*base, "-Xms256m", f"-Xmx{heap}", "-XX:+ExitOnOutOfMemoryError"]
        if brief:
            command += ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        command += [f"org.neo4j.server.{entry}", f"--home-dir={home}"]
        command += [f"--config-dir={home}/conf", "--console-mode"]
        if keeper := shutil.which("setpriv"):
            # should the tests be killed, the server ends with them
            command = [keeper, "--pdeathsig", "TERM", *command]
        log = home / "console.log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
        try:
            server = Server(f"bolt://127.0.0.1:{port}", USER, password, version)
            _await(server, process, log)
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return when the server answers a query."""
    deadline = time.monotonic() + READY_SECONDS
    auth = (server.user, server.password)
    while True:
        try:
            with (
                neo4j.GraphDatabase.driver(server.uri, auth=auth, connection_timeout=5) as driver,
                driver.session() as session,
            ):
                session.run("RETURN 1").consume()
        except (DriverError, Neo4jError) as error:
            if process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.2)
                continue
            said = log.read_text("utf-8", errors="replace")[-3000:]
            state = "is not ready" if process.poll() is None else "ended"
            msg = f"Neo4j {server.version} {state}: {error}\n{said}"
            raise RuntimeError(msg) from error
        return


def empty(server: Server) -> None:
    """Delete every node and relationship, in batches; constraints and indexes stay."""
    with (
        neo4j.GraphDatabase.driver(server.uri, auth=(server.user, server.password)) as opened,
        opened.session() as session,
    ):
        for match in ("MATCH ()-[x]->()", "MATCH (x)"):
            cypher = f"{match} WITH x LIMIT {DELETED_AT_ONCE} DELETE x RETURN count(*) AS n"
            while session.run(cypher).single(strict=True)["n"]:
                pass


def main() -> None:
    """Download a server, or run one until it is interrupted."""
    parser = argparse.ArgumentParser(description="A Neo4j Community server from Maven artifacts.")
    parser.add_argument("--version", default=VERSION, help="version of Neo4j (%(default)s)")
    parser.add_argument("--prepare", action="store_true", help="only download it")
    parser.add_argument("--heap", default="2g", help="largest heap (%(default)s)")
    given = parser.parse_args()
    try:
        if given.prepare:
            print(installed(given.version))
            return
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with running(given.version, heap=given.heap, brief=False) as server:
            print(f"export GENOGRAPH_DB={server.uri}")
            print(f"export GENOGRAPH_NEO4J_USER={server.user}")
            print(f"export GENOGRAPH_NEO4J_PASSWORD={server.password}", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        sys.exit(130)
    except Unavailable as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
