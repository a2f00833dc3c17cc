"""The genome model: engines agree, the wild type is exact, the local readout is what it says."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_cohort import cohort_of, genome_of, strains_of

from genograph.cohorts import TRAIN, Edges
from genograph.config import default_batch, read_config
from genograph.engine.bags import bag_sum, make_bag, take_rows
from genograph.engine.choose import choose_engine
from genograph.engine.plans import Plan
from genograph.engine.topology import REACHING, Topology
from genograph.errors import RunError
from genograph.models._statistics import single_effects
from genograph.models.genome import GenomeModel
from genograph.training.examples import Stream, find_examples
from genograph.training.validation import pearson

SMALL = {"width": 8, "hidden": 8, "change": 4, "growth": 2, "projected": 6}


def config_of(**options):
    return read_config(**(SMALL | options)).model


def model_of(cohort, engine="shared", *, seed=0, dtype=torch.float64, **options):
    config = config_of(engine=engine, **options)
    inputs = GenomeModel.read_inputs(cohort, config)
    statistics = GenomeModel.fit_statistics(cohort, inputs, config)
    torch.manual_seed(seed)
    model = GenomeModel(config, inputs, statistics).to(dtype)
    with torch.no_grad():
        # heads start small; full-size weights make a sharper test
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def plan_of(model, strains, *, at_least=1, effect=None, rows=None):
    if effect is None:
        effect = np.full(len(strains.gene), np.nan, np.float32)
    rows = np.arange(len(strains)) if rows is None else rows
    reach, n_node = model.inputs.topology.reach, model.inputs.topology.n_node
    return Plan.of(strains, rows, effect, reach, n_node, at_least=at_least)


def statistics_of(cohort, **options):
    config = config_of(**options)
    inputs = GenomeModel.read_inputs(cohort, config)
    return GenomeModel.fit_statistics(cohort, inputs, config)


def replace_measured(cohort, **measured):
    return dataclasses.replace(cohort, measured={**cohort.measured, **measured})


def answers(model, strains, *, effect=None):
    """Fitness, interaction, and the changes of expression and of morphology of strains."""
    encoded = model.encode()
    pairs = plan_of(model, strains, at_least=2, effect=effect).tensors()
    every = plan_of(model, strains, at_least=1, effect=effect).tensors()
    found = model.fitness(encoded.h, pairs)
    expression = model.vector_heads["expression"](model, encoded, pairs)
    morphology = model.vector_heads["morphology"](model, encoded, every)
    return (
        found.fitness,
        found.interaction,
        expression * model.scale("expression"),
        morphology * model.scale("morphology"),
    )


GENOTYPES = st.lists(
    st.lists(
        st.tuples(st.integers(0, 11), st.sampled_from([0.0, 0.3, 0.5, 1.0, 1.5, 2.0])),
        max_size=4,
        unique_by=lambda p: p,
    ),
    max_size=5,
)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["delta", "dgl"])
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(genotypes=GENOTYPES, seed=st.integers(0, 1000), density=st.sampled_from([0.0, 0.05, 0.4]))
def test_engines_give_equal_outputs_and_gradients(engine, genotypes, seed, density):
    cohort = cohort_of(n_gene=12, n_pair=10)
    genome = genome_of(12, 5, 2, seed=seed, density=density)
    cohort = dataclasses.replace(cohort, genome=genome)
    strains = strains_of(genotypes, 12)
    found = []
    for name in ("shared", engine):
        model = model_of(cohort, name, seed=seed)
        out = answers(model, strains)
        torch.manual_seed(seed)
        sum((o * torch.randn_like(o)).sum() for o in out).backward()
        gradients = {n: p.grad for n, p in model.named_parameters()}
        found.append((out, gradients))
    for one, other in zip(found[0][0], found[1][0], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    for name, one in found[0][1].items():
        other = found[1][1][name]
        assert (one is None) == (other is None), name
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5, msg=name)


@pytest.mark.parametrize("engine", ["shared", "delta", "dgl"])
def test_the_wild_type_is_exact_with_any_weights(engine):
    cohort = cohort_of()
    for seed in range(3):
        model = model_of(cohort, engine, seed=seed, dtype=torch.float32)
        strains = strains_of([[], [(3, 1.0), (4, 1.0)]], 30)
        fitness, interaction, expression, morphology = answers(model, strains)
        wild = strains.ids.to_pylist().index("WT")
        assert fitness[wild] == 1.0
        assert (expression == 0).all()
        assert (morphology[wild] == 0).all()
        # a strain whose every dose is that of the wild type is the wild type
        assert (fitness - 1).abs().max() < 1e-6
        assert interaction.abs().max() < 1e-6
        assert morphology.abs().max() < 1e-5


def test_the_fitness_of_several_perturbations_is_the_formula_written_out():
    cohort = cohort_of()
    model = model_of(cohort)
    topology = model.inputs.topology
    h = model.encode().h
    genes, doses = [0, 4, 7], [0.0, 0.5, 2.0]
    strains = strains_of([list(zip(genes, doses, strict=True))], 30)
    effect = np.array([-0.2, np.nan, -0.4], np.float32)
    plan = plan_of(model, strains, at_least=2, effect=effect).tensors()
    found = model.fitness(h, plan)

    def f(v, z):
        own = model.meet.of_node(
            torch.cat([h[v], topology.features[v], model.statistics["known"][v]])[None]
        )
        return model.meet_out(model.meet(z[None], own))[0]

    def alone(gene, dose):
        at_dose, at_wild = (
            torch.cat(
                [h[gene], model.statistics["near"][gene], torch.tensor([lost], dtype=h.dtype)]
            )
            for lost in (1.0 - dose, 0.0)
        )
        return model.single_effect(at_dose) - model.single_effect(at_wild)

    phi = model.effects(h, plan)
    torch.testing.assert_close(phi[1:2], alone(genes[1], doses[1]))
    assert phi[0].item() == pytest.approx(-0.2)
    assert phi[2].item() == pytest.approx(-0.4)
    expected = phi.sum()
    change = model.config.change
    z = {}
    for k, (gene, dose) in enumerate(zip(genes, doses, strict=True)):
        state = h[gene] + model.config.gene_identity * model.gene_named[gene]
        source = torch.cat([state, phi[k : k + 1] / model.statistics["effect_scale"]])
        message = model.change(source).view(len(REACHING), change)
        reach = topology.reach
        for e in range(reach.offsets[gene], reach.offsets[gene + 1]):
            step = (dose - 1.0) * float(reach.weight[e]) * message[reach.relation[e]]
            at = z.setdefault(int(reach.node[e]), {})
            at[k] = at.get(k, 0.0) + step
    met = {v: list(by.values()) for v, by in z.items() if len(by) >= 2}
    assert met, "the example must have shared nodes"
    summed = 0.0
    for v, changes in met.items():
        rest = (len(changes) - 1) * f(v, torch.zeros(change, dtype=h.dtype))
        summed = summed + f(v, sum(changes)) - sum(f(v, c) for c in changes) + rest
    shared = (
        torch.from_numpy(overlap_by_hand(topology, genes, doses))
        / model.statistics["overlap_scale"]
    )
    of_genes = torch.cat(
        [
            topology.features[genes, 3:],
            torch.log1p(torch.from_numpy(lengths_by_hand(topology)[genes])),
            phi[:, None],
        ],
        1,
    )
    sizes = torch.cat([of_genes.amin(0), of_genes.amax(0)])
    context = (sizes - model.statistics["context_mean"]) / model.statistics["context_scale"]
    seen = torch.cat([summed[1:], shared])
    weighed = model.weigh(torch.cat([seen, context]))
    weighed = weighed - model.weigh(torch.cat([torch.zeros_like(seen), context]))
    expected = (phi.sum() + summed[0] + weighed).reshape(1)
    torch.testing.assert_close(torch.log(found.fitness), expected, rtol=1e-6, atol=1e-6)


def lengths_by_hand(topology):
    """Root of the sum of squared weights of each gene's reach, by relation."""
    square = np.zeros((topology.n_gene, len(REACHING)))
    reach = topology.reach
    for gene in range(topology.n_gene):
        for e in range(reach.offsets[gene], reach.offsets[gene + 1]):
            square[gene, reach.relation[e]] += float(reach.weight[e]) ** 2
    return np.sqrt(square)


