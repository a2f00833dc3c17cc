"""Errors of training, prediction, evaluation and reports: cause, cure, what provokes them."""

import functools
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from unittest.mock import patch

import jaxtyping
import numpy as np
from errors.case import Case, written
from model_cohort import cohort_of
from safetensors.numpy import load_file, save, save_file

from genograph import allpairs, models
from genograph.allpairs import read_genes, score_all
from genograph.cohorts import TEST, Cohort
from genograph.config import TrainConfig, read_config
from genograph.errors import GenographError, RunError
from genograph.evaluation import evaluate, load_evaluation, predict_baseline, score
from genograph.evaluation.predictions import (
    MeasuredPrediction,
    Predictions,
    load_predictions,
    read_truth,
    save_predictions,
)
from genograph.files import claim, hash_file
from genograph.prediction import predict
from genograph.reporting import report
from genograph.run import Predicted, Run
from genograph.simulation import simulate
from genograph.store import open_store
from genograph.tables import Table
from genograph.training import train
from genograph.writeback import write_predictions

Provoke = Callable[[Path], object]
_NO_TENSORS = save({"x": np.zeros(1)})


def _small(seed: int = 0) -> Cohort:
    return cohort_of(seed=seed, n_gene=6, n_pair=3)


def _tested(cohort: Cohort) -> Cohort:
    return replace(cohort, strain_fold=np.full_like(cohort.strain_fold, TEST))


def _config(**settings: object) -> TrainConfig:
    tiny = dict.fromkeys(("members", "epochs", "steps_per_epoch", "threads"), 1)
    tiny |= {"width": 8, "hidden": 8, "change": 4, "growth": 2, "projected": 6}
    return read_config(**(tiny | {"device": "cpu"} | settings))


@functools.cache
def run_files() -> dict[str, bytes]:
    """The files of a run."""
    with tempfile.TemporaryDirectory(prefix="genograph-") as place:
        folder = train(_small(), _config(), Path(place) / "run").folder
        held = [path for path in folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): path.read_bytes() for path in held}


def _found_model(*lines: str) -> Provoke:
    """Look for a model whose file has these lines, in a folder of its own."""
    head = "from genograph.models.deepset import Deepset, StrainModel"

    def provoke(folder: Path) -> object:
        name = f"odd_{sha256(chr(10).join(lines).encode()).hexdigest()[:8]}"
        written(folder, "\n".join((head, *lines)) + "\n", f"{name}.py")
        with patch.object(models, "__path__", [*models.__path__, str(folder)]):
            return models.find_model(name)

    return provoke


def _claimed(folder: Path) -> object:
    with claim(folder / "run", error=RunError):
        return train(_small(), _config(), folder / "run")


