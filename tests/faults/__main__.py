"""Run every fault: the conditions, and kills over both stores; the seeds are printed.

python -m faults --embedded 150 --neo4j 50 --seed 7
python -m faults --neo4j 10 --embedded 0 --only-kills --command export --command "db restore"

What differs from an unbroken run is raised with the command, the seed and the moment of the kill.
"""

import argparse
import random
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from neo4j_server import VERSION

from faults import conditions, kills, server, steps, together
from faults.scene import EACH_ON_SERVER, Scene, made

# how often each command is killed, in every sixteen kills
EMBEDDED = {
    "load": 3,
    "load, in parts": 3,
    "build": 2,
    "build, in parts": 1,
    "predict --write": 1,
    "predict --write, in parts": 1,
    "train": 2,
    "export": 1,
    "db dump": 1,
    "db restore": 1,
    "db restore, in parts": 1,
}
NEO4J = {
    "load": 5,
    "build": 5,
    "predict --write": 1,
    "predict --write, in parts": 1,
    "db restore": 2,
    "export": 1,
    "db dump": 1,
}


def shared(n: int, weights: Mapping[str, int]) -> dict[str, int]:
    """N kills over the commands by their weights; the sum is n."""
    total = sum(weights.values())
    if not total:
        return {}
    out = {name: n * weight // total for name, weight in weights.items()}
    for name in list(out)[: n - sum(out.values())]:
        out[name] += 1
    return {name: count for name, count in out.items() if count}


def killing(
    commands: Mapping[str, kills.Command],
    place: kills.Place,
    n: int,
    weights: Mapping[str, int],
    seed: int,
    store: str,
) -> int:
    """Kill the commands of one store n times; how many kills came in time."""
    landed = 0
    for name, count in shared(n, weights).items():
        begun = time.perf_counter()
        draw = random.Random(f"{seed} {store} {name}")
        done = kills.kill(commands[name], place, count, draw, tell=say)
        landed += done.killed
        seconds = time.perf_counter() - begun
        say(f"{store}, {name}: {done.killed} kills in {done.trials} trials, {seconds:.0f} s: well")
    return landed


def say(words: str) -> None:
    """Print a line at once."""
    print(words, flush=True)


def main() -> None:
    """Parse, run, and print what was done; the first thing that does not hold is raised."""
    parser = argparse.ArgumentParser(description="Every fault, over both stores.")
    parser.add_argument("--embedded", type=int, default=150, help="kills there (%(default)s)")
    parser.add_argument("--neo4j", type=int, default=50, help="kills there (%(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="of the moments  [drawn]")
    parser.add_argument("--only-kills", action="store_true", help="not the other faults")
    parser.add_argument("--command", action="append", help="kill only this; may be repeated  [all]")
    parser.add_argument("--scene", type=Path, help="keep the unbroken results here, for next time")
    given = parser.parse_args()
    for name in given.command or ():
        if name not in {**EMBEDDED, **NEO4J}:
            parser.error(f"{name!r} is not killed here; choose from {', '.join(EMBEDDED)}")
    weights = [
        {name: n for name, n in all_of.items() if name in (given.command or all_of)}
        for all_of in (EMBEDDED, NEO4J)
    ]
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    say(f"seed {seed} (again: --seed {seed})")
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="genograph-faults-") as temporary:
        root = Path(temporary)
        where = (given.scene or root / "scene").resolve()
        scene = made(where / "whole", seed=0)
        say(f"the scene is there after {time.perf_counter() - begun:.0f} s")
        faults: list[Callable[[Scene, Path], str]] = [
            *steps.FAULTS,
            *conditions.FAULTS,
            *together.ON_FILES,
        ]
        for number, fault in enumerate(() if given.only_kills else faults):
            say(fault(scene, root / f"fault-{number}"))
        landed = {"embedded": 0, "neo4j": 0}
        if given.embedded:
            place = kills.embedded(scene, root / "embedded")
            commands = kills.commands(scene, place)
            landed["embedded"] = killing(
                commands, place, given.embedded, weights[0], seed, "embedded"
            )
        if given.neo4j or not given.only_kills:
            scene = made(where / "small", seed=0, each=EACH_ON_SERVER)
            with server.running(VERSION) as held:
                if given.neo4j:
                    place = kills.on_server(scene, root / "neo4j", held.server)
                    commands = kills.commands(scene, place)
                    landed["neo4j"] = killing(
                        commands, place, given.neo4j, weights[1], seed, "neo4j"
                    )
                on_server = (*server.FAULTS, *together.ON_SERVER)
                for number, fault in enumerate(() if given.only_kills else on_server):
                    say(fault(scene, root / f"server-{number}", held))
    seconds = time.perf_counter() - begun
    others = 0 if given.only_kills else len(faults) + len(server.FAULTS) + len(together.ON_SERVER)
    say(
        f"{landed['embedded']} kills embedded, {landed['neo4j']} on Neo4j, "
        f"{others} other faults, seed {seed}, {seconds:.0f} s: all well"
    )


if __name__ == "__main__":
    main()