def overlap_by_hand(topology, genes, doses):
    """Log sum, largest and cosine of what pairs of perturbations reach, by two relations."""
    reach, n = topology.reach, len(REACHING)
    length = lengths_by_hand(topology)
    total, cosine = np.zeros((n, n)), np.zeros((n, n))
    by_node = {}
    for gene, dose in zip(genes, doses, strict=True):
        mine = {}
        for e in range(reach.offsets[gene], reach.offsets[gene + 1]):
            row = mine.setdefault(int(reach.node[e]), np.zeros(n))
            row[reach.relation[e]] += abs(1.0 - dose) * float(reach.weight[e])
        for node, row in mine.items():
            by_node.setdefault(node, []).append((gene, row))
    largest = np.zeros((n, n))
    for rows in by_node.values():
        here = np.zeros((n, n))
        for (a, u), (b, v) in itertools.combinations(rows, 2):
            product = np.outer(u, v) + np.outer(v, u)
            here += product
            ua, vb = u / np.maximum(length[a], 1e-6), v / np.maximum(length[b], 1e-6)
            cosine += np.outer(ua, vb) + np.outer(vb, ua)
        total += here
        largest = np.maximum(largest, here)
    halves = np.where(np.eye(n, dtype=bool), 2.0, 1.0)
    upper = np.triu_indices(n)
    return np.concatenate(
        [np.log1p(total / halves)[upper], (largest / halves)[upper], (cosine / halves)[upper]]
    )


