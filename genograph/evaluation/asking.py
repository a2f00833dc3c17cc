"""What an evaluation adds to predictions: the strongest baseline's own, and calibrated s.d."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from genograph.cohorts import TEST, Cohort, Strains
from genograph.cohorts.data import count_unseen, divide_splits
from genograph.cohorts.strains import name_strains
from genograph.errors import RunError
from genograph.evaluation.scalars import boost_pairs, boost_singles
from genograph.evaluation.scores import Evaluation
from genograph.evaluation.scoring import Bench, hides_singles
from genograph.run import Predicted, Prediction, Run


def predict_baseline(
    run: Run | Path | str,
    strains: Strains | Sequence[str],
    *,
    cohort: Cohort | Path | str | None = None,
) -> Prediction:
    """What gradient boosting says of the fitness and interaction of any strains, measured or not.

    It is the baseline that `evaluate` scores beside the run, fitted to the same training fold:
    trees on features of genes and pairs (Friedman 2001, Annals of Statistics 29:1189). Single and
    double mutants have numbers, the wild type has fitness 1, and other strains have none.

    Args:
        run: the run or its folder, whose cohort, seed and use of single mutants it takes.
        strains: as `predict` takes them.
        cohort: the one the run was trained on, or its folder where it is now; None: where it was.

    Returns:
        Fitness and interaction; without s.d., for the trees give none.

    Raises:
        RunError: another cohort, or one with too few measurements of fitness for trees.
        SchemaError: an id is no strain, or its gene is not one of the cohort's.
        CohortError: the cohort cannot be read.

    Example:
        >>> found = genograph.predict_baseline("run", ["YAL001C+YAL002C"])
        >>> found
        Prediction(1 strain; fitness, interaction)
    """
    run = Run.open(run)
    held = run.cohort(cohort)
    if held.fitness is None:
        msg = f"{run.folder}: its cohort has no fitness; gradient boosting has nothing to learn"
        raise RunError(msg)
    if not isinstance(strains, Strains):
        strains = name_strains([strains] if isinstance(strains, str) else strains, held)
    n_held, n = len(held.strains), len(strains)
    # the asked for stand behind the cohort's own, unmeasured, in the fold that nothing learns from
    both = replace(
        held,
        strains=_join(held.strains, strains),
        strain_fold=np.concatenate([held.strain_fold, np.full(n, TEST, held.strain_fold.dtype)]),
    )
    asked = np.arange(n_held + n) >= n_held
    bench = Bench(both, None, hides_singles(run), run.config.training.seed)
    fitness, interaction = np.full(n, np.nan), np.full(n, np.nan)
    fitness[strains.n_perturbed == 0] = 1.0
    for size, boost in ((1, boost_singles), (2, boost_pairs)):
        wanted = strains.n_perturbed == size
        if not wanted.any():
            continue
        found = boost(bench, asked)
        if found.trees is None:
            words = "single mutants" if size == 1 else "pairs"
            msg = f"{run.folder}: its cohort has too few {words} in its training fold for trees"
            raise RunError(msg)
        fitness[wanted] = (found.null + found.trees)[n_held:][wanted]
        if size == 2:
            interaction[wanted] = found.trees[n_held:][wanted]
    nothing = np.full(n, np.nan, np.float32)
    quantities = {
        name: Predicted(values.astype(np.float32), nothing, None)
        for name, values in (("fitness", fitness), ("interaction", interaction))
    }
    return Prediction(strains.ids, quantities, held.genome.genes_sha256)


def calibrate(
    prediction: Prediction, strains: Strains, cohort: Cohort, evaluation: Evaluation
) -> dict[str, Float32[np.ndarray, " strain"]]:
    """The s.d. of predicted numbers, times what the evaluation found it to be too small by.

    The factor is that of test strains with as many perturbations and as many unseen genes; where
    none was found, there is no number.

    Args:
        prediction: of `strains`, in their order.
        strains: on the genes of the cohort.
        cohort: the run's.
        evaluation: of the run.

    Returns:
        By name of the quantity.
    """
    n = strains.n_perturbed
    splits = divide_splits(strains, count_unseen(strains, cohort.gene_fold))
    kinds = {
        "fitness_singles": ("fitness", n == 1),
        "fitness_pairs": ("fitness", n == 2),
        "interaction_pairs": ("interaction", n == 2),
    }
    out: dict[str, Float32[np.ndarray, " strain"]] = {}
    for each in evaluation.calibration:
        name, of_size = kinds[each.quantity]
        if name not in prediction.quantities:
            continue
        found = out.setdefault(name, np.full(len(strains), np.nan, np.float32))
        mine = of_size & splits[each.split]
        found[mine] = prediction.quantities[name].sd[mine] * each.stretch
    return out


def _join(held: Strains, asked: Strains) -> Strains:
    """The strains of both, one behind the other."""
    return Strains(
        pa.concat_arrays([held.ids, asked.ids]),
        np.concatenate([held.offsets, held.offsets[-1] + asked.offsets[1:]]),
        np.concatenate([held.gene, asked.gene]),
        np.concatenate([held.dose, asked.dose]),
        np.concatenate([held.single, asked.single]),
    )
