"""A run over tiny tables: what is judged, what is fitted, what is searched, and what is done again."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import fusion
from fusion.errors import FusionError
from fusion.pipeline import load_pipeline, run_pipeline
from fusion.tables import IndicatorTable
from tests.tables.small import SPACE, distinct, table_of, values_of

# three strings of one network, of which the last is its key
TWINS = [
    "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
    "|none~0|+|nor_conv_1x1~0|none~1|+|none~0|none~1|skip_connect~2|",
    "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
]


def make(folder):
    """Write a table of 60 networks and accuracies of all of them; return the accuracies by key."""
    keys = [*[key for key in distinct(70, seed=4) if key not in TWINS][:59], TWINS[2]]
    assert len(set(keys)) == 60
    values, quality = values_of(keys)
    table_of(folder / "table", values)
    accuracy = (80 + 5 * quality).rename_axis("arch").rename("accuracy").reset_index()
    accuracy.to_csv(folder / "acc.csv", index=False)
    return 80 + 5 * quality


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Reports take most of a run so small, and have tests of their own."""
    monkeypatch.setattr("fusion.evaluation.page.write_report", lambda *_, **__: None)


@pytest.fixture
def made(tmp_path):
    return make(tmp_path)


def pipeline(tmp_path, *settings, **changed):
    given = {
        "title": "Tiny",
        "space": {"name": "nats-tss", **SPACE.settings},
        "table": str(tmp_path / "table"),
        "target": "made up",
        "accuracies": {"table": str(tmp_path / "acc.csv")},
        "indicators": "params,flops,cj,os",
        "models": {"weighted_sum": {"model": "weighted_sum"}},
        "evaluation": {"splits": 3, "bootstrap": 5, "train_sizes": []},
        "workers": 1,
        **changed,
    }
    (tmp_path / "p.yaml").write_text(json.dumps(given))
    return load_pipeline(tmp_path / "p.yaml", settings)


def run(tmp_path, *settings, **changed):
    return run_pipeline(pipeline(tmp_path, *settings, **changed), tmp_path / "out")


def write(tmp_path, rows):
    pd.DataFrame(rows, columns=["arch", "accuracy"]).to_csv(tmp_path / "acc.csv", index=False)


def test_the_table_of_accuracies_says_what_is_judged_whatever_the_sample(made, tmp_path):
    write(tmp_path, made.iloc[:30].reset_index().to_numpy())
    done = run(tmp_path, architectures={"sample": 50, "seed": 1})
    assert done.evaluation.protocol.architectures == 30
    assert done.evaluation.protocol.target == "made up"
    assert set(done.evaluation.predictions["arch"]) <= set(made.index[:30])


def test_rows_that_cannot_be_used_are_told(made, tmp_path):
    unknown = [key for key in distinct(80, seed=9) if key not in made.index][:2]
    write(tmp_path, [*made.reset_index().to_numpy(), *((key, 50.0) for key in unknown), (made.index[0], "")])
    done = run(tmp_path)
    assert done.evaluation.protocol.architectures == 60
    assert done.evaluation.protocol.rows == 63
    told = " ".join(done.lines())
    assert "2 architectures with an accuracy are not in its table" in told
    assert "1 row without a value left out" in told


def test_twins_never_straddle_a_split(made, tmp_path):
    """Where a string of a network is tested, all its strings are."""
    rows = [(key, value) for key, value in made.items() if key not in TWINS]
    write(tmp_path, [*rows, *((twin, 85.0) for twin in TWINS)])
    done = run(tmp_path, "evaluation.splits=12")
    tested = done.evaluation.predictions.groupby("split")["arch"].agg(set)
    shared = [len(archs & set(TWINS)) for archs in tested]
    assert set(shared) == {0, 3}


def test_dead_edges_are_left_out_of_a_table_too(made, tmp_path):
    dead = [arch for arch in SPACE.sample(3000, seed=0) if SPACE.has_dead_edge(arch)]
    known = [arch for arch in dead if SPACE.canonical(arch) in made.index][:3]
    assert len(known) == 3
    write(tmp_path, [*made.items(), *((arch, 60.0) for arch in known)])
    assert run(tmp_path).evaluation.protocol.dead_edges == 3
    done = run(tmp_path, "architectures.without_dead_edges=true")
    assert (done.evaluation.protocol.architectures, done.evaluation.protocol.dead_edges) == (60, 0)


def test_a_sample_of_a_whole_benchmark_is_a_sample(made, tmp_path, monkeypatch):
    frame = pd.DataFrame(
        {"accuracy": made, "seeds": 1, "cost": np.nan, "spread": np.nan}, pd.Index(made.index, name="arch")
    )
    asked = []

    class Whole:
        path, notes = "whole", ()

        def __init__(self, path):
            pass

        def accuracies(self, dataset, split, epochs, *, archs):
            asked.append(archs)
            return frame

    monkeypatch.setattr("fusion.benchmarks.source.BENCHMARKS", {"whole": Whole})
    (tmp_path / "archs.csv").write_text("arch\n" + "\n".join(made.index[:25]))
    chosen = {"archive": "whole", "benchmark": "whole"}
    done = run(tmp_path, accuracies=chosen, architectures={"file": str(tmp_path / "archs.csv")})
    assert done.evaluation.protocol.architectures == 25
    assert asked == [list(made.index[:25])]
    with pytest.raises(FusionError, match="lacks"):
        run(tmp_path, accuracies=chosen, architectures={"sample": 400})


