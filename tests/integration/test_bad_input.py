"""Bad input: one clear line, a non-zero exit, nothing lost."""

import re
import shutil

import pandas as pd
import pytest

from fusion.cli import main
from tests.integration.conftest import IMAGES, SPACE, training

ARCH = "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"


def fails(capsys, *arguments: str) -> str:
    """Run the command; return the one line that it printed to standard error."""
    capsys.readouterr()
    assert main(list(arguments)) == 1
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("fusion: ")
    assert "Traceback" not in captured.err
    return lines[0]


def extract(out, *more: str, archs: str = "sample:2", images: str = "digits") -> list[str]:
    options = [*IMAGES[2:], "--images", images, "--archs", archs, "--out", str(out), *more]
    return ["extract", *SPACE, *options]


def test_missing_images(capsys, tmp_path):
    line = fails(capsys, *extract(tmp_path / "t", images=str(tmp_path / "nowhere.npz")))
    assert "nowhere.npz" in line
    assert "no such file" in line


def test_truncated_part(capsys, work, tmp_path):
    table = tmp_path / "indicators"
    shutil.copytree(work / "indicators", table)
    part = next((table / "parts").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    accuracies = ["--accuracies", str(work / "accuracies.csv"), "--target", "accuracy"]
    line = fails(
        capsys,
        "fit",
        "--indicators",
        str(table),
        *accuracies,
        "--model",
        "weighted_sum",
        "--out",
        str(tmp_path / "m"),
    )
    assert part.name in line
    assert "delete it" in line
    assert part.exists()
    part.unlink()  # what the line says; the same command then computes the rows again
    options = [*IMAGES, "--archs", str(work / "archs.csv"), "--indicators", "params", "--out", str(table)]
    assert main(["extract", *SPACE, *options]) == 0


def test_unknown_architecture(capsys, tmp_path):
    (tmp_path / "archs.csv").write_text(f"arch\n{ARCH}\n|conv~0|+|oops|\n")
    line = fails(capsys, *extract(tmp_path / "t", archs=str(tmp_path / "archs.csv")))
    assert "line 3" in line
    assert "oops" in line
    assert not (tmp_path / "t").exists()


def test_accuracies_with_nan(capsys, work, tmp_path):
    """A row without a value is left out and told; without any value there is nothing to do."""
    table = pd.read_csv(work / "accuracies.csv")
    table.loc[4, "accuracy"] = float("nan")
    table.to_csv(tmp_path / "accuracies.csv", index=False)
    fit = ["fit", "--indicators", str(work / "indicators"), "--accuracies", str(tmp_path / "accuracies.csv")]
    fit += ["--target", "accuracy", "--model", "weighted_sum", "--out"]
    assert main([*fit, str(tmp_path / "some")]) == 0
    assert "1 row without a value left out (line 6)" in capsys.readouterr().out
    table.assign(accuracy=float("nan")).to_csv(tmp_path / "accuracies.csv", index=False)
    assert "no value in column 'accuracy'" in fails(capsys, *fit, str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("evaluation.trainsize=5", "did you mean 'train_size'"),
        ("colour=red", "'colour' does not exist"),
        ("space.colour=red", "colour"),
        ("evaluation.splits=many", "whole number"),
        ("models.fi.model=lightgmb", "did you mean 'lightgbm'"),
        ("indicators=naswott", "did you mean 'naswot'"),
        ("images=nowhere.npz", "no such file"),
        ("accuracies.archive=nowhere", "no table here"),
        ("accuracies.table=nowhere.csv", "either a table or an archive"),
        ("device=gpu", "auto, cpu, cuda"),
        ("nothing", "key=value"),
    ],
)
def test_wrong_pipeline_keys_and_values(capsys, tmp_path, setting, told):
    assert told in fails(capsys, "run", "digits", "--out", str(tmp_path / "out"), "--set", setting)


def test_settings_that_are_no_yaml(capsys):
    assert "channels=[: the value is not readable" in fails(
        capsys, "check-space", "nats-tss", "--space-set", "channels=["
    )


def test_pipelines_that_cannot_be_read(capsys, tmp_path):
    assert re.search(
        "bundled: .*digits, .*nats-tss-cifar10", fails(capsys, "run", "dogits", "--out", str(tmp_path / "o"))
    )
    (tmp_path / "p.yaml").write_text("title: [")
    assert "YAML" in fails(capsys, "run", str(tmp_path / "p.yaml"), "--out", str(tmp_path / "o"))
    (tmp_path / "q.yaml").write_text("title: only this")
    assert "'space' is missing" in fails(
        capsys, "run", str(tmp_path / "q.yaml"), "--out", str(tmp_path / "o")
    )


def test_model_of_another_version(capsys, work, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(work / "model", model)
    text = (model / "model.json").read_text()
    assert '"format": 3' in text
    (model / "model.json").write_text(text.replace('"format": 3', '"format": 999'))
    line = fails(
        capsys,
        "predict",
        "--model",
        str(model),
        "--archs",
        str(work / "archs.csv"),
        "--out",
        str(tmp_path / "o.csv"),
    )
    assert "999" in line
    assert not (tmp_path / "o.csv").exists()


def test_model_and_table_of_other_settings(capsys, work, tmp_path):
    assert main(extract(tmp_path / "other", "--seed", "5")) == 0
    line = fails(
        capsys,
        *("predict", "--model", str(work / "model"), "--indicators", str(tmp_path / "other")),
        *("--archs", str(work / "archs.csv"), "--out", str(tmp_path / "o.csv")),
    )
    assert "seed" in line


def test_a_model_reads_no_accuracies(capsys, work, tmp_path):
    predict = ["predict", "--model", str(work / "model"), "--archs", str(work / "archs.csv")]
    line = fails(capsys, *predict, "--out", str(tmp_path / "o.csv"), "--seed", "3", "--target", "top1")
    assert "--target, --seed: only with --within" in line
    assert not (tmp_path / "o.csv").exists()


def test_only_bad_rows(capsys, work, tmp_path):
    (tmp_path / "archs.csv").write_text("arch\nnonsense\n")
    predict = ["predict", "--model", str(work / "model"), "--archs", str(tmp_path / "archs.csv")]
    assert main([*predict, "--out", str(tmp_path / "o.csv")]) == 1
    assert "line 2" in capsys.readouterr().err


def test_table_of_other_settings(capsys, tmp_path):
    assert main(extract(tmp_path / "t", "--indicators", "params")) == 0
    line = fails(capsys, *extract(tmp_path / "t", "--indicators", "params", "--seed", "1"))
    assert "choose another --out" in line


def test_wrong_names(capsys, work, tmp_path):
    wrong = [*SPACE]
    wrong[1] = "nats-tsss"
    options = [*IMAGES, "--archs", "sample:2", "--out", str(tmp_path / "t")]
    assert "did you mean 'nats-tss'" in fails(capsys, "extract", *wrong, *options)
    assert "batch size 5000" in fails(capsys, *extract(tmp_path / "t", "--batch-size", "5000"))
    assert "sample:N" in fails(capsys, *extract(tmp_path / "t", archs="sample:x"))
    line = fails(
        capsys, "fit", *training(work)[:-1], "acuracy", "--model", "weighted_sum", "--out", str(tmp_path)
    )
    assert "accuracy" in line


def test_an_output_that_is_a_file(capsys, tmp_path):
    (tmp_path / "t").write_text("in the way")
    fails(capsys, *extract(tmp_path / "t"))
    assert (tmp_path / "t").read_text() == "in the way"
