"""The engine that a configuration names, or that suits the reach of perturbations."""

from genograph.engine.base import Degree, Engine
from genograph.engine.delta import DeltaEngine
from genograph.engine.reachable import Reachable
from genograph.engine.shared import SharedEngine
from genograph.engine.topology import Topology
from genograph.errors import RunError

ENGINES = ("auto", "delta", "dgl", "shared")
MOST_REACH = 0.25
"""Share of the edges that a perturbation may walk, layers together, before `shared` is faster."""


def choose_engine(
    name: str, topology: Topology, *, layers: int = 2, degree: Degree = "wild-type"
) -> Engine:
    """The engine called `name`; auto takes `delta` unless perturbations reach too far in `layers`.

    Raises:
        RunError: there is none; the message lists the choices.
    """
    if name in ("auto", "delta"):
        reachable = Reachable(topology)
        chosen: Engine
        if name == "delta":
            return DeltaEngine(topology, degree=degree, reachable=reachable)
        reached = reachable.measured(layers)
        share = sum(reached.edges) / max(layers, 1)
        near = share <= MOST_REACH
        if near:
            chosen = DeltaEngine(topology, degree=degree, reachable=reachable)
        else:
            chosen = SharedEngine(topology, degree=degree)
        chosen.why = (
            f"auto: a perturbation walks {100 * share:.1f} % of the edges of {layers} layers, "
            f"measured on {reached.n_gene} genes; delta up to {100 * MOST_REACH:.0f} %"
        )
        return chosen
    if name == "shared":
        return SharedEngine(topology, degree=degree)
    if name == "dgl":
        from genograph.engine.dgl import DglEngine

        return DglEngine(topology, degree=degree)
    msg = f"no engine is called {name}; choose one of {', '.join(ENGINES)}"
    raise RunError(msg)