def _copied(folder: Path, *, files: dict[str, bytes] | None = None, **changes: object) -> Path:
    """The folder of a run, some of whose files and of what run.json says are changed.

    Of the tables model and training, a change is of some settings.
    """
    for name, content in (run_files() | (files or {})).items():
        (folder / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        written(folder / "run", content, name)
    record = json.loads(run_files()["run.json"])
    for name, value in changes.items():
        record[name] = record[name] | value if name in ("model", "training") else value
    written(folder / "run", json.dumps(record), "run.json")
    return folder / "run"


def _run(folder: Path, **changes: object) -> Run:
    return Run.open(_copied(folder, **changes))


def _predicted(heads: tuple[str, ...] | None = None, **changes: object) -> Provoke:
    """What a run, whose files are changed, says of its cohort."""
    cohort = _small()
    return lambda folder: predict(
        _run(folder, **changes), cohort.strains, cohort=cohort, heads=heads
    )


def _scored(run: dict[str, object] | None = None, **options: object) -> Provoke:
    """All pairs of a run, whose files are changed."""
    return lambda folder: score_all(
        _run(folder, **(run or {})),
        folder / "out",
        cohort=_small(),
        **({"device": "cpu"} | options),
    )


def _resumed(**changes: object) -> Provoke:
    """The training of a run that has not come to its end, and whose files are changed."""
    begun = {"status": "training", "checkpoints": {}}
    return lambda folder: train(_small(), _config(), _copied(folder, **(begun | changes)))


def _both(one: Provoke, other: Provoke) -> Provoke:
    """What is refused in two places, in the same words."""

    def provoke(folder: Path) -> object:
        try:
            return one(folder)
        except GenographError as error:
            first = error
        try:
            return other(folder)
        except GenographError as second:
            if str(second) == str(first):
                raise second from first
        return None

    return provoke


def _without_cuda(provoke: Provoke) -> Provoke:
    def without(folder: Path) -> object:
        with patch("torch.cuda.is_available", return_value=False):
            return provoke(folder)

    return without


def _untyped(provoke: Provoke) -> Provoke:
    """As for a user: in tests, arguments are checked against their annotations."""

    def untyped(folder: Path) -> object:
        with patch.object(jaxtyping.config, "jaxtyping_disable", new=True):
            return provoke(folder)

    return untyped


def _alone(folder: Path) -> object:
    """The first of two processes, and the other one never comes."""
    with patch.multiple(allpairs, TILE={2: 2}, PATIENCE=-1.0):
        return _scored(world=2)(folder)


def _unreadable_evaluation(folder: Path) -> object:
    (folder / "evaluation.json").mkdir()
    return load_evaluation(folder / "evaluation.json")


def _planned(content: str, name: str = "plan.json") -> Provoke:
    """All pairs into a folder that holds a file already."""

    def provoke(folder: Path) -> object:
        (folder / "out").mkdir()
        written(folder / "out", content, name)
        return _scored()(folder)

    return provoke


def _without(*phenotypes: str) -> Cohort:
    """A cohort without the experiments of some phenotypes."""
    cohort = _small()
    held = {name: m for name, m in cohort.measured.items() if name not in phenotypes}
    return replace(cohort, measured=held)


def _deepset(*models: str, **settings: object) -> Provoke:
    """A training on embeddings, of a cohort that has those of some models' upstream windows."""
    cohort = _small()
    names = tuple(f"{model}:upstream" for model in models)
    cohort = replace(cohort, genome=replace(cohort.genome, feature_names=names))
    config = read_config(model="deepset", members=1, epochs=1, device="cpu", **settings)
    return lambda folder: train(cohort, config, folder / "run")


def lose_numbers(folder: Path) -> Path:
    """Make every weight of the run in a folder NaN, as no training leaves them."""
    record = json.loads((folder / "run.json").read_text("utf-8"))
    for name in record["checkpoints"]:
        tensors = load_file(folder / name)
        spoiled = {
            key: tensor if key.startswith("statistics.") else np.full_like(tensor, np.nan)
            for key, tensor in tensors.items()
        }
        save_file(spoiled, folder / name)
        record["checkpoints"][name] = hash_file(folder / name)
    written(folder, json.dumps(record), "run.json")
    return folder


def _written_without_numbers(folder: Path) -> object:
    cohort = _small()
    run = Run.open(lose_numbers(_copied(folder)))
    found = predict(run, cohort.strains, cohort=cohort)
    with open_store(str(folder / "x.db")) as store:
        genes = list(cohort.genome.gene_ids)
        store.write(Table.of("Gene", {"id": genes, "symbol": genes}))
        return write_predictions(store, run, found, cohort)


def _exploded(folder: Path) -> object:
    cohort = _small()
    fitness = replace(cohort.fitness, value=np.full_like(cohort.fitness.value, 1e30))
    cohort = replace(cohort, measured={**cohort.measured, "fitness": fitness})
    return train(cohort, _config(), folder / "run")


def _scalars(n: int, value: float) -> Predictions:
    numbers = np.full(n, value, np.float32)
    found = {name: Predicted(numbers, numbers, None) for name in ("fitness", "interaction")}
    return {"fitness": MeasuredPrediction(np.arange(n), found)}


def _diverged(folder: Path) -> object:
    cohort = _tested(_small())
    return score(cohort, _scalars(len(cohort.strains), np.nan))


def _nothing_measured(folder: Path) -> object:
    cohort = _without("expression")
    run = _run(folder, model={"heads": ["expression"]}, cohort_sha256=cohort.sha256)
    return evaluate(run, cohort=cohort)


def _boosted_without_fitness(folder: Path) -> object:
    cohort = _without("fitness")
    run = _run(folder, model={"heads": ["expression"]}, cohort_sha256=cohort.sha256)
    return predict_baseline(run, [cohort.genome.gene_ids[0]], cohort=cohort)


def _boosted_by_none(folder: Path) -> object:
    cohort = _tested(_small())
    run = _run(folder, cohort_sha256=cohort.sha256)
    return predict_baseline(run, [cohort.genome.gene_ids[0]], cohort=cohort)


def _others(folder: Path) -> object:
    path = folder / "predictions.safetensors"
    save_predictions(_scalars(1, 1.0), _small(seed=1), path)
    return load_predictions(path, _small())


def _beyond(folder: Path) -> object:
    path, cohort = folder / "predictions.safetensors", _small()
    quantities = ("fitness", "fitness_sd", "interaction", "interaction_sd")
    arrays = {f"fitness/{name}": np.ones(1, np.float32) for name in quantities}
    arrays["fitness/rows"] = np.array([99])
    save_file(arrays, path, metadata={"cohort_sha256": cohort.sha256})
    return load_predictions(path, cohort)


def _other_truth(folder: Path) -> object:
    name, number = np.array(["YZZ999C"]), np.ones(1)
    values = {"single_fitness": number, "pair_fitness": number, "pair_interaction": number}
    values |= {"gene": name, "morphology_parameter": name}
    values |= {"expression": np.ones((1, 1)), "morphology": np.ones((1, 1))}
    kinds = ("single", "pair", "expression", "morphology")
    np.savez(folder / "truth.npz", **values, **{f"{kind}_strain": name for kind in kinds})
    return read_truth(folder, _small())


def _elsewhere(folder: Path) -> object:
    cohort = _small()
    run = _run(folder)
    found = predict(run, cohort.strains, cohort=cohort)
    with open_store(str(folder / "empty.db")) as store:
        return write_predictions(store, run, found, cohort)


def _outside(**changes: float) -> Provoke:
    """Strains with rows that the cohort has not."""
    cohort = _small()
    strains = cohort.strains
    arrays = {name: np.full_like(getattr(strains, name), row) for name, row in changes.items()}
    return lambda folder: predict(_run(folder), replace(strains, **arrays), cohort=cohort)


CASES: tuple[Case, ...] = (
    Case(
        "RunError",
        "toml: no such file",
        "The configuration does not exist.",
        "Check its path.",
        lambda folder: read_config(folder / "train.toml"),
    ),
    Case(
        "RunError",
        "no model is called .*; choose one of",
        "A configuration or --model names a model that there is none of.",
        "Choose one of the message.",
        lambda folder: read_config(written(folder, '[model]\nname = "oracle"\n')),
    ),
    Case(
        "RunError",
        "cannot be imported: NameError",
        "The file of a model raises an error where it is imported.",
        "Mend the file.",
        _found_model("MODEL = absent"),
    ),
    Case(
        "RunError",
        "MODEL is .*, wanted the class of the model, a StrainModel",
        "The file of a model has no MODEL, or one that is no model.",
        "Set MODEL to the class of the model.",
        _found_model(""),
    ),
    Case(
        "RunError",
        "does not define .*predict",
        "The class of a model lacks functions of the contract, or spells them in another way.",
        "Define the functions of the message; docs/add-a-model.md says what each is.",
        _found_model("class Odd(StrainModel): pass", "MODEL = Odd"),
    ),
    Case(
        "RunError",
        "Odd.Config is .*, wanted a ModelConfig",
        "The class of a model has no configuration.",
        "Set Config to a class below ModelConfig that has the field name.",
        _found_model("class Odd(Deepset): Config = None", "MODEL = Odd"),
    ),
    Case(
        "RunError",
        "the name of .* is .*, wanted .*, the name of the file",
        "The configuration of a model names another model than its file does.",
        "Give its field name the name of the file.",
        _found_model("MODEL = Deepset"),
    ),
    Case(
        "RunError",
        "no table is called .*; choose from",
        "A table of the configuration has another name than the two there are.",
        "Settings of the model stand under [model], the others under [training].",
        lambda folder: read_config(written(folder, "[modle]\nwidth = 1\n")),
    ),
    Case(
        "RunError",
        "got model = .*; write it as name = ... in the table",
        "The configuration names the model outside of its table.",
        "Write [model] and below it name = and the name.",
        lambda folder: read_config(written(folder, "model = 'deepset'\n")),
    ),
    Case(
        "RunError",
        "stands outside of the tables .*; move it",
        "A setting in the configuration stands under no table, or under one of another name.",
        "Settings of the model stand under [model], the others under [training].",
        lambda folder: read_config(written(folder, "members = 1\n")),
    ),
    Case(
        "RunError",
        "no setting is called .*; choose from",
        "A setting that is given beside the configuration is neither the model's nor training's.",
        "Choose one of the message.",
        lambda folder: read_config(learning=1),
    ),
    Case(
        "RunError",
        "the cohort has no .* experiment in its training fold; export more strains or leave",
        "Every strain that was measured for this head is held out.",
        "Export more strains, or leave the head out of heads.",
        lambda folder: train(_tested(_small()), _config(), folder / "run"),
    ),
    Case(
        "RunError",
        "the cohort has no experiments of .*; nothing to train on",
        "The cohort was exported without the phenotypes that heads names.",
        "Name other heads, or export a cohort that has the phenotypes.",
        lambda folder: train(
            _without("morphology"), _config(heads=("morphology",)), folder / "run"
        ),
    ),
    Case(
        "RunError",
        "the cohort has no embedding of .* windows, it has .*; embed them",
        "The model deepset reads embeddings of windows that the cohort has none of.",
        "Embed them with `genograph cre` and export again, or set windows to those that are there.",
        _deepset("kmer"),
    ),
    Case(
        "RunError",
        "the cohort has embeddings of several models .*; export it with one",
        "The model deepset reads the embeddings of one model, and the cohort has several.",
        "Export the cohort again with `--embedding` and the model's name.",
        _deepset("kmer", "enformer", windows="upstream"),
    ),
    Case(
        "RunError",
        "device cuda: no CUDA device is visible",
        "The device was set to cuda where there is none, or where CUDA_VISIBLE_DEVICES hides it.",
        "Use cpu or auto.",
        _without_cuda(
            _both(
                lambda folder: train(_small(), _config(device="cuda"), folder / "new"),
                lambda folder: predict(
                    _run(folder), _small().strains, cohort=_small(), device="cuda"
                ),
            )
        ),
    ),
    Case(
        "RunError",
        "no device is called .*; choose auto, cpu or cuda",
        "The device's name is not known.",
        "Choose one of the message.",
        _scored(device="tpu"),
    ),
    Case(
        "RunError",
        "cannot be written: .*; when it can, the same command resumes",
        "The disk is full, or the folder may not be written or lies below a file.",
        "Make room or name another folder, and run the same command again.",
        lambda folder: train(_small(), _config(), written(folder, "x") / "run"),
    ),
    Case(
        "RunError",
        "its cohort has no fitness; gradient boosting has nothing to learn",
        "The baseline is asked for a run whose cohort measured no fitness.",
        "Export a cohort with fitness, and train on it.",
        _boosted_without_fitness,
    ),
    Case(
        "RunError",
        "its cohort has too few .* in its training fold for trees",
        "The baseline is asked for single or double mutants, of which training has fewer than ten.",
        "Export more of them, or ask the run itself.",
        _boosted_by_none,
    ),
    Case(
        "RunError",
        "training stopped at step .* of epoch .*: .* is .*; largest of .*; mend or leave out such",
        "A loss, a gradient or a weight is infinite or no number: mostly a label is far outside "
        "its phenotype's range. The run is not complete; the same command stops there again.",
        "Mend the measurements that the message names, or leave them out (`--where`), and export "
        "again; where they are right, train with a lower learning_rate.",
        _exploded,
    ),
    Case(
        "RunError",
        "run .* predicts no finite .* strains .*; nothing is written; train again",
        "Weights of the run are NaN or infinite, so that it has no number for some strains.",
        "Train again. `genograph load` notes labels that are far outside of their range.",
        _written_without_numbers,
    ),
    Case(
        "RunError",
        "run .* predicts no finite .* of .*; its files are not written; train again",
        "Weights of the run are NaN or infinite, so that it has no number for some strains.",
        "Train again. `genograph load` notes labels that are far outside of their range.",
        lambda folder: score_all(
            lose_numbers(_copied(folder)), folder / "out", cohort=_small(), device="cpu"
        ),
    ),
    Case(
        "RunError",
        "the limit of .* minutes was reached: training stopped at step .* the same command resumes",
        "`--minutes` ended within an epoch. The state after the step that was under way is saved.",
        "Run the same command again: it goes on after that step, for as many minutes again.",
        lambda folder: train(_small(), _config(minutes=1e-9), folder / "run"),
    ),
    Case(
        "RunError",
        "in use by another process; wait for it, or choose another folder",
        "Another training writes the same run folder.",
        "Wait for it, or choose another folder.",
        _claimed,
    ),
    Case(
        "RunError",
        "config: got dict, wanted a TrainConfig; read_config makes one",
        "A function was given settings where it takes a configuration.",
        "Make the configuration with genograph.read_config.",
        _untyped(lambda folder: train(_small(), {"epochs": 1}, folder / "run")),
    ),
    Case(
        "RunError",
        "holds a training with another .*; choose another folder",
        "The folder has a run of another cohort or configuration.",
        "Choose another folder, or train with what the run was begun with.",
        lambda folder: train(_small(), _config(epochs=2), _copied(folder)),
    ),
    Case(
        "RunError",
        "exists and holds no training; choose another folder",
        "The folder for the run holds something else.",
        "Choose an empty folder or a new one.",
        lambda folder: (written(folder, "x"), train(_small(), _config(), folder)),
    ),
    Case(
        "RunError",
        "damaged metrics .*; delete it, the same command resumes",
        "metrics.csv of a training that is resumed was edited or cut.",
        "Delete metrics.csv and run the same command again.",
        _resumed(files={"metrics.csv": b"member,epoch\n0,first\n"}),
    ),
    Case(
        "RunError",
        "damaged metrics .columns .*; delete it, the same command resumes",
        "metrics.csv of a training that is resumed has other columns.",
        "Delete metrics.csv and run the same command again.",
        _resumed(files={"metrics.csv": b"member,epoch,note\n0,1,mine\n"}),
    ),
    Case(
        "RunError",
        "damaged checkpoint .*; delete its folder and train again",
        "The state that a training resumes from was cut or changed.",
        "Delete the member's folder and run the same command again.",
        _resumed(files={"member-0/state.safetensors": b"x"}),
    ),
    Case(
        "RunError",
        "is not a state of this model .*; train again",
        "The state that a training resumes from is of another training.",
        "Delete the member's folder and run the same command again.",
        _resumed(files={"member-0/state.safetensors": _NO_TENSORS}),
    ),
    Case(
        "RunError",
        "is not a checkpoint of this model; train again",
        "The configuration in run.json is not the one that the weights were trained with.",
        "Put the run's own run.json back, or train again into a new folder.",
        _predicted(model={"width": 12}),
    ),
    Case(
        "RunError",
        "run schema .*, this genograph reads .*; export its cohort and train again",
        "The run was trained with another version of the graph's schema.",
        "Export the cohort with this version and train again, or use the version of the run.",
        lambda folder: Run.open(_copied(folder, schema_version=1)),
    ),
    Case(
        "SchemaError",
        "strains: got .*, wanted strain ids such as",
        "A list of strains holds something else than text.",
        "Give strain ids, or what read_strains returns.",
        _untyped(lambda folder: predict(_run(folder), [1], cohort=_small())),
    ),
    Case(
        "SchemaError",
        "strains: .* is not a gene of the cohort",
        "A strain of a list perturbs a gene that the run's cohort lacks.",
        "Check the name, or export a cohort that has the gene.",
        lambda folder: predict(_run(folder), ["YZZ001C"], cohort=_small()),
    ),
    Case(
        "RunError",
        "is not the checkpoint that run.json names, it was changed or damaged",
        "A member's weights were changed, cut or swapped after the training.",
        "Copy the run again, or train again into a new folder.",
        _predicted(files={"member-0/model.safetensors": _NO_TENSORS}),
    ),
    Case(
        "RunError",
        "damaged run .*is no JSON.*; train again",
        "run.json is no JSON.",
        "Copy the run again, or train again into a new folder.",
        lambda folder: (written(folder, "{", "run.json"), Run.open(folder)),
    ),
    Case(
        "RunError",
        "damaged run .*is not UTF-8.*; train again",
        "run.json is no text.",
        "Copy the run again, or train again into a new folder.",
        lambda folder: (written(folder, b"\xff", "run.json"), Run.open(folder)),
    ),
    Case(
        "RunError",
        "config .*: .*; it was written by another version",
        "The configuration in run.json has a setting that this version has not, or out of range.",
        "Use the version that run.json names, or train again into a new folder.",
        lambda folder: _run(folder, training={"colour": "red"}),
    ),
    Case(
        "RunError",
        "no engine is called .*; choose one of",
        "run.json names an engine that this version has not.",
        "Use the version that run.json names, or put an engine of the message there.",
        _predicted(facts={"engine": "steam", "engine_device": "cpu"}),
    ),
    Case(
        "RunError",
        "does not know its cohort folder; pass cohort",
        "The run was trained on a cohort in memory.",
        "Save the cohort and name its folder with --cohort.",
        lambda folder: _run(folder).cohort(),
    ),
    Case(
        "RunError",
        "the run's cohort is not there any more; pass cohort",
        "The cohort was moved or deleted, or the run comes from another machine.",
        "Name the cohort's folder with --cohort.",
        lambda folder: _run(folder, cohort=str(folder / "cohort")).cohort(),
    ),
    Case(
        "RunError",
        "hash .*, run .* was trained on .*; name the cohort it was trained on",
        "The cohort is not the one that the run was trained on.",
        "Name that cohort, or train on this one.",
        lambda folder: _run(folder).check(_small(seed=1)),
    ),
    Case(
        "RunError",
        "the training is .*; the same command resumes it",
        "Predictions are asked of a training that has not come to its end.",
        "Run the same `genograph train` again; it resumes.",
        _both(_predicted(status="interrupted"), _scored({"status": "interrupted"})),
    ),
    Case(
        "RunError",
        "has no head .*; choose from",
        "Predictions of a phenotype are asked that the run was not trained on.",
        "Choose one of the message, or train with that head.",
        _predicted(heads=("growth",)),
    ),
    Case(
        "RunError",
        "no prediction of .*; choose from",
        "A prediction is asked for a quantity that it does not have.",
        "Choose one of the message, or predict with the head that has it.",
        lambda folder: _predicted(heads=("fitness",))(folder)["expression"],
    ),
    Case(
        "RunError",
        "strains perturb genes outside the run's .* vocabulary",
        "The strains were made on the genes of another cohort.",
        "Make them from the run's cohort, or export a cohort that has the genes and train on it.",
        _outside(gene=6),
    ),
    Case(
        "RunError",
        "strains.single does not hold rows of the run's cohort",
        "The strains refer to the single mutants of another cohort.",
        "Make them from the run's cohort.",
        _outside(single=99),
    ),
    Case(
        "RunError",
        "has no head fitness; choose from",
        "All pairs are scored by fitness, which the run was not trained on.",
        "Train a run that has fitness among its heads.",
        _scored({"model": {"heads": ["expression"]}}),
    ),
    Case(
        "RunError",
        "genes at a time: wanted 2 or 3",
        "Combinations of another number of genes were asked for.",
        "Score pairs or triples; `genograph predict` takes any strains.",
        _untyped(_scored(size=4)),
    ),
    Case(
        "RunError",
        "is not one of the cohort's .* genes; leave it out",
        "A gene to combine is not in the run's cohort.",
        "Leave it out, or spell it by its systematic name.",
        _scored(genes=("YAL001C", "YZZ999W")),
    ),
    Case(
        "RunError",
        "got .* genes, a strain perturbs .*; list more",
        "Fewer genes were listed than a combination has.",
        "List more genes.",
        _scored(genes=("YAL001C",)),
    ),
    Case(
        "RunError",
        "plan.json: damaged .*; choose another folder",
        "The plan of a scoring was changed or cut.",
        "Choose another folder, or delete this one.",
        _planned("{"),
    ),
    Case(
        "RunError",
        "holds a scoring with another .*; choose another folder",
        "The folder has a scoring by another run, or of other genes.",
        "Choose another folder, or repeat the call that began it.",
        lambda folder: (_scored()(folder), _scored(size=3)(folder)),
    ),
    Case(
        "RunError",
        "exists and holds no scoring; choose another folder",
        "The folder for the scoring holds something else.",
        "Choose an empty folder or a new one.",
        _planned("x", "notes.txt"),
    ),
    Case(
        "RunError",
        "shards of other processes are lacking; run them again",
        "Another process of the scoring ended early, or made nothing for an hour.",
        "Run the same command again for that process; what is made stays.",
        _alone,
    ),
    Case(
        "SourceError",
        "genes.txt: no such file",
        "The list of genes does not exist.",
        "Check its path.",
        lambda folder: read_genes(folder / "genes.txt", _small()),
    ),
    Case(
        "SourceError",
        "cannot be read as text",
        "The list of genes is a folder, may not be read, or is not UTF-8.",
        "Name the file, and save it as UTF-8.",
        lambda folder: read_genes(written(folder, b"\xff\xfeY"), _small()),
    ),
    Case(
        "SourceError",
        "line .*: got .*, wanted a gene of the cohort",
        "A list of genes names one that the run's cohort has not.",
        "Mend or delete the line.",
        lambda folder: read_genes(written(folder, "YAL001C\nYZZ999W\n"), _small()),
    ),
    Case(
        "SourceError",
        "lists no genes",
        "The list of genes is empty or has nothing but comments.",
        "List genes, one a line.",
        lambda folder: read_genes(written(folder, "# none\n"), _small()),
    ),
    Case(
        "RunError",
        "none of its heads has a measurement in the cohort; nothing to score",
        "The heads in run.json are not those that the run was trained with.",
        "Put the run's own run.json back, or train again into a new folder.",
        _nothing_measured,
    ),
    Case(
        "RunError",
        "the run predicts no number for .*; training has diverged",
        "The training diverged: its weights are no numbers.",
        "Train again with a lower learning_rate.",
        _diverged,
    ),
    Case(
        "RunError",
        "damaged predictions .*Error.*; evaluate the run again",
        "predictions.safetensors was cut, or is another kind of file.",
        "Run `genograph evaluate` again.",
        lambda folder: load_predictions(written(folder, "x"), _small()),
    ),
    Case(
        "RunError",
        "damaged predictions .*rows that the cohort does not have",
        "predictions.safetensors was changed: its arrays do not fit the cohort.",
        "Run `genograph evaluate` again.",
        _beyond,
    ),
    Case(
        "RunError",
        "predictions of another cohort; evaluate the run again",
        "predictions.safetensors comes from another run, or the cohort is another one.",
        "Run `genograph evaluate` again.",
        _others,
    ),
    Case(
        "RunError",
        "the run has not been evaluated; run: genograph evaluate",
        "A report is asked of a run that has no evaluation.json.",
        "Run `genograph evaluate`, then the report.",
        lambda folder: report(_run(folder), cohort=_small()),
    ),
    Case(
        "RunError",
        "damaged evaluation .*; evaluate the run again",
        "evaluation.json was edited or cut.",
        "Run `genograph evaluate` again.",
        lambda folder: load_evaluation(written(folder, "{}")),
    ),
    Case(
        "RunError",
        "evaluation.json: cannot be read",
        "evaluation.json may not be read, or is a folder.",
        "Give yourself the right to read it, or run `genograph evaluate` again.",
        _unreadable_evaluation,
    ),
    Case(
        "SourceError",
        "truth.npz: no such file",
        "The folder has no truth of a simulation.",
        "Name the folder that `genograph simulate` wrote.",
        lambda folder: read_truth(folder, _small()),
    ),
    Case(
        "SourceError",
        "holds no true values .*; give the truth of genograph simulate",
        "The file is no truth of a simulation, or it was cut.",
        "Name the folder that `genograph simulate` wrote, or simulate again.",
        lambda folder: read_truth(written(folder, "x"), _small()),
    ),
    Case(
        "SourceError",
        "knows .* strains; it is the truth of another simulation",
        "The cohort does not come from this simulation.",
        "Name the folder of the simulation that was loaded and exported.",
        _other_truth,
    ),
    Case(
        "SourceError",
        "a simulated yeast has at least .* genes",
        "Too few genes were asked for.",
        "Raise --genes.",
        lambda folder: simulate(folder, genes=1),
    ),
    Case(
        "SourceError",
        "a seed is 0 or more",
        "The seed of a simulation is negative.",
        "Give 0 or more.",
        lambda folder: simulate(folder, seed=-1),
    ),
    Case(
        "SourceError",
        "is a file; name a folder",
        "The folder for a simulation is a file.",
        "Name a folder.",
        lambda folder: simulate(written(folder, "x")),
    ),
    Case(
        "SourceError",
        "is not empty; choose another folder or pass force",
        "The folder for a simulation holds something.",
        "Choose another, or --force to write beside it and over files of the same names.",
        lambda folder: (written(folder, "x"), simulate(folder)),
    ),
    Case(
        "RunError",
        "was trained on a database with other genes",
        "The database has other genes than the one that the run's cohort was exported from.",
        "Export and train again from this database, or write to the one it came from.",
        _elsewhere,
    ),
)
