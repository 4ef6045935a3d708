"""The command line, from arguments to exit codes and files: what other people's scripts rely on."""

import contextlib
import csv
import io
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from frostline import api, cli
from frostline.network.build import NetworkSpec, build
from frostline.progress import Silent

SMALL = ["--model", "resnet18", "--weights", "none", "--width", "0.25", "--image-size", "32", "--workers", "0"]
STAGES = ["--stages", "head:2, layer4:1"]
FILES = [
    "batch.png",
    "config.yaml",
    "confusion_matrix.png",
    "curves.png",
    "metrics.json",
    "predictions.csv",
    "report.html",
    "results.csv",
    "review.json",
    "skipped.csv",
    "split.csv",
    "state/lock",
    "state/state.safetensors",
    "steps.csv",
    "test_reads.csv",
    "weights/best.safetensors",
    "weights/last.safetensors",
]
COLUMNS = "stage,epoch,train_loss,train_accuracy,val_loss,val_accuracy,lr,seconds,images_per_second,cached"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run, its data beside it, and what the command gave: exit code, stdout, stderr."""
    home = tmp_path_factory.mktemp("trained")
    for label, colour in (("blue", (20, 30, 200)), ("green", (20, 180, 40)), ("red", (210, 30, 20))):
        (home / "shapes" / label).mkdir(parents=True)
        for number in range(12):
            shade = tuple(min(255, value + 3 * number) for value in colour)
            Image.new("RGB", (40, 40), shade).save(home / "shapes" / label / f"{number}.png")
    arguments = ["frostline", "train", "shapes", *SMALL, *STAGES, "--out", "run", "--cache-dir", "cache"]
    handler = signal.getsignal(signal.SIGTERM)
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(home)
        patch.setattr(sys, "argv", arguments)
        try:
            cli.main()
        except SystemExit as error:
            code = error.code
    signal.signal(signal.SIGTERM, handler)
    return home, (code, out.getvalue(), err.getvalue())


@pytest.fixture
def here(trained, tmp_path, monkeypatch):
    """A working folder of this test's own, with links to the finished run, its data and its cache."""
    home, _ = trained
    folder = tmp_path / "here"
    folder.mkdir()
    for name in ("shapes", "run", "cache"):
        (folder / name).symlink_to(home / name)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FROSTLINE_CACHE", str(folder / "cache"))
    return folder


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def one_line(text):
    return text.count("\n") == 1 and text.startswith("frostline: ") and "Traceback" not in text


def test_train_succeeds_and_says_what_it_did(trained):
    code, out, err = trained[1]
    assert (code, err) == (0, "")
    assert "shapes: 24 training, 6 validation, 6 test pictures of 3 classes" in out
    assert "stage 1/2, head: 2 epochs" in out
    assert "stage 2/2, layer4: 1 epochs" in out
    assert out.count("pictures/s") == 2, "a header for each stage"
    epochs = re.findall(r"^ +(\d/\d) +(\d/\d)  train +[\d.]+ +[\d.]+%  val ", out, re.MULTILINE)
    assert epochs == [("1/2", "1/2"), ("1/2", "2/2"), ("2/2", "1/1")]
    assert re.search(
        r"best epoch \d: validation [\d.]+%, test [\d.]+% \([\d.]+% to [\d.]+%; 6 pictures, read once\)", out
    )
    assert out.endswith("what to make of it: run/report.html\nrun folder run\n")


def test_the_run_folder_holds_exactly_these_files(here):
    found = sorted(str(path.relative_to("run")) for path in Path("run").rglob("*") if path.is_file())
    assert found == FILES


def test_results_have_a_row_per_epoch(here):
    rows = read_csv(here / "run" / "results.csv")
    assert ",".join(rows[0]) == COLUMNS
    assert [(row["stage"], row["epoch"]) for row in rows] == [("1", "1"), ("1", "2"), ("2", "3")]
    for row in rows:
        assert all(0 <= float(row[name]) <= 1 for name in ("train_accuracy", "val_accuracy"))
        assert all(float(row[name]) > 0 for name in ("train_loss", "val_loss", "lr", "seconds", "images_per_second"))
        assert row["cached"] in {"0", "1"}