def test_neighbours_effects_never_hold_a_genes_own():
    cohort = cohort_of()
    statistics = statistics_of(cohort)
    assert statistics["near"][:, 1::2].any(), "the example must have neighbours"
    measured = single_effects(cohort, floor=0.05).log_fitness
    fitness = cohort.fitness
    strains = cohort.strains
    rows = np.flatnonzero(~np.isnan(measured) & (cohort.strain_fold == TRAIN))
    gene = int(strains.gene[strains.offsets[rows[0]]])
    mine = (strains.n_perturbed == 1) & (strains.gene[strains.offsets[:-1]] == gene)
    changed = fitness.value * np.where(mine[fitness.strain], 0.5, 1.0).astype(np.float32)
    fitness = dataclasses.replace(fitness, value=changed)
    found = statistics_of(replace_measured(cohort, fitness=fitness))
    # in units of the effects' spread, which the change moves
    before = statistics["near"][:, ::2] * statistics["effect_scale"]
    after = found["near"][:, ::2] * found["effect_scale"]
    torch.testing.assert_close(after[gene], before[gene])
    assert not torch.allclose(after, before)


def test_unrelated_genes_do_not_interact():
    cohort = cohort_of()
    model = model_of(cohort)
    strains = strains_of([[(5, 0.0), (29, 0.0)]], 30)
    # the last gene is isolated: it shares no node with any other
    fitness, interaction, *_ = answers(model, strains)
    alone = answers(model, strains_of([[(5, 0.0)], [(29, 0.0)]], 30))[0]
    assert interaction.item() == 0.0
    assert fitness.item() == pytest.approx(alone.prod().item())


def test_genes_meet_at_a_shared_term_a_complex_a_partner_and_each_other():
    genome = genome_of(6, 2, 1, density=0.0)
    none = np.zeros(0, np.int64)
    edges = {r: Edges(none, none, np.zeros(0, np.float32)) for r in genome.edges}

    def link(relation, pairs):
        a, b = np.array(pairs).T.copy()
        edges[relation] = Edges(a, b, np.ones(len(a), np.float32))

    link("gene:annotated_with:term", [(0, 0), (1, 0)])
    link("gene:member_of:complex", [(1, 0), (2, 0)])
    link("gene:interacts_with:gene", [(0, 3), (3, 0), (2, 3), (3, 2), (4, 5), (5, 4)])
    link("gene:regulates:gene", [(0, 4), (1, 4), (5, 0), (5, 2)])
    topology = Topology.of(dataclasses.replace(genome, edges=edges))
    strains = strains_of([[(a, 0.0), (b, 0.0)] for a, b in itertools.combinations(range(6), 2)], 6)
    effect = np.full(len(strains.gene), np.nan, np.float32)
    rows = np.arange(len(strains))
    plan = Plan.of(strains, rows, effect, topology.reach, topology.n_node, at_least=2)
    met = {}
    for i, name in enumerate(strains.ids.to_pylist()):
        pair = tuple(int(part[3:6]) for part in name.split("+"))
        met[pair] = plan.node[plan.m_offsets[i] : plan.m_offsets[i + 1]].tolist()
    assert met[0, 1] == [4, 6]  # a shared target, a shared term
    assert met[1, 2] == [8]  # a complex
    assert met[0, 2] == [3, 5]  # a shared partner, a shared regulator
    assert met[4, 5] == [0, 4, 5]  # gene 0 regulates 4 and is regulated by 5; and each other
    assert met[1, 3] == []


