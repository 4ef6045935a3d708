import re
from pathlib import Path

import pytest
import typer
import yaml
from hypothesis import given
from hypothesis import strategies as st

from frostline.cli import app
from frostline.config import TrainConfig, make_config, read_yaml
from frostline.errors import ConfigError

FLAGS = [
    "--recipe",
    "--model",
    "--weights",
    "--stages",
    "--budget",
    "--epochs",
    "--augment",
    "--image-size",
    "--resize",
    "--mean",
    "--std",
    "--channels",
    "--width",
    "--dropout",
    "--head",
    "--batch-norm",
    "--init",
    "--allow-missing",
    "--batch-size",
    "--lr",
    "--optimizer",
    "--momentum",
    "--nesterov",
    "--weight-decay",
    "--layer-decay",
    "--clip-grad",
    "--schedule",
    "--label-smoothing",
    "--mixup",
    "--cutmix",
    "--ema",
    "--test-views",
    "--patience",
    "--log",
    "--seed",
    "--device",
    "--precision",
    "--engine",
    "--feature-cache",
    "--cache-dir",
    "--cache-limit",
    "--val",
    "--test",
    "--folds",
    "--seeds",
    "--drop-leaks",
    "--max-damaged",
    "--max-pixels",
    "--workers",
    "--live",
    "--lang",
    "--out",
    "--resume",
    "--accept-data-changes",
]
OTHER_FLAGS = {
    "evaluate": ["--format", "--device", "--precision", "--engine"],
    "predict": [
        "--topk",
        "--threshold",
        "--format",
        "--out",
        "--sort-into",
        "--copies",
        "--heat-maps",
        "--device",
        "--precision",
        "--engine",
    ],
    "info": ["--format"],
    "export": ["--format", "--out", "--data"],
    "serve": [
        *("--host", "--port", "--threshold", "--topk", "--max-body", "--max-pixels", "--max-pictures", "--queue"),
        *("--timeout", "--workers", "--api-key-file", "--allowed-host", "--corrections"),
        *("--device", "--precision", "--engine"),
    ],
    "recipes": [],
    "summary": ["--input", "--classes", "--head"],
    "quickstart": ["--out"],
    "cache ls": ["--cache-dir"],
    "cache verify": ["--cache-dir"],
    "cache prune": ["--limit", "--cache-dir"],
}
NEEDS = {"nesterov": {"optimizer": "sgd"}}
"""What a setting cannot do without."""
CHANGED = {
    "data": "photos",
    "recipe": "faces-best",
    "model": "vgg16",
    "weights": "none",
    "stages": "head:2",
    "augment": "flip",
    "image_size": 64,
    "resize": 72,
    "mean": [0.5],
    "std": [0.25],
    "channels": 1,
    "width": 0.5,
    "dropout": 0.25,
    "head": "mlp",
    "batch_norm": "train",
    "init": "he",
    "allow_missing": "classifier",
    "batch_size": 7,
    "lr": 0.02,
    "optimizer": "sgd",
    "momentum": 0.8,
    "nesterov": True,
    "weight_decay": 0.01,
    "layer_decay": 0.9,
    "clip_grad": 1.5,
    "schedule": "step:3:0.5",
    "label_smoothing": 0.1,
    "mixup": 0.2,
    "cutmix": 1.0,
    "ema": 0.99,
    "test_views": "flip",
    "patience": 4,
    "log": "tensorboard",
    "seed": 11,
    "device": "cpu",
    "precision": "fp32",
    "engine": "torch",
    "feature_cache": "ram",
    "cache_dir": "somewhere",
    "cache_limit": "1GB",
    "val": 0.2,
    "test": 0.1,
    "folds": 5,
    "seeds": 3,
    "drop_leaks": True,
    "max_damaged": 0.5,
    "max_pixels": 1000,
    "workers": 0,
    "live": True,
    "lang": "zh",
    "out": "runs/a",
    "resume": True,
    "accept_data_changes": True,
}


def flags_of(*names):
    command = typer.main.get_command(app)
    for name in names:
        command = command.commands[name]
    return [option for parameter in command.params for option in parameter.opts if option.startswith("--")]


def test_every_switch_can_be_turned_off():
    """A recipe may have turned it on."""
    switches = [name for name, field in TrainConfig.model_fields.items() if field.annotation is bool]
    command = typer.main.get_command(app).commands["train"]
    off = [option for parameter in command.params for option in parameter.secondary_opts]
    assert (
        off
        == [f"--no-{name.replace('_', '-')}" for name in switches]
        == [
            "--no-nesterov",
            "--no-drop-leaks",
            "--no-live",
            "--no-resume",
            "--no-accept-data-changes",
        ]
    )


@pytest.mark.parametrize("command", ["train", "plan"])
def test_every_flag_of_a_training_is_listed_here(command):
    """A new flag is a decision, not an accident: write it down here and in DESIGN.md."""
    assert [flag for flag in flags_of(command) if flag != "--config"] == FLAGS
    assert flags_of(command).count("--config") == 1


@pytest.mark.parametrize("command", OTHER_FLAGS)
def test_every_flag_of_the_other_commands_is_listed_here(command):
    assert flags_of(*command.split()) == OTHER_FLAGS[command]


