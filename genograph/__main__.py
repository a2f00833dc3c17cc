"""`python -m genograph`: the command line, for launchers such as torchrun."""

from genograph.cli import main

main()