def test_a_plan_taken_in_any_order_is_the_plan_of_those_strains():
    cohort = cohort_of()
    model = model_of(cohort)
    whole = plan_of(model, cohort.strains)
    rows = np.random.default_rng(1).permutation(len(cohort.strains))[:40]
    direct = plan_of(model, cohort.strains, rows=rows)
    for one, other in zip(whole.take(rows), direct, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_plan_made_in_chunks_is_the_plan_made_at_once(monkeypatch):
    cohort = cohort_of()
    model = model_of(cohort)
    whole = plan_of(model, cohort.strains)
    monkeypatch.setattr("genograph.engine.plans.CHUNK", 7)
    for one, other in zip(whole, plan_of(model, cohort.strains), strict=True):
        np.testing.assert_array_equal(one, other)


def test_batch_size_changes_no_prediction():
    cohort = cohort_of()
    model = model_of(cohort)
    together = answers(model, cohort.strains)
    encoded = model.encode()
    for row in (0, 5, 40):
        plan = plan_of(model, cohort.strains, rows=np.array([row]), at_least=2).tensors()
        alone = model.fitness(encoded.h, plan).fitness
        torch.testing.assert_close(alone[0], together[0][row], rtol=1e-9, atol=1e-9)


def test_permuting_the_genes_permutes_the_predictions():
    cohort = cohort_of()
    genome = cohort.genome
    order = np.random.default_rng(3).permutation(30)
    place = np.argsort(order)
    edges = {}
    for relation, e in genome.edges.items():
        source, _, target = relation.split(":")
        edges[relation] = Edges(
            place[e.source] if source == "gene" else e.source,
            place[e.target] if target == "gene" else e.target,
            e.weight,
        )
    moved = dataclasses.replace(
        genome,
        edges=edges,
        features=genome.features[order],
        has_features=genome.has_features[order],
    )
    strains = dataclasses.replace(cohort.strains, gene=place[cohort.strains.gene])
    expression = cohort.vectors["expression"]
    gene = np.where(expression.gene < 0, -1, place[expression.gene])
    permuted = replace_measured(
        dataclasses.replace(cohort, genome=moved, strains=strains),
        expression=dataclasses.replace(expression, gene=gene),
    )
    one, other = (model_of(c, gene_mark=0.3) for c in (cohort, permuted))
    weights = one.state_dict()
    # learned vectors of genes on the expression axis travel with their genes
    for name in ("vector_heads.expression.response", "gene_named", "gene_mark"):
        weights[name] = weights[name][torch.from_numpy(order)]
    own = ("known", "near", "reach_norm", "expression_gene")
    kept = {f"statistics.{name}" for name in own}
    other.load_state_dict(weights | {k: v for k, v in other.state_dict().items() if k in kept})
    for a, b in zip(answers(one, cohort.strains), answers(other, strains), strict=True):
        if a.ndim == 2 and a.shape[1] == 31:
            a, b = a[:, :30], b[:, :30]
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_a_single_mutant_is_never_told_its_own_measured_fitness():
    cohort = cohort_of()
    n = np.repeat(cohort.strains.n_perturbed, cohort.strains.n_perturbed)
    for growth_from in ("predicted", "measured"):
        inputs = GenomeModel.read_inputs(cohort, config_of(growth_from=growth_from))
        told = inputs.tell_effects(cohort.strains, "fitness")
        assert np.isnan(told[n == 1]).all()
        assert (~np.isnan(told[n == 2])).any()
        for head in ("expression", "morphology"):
            told = inputs.tell_effects(cohort.strains, head)
            assert np.isnan(told[n == 1]).all() == (growth_from == "predicted")
    hidden = GenomeModel.read_inputs(cohort, config_of(singles="hidden", growth_from="measured"))
    for head in ("fitness", "expression"):
        assert np.isnan(hidden.tell_effects(cohort.strains, head)).all()


def test_what_is_known_of_nodes_comes_from_training_singles_alone():
    cohort = cohort_of()
    before = statistics_of(cohort)["known"]
    held_out = (cohort.strain_fold[cohort.fitness.strain] != TRAIN) & (
        cohort.strains.n_perturbed[cohort.fitness.strain] == 1
    )
    assert held_out.any()
    value = np.where(held_out, 0.1, cohort.fitness.value).astype(np.float32)
    changed = replace_measured(cohort, fitness=dataclasses.replace(cohort.fitness, value=value))
    torch.testing.assert_close(statistics_of(changed)["known"], before)
    assert (statistics_of(cohort, singles="hidden")["known"] == 0).all()


def test_a_smaller_fitness_than_the_floor_counts_as_the_floor_and_is_counted():
    cohort = cohort_of()
    value = cohort.fitness.value.copy()
    single = np.flatnonzero(cohort.strains.n_perturbed[cohort.fitness.strain] == 1)
    value[single[:2]] = [0.0, 0.01]
    sick = replace_measured(cohort, fitness=dataclasses.replace(cohort.fitness, value=value))
    effects = single_effects(sick, floor=0.05)
    assert effects.n_floored == 2
    rows = cohort.fitness.strain[single[:2]]
    np.testing.assert_allclose(effects.log_fitness[rows], np.log(0.05), rtol=1e-6)


def test_repeated_single_measurements_are_weighted_by_their_precision():
    cohort = cohort_of()
    f = cohort.fitness
    row = int(f.strain[np.flatnonzero(cohort.strains.n_perturbed[f.strain] == 1)[0]])

    def effect(values, sds):
        twice = {
            "strain": np.array([row, row]),
            "study": np.array([3, 3]),
            "value": np.array(values, np.float32),
            "sd": np.array(sds, np.float32),
            "interaction": np.full(2, np.nan, np.float32),
            "interaction_sd": np.full(2, np.nan, np.float32),
        }
        changed = replace_measured(cohort, fitness=type(f)(**twice))
        return float(np.exp(single_effects(changed, floor=0.05).log_fitness[row]))

    assert effect([0.8, 0.6], [0.1, 0.2]) == pytest.approx((0.8 * 4 + 0.6) / 5)
    assert effect([0.8, 0.6], [0.1, np.nan]) == pytest.approx(0.7)
    assert effect([0.8, np.nan], [0.1, 0.2]) == pytest.approx(0.8)


def test_values_that_were_not_measured_weigh_nothing():
    cohort = cohort_of()
    model = model_of(cohort)
    tasks = find_examples(cohort, model.inputs, TRAIN)
    index = np.arange(4)
    batch = {
        name: tasks[name].batch(index, rank=0, world=1) for name in ("expression", "morphology")
    }
    losses = model(batch)
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in gradients)
    # by hand: mean over the measured values of the Gaussian's negative log-likelihood
    part = batch["expression"]
    guess = model.predict(model.encode(), part.plan, "expression")["expression"]
    measured = ~torch.isnan(part.values)
    error = ((guess - part.values) / model.scale("expression"))[measured]
    noise = model.log_noise["expression"][0]
    by_hand = (0.5 * (error**2 / noise.exp() + noise)).mean()
    torch.testing.assert_close(losses["expression"], by_hand, check_dtype=False)
    # a column without a gene is no target
    assert torch.isnan(part.values[:, -1]).all()