def test_models_are_fitted_on_all_and_the_first_is_the_runs_model(made, tmp_path):
    models = {"mine": {"model": "weighted_sum", "indicators": "params,cj"}, "fi": {"model": "weighted_sum"}}
    run(tmp_path, models=models)
    saved = fusion.load(tmp_path / "out" / "model")
    assert (saved.networks, saved.features) == (60, ["params", "cj"])
    table = IndicatorTable.open(tmp_path / "table")
    features = fusion.load(tmp_path / "out" / "models" / "fi").features
    assert features == ["params", "flops", "cj", "os", *table.encoding().columns]
    again = fusion.load(tmp_path / "out" / "models" / "mine").predict(table)
    pd.testing.assert_series_equal(saved.predict(table), again)


def test_the_pool_reaches_the_fit(made, tmp_path):
    """What is known of unmeasured networks moves the transform: 30 of 60 are measured."""
    write(tmp_path, made.iloc[:30].reset_index().to_numpy())
    run(tmp_path)
    fitted = fusion.load(tmp_path / "out" / "model").fitted
    assert fitted.reference_ == "pool"
    assert fitted.transformer_.n_reference_ == 60


SEARCH = {"budget": 8, "initial": 4, "rounds": 2, "candidates": 6, "repeats": 2}
QUICK = {**SEARCH, "model": "weighted_sum"}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Run once with a search; return the folder and the accuracies."""
    folder = tmp_path_factory.mktemp("first")
    made = make(folder)
    run(folder, search=QUICK)
    return folder, made


@pytest.fixture
def done(first, tmp_path):
    """A run that is done, as the accuracies that it had."""
    folder, made = first
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return made.copy()


@pytest.fixture
def counted(monkeypatch):
    """How often each is done from here on."""
    calls = {"evaluate": 0, "search": 0}
    import fusion.pipeline.run as module

    for name in calls:
        original = getattr(module, name)

        def counting(*arguments, _name=name, _original=original, **options):
            calls[_name] += 1
            return _original(*arguments, **options)

        monkeypatch.setattr(module, name, counting)
    return calls


def test_what_still_fits_is_not_done_again(made, tmp_path, counted):
    first = run(tmp_path, search=QUICK)
    second = run(tmp_path, search=QUICK)
    assert counted == {"evaluate": 1, "search": 1}
    assert first.evaluation == second.evaluation
    assert first.search == second.search


@pytest.mark.parametrize(
    ("settings", "evaluated", "searched"),
    [
        (["evaluation.splits=4"], 1, 0),
        (["target=another"], 1, 0),
        (["indicators=params,cj"], 1, 1),
        (["models.weighted_sum.params.penalty=none"], 1, 1),
        (["search.budget=9"], 0, 1),
        (["title=Another"], 0, 0),
        (["workers=2"], 0, 0),
    ],
)
def test_a_changed_input_is_done_again_and_no_other(done, tmp_path, counted, settings, evaluated, searched):
    run(tmp_path, *settings, search=QUICK)
    assert counted == {"evaluate": evaluated, "search": searched}


def test_a_changed_accuracy_is_noticed(done, tmp_path, counted):
    done.iloc[7] += 1
    write(tmp_path, done.reset_index().to_numpy())
    run(tmp_path, search=QUICK)
    assert counted == {"evaluate": 1, "search": 1}


def test_seeds_and_costs_are_inputs_too(done, tmp_path, counted):
    table = done.rename("accuracy").rename_axis("arch").reset_index()
    table.assign(seconds=2.0).to_csv(tmp_path / "acc.csv", index=False)
    assert run(tmp_path, search=QUICK).search.methods["random"].cost == 8 * 2.0
    assert counted == {"evaluate": 0, "search": 1}
    seeds = {"accuracy_seed_0": done.to_numpy() - 1, "accuracy_seed_1": done.to_numpy() + 1}
    table.assign(seconds=2.0, **seeds).to_csv(tmp_path / "acc.csv", index=False)
    assert run(tmp_path, search=QUICK).evaluation.ceiling is not None
    assert counted == {"evaluate": 1, "search": 1}


@pytest.mark.parametrize("name", ["metrics.json", "predictions.parquet", "model/model.json", "search.json"])
def test_a_file_that_is_gone_is_made_again(done, tmp_path, counted, name):
    before = (tmp_path / "out" / name).read_bytes()
    (tmp_path / "out" / name).unlink()
    run(tmp_path, search=QUICK)
    assert (tmp_path / "out" / name).read_bytes() == before
    assert counted == (
        {"evaluate": 0, "search": 1} if name == "search.json" else {"evaluate": 1, "search": 0}
    )


def test_a_damaged_ledger_is_no_obstacle(done, tmp_path, counted):
    (tmp_path / "out" / "run.json").write_text("{")
    run(tmp_path)
    assert counted["evaluate"] == 1


def test_the_search_is_among_what_has_both(made, tmp_path):
    write(tmp_path, made.iloc[:20].reset_index().to_numpy())
    found = run(tmp_path, search=SEARCH).search
    assert (found.networks, found.whole, found.predictor) == (20, False, "auto")
    assert found.best_known == pytest.approx(made.iloc[:20].max())
    assert f"best of the 20 searched {found.best_known:.2f}" in run(tmp_path, search=SEARCH).lines()[-1]


def test_a_search_asks_for_a_model_of_the_pipeline(made, tmp_path):
    assert run(tmp_path, search={**SEARCH, "model": "weighted_sum"}).search.predictor == "weighted_sum"
    with pytest.raises(FusionError, match="'lightgbm' is not among the pipeline's models"):
        run(tmp_path, search={**SEARCH, "model": "lightgbm"})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"images": "digits"}, "give either images"),
        ({"table": None}, "give either images"),
        ({"space": {"channels": 4}}, "space needs a key 'name'"),
        ({"space": {"name": "mine.py:Mine"}}, "name its class: --space mine.py:Mine"),
        ({"indicators": "params,naswot"}, "no indicator naswot"),
        ({"models": {"m": {"model": "lightgb"}}}, "did you mean 'lightgbm'"),
        ({"models": {"m": {"model": "fi"}}}, "nlr, cnntk"),
    ],
)
def test_what_does_not_fit_together_is_told_in_one_line(made, tmp_path, changed, told):
    with pytest.raises(FusionError, match=told) as raised:
        run(tmp_path, **changed)
    assert "\n" not in str(raised.value)


def test_several_tables_are_judged_by_what_the_others_taught(made, tmp_path):
    values, quality = values_of(distinct(40, seed=30), seed=3)
    other = fusion.space("nats-tss", channels=2, cells=1)
    table_of(tmp_path / "other", values, of=other)
    made_up = (70 + quality).rename_axis("arch").rename("accuracy")
    made_up.to_csv(tmp_path / "other.csv")
    done = run(
        tmp_path,
        table=None,
        tables=[str(tmp_path / "table"), str(tmp_path / "other")],
        accuracies=[{"table": str(tmp_path / "acc.csv")}, {"table": str(tmp_path / "other.csv")}],
    )
    assert len(done.evaluation.groups) == 2
    assert done.search is None
    assert sorted(of.protocol.architectures for of in done.evaluation.groups.values()) == [40, 60]
    with pytest.raises(FusionError, match="several tables go without a search"):
        run(
            tmp_path,
            table=None,
            tables=[str(tmp_path / "table")],
            accuracies=[{"table": str(tmp_path / "acc.csv")}],
            search=SEARCH,
        )
    assert fusion.load(tmp_path / "out" / "model").by_group
    assert (tmp_path / "out" / "report.html").exists()


def test_of_images_the_architectures_of_the_table_are_extracted(made, tmp_path):
    rows = [(key, value) for key, value in made.items()][:14]
    write(tmp_path, rows)
    images = {"table": None, "images": "digits", "batch_size": 8, "workers": 1, "device": "cpu"}
    few = {"architectures": {"sample": 5}, "indicators": "params,flops", "search": {**SEARCH, "budget": 6}}
    done = run(tmp_path, **images, **few)
    assert sorted(IndicatorTable.open(tmp_path / "out" / "indicators").values().index) == sorted(
        made.index[:14]
    )
    assert done.evaluation.protocol.images == "digits"
    assert done.search.networks == 14
    assert not (tmp_path / "out" / "searched").exists()


def test_a_search_computes_beside_the_table_what_it_looks_at(made, tmp_path, monkeypatch):
    """Else the architectures that are judged would grow with every search."""
    frame = pd.DataFrame(
        {"accuracy": made, "seeds": 1, "cost": 2.0, "spread": np.nan}, pd.Index(made.index, name="arch")
    )

    class Whole:
        path, notes = "whole", ()

        def __init__(self, path):
            pass

        def accuracies(self, dataset, split, epochs, *, archs):
            assert archs is None
            return frame

    monkeypatch.setattr("fusion.benchmarks.source.BENCHMARKS", {"whole": Whole})
    (tmp_path / "archs.csv").write_text("arch\n" + "\n".join(made.index[:14]))
    done = run(
        tmp_path,
        table=None,
        images="digits",
        batch_size=8,
        workers=1,
        device="cpu",
        accuracies={"archive": "whole", "benchmark": "whole"},
        architectures={"file": str(tmp_path / "archs.csv")},
        indicators="params,flops",
        search={**SEARCH, "candidates": 20},
    )
    assert done.evaluation.protocol.architectures == 14
    assert len(IndicatorTable.open(tmp_path / "out" / "indicators").values()) == 14
    assert len(IndicatorTable.open(tmp_path / "out" / "searched").values()) > 0
    assert done.search.networks == 60
    assert {method.cost for method in done.search.methods.values()} == {8 * 2.0}
