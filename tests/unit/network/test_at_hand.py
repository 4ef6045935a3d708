from frostline.network import at_hand
from frostline.network.at_hand import networks_at_hand


def test_without_files_the_default_network_is_all(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    assert networks_at_hand() == [at_hand.LITE0]


def test_the_most_accurate_comes_first(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    for name in ("resnet18-f37072fd.pth", "convnext_tiny-983f1562.pth", "resnet50-0676ba61.pth"):
        (tmp_path / "checkpoints" / name).touch()  # the last one is not what --weights imagenet takes
    assert networks_at_hand() == ["convnext_tiny", at_hand.LITE0, "resnet18"]