def test_several_processes_share_the_loss_of_one_batch():
    cohort = cohort_of()
    model = model_of(cohort, heads=("fitness", "expression"))
    tasks = find_examples(cohort, model.inputs, TRAIN)
    sizes = {"pairs": 9, "singles": 5, "expression": 1}

    def losses(rank, world):
        return model(
            {
                name: tasks[name].batch(np.arange(n), rank=rank, world=world)
                for name, n in sizes.items()
            }
        )

    parts = [losses(rank, 2) for rank in range(2)]
    for name, loss in losses(0, 1).items():
        torch.testing.assert_close(parts[0][name] + parts[1][name], loss)


def test_a_stream_shows_every_example_once_a_lap_and_depends_on_the_seed_alone():
    stream = Stream(10, 3, (0, 1))
    seen = np.concatenate([stream.at(step) for step in range(10)])
    for lap in range(3):
        assert sorted(seen[lap * 10 : lap * 10 + 10]) == list(range(10))
    np.testing.assert_array_equal(Stream(10, 3, (0, 1)).at(7), seen[21:24])
    assert (Stream(10, 3, (1, 1)).at(0) != seen[:3]).any()
    assert len(Stream(2, 8, (0, 0)).at(5)) == 2


def test_a_bag_is_the_sparse_matrix_in_both_directions():
    rng = np.random.default_rng(0)
    row, column = rng.integers(0, 6, 20), rng.integers(0, 5, 20)
    weight = torch.from_numpy(rng.normal(size=20))
    bag = make_bag(torch.from_numpy(row), torch.from_numpy(column), weight, 6, 5)
    dense = torch.zeros(6, 5, dtype=torch.float64)
    dense.index_put_((torch.from_numpy(row), torch.from_numpy(column)), weight, accumulate=True)
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(bag_sum(x, bag), dense @ x)
    (gradient,) = torch.autograd.grad((bag_sum(x, bag) ** 2).sum(), x)
    torch.testing.assert_close(gradient, 2 * dense.T @ dense @ x.detach())
    nothing = make_bag(
        torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), weight[:0], 2, 5
    )
    assert (bag_sum(x, nothing) == 0).all()
    index = torch.tensor([4, 0, 4])
    torch.testing.assert_close(take_rows(x, index), x[index])