def test_every_setting_is_a_flag_and_a_yaml_key(tmp_path):
    assert [f"--{name.replace('_', '-')}" for name in TrainConfig.model_fields if name != "data"] == FLAGS
    assert set(CHANGED) | {"epochs", "budget"} == set(TrainConfig.model_fields)
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(CHANGED), encoding="utf-8")
    read = make_config(**read_yaml(path)).model_dump(mode="json")
    assert {name: read[name] for name in CHANGED} == CHANGED


def typed(value):
    """A value as it stands behind its flag."""
    if value is True:
        return []
    return [",".join(map(str, value)) if isinstance(value, list) else str(value)]


@pytest.mark.parametrize("name", [name for name in CHANGED if name not in {"data", "resume"}])
def test_a_flag_reaches_the_settings(name, monkeypatch):
    from frostline import api

    got = {}
    monkeypatch.setattr(api, "train", lambda data, **given: got.update(given) or type("Run", (), {"metrics": {}}))
    flag = f"--{name.replace('_', '-')}"
    app(["train", "photos", flag, *typed(CHANGED[name])], standalone_mode=False)
    assert (
        make_config(data="photos", **NEEDS.get(name, {}), **{name: got[name]}).model_dump(mode="json")[name]
        == CHANGED[name]
    )
    assert set(got) == {"reporter", "config", name}, "a flag that was not used must not be handed on"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"mean": [0.5, 123.7, 0.4]}, "mean: each number lies between 0 and 1"),
        ({"mean": [float("nan")]}, "mean: each number lies between 0 and 1"),
        ({"std": [58.4]}, "std: each number must be above 0, and at most 1"),
        ({"std": [float("nan")]}, "std: each number must be above 0"),
        ({"resize": "crop"}, "resize='crop': allowed are the shorter side in pixels, such as 256, and squash"),
        ({"resize": 0}, "resize=0: allowed are"),
        ({"nesterov": True}, "nesterov: needs --optimizer sgd and a momentum above 0; or use --no-nesterov"),
        ({"nesterov": True, "optimizer": "sgd", "momentum": 0}, "nesterov: needs"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, told):
    with pytest.raises(ConfigError, match=re.escape(told)):
        make_config(data="photos", **settings)


def test_resume_is_a_flag_without_a_value(monkeypatch):
    from frostline import api

    got = {}
    monkeypatch.setattr(api, "train", lambda data, **given: got.update(given) or type("Run", (), {"metrics": {}}))
    app(["train", "photos", "--resume"], standalone_mode=False)
    assert got["resume"] is True


TEXT = st.text(min_size=1).filter(lambda text: "\x00" not in text)
SHARE = st.floats(0.01, 0.4)


@given(
    settings=st.fixed_dictionaries(
        {"data": TEXT},
        optional={
            "model": TEXT,
            "stages": TEXT,
            "lr": st.floats(1e-12, 1e3),
            "width": st.floats(1e-3, 4),
            "momentum": st.floats(0, 0.999),
            "val": SHARE,
            "test": SHARE | st.none(),
            "seed": st.integers(0, 2**70),
            "head": st.sampled_from(["linear", "mlp", "multi", "official", "small"]),
            "out": st.sampled_from(["runs/x", "run folder/ä", "."]).map(Path),
            "workers": st.integers(0, 9) | st.none(),
            "resume": st.booleans(),
        },
    )
)
def test_settings_survive_yaml(settings):
    config = make_config(**settings)
    assert make_config(**yaml.safe_load(config.to_yaml())) == config


def test_yaml_is_readable():
    text = make_config(data="数据/花").to_yaml()
    assert text.startswith("data: 数据/花\nrecipe: null\nmodel: ")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lr": 0}, "lr=0: Input should be greater than 0"),
        ({"lr": "fast"}, "lr='fast'"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"head": "big"}, "head='big': Input should be 'linear', 'mlp', 'multi', 'official' or 'small'"),
        ({"image_size": 4}, "image_size=4"),
        ({"channels": 2}, "channels=2"),
        ({"dropout": 1}, "dropout=1"),
        ({"seed": -1}, "seed=-1"),
        ({"val": 0}, "val=0"),
        ({"val": 0.6, "test": 0.4}, "0.6 and 0.4 leave no picture to train on"),
        ({"epochs": 3, "stages": "head:2"}, "with stages, write the epochs there"),
        ({"learning_rate": 1}, "no setting is called 'learning_rate'; there are data, recipe, model"),
        ({"data": ""}, "data=''"),
    ],
)
def test_a_bad_value_gives_one_line(settings, said):
    with pytest.raises(ConfigError) as caught:
        make_config(**{"data": "photos", **settings})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_settings_cannot_be_changed():
    config = make_config(data="photos")
    with pytest.raises(ValueError, match="frozen"):
        config.lr = 1.0


@pytest.mark.parametrize("content", [b"", b"- a\n- b\n", b"a: [1,\n", b"\xff\xfe\x00", b"just words"])
def test_a_bad_settings_file_gives_one_line(tmp_path, content):
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"settings\.yaml") as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)


def test_a_missing_settings_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read settings from .*none\.yaml"):
        read_yaml(tmp_path / "none.yaml")
