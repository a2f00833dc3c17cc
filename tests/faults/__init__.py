"""Faults: the commands killed, starved of disk, shut out, and run under a clock that jumps.

`make faults` runs all of it and prints its seeds; `tests/test_faults.py` is the shorter form.

    commands.py    the command line as a process, killed or not
    scene.py       a simulated yeast, and what unbroken runs make of it
    kills.py       kill -9 at random moments, and what must hold afterwards
    steps.py       kill -9 at every step of writing a folder
    conditions.py  a full disk, folders for reading only, two processes, a jumping clock
    server.py      the Neo4j server killed and started again
"""