def test_steps_have_a_row_per_step(here):
    rows = read_csv(here / "run" / "steps.csv")
    assert list(rows[0]) == ["stage", "epoch", "step", "loss"]
    assert [row["step"] for row in rows] == ["1", "2", "3"]  # 24 pictures, 32 a batch
    by_epoch = {row["epoch"]: float(row["train_loss"]) for row in read_csv(here / "run" / "results.csv")}
    assert all(float(row["loss"]) == pytest.approx(by_epoch[row["epoch"]], rel=1e-4) for row in rows)


def test_metrics_hold_what_the_contract_names(here):
    metrics = json.loads((here / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert 0 <= metrics["val"]["accuracy"] <= 1
    assert 0 <= metrics["test"]["accuracy"] <= 1
    assert metrics["classes"] == ["blue", "green", "red"]
    assert metrics["counts"] == {"train": 24, "val": 6, "test": 6, "skipped": 0, "refused": 0, "ignored": 0}
    assert [(stage["part"], stage["epochs"]) for stage in metrics["plan"]] == [("head", 2), ("layer4", 1)]
    assert set(metrics["seconds"]) == {"total", "import", "audit", "activations", "training", "saving", "evaluation"}
    assert sum(metrics["seconds"].values()) <= 2 * metrics["seconds"]["total"] + 0.1
    assert set(metrics["activations"]) >= {"rows", "bytes", "images_per_second"}
    assert {"python", "frostline", "torch"} <= set(metrics["versions"])
    assert metrics["device"] == "cpu"
    assert metrics["precision"] in {"fp32", "bf16"}
    assert (metrics["seed"], metrics["threads"] >= 1) == (0, True)
    assert metrics["best"]["epoch"] in {1, 2, 3}


def test_numbers_come_with_how_sure_they_are(here):
    metrics = json.loads((here / "run" / "metrics.json").read_text(encoding="utf-8"))
    for split in ("val", "test"):
        low, high = metrics[split]["interval"]
        assert 0 <= low < metrics[split]["accuracy"] + 1e-9
        assert metrics[split]["accuracy"] - 1e-9 < high <= 1
        assert high - low > 0.3  # six pictures say little
    review = json.loads((here / "run" / "review.json").read_text(encoding="utf-8"))
    assert review["calibration"]["temperature"] == metrics["temperature"]
    assert review["calibration"]["ece_after"] == metrics["test"]["ece"]
    assert review["calibration"]["log_loss_after"] == metrics["test"]["log_loss"]
    assert review["calibration"]["log_loss_before"] > 0
    assert sum(one["count"] for one in review["calibration"]["reliability_before"]) == metrics["test"]["count"]
    assert (metrics["test"]["read"]["number"], metrics["test"]["read"]["by"]) == (1, "train")


def test_predictions_are_written_down(here, frostline):
    metrics = json.loads((here / "run" / "metrics.json").read_text(encoding="utf-8"))
    rows = [row for row in read_csv(here / "run" / "predictions.csv") if row["split"] == "test"]
    right = sum(row["label"] == row["predicted"] for row in rows)
    assert (len(rows), right / len(rows)) == (6, metrics["test"]["accuracy"])
    code, out, _ = frostline("predict", "run", f"shapes/{rows[0]['path']}", "--format", "json", "--precision", "fp32")
    assert code == 0
    (told,) = json.loads(out)
    assert told["top"][0]["probability"] == pytest.approx(float(rows[0]["confidence"]), abs=0.02)


def test_runs_are_compared(here, frostline):
    code, out, err = frostline("compare", "run", "run")
    assert (code, err) == (0, "")
    assert "6 test pictures" in out
    assert "so they may be equally good; McNemar p = 1" in out
    code, out, _ = frostline("compare", "run", "run", "--format", "json")
    assert (code, json.loads(out)["difference"]) == (0, 0)


@pytest.mark.parametrize(("lang", "words"), [("en", "What to make of it"), ("zh", "如何看待")])
def test_the_report_is_one_file_that_asks_nothing_of_the_network(here, frostline, lang, words):
    code, out, err = frostline("report", "run", "--lang", lang)
    assert (code, out, err) == (0, "run/report.html\n", "")
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert words in page
    assert not re.search(r"https?://|src=(?!\"data:)|<link|@import", page)
    assert page.count("<img") == page.count('src="data:image/jpeg;base64,')
    assert len(page) < 1_000_000


def test_a_report_of_a_run_of_an_earlier_version(here, frostline, tmp_path):
    shutil.copytree("run", tmp_path / "run")
    review = tmp_path / "run" / "review.json"
    told = json.loads(review.read_text("utf-8"))
    review.write_text(json.dumps({key: told[key] for key in told if key not in {"audit", "is_pretrained"}}), "utf-8")
    code, _, err = frostline("report", tmp_path / "run", "--lang", "en")
    assert (code, err) == (0, "")
    assert "frostline inspect DATA looks for near copies" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_a_report_without_the_pictures_says_so(here, frostline):
    Path("shapes").rename("elsewhere")
    assert frostline("report", "run", "--lang", "en")[0] == 0
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "The pictures are not where they were" in page
    assert "<img" not in page


def test_no_more_rows_are_computed_than_the_run_used(here):
    activations = json.loads((here / "run" / "metrics.json").read_text(encoding="utf-8"))["activations"]
    assert 0 <= activations["computed"] <= activations["rows"]


def test_the_split_is_written_down(here):
    rows = read_csv(here / "run" / "split.csv")
    assert list(rows[0]) == ["path", "label", "split", "group", "digest"]
    assert len(rows) == 36
    assert {(row["label"], row["split"]) for row in rows} == {
        (label, split) for label in ("blue", "green", "red") for split in ("train", "val", "test")
    }


def test_the_settings_are_written_down(here):
    settings = yaml.safe_load((here / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert (settings["data"], settings["stages"], settings["width"]) == ("shapes", "head:2, layer4:1", 0.25)


def test_evaluate_gives_the_runs_own_test_metrics(here, frostline):
    expected = json.loads((here / "run" / "metrics.json").read_text(encoding="utf-8"))["test"]
    code, out, err = frostline("evaluate", "run", "--format", "json")
    got = json.loads(out)
    looks = read_csv(here / "run" / "test_reads.csv")
    assert (looks[0]["by"], looks[-1]["by"]) == ("train", "evaluate")
    assert len({look["digest"] for look in looks}) == 1
    assert (code, got["read"]["number"]) == (0, len(looks))
    assert err == (
        f"warning: look {len(looks)} at the test split (test_reads.csv); what is chosen by it needs a new test\n"
    )
    assert got["split"] == "test"
    assert (got["accuracy"], got["confusion"]) == (expected["accuracy"], expected["confusion"])
    assert got["log_loss"] == pytest.approx(expected["log_loss"], rel=0.02)  # the run may have computed in bf16
    code, out, _ = frostline("evaluate", "run")
    assert code == 0
    low, high = expected["interval"]
    assert out.startswith(f"test: accuracy {expected['accuracy']:.1%} ({low:.1%} to {high:.1%} at 95%) of 6 pictures")
    assert "precision" in out


def test_the_test_split_under_other_names_is_a_look_at_it(here, frostline, tmp_path):
    rows = [row for row in read_csv(here / "run" / "split.csv") if row["split"] == "test"]
    for number, row in enumerate(rows):
        (tmp_path / "other" / row["label"]).mkdir(parents=True, exist_ok=True)
        shutil.copy(here / "shapes" / row["path"], tmp_path / "other" / row["label"] / f"renamed-{number}.png")
    before = len(read_csv(here / "run" / "test_reads.csv"))
    code, out, err = frostline("evaluate", "run", tmp_path / "other", "--format", "json")
    look = read_csv(here / "run" / "test_reads.csv")[-1]
    first = read_csv(here / "run" / "test_reads.csv")[0]
    assert (code, look["number"]) == (0, str(before + 1))
    assert f"look {before + 1} at the test split" in err
    assert (look["digest"], float(look["accuracy"])) == (first["digest"], json.loads(out)["accuracy"])


@pytest.mark.parametrize("model", ["run", "run/weights/best.safetensors"])
def test_evaluate_on_other_pictures(here, frostline, model):
    code, out, _ = frostline("evaluate", model, "shapes", "--format", "json")
    assert code == 0
    assert (json.loads(out)["split"], json.loads(out)["count"]) == ("all", 36)


def test_predict_as_a_table(here, frostline):
    code, out, err = frostline("predict", "run", "shapes/red/1.png", "--topk", "2")
    assert (code, err) == (0, "")
    header, line, row = out.splitlines()
    assert header.split() == ["picture", "prediction"]
    assert set(line) == {"-", " "}
    assert re.fullmatch(r"shapes/red/1\.png  (unsure: )?\w+ [\d.]+%  \w+ [\d.]+%", row)


def test_predict_as_csv(here, frostline):
    code, out, _ = frostline("predict", "run", "shapes/red", "shapes/blue/3.png", "--format", "csv")
    assert code == 0
    rows = list(csv.DictReader(out.splitlines()))
    assert len(rows) == 13
    assert list(rows[0]) == ["path", "top1", "p1", "top2", "p2", "top3", "p3", "unsure"]
    assert [row["path"] for row in rows[:3]] == [f"shapes/red/{i}.png" for i in range(3)]
    assert rows[-1]["path"] == "shapes/blue/3.png"


def test_predict_as_json_with_a_damaged_picture(here, frostline, tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "bad.png").write_bytes(b"\x89PNG\r\n")
    Image.new("L", (9, 9), 7).save(tmp_path / "p" / "good.png")
    code, out, err = frostline("predict", "run", tmp_path / "p", "--format", "json", "--topk", 1)
    assert code == 0
    bad, good = json.loads(out)
    assert bad["path"].endswith("bad.png")
    assert (bad["top"], bool(bad["error"])) == ([], True)
    assert (len(good["top"]), good["error"]) == (1, None)
    assert set(good["top"][0]) == {"class", "probability"}
    assert err.startswith(f"warning: {tmp_path / 'p' / 'bad.png'} could not be read: ")


def test_predict_to_a_file_sorts_and_shows_where_it_looked(here, frostline, tmp_path):
    flags = [
        "--out",
        tmp_path / "a.csv",
        "--sort-into",
        tmp_path / "sorted",
        "--copies",
        "--heat-maps",
        tmp_path / "heat",
    ]
    code, out, err = frostline("predict", "run", "shapes/r*d", "shapes/blue/3.png", "--threshold", "0.6", *flags)
    assert (code, err) == (0, "")
    assert out.startswith(f"wrote {tmp_path / 'a.csv'}: 13 pictures, ")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 13
    for row in rows:
        assert (row["unsure"] == "true") == (float(row["p1"]) < 0.6)
        folder = tmp_path / "sorted" / ("unsure" if row["unsure"] == "true" else row["top1"])
        assert any(path.read_bytes() == Path(row["path"]).read_bytes() for path in folder.iterdir())
    assert len(list((tmp_path / "heat").iterdir())) == 13


def test_predict_takes_no_other_files_place(here, frostline, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree("shapes/red", mine)
    before = {path.name: path.read_bytes() for path in mine.iterdir()}
    picture = next(mine.iterdir())
    for flags, said in (
        (["--heat-maps", mine], "holds files already"),
        (["--out", picture, "--format", "csv"], "is one of the pictures"),
    ):
        code, _, err = frostline("predict", "run", mine, *flags)
        assert (code, one_line(err)) == (2, True)
        assert said in err
    assert {path.name: path.read_bytes() for path in mine.iterdir()} == before


def test_a_card_of_a_run(here, frostline):
    code, out, _ = frostline("info", "run")
    assert code == 0
    metrics = json.loads(Path("run/metrics.json").read_text("utf-8"))
    assert f"accuracy {metrics['test']['accuracy']:.1%} (" in out
    code, out, _ = frostline("info", "run/weights/best.safetensors", "--format", "json")
    facts = json.loads(out)["facts"]
    assert (code, facts["accuracy"]["val"]) == (0, metrics["val"]["accuracy"])
    assert facts["interval"]["test"] == metrics["test"]["interval"]
    assert facts["plan"].startswith("head:")
    code, out, _ = frostline("info", "run", "--format", "markdown")
    assert out.startswith("---\nlibrary_name: frostline\n")


def test_a_bundle_does_not_tell_where_things_lay(here, frostline, tmp_path):
    shutil.copy("run/weights/best.safetensors", tmp_path / "first.safetensors")
    flags = [*SMALL, "--weights", tmp_path / "first.safetensors", "--stages", "head:1", "--out", tmp_path / "again"]
    assert frostline("train", Path("shapes").resolve(), *flags)[0] == 0
    _, out, _ = frostline("info", tmp_path / "again", "--format", "json")
    facts = json.loads(out)["facts"]
    assert (facts["data"], facts["weights"]) == ("shapes", "first.safetensors")
    assert json.loads((tmp_path / "again/metrics.json").read_text("utf-8"))["data"] == str(Path("shapes").resolve())


@pytest.mark.slow
def test_export_checks_the_run_on_its_own_validation_pictures(here, frostline, tmp_path):
    code, out, err = frostline("export", "run", "--format", "torch", "--out", tmp_path / "m.pt2")
    assert code == 0, err
    count = json.loads(Path("run/metrics.json").read_text("utf-8"))["counts"]["val"]
    told = re.search(r"checked on (\d+) pictures: probabilities differ by (\S+) at most .* the same on (\S+)%", out)
    assert (int(told[1]), told[3]) == (count, "100.0")
    assert float(told[2]) <= 1e-5
    assert {path.name for path in tmp_path.iterdir()} >= {"m.pt2", "m.md", "m.example.py"}


def test_damaged_metrics_are_told(here, frostline, tmp_path):
    shutil.copytree("run", tmp_path / "run")
    (tmp_path / "run" / "metrics.json").write_text("{", encoding="utf-8")
    code, _, err = frostline("report", tmp_path / "run")
    assert (code, one_line(err)) == (2, True)
    assert "metrics.json is damaged" in err


def test_predict_fails_where_no_picture_can_be_read(here, frostline, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    code, _, err = frostline("predict", "run", tmp_path / "bad.png")
    assert code == 1
    assert err.splitlines()[-1].startswith("frostline: no picture could be read")


def test_plan_prices_and_writes_no_run(here, frostline, tmp_path):
    before = sorted(Path("cache").rglob("*.safetensors"))
    code, out, err = frostline("plan", "shapes", *SMALL, *STAGES)
    assert (code, err) == (0, "")
    assert re.search(r"^1 +head +\S+ +2 ", out, re.MULTILINE)
    assert re.search(r"^2 +layer4 +layer3 +1 ", out, re.MULTILINE)
    assert re.search(r"^training: about \d+ s$", out, re.MULTILINE)
    assert not (here / "runs").exists()
    assert sorted(Path("cache").rglob("*.safetensors")) == before


def test_summary(frostline):
    code, out, err = frostline("summary", "resnet18", "--input", "3x64x64", "--classes", "10")
    assert (code, err) == (0, "")
    assert out.startswith("resnet18, input 3x64x64\n")
    assert "11,181,642 parameters" in out  # 11,689,512 with 1000 classes
    assert "cuts" in out


def test_cache_commands(here, frostline, tmp_path):
    code, out, _ = frostline("cache", "ls")
    assert code == 0
    assert re.search(r"^\d stores, [\d.]+ MB$", out, re.MULTILINE)
    assert "pool(" in out
    assert frostline("cache", "verify") == (0, "every shard is intact\n", "")
    copy = tmp_path / "copy"
    shutil.copytree(here / "cache", copy)
    shard = next(copy.glob("activations/*/*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-1])
    code, out, _ = frostline("cache", "verify", "--cache-dir", copy)
    assert (code, out) == (0, f"removed {shard}: damaged or foreign; its rows are computed again when needed\n")
    code, out, _ = frostline("cache", "prune", "--limit", "0B", "--cache-dir", copy)
    assert code == 0
    assert re.match(r"removed \d stores", out)
    assert list(copy.glob("activations/*")) == []


class Bars(Silent):
    """A reporter that notes how far each bar got."""

    def __init__(self):
        self.bars, self.left = [], []

    @contextlib.contextmanager
    def bar(self, total, what, left=None):
        counts = []
        self.left.append(left and left(0.5))
        yield counts.append
        self.bars.append((what, total, counts))


def test_the_bar_of_an_epoch_counts_its_pictures(here):
    bars = Bars()
    settings = {"model": "resnet18", "weights": "none", "width": 0.25, "image_size": 32, "workers": 0, "batch_size": 10}
    api.train("shapes", reporter=bars, stages="all:2", **settings)
    epochs = [bar for bar in bars.bars if bar[0].startswith("epoch")]
    assert epochs == [("epoch 1/2", 24, [10, 10, 4]), ("epoch 2/2", 24, [10, 10, 4])]
    first, second = (left for left in bars.left if left is not None)
    assert first > second > 0


def test_a_second_run_gets_a_number_and_reads_what_is_stored(here, frostline):
    settings = [*SMALL, "--stages", "head:1", "--feature-cache", "disk"]
    assert frostline("train", "shapes", *settings)[0] == 0
    code, out, _ = frostline("train", "shapes", *settings)
    assert code == 0
    assert out.endswith("run folder runs/shapes-resnet18-2\n")
    assert ", 0 of them computed now" in out


def test_a_settings_file_gives_way_to_flags(here, frostline, tmp_path):
    (tmp_path / "s.yaml").write_text("model: resnet18\nwidth: 0.25\nweights: none\nimage_size: 64\nstages: 'head:3'\n")
    flags = ["--image-size", "32", "--stages", "head:1", "--workers", "0"]
    code, _, err = frostline("train", "shapes", "--config", tmp_path / "s.yaml", *flags, "--out", tmp_path / "r")
    assert (code, err) == (0, "")
    settings = yaml.safe_load((tmp_path / "r" / "config.yaml").read_text(encoding="utf-8"))
    assert (settings["width"], settings["image_size"], settings["stages"]) == (0.25, 32, "head:1")


def test_a_finished_run_is_not_trained_again(here, frostline):
    code, out, _ = frostline("train", "shapes", "--out", "run", "--resume")
    assert code == 0
    assert out.startswith("run is complete already\n")


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    """Folders and files that cannot be used, by name."""
    root = tmp_path_factory.mktemp("wrong")
    for path in ("one/a", "empty/a", "empty/b"):
        (root / path).mkdir(parents=True)
    for path in ("one/a/1.png", "empty/a/1.png"):
        Image.new("L", (9, 9)).save(root / path)
    (root / "file").touch()
    (root / "file.txt").touch()
    (root / "bad.yaml").write_text("learning_rate: 1\n")
    (root / "notes.pth").write_text("these are no weights")
    other = build(NetworkSpec(model="vgg11", classes=3, width=0.125, image_size=32))
    save_file(other.module.state_dict(), root / "vgg.safetensors")
    torch.save(other.module.state_dict(), root / "vgg.pth")
    return root


WRONG = {
    "no data": ([], "Missing argument"),
    "missing folder": (["nowhere"], "no folder, file or named set 'nowhere'"),
    "a file that is no table": (["{w}/file.txt"], "a file must end in .csv or .parquet"),
    "one class": (["{w}/one"], "has only one class (a)"),
    "empty class": (["{w}/empty"], "the class folder b/ holds no pictures"),
    "unknown model": (["shapes", "--model", "resnet19"], "no network is called 'resnet19': did you mean resnet1"),
    "unknown timm model": (["shapes", "--model", "timm:nonsense"], "no network is called 'timm:nonsense'"),
    "no such part": (["shapes", "--stages", "head:1, layer9:1"], "no part of the network is called 'layer9'"),
    "bad stage": (["shapes", "--stages", "head"], "stage 'head' is not understood; write PART:EPOCHS"),
    "bad rate": (["shapes", "--stages", "head:1@1.2.3"], "stage 'head:1@1.2.3' is not understood"),
    "weights of another network": (["shapes", "--weights", "{w}/vgg.safetensors"], "does not fit resnet18: it lacks"),
    "weights missing": (["shapes", "--weights", "{w}/none.pth"], "no weights at"),
    "a pickle": (
        ["shapes", "--weights", "{w}/vgg.pth"],
        "vgg.pth is a pickle, which can run code; run `frostline impor",
    ),
    "weights that are none": (["shapes", "--weights", "{w}/notes.pth"], "cannot read weights from"),
    "out below a file": (["shapes", "--out", "{w}/file/run"], "Not a directory; choose another folder with --out"),
    "out exists": (["shapes", "--out", "run"], "--out run exists already"),
    "unknown flag": (["shapes", "--learning-rate", "1"], "No such option: --learning-rate"),
    "not a number": (["shapes", "--epochs", "many"], "Invalid value for '--epochs'"),
    "out of range": (["shapes", "--batch-size", "0"], "batch_size=0"),
    "unknown choice": (["shapes", "--head", "huge"], "head='huge'"),
    "single pictures": (
        [
            "shapes",
            "--model",
            "resnet18",
            "--weights",
            "none",
            "--width",
            "0.1",
            "--image-size",
            "32",
            "--batch-size",
            "1",
        ],
        "BatchNorm cannot train on a single picture",
    ),
    "bad augment": (["shapes", "--augment", "crops:0"], "--augment 'crops:0' is not known"),
    "bad schedule": (["shapes", "--schedule", "step:x"], "schedule 'step:x' is not understood"),
    "endless schedule": (["shapes", "--schedule", "step:inf"], "schedule 'step:inf'"),
    "bad size": (["shapes", "--cache-limit", "lots"], "size 'lots' is not understood"),
    "endless size": (["shapes", "--cache-limit", "infGB"], "size 'infGB' is not understood"),
    "small image": (["shapes", "--model", "vgg11", "--image-size", "16"], "needs at least 32 pixels"),
    "bad device": (["shapes", "--device", "tpu"], "--device 'tpu' is not known"),
    "no such device": (["shapes", "--device", "cuda:99"], "torch sees"),
    "two lengths": (["shapes", "--epochs", "2", "--stages", "head:1"], "with stages, write the epochs there"),
    "shares": (["shapes", "--val", "0.6", "--test", "0.5"], "leave no picture to train on"),
    "missing settings": (["shapes", "--config", "{w}/none.yaml"], "cannot read settings from"),
    "bad settings": (["shapes", "--config", "{w}/bad.yaml"], "no setting is called 'learning_rate'"),
    "resume without out": (["shapes", "--resume"], "--resume needs --out RUN"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_of_train_is_one_line_and_exit_code_2(here, frostline, wrong, case):
    given, said = WRONG[case]
    arguments = [argument.format(w=wrong) for argument in given]
    defaults = [] if "--model" in given else ["--model", "resnet18", "--width", "0.25", "--image-size", "32"]
    defaults += [] if "--weights" in given else ["--weights", "none"]
    if case == "weights of another network":
        defaults += ["--width", "0.125"]
    code, out, err = frostline("train", *arguments, *defaults)
    assert one_line(err), err
    assert said in err
    assert (code, out) == (2, "")
    assert not (here / "runs" / "shapes-resnet18").exists()


def test_import_weights_says_what_it_wrote_and_what_it_left_out(frostline, tmp_path):
    torch.save({"state_dict": {"a": torch.ones(3)}, "epoch": 7, "\x1b[31mred": 1}, "w.pth")
    code, out, err = frostline("import-weights", "w.pth", "--out", "new.safetensors")
    assert (code, err) == (0, "")
    assert out == (
        "wrote new.safetensors: 1 tensors, 0.0 MB\n"
        "left out, for they are no tensors of the state dict: epoch, \\x1b[31mred\n"
    )
    assert frostline("import-weights", "w.pth")[0] == 0
    assert Path("w.safetensors").read_bytes() == Path("new.safetensors").read_bytes()


def test_import_weights_names_what_a_pickle_asked_for(frostline, tmp_path):
    torch.save({"a": torch.ones(3), "evil": Evil()}, "w.pth")
    code, out, err = frostline("import-weights", "w.pth")
    assert (code, out) == (2, "")
    assert one_line(err), err
    assert "it asks for getattr, " in err
    assert [path.name for path in Path().iterdir()] == ["w.pth"]


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


OTHER_WRONG = {
    "unknown command": (["trian"], "No such command 'trian'"),
    "no such run": (["evaluate", "none"], "none"),
    "not a run": (["evaluate", "shapes"], "shapes"),
    "no model": (["predict", "shapes", "shapes/red/1.png"], "no model at shapes"),
    "no picture": (["predict", "run", "none.png"], "no file or folder none.png"),
    "an empty folder": (["predict", "run", "cache"], "no picture in cache"),
    "topk": (["predict", "run", "shapes", "--topk", "0"], "topk"),
    "format": (["predict", "run", "shapes/red", "--format", "xml"], "--format 'xml' is not known"),
    "evaluate engine": (["evaluate", "run", "--engine", "tpu"], "engine 'tpu' is not known"),
    "predict precision": (["predict", "run", "shapes", "--precision", "fp8"], "precision 'fp8' is not known"),
    "evaluate format": (["evaluate", "run", "--format", "csv"], "--format 'csv' is not known"),
    "summary model": (["summary", "vgg99"], "no network is called 'vgg99'"),
    "summary input": (["summary", "resnet18", "--input", "3x32x64"], "--input '3x32x64' is not understood"),
    "summary no input": (["summary", "resnet18", "--input", "3x0x0"], "3x0x0"),
    "a name too long": (["evaluate", "x" * 300], f"{'x' * 60}... is longer than a name may be"),
    "export format": (["export", "run", "--format", "tflite"], "--format 'tflite' is not known"),
    "export of a bundle": (
        ["export", "run/weights/best.safetensors", "--format", "torch"],
        "give labelled ones with --data",
    ),
    "no card": (["info", "shapes"], "no model at shapes"),
    "answers' ending": (["predict", "run", "shapes/red/1.png", "--out", "a.xls"], "--out a.xls has no known ending"),
    "answers' folder": (["predict", "run", "shapes/red/1.png", "--out", "none/a.csv"], "cannot write --out none/a.csv"),
    "parquet on a screen": (["predict", "run", "shapes/red/1.png", "--format", "parquet"], "give --out FILE.parquet"),
    "no match": (["predict", "run", "shapes/*.tif"], "no file matches shapes/*.tif"),
    "limit": (["cache", "prune", "--limit", "much"], "size 'much' is not understood"),
    "foreign bundle": (["predict", "run/state/state.safetensors", "shapes/red/1.png"], "state.safetensors"),
}


@pytest.mark.parametrize("case", OTHER_WRONG)
def test_wrong_use_of_the_others_is_one_line_and_exit_code_2(here, frostline, case):
    arguments, said = OTHER_WRONG[case]
    code, out, err = frostline(*arguments)
    assert one_line(err), err
    assert said in err
    assert (code, out) == (2, "")


def test_evaluate_leaves_damaged_pictures_out_and_says_so(here, frostline, tmp_path):
    red, blue = (tmp_path / "d" / label / "1.png" for label in ("red", "blue"))
    for path in (red, blue):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"\x89PNG and no more")
    code, _, err = frostline("evaluate", "run", tmp_path / "d")
    assert code == 2
    assert one_line(err)
    assert "no picture could be read; give JPEG, PNG" in err
    Image.new("RGB", (9, 9), "red").save(red)
    code, out, err = frostline("evaluate", "run", tmp_path / "d", "--format", "json")
    assert (code, json.loads(out)["count"]) == (0, 1)
    assert "left out 1 of 2 pictures: damaged" in err


def test_other_classes_are_refused_by_evaluate(here, frostline, tmp_path):
    for label in ("red", "mauve"):
        (tmp_path / "d" / label).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "d" / label / "1.png")
    code, _, err = frostline("evaluate", "run", tmp_path / "d")
    assert code == 2
    assert one_line(err)
    assert "the model does not know class mauve; it knows blue, green, red" in err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--seed", "1"], "seed=1 contradicts the interrupted run (0)"),
        (["--stages", "head:3"], "stages='head:3' contradicts the interrupted run ('head:2, layer4:1')"),
        (["--width", "0.5"], "width=0.5 contradicts"),
    ],
)
def test_resume_with_a_contradiction_is_refused(here, frostline, flags, said):
    code, _, err = frostline("train", "shapes", "--out", "run", "--resume", *flags)
    assert code == 2
    assert one_line(err)
    assert said in err


@pytest.mark.slow
def test_the_program_itself_trains(here):
    program = Path(sys.executable).with_name("frostline")
    command = [program, "train", "shapes", *SMALL, "--stages", "head:1", "--out", "new"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("run folder new\n")


@pytest.mark.slow
def test_a_wrong_use_outside_python_leaves_no_traceback(here):
    program = Path(sys.executable).with_name("frostline")
    done = subprocess.run([program, "train", "nowhere"], capture_output=True, text=True)
    assert done.returncode == 2
    assert one_line(done.stderr)


def test_a_diverging_run_fails_with_code_1(here, frostline, tmp_path):
    flags = [*SMALL, "--stages", "all:3@1e30", "--optimizer", "sgd", "--precision", "fp32"]
    code, _, err = frostline("train", "shapes", *flags, "--out", tmp_path / "r")
    assert code == 1
    assert one_line(err)
    assert re.search(r"loss is not finite (at|after) step \d", err)


def test_training_leaves_the_generator_alone(here, frostline, tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert frostline("train", "shapes", *SMALL, "--stages", "all:1", "--out", tmp_path / "r")[0] == 0
    assert torch.rand(1) == expected


def test_the_tiny_pictures_can_be_learned(tiny_folder, frostline, tmp_path):
    flags = [*SMALL, "--epochs", "12", "--batch-size", "8", "--lr", "0.01"]
    assert frostline("train", tiny_folder, *flags, "--out", tmp_path / "r")[0] == 0
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["val"]["accuracy"] >= 0.8