def test_topology_shares_add_to_one_and_general_terms_are_left_out_and_counted():
    genome = genome_of()
    topology = Topology.of(genome, largest_term=0.12)
    for bag in topology.passing:
        total = bag_sum(torch.ones(bag.shape[1], 1), bag)[:, 0]
        has = bag.offsets.diff() > 0
        torch.testing.assert_close(total[has], torch.ones(int(has.sum())))
    size = np.bincount(genome.edges["gene:annotated_with:term"].target, minlength=12)
    assert topology.n_general_terms == (size > 3.6).sum() > 0
    reached = set(topology.reach.node.tolist())
    assert all((30 + t in reached) == (0 < size[t] <= 3.6) for t in range(12))


def test_an_unknown_engine_is_refused_with_the_choices():
    with pytest.raises(RunError, match="choose one of auto, delta, dgl, shared"):
        choose_engine("fast", Topology.of(genome_of()))


def test_pearson_is_numpy_s_and_nan_where_nothing_varies():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=50), rng.normal(size=50)
    assert pearson(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    a[3] = np.nan
    assert np.isfinite(pearson(a, b))
    assert np.isnan(pearson(np.ones(50), b))


def test_every_task_has_examples_in_the_test_cohort():
    cohort = cohort_of()
    tasks = find_examples(cohort, GenomeModel.read_inputs(cohort, config_of()), TRAIN)
    assert set(tasks) == set(default_batch())
    assert all(len(task) > 3 for task in tasks.values())


def test_vectors_are_read_piece_by_piece(monkeypatch):
    """Pieces of one row change nothing: examples, statistics, the mean profile."""
    cohort = cohort_of()
    inputs = GenomeModel.read_inputs(cohort, config_of())
    whole, before = find_examples(cohort, inputs, TRAIN), statistics_of(cohort)
    profile = whole["expression"].mean_profile()
    monkeypatch.setattr("genograph.cohorts.ragged.VALUES_AT_ONCE", 1)
    pieces, after = find_examples(cohort, inputs, TRAIN), statistics_of(cohort)
    for name, task in whole.items():
        np.testing.assert_array_equal(task.rows, pieces[name].rows)
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, equal_nan=True)
    np.testing.assert_allclose(pieces["expression"].mean_profile(), profile, rtol=1e-5, atol=1e-7)
