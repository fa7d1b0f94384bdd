"""The front door: what is there, that it costs nothing, and that it is what the folders have."""

import subprocess
import sys

import pytest

import fusion

# The public surface. A name that goes, or comes, is a decision; note it in CHANGELOG.md.
FACE = {
    *("Accuracies", "FusionError", "IndicatorTable", "Judging", "Labelled", "ModelSpec", "Predictor"),
    *("Recipe", "SearchSettings", "Work", "evaluate", "extract", "fit", "images", "list_benchmarks"),
    *("list_indicators", "list_models", "list_spaces", "load", "measure", "score", "search", "select"),
    *("list_shipped", "space"),
}
FOLDERS = {
    "benchmarks": {"BENCHMARKS", "Benchmark"},
    "evaluation": {
        *("DEFAULT_MODELS", "METRICS", "Evaluation", "Interval", "Judging", "Method", "Metric", "Plan"),
        *("Protocol", "Transfer", "evaluate", "judge", "split", "split_half_reliability"),
    },
    "extraction": {"Estimate", "attach", "estimate", "extract", "score"},
    "images": {"Batch", "ImageSet", "load_images"},
    "indicators": {"INDICATORS", "PRESETS", "Indicator", "indicator", "needs_graphs", "select"},
    "probes": {"COSTS", "PROBES", "Observations", "Probe", "Subject", "Undefined"},
    "regression": {
        *("MODELS", "FusionIndicator", "FusionModel", "Group", "IndicatorTransform", "LightGBM", "ModelSpec"),
        *("ModelState", "OnIndicators", "Predictor", "Source", "WeightedSum", "WithinGroup", "fit"),
        *("fit_groups", "grouped", "make_model", "models_page", "ExtraTrees", "GaussianProcess"),
        *(
            "LambdaRank",
            "LogRankSum",
            "Pairwise",
            "Tonight",
            "Unlabelled",
            "WithinSettings",
            "predict_within",
        ),
    },
    "search": {
        *("PROPOSERS", "Comparison", "Growing", "Indicators", "Measure", "SearchMethod", "SearchResult"),
        *("SearchSettings", "compare", "predictor_search", "random_search", "search"),
    },
    "spaces": {"SPACES", "Space", "make_space", "restore_space"},
    "training": {"Measurement", "Recipe", "load_recipe", "measure"},
    "work": {"Work"},
}


def test_the_public_surface_is_as_decided():
    assert set(fusion.__all__) == FACE
    for name in FACE:
        assert callable(getattr(fusion, name)), name
    assert set(dir(fusion)) >= FACE


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_folder_exports_what_it_should(folder):
    module = sys.modules[f"fusion.{folder}"] if folder in ("images", "search") else None
    module = module or __import__(f"fusion.{folder}", fromlist=["*"])
    assert set(module.__all__) >= FOLDERS[folder]
    assert all(hasattr(module, name) for name in module.__all__)


def test_every_name_of_the_face_has_an_example():
    without = [name for name in FACE if ">>>" not in (getattr(fusion, name).__doc__ or "")]
    # the two folders answer with the docstring of their function
    functions = {"images": fusion.images.load_images, "search": fusion.search.search}
    assert [
        name for name in without if ">>>" not in (functions[name].__doc__ if name in functions else "")
    ] == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'extrakt'"):
        _ = fusion.extrakt


def test_errors_are_value_errors():
    assert issubclass(fusion.FusionError, ValueError)


def test_importing_fusion_imports_nothing_else_of_it():
    code = (
        "import sys; before = set(sys.modules); import fusion;"
        "print(sorted(name for name in set(sys.modules) - before if name.split('.')[0] in "
        "('fusion', 'torch', 'pandas', 'numpy', 'sklearn')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['fusion']"


def test_folders_of_the_face_can_be_called_however_they_were_imported():
    code = (
        "import fusion.images.base, fusion.search.base, fusion;"
        "print(len(fusion.images('digits').y_train), callable(fusion.search))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1797", "True"]


def test_what_lies_in_a_folder_is_loaded_as_what_it_is(tmp_path):
    assert isinstance(fusion.load("data/darts-cifar10/indicators"), fusion.IndicatorTable)
    assert isinstance(fusion.load("models/digits-tss"), fusion.Predictor)
    with pytest.raises(fusion.FusionError, match="neither an indicator table"):
        fusion.load(tmp_path)
